#!/usr/bin/env bash
# tests/coverage.sh [MODULE...]: how many lines and branches of the modules without LibTorch and of store their
# unit and rank tests reach (clang 14). Fails below 95 % of the lines or 90 % of the branches of all of them.
# What is not reached: build/coverage/html/index.html.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
modules=("$@")
[ $# -gt 0 ] || modules=(base comm data codec metrics report store)
out=build/coverage
cmake --preset coverage >/dev/null
mapfile -t programs < <(
  for module in "${modules[@]}"; do
    ! compgen -G "tests/$module/*_test.cpp" >/dev/null || echo "test_$module"
    ! compgen -G "tests/$module/*_ranktest.cpp" >/dev/null || echo "ranktest_$module"
  done
  for file in tests/fuzz/fuzz_*.cpp; do basename "$file" .cpp; done)
cmake --build --preset coverage --target "${programs[@]}"
rm -rf $out/raw $out/html && mkdir $out/raw
# %c: a process that is killed has counted too.
LLVM_PROFILE_FILE=$PWD/$out/raw/%c%p-%m.profraw ctest --preset coverage --quiet --output-log $out/tests.log \
  -R "^($(IFS='|'; echo "${modules[*]}"))(/|$)|^fuzz/" || { tail -n 40 $out/tests.log >&2; exit 1; }
llvm-profdata-14 merge -sparse $out/raw/*.profraw -o $out/tests.profdata
of=("$out/${programs[0]}")
for program in "${programs[@]:1}"; do of+=(-object "$out/$program"); done
# Names in a profile may hold "..": only their equivalents are found among the folders.
folders=("-path-equivalence=$PWD,$PWD")
for module in "${modules[@]}"; do folders+=("src/$module" "include/bitstill/$module"); done
llvm-cov-14 show "${of[@]}" -instr-profile=$out/tests.profdata -format=html -output-dir=$out/html \
  -show-branches=count "${folders[@]}"
llvm-cov-14 export "${of[@]}" -instr-profile=$out/tests.profdata -summary-only "${folders[@]}" |
  python3 -c '
import json, sys
files = json.load(sys.stdin)["data"][0]["files"]
def share(name, chosen):
    found = [f["summary"][name] for f in chosen]
    return 100 * sum(f["covered"] for f in found) / max(1, sum(f["count"] for f in found))
rows = {}
for f in files:
    parts = f["filename"].replace("include/bitstill/", "src/").split("/src/")[-1].split("/")
    rows.setdefault(parts[0], []).append(f)
print(f"{chr(32):10}  lines  branches")
for module, chosen in [*sorted(rows.items()), ("all", files)]:
    lines, branches = share("lines", chosen), share("branches", chosen)
    print(f"{module:10} {lines:5.1f} % {branches:7.1f} %")
sys.exit(lines < 95 or branches < 90)'
