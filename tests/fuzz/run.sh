#!/usr/bin/env bash
# tests/fuzz/run.sh [seconds]: builds the fuzz targets (clang 14, libFuzzer, ASan, UBSan) and runs all at
# once for so long (60 s), each from its stored corpus. An input that fails is left in build/fuzz/found.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/../.."
seconds=${1:-60}
cmake --preset fuzz >/dev/null
mapfile -t targets < <(for file in tests/fuzz/fuzz_*.cpp; do basename "$file" .cpp; done)
cmake --build --preset fuzz --target "${targets[@]}"
mkdir -p build/fuzz/found
export ASAN_OPTIONS=quarantine_size_mb=64  # the limit on memory is for what is held, not for what was freed
declare -A running
for target in "${targets[@]}"; do
  stored=tests/fuzz/corpus/${target#fuzz_} grown=build/fuzz/corpus/${target#fuzz_}
  mkdir -p "$grown"
  "build/fuzz/$target" -max_total_time="$seconds" -timeout=4 -rss_limit_mb=512 -max_len=20000 \
    -artifact_prefix=build/fuzz/found/ -print_final_stats=1 "$grown" "$stored" >"build/fuzz/$target.log" 2>&1 &
  running[$target]=$!
done
failed=
for target in "${targets[@]}"; do
  log=build/fuzz/$target.log passed=true
  wait "${running[$target]}" || passed=false
  echo "---- $target, $seconds s"
  grep -E "ERROR|SUMMARY|runtime error|INITED|DONE|stat::number|found/" "$log" || true
  $passed && continue
  tail -n 40 "$log" >&2
  echo "error: $target failed; its input is in build/fuzz/found, its words in $log" >&2
  failed=$target
done
[ -z "$failed" ]
