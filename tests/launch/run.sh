#!/usr/bin/env bash
# launch/run.sh: exit codes and signals go through, a rank's silent death gets its line, a job that lost a rank is
# started again, and none waits for ever.
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
[ "$1" != --version ] || exit 0
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

# An mpirun that is not Open MPI's, by the first words of each.
mkdir "$WORK/foreign"
printf '#!/bin/sh\necho "$WORDS"; [ "$1" = --version ]\n' >"$WORK/foreign/mpirun"
chmod +x "$WORK/foreign/mpirun"
foreign() {  # foreign WHOSE WORDS
  expect 8 ".*/foreign/mpirun is $1, but .* Open MPI's mpirun first on PATH" \
    env WORDS="$2" PATH="$WORK/foreign:$PATH" "$run" -n 2 true
}
foreign "MPICH's (Hydra)" 'HYDRA build details:
    Version:                                 4.0.2'
foreign "Intel MPI's" 'Intel(R) MPI Library for Linux* OS, Version 2021.9 Build 20230307 (id: d82b3071db)'
foreign "MVAPICH's" "HYDRA build details:
    Configure options:                       '--prefix=/opt/mvapich2-2.3.7'"

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

# ---- as bitstill, which gives signs of life ----
mkdir "$WORK/fake"
cat >"$WORK/fake/bitstill" <<'END'
#!/bin/bash
# Rank 0 gives signs; every start appends "GENERATION WORDS" to $WORK/starts; what it does is $DEED.
rank=$OMPI_COMM_WORLD_RANK generation=${BITSTILL_LAUNCH#*:} phase=load saved=-1 stop=none timeout_s=5
sign() {
  [ "$rank" -ne 0 ] || printf '\036{"token":"%s","generation":%s,"phase":"%s","step":1,"timeout_s":%s,"saved":%s,"stop":"%s"}\n' \
    "${BITSTILL_LAUNCH%:*}" "$generation" "$phase" "$timeout_s" "$saved" "$stop" >&2
}
[ "$rank" -ne 0 ] || echo "$generation ${*:2}" >>"$WORK/starts"
eval "$DEED"
END
chmod +x "$WORK/fake/bitstill"
export DEED
fake=$WORK/fake/bitstill
starts() { [ "$(wc -l <"$WORK/starts")" -eq "$1" ] || { echo "not $1 starts: $2"; cat "$WORK/starts"; exit 1; }; }
# restarts CODE PATTERN STARTS DEED: of launch/run.sh --restarts 3
restarts() {
  : >"$WORK/starts"
  DEED=$4
  expect "$1" "$2" "$run" --restarts 3 -n 2 "$fake" distill --run.folder "$WORK/run"
  starts "$3" "$4"
}
fails='[ $rank -ne 0 ] || echo "error: rank 1 on a does not answer" >&2; sleep 0.3; exit'
restarts 0 - 2 "[ \$generation -eq 0 ] || exit 0; $fails 5"
grep -qx 'restart 1 of 3: rank 1 on a does not answer; going on from the newest checkpoint' "$WORK/err"
if grep -q $'\036' "$WORK/err"; then echo "signs of life are printed"; exit 1; fi
restarts 0 - 2 '[ $generation -eq 0 ] || exit 0; kill -KILL $$'
for code in 2 3 4 6 7 8; do restarts $code 'rank 1 on a' 1 "$fails $code"; done
restarts 75 - 1 'exit 75'
restarts 5 'rank 1 on a .*; 3 restarts are used up$' 4 "saved=\$generation; sign; $fails 5"
restarts 5 'rank 1 on a .*; twice without a newer checkpoint' 2 "saved=7; sign; $fails 5"
# Where training has begun, the newest checkpoint is what the next start begins with.
restarts 0 - 2 "saved=4; sign; [ \$generation -eq 0 ] || exit 0; $fails 5"
grep -qx "1 --run.folder $WORK/run --overwrite=false --resume=auto" "$WORK/starts"
restarts 0 - 2 "[ \$generation -eq 0 ] || exit 0; $fails 5"
grep -qx "1 --run.folder $WORK/run" "$WORK/starts"
mkdir -p "$WORK/run/checkpoints"
restarts 0 - 3 "touch \$WORK/run/checkpoints/\$generation; [ \$generation -lt 2 ] || exit 0; $fails 5"

# struck WHOM SIGNAL CODE PATTERN DEED: to run.sh or its mpirun, once the ranks are up
struck() {
  : >"$WORK/up"
  DEED=$5
  expect "$3" "$4" bash -c '
    "$1" --restarts 3 -n 2 "$2" distill &
    job=$! target=$!
    until [ "$(wc -l <"$3/up")" -eq 2 ]; do sleep 0.1; done
    [ "$4" = run ] || target=$(pgrep -P $job -x mpirun)
    kill -"$5" $target
    wait $job' struck "$run" "$fake" "$WORK" "$1" "$2"
}
listens='for signal in USR1 TERM; do trap "stop=done; sign; sleep 0.3; exit 75" $signal; done
  sign; echo up >>"$WORK/up"; for i in {1..99}; do sleep 0.1; done'
for whom in run mpirun; do
  for name in USR1 TERM INT; do struck $whom $name 75 - "$listens"; done
done
# What was saved is saved, whatever mpirun then returns, and if it never does.
struck run TERM 75 - "${listens//exit 75/exit 1}"
start=$SECONDS
struck run TERM 75 - "${listens//sleep 0.3/sleep 30}"
[ $((SECONDS - start)) -le 15 ]
# Before there was a sign of life nothing can be lost: launcher, mpirun, ranks.
struck run USR1 75 - 'echo up >>"$WORK/up"; sleep 30'
struck mpirun TERM 75 - 'echo up >>"$WORK/up"; sleep 30'
struck run TERM 75 - 'phase=start; sign; sleep 0.5; echo up >>"$WORK/up"; exec sleep 30'
: >"$WORK/starts"
DEED='phase=start; sign; [ $rank -eq 0 ] || kill -TERM $$; sleep 30' expect 75 - "$run" --restarts 3 -n 2 "$fake" distill
starts 1 "killed by TERM while it started"

# Ranks that never start, and a rank 0 that falls silent, with an mpirun that does not end by itself.
start=$SECONDS
DEED='phase=start; for i in {1..60}; do sign; sleep 0.5; done' expect 5 'the ranks have not started within 9 s' \
  "$run" -n 2 "$fake" distill --run.timeout_s=2
[ $((SECONDS - start)) -le 15 ]
start=$SECONDS
DEED='timeout_s=2; sign; sleep 60' expect 5 'no sign of life for 2\.0 s: rank 0 on' "$run" -n 2 "$fake" distill
[ $((SECONDS - start)) -le 10 ]
printf '[run]\ntimeout_s = 1  # short\n' >"$WORK/recipe"
DEED='sleep 60' expect 5 'the ranks have not started within 8 s' "$run" -n 2 "$fake" distill --config "$WORK/recipe"
