#!/usr/bin/env bash
# launch/run.sh: exit codes and signals go through, and a rank's silent death gets its line.
set -euo pipefail
run=$SOURCE/launch/run.sh
# shellcheck disable=SC2016  # the ranks expand $

# expect CODE PATTERN COMMAND...: the exit code, and exactly one "error:" line, which matches.
# PATTERN "-" expects none.
expect() {
  local code=0 pattern=$2 wanted=$1
  shift 2
  "$@" >"$WORK/out" 2>"$WORK/err" || code=$?
  local lines
  lines=$(grep -c '^error:' "$WORK/err" || true)
  if [ "$code" -ne "$wanted" ] ||
    { [ "$pattern" = - ] && [ "$lines" -ne 0 ]; } ||
    { [ "$pattern" != - ] && { [ "$lines" -ne 1 ] || ! grep -q "^error: $pattern" "$WORK/err"; }; }
  then
    echo "expected exit $wanted and '$pattern', got exit $code from: $*"
    cat "$WORK/out" "$WORK/err"
    exit 1
  fi
}

on_rank_1() { echo "[ \$OMPI_COMM_WORLD_RANK -ne 1 ] && exec sleep 20; $1"; }

expect 0 - "$run" -n 1 true
expect 0 - "$run" -n 4 sh -c 'echo "rank $OMPI_COMM_WORLD_RANK of $OMPI_COMM_WORLD_SIZE"'
for rank in 0 1 2 3; do grep -q "rank $rank of 4" "$WORK/out"; done
echo from a file | "$run" -n 1 cat | grep -q 'from a file'
"$run" -n 2 sh -c 'head -c 3000000 /dev/zero' | wc -c | grep -qx 6000000
full() { "$run" -n 1 sh -c "$1" >/dev/full; }
expect 7 'standard output is lost: No space left' full 'head -c 3000000 /dev/zero'
expect 3 '.*exit code 3' full 'echo lost; exit 3'
expect 141 - bash -c 'set -o pipefail; "$1" -n 1 sh -c "head -c 3000000 /dev/zero" | true' - "$run"

expect 137 'rank 1 .*SIGKILL' "$run" -n 2 sh -c "$(on_rank_1 'kill -KILL $$')"
expect 139 'rank 1 .*SIGSEGV' "$run" -n 2 sh -c "$(on_rank_1 'kill -SEGV $$')"
expect 3 'rank 1 .*exit code 3' "$run" -n 2 sh -c "$(on_rank_1 'exit 3')"
expect 6 'its own words$' "$run" -n 2 sh -c "$(on_rank_1 'echo error: its own words >&2; exit 6')"
# A line that is redrawn in place goes through piece by piece, and its error is seen.
expect 6 'after a bar$' "$run" -n 1 sh -c 'printf "\r10 %%\r20 %%\r" >&2; echo "
error: after a bar" >&2; exit 6'

# mpirun that waits for ever, for a host whose cable is cut, once a rank has died.
mkdir "$WORK/stuck"
cat >"$WORK/stuck/mpirun" <<'END'
#!/bin/sh
echo '[host:7] [[99,0],0] ACTIVATE PROC [[99,1],2] STATE CALLED ABORT AT base/plm_base_receive.c:324' >&2
sleep 60
END
chmod +x "$WORK/stuck/mpirun"
start=$SECONDS
expect 5 'rank 2 ' env PATH="$WORK/stuck:$PATH" "$run" -n 4 true
[ $((SECONDS - start)) -le 12 ]

expect 2 '.*-n' "$run" true
expect 2 '.*-n' "$run" -n 0 true
expect 2 'unknown option' "$run" --ranks 2 true
expect 2 'no program' "$run" -n 2 "$WORK/none"

# signal NAME CODE PATTERN: sent to run.sh once both ranks are up; they leave a word on USR1.
signal() {
  expect "$2" "$3" bash -c '
    "$1" -n 2 sh -c "trap \"echo heard; exit 0\" USR1; echo up >>\"$2/up\"
                     for i in 1 2 3 4 5 6 7 8 9 10; do sleep 1; done" &
    job=$!
    until [ "$(wc -l <"$2/up")" -eq 2 ]; do sleep 0.1; done
    kill -"$3" $job
    wait $job' signal "$run" "$WORK" "$1"
  : >"$WORK/up"
}
: >"$WORK/up"
signal USR1 0 -
[ "$(grep -c heard "$WORK/out")" -eq 2 ]
signal TERM 0 -
signal INT 0 -
