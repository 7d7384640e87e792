#!/usr/bin/env bash
# P17: seconds that a clone takes to build from nothing, its slowest source changed, and its tests.
#   tests/bench/build.sh [CHECKOUT]
# CHECKOUT (this one by default) is where launch/setup.sh was run; what it has committed is built.
# Minutes; exit code 4 when a target is missed.
set -euo pipefail

checkout=$(cd "${1:-"$(dirname "$0")/../.."}" && pwd)
if ! [ -e "$checkout/.git" ] || ! [ -d "$checkout/build/deps" ]; then
  echo "$checkout is no checkout that launch/setup.sh was run in; name one" >&2
  exit 2
fi
scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT
tree=$scratch/tree build=$scratch/tree/build/release
export CCACHE_DISABLE=1
missed=0

# timed COMMAND...: its wall seconds in $seconds; the end of what it said where it fails.
timed() {
  local start=$EPOCHREALTIME
  if ! "$@" >"$scratch/said" 2>&1; then
    tail -n 20 "$scratch/said" >&2
    echo "$* failed" >&2
    exit 8
  fi
  seconds=$(awk "BEGIN { print $EPOCHREALTIME - $start }")
}

# part NAME SECONDS MOST
part() {
  local word=PASS
  if awk "BEGIN { exit !($2 > $3) }"; then word=FAIL missed=4; fi
  printf '  %s %-44s %8.1f  at most %s\n' $word "$1, s" "$2" "$3"
}

echo "P17  clean build of a clone, one source changed, tests; $(nproc) jobs, no compiler cache"
git clone --quiet "$checkout" "$tree"
mkdir "$tree/build"
ln -s "$checkout/build/deps" "$tree/build/deps"
cd "$tree"
timed cmake --preset release
configured=$seconds
timed cmake --build "$build" -j "$(nproc)"
part "clean build of a clone" "$(awk "BEGIN { print $configured + $seconds }")" 360
# ninja's log: start and end in ms, a time stamp, CMakeFiles/TARGET.dir/SOURCE.o, a hash.
slowest=$(
  awk -F '\t' '
    $4 ~ /\.dir\/(src|tests)\/.*\.o$/ {
      sub(/.*\.dir\//, "", $4)
      sub(/\.o$/, "", $4)
      print $2 - $1, $4
    }' "$build/.ninja_log" | sort -n | tail -n 1
)
touch "${slowest#* }"
timed cmake --build "$build" -j "$(nproc)"
part "${slowest#* } changed" "$seconds" 10
timed ctest --test-dir "$build" -j2 -LE slow
part "tests without slow ones" "$seconds" 300
exit "$missed"
