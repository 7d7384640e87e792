#!/usr/bin/env bash
# tests/fuzz/run.sh [seconds]: builds the fuzz targets (clang 14, libFuzzer, ASan, UBSan) and runs each
# for so long (60 s) from its stored corpus. An input that fails is left in build/fuzz/found.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/../.."
seconds=${1:-60}
cmake --preset fuzz >/dev/null
mapfile -t targets < <(for file in tests/fuzz/fuzz_*.cpp; do basename "$file" .cpp; done)
cmake --build --preset fuzz --target "${targets[@]}"
for target in "${targets[@]}"; do
  stored=tests/fuzz/corpus/${target#fuzz_} grown=build/fuzz/corpus/${target#fuzz_}
  mkdir -p "$grown" build/fuzz/found
  echo "---- $target, $seconds s"
  log=build/fuzz/$target.log passed=true
  "build/fuzz/$target" -max_total_time="$seconds" -timeout=2 -rss_limit_mb=512 -max_len=20000 \
    -artifact_prefix=build/fuzz/found/ -print_final_stats=1 "$grown" "$stored" >"$log" 2>&1 || passed=false
  grep -E "ERROR|SUMMARY|runtime error|INITED|DONE|stat::number|found/" "$log" || true
  $passed && continue
  tail -n 40 "$log" >&2
  echo "error: $target failed; its input is in build/fuzz/found, its words in $log" >&2
  exit 1
done
