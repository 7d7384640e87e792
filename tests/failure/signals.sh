#!/usr/bin/env bash
# Signals to launch/run.sh, mpirun and ranks, in the first second and in mid-run: the first stops the run in
# good order (exit 75, resumable), the second at once.
. "$SOURCE/tests/whole/jobs.bash"
small_shards data 1200 60 50
small_teacher data

# strike RUN DEEDS RANKS SETTING...: $end says how it ended
strike() {
  local run=$1 deeds=$2 ranks=$3
  shift 3
  end=$(python3 "$SOURCE/tests/failure/struck_job.py" "$ranks" "$deeds" distill --data.folder "$WORK/data" \
    --run.folder "$WORK/$run" --teacher.file "$WORK/teacher.safetensors" "${student[@]}" "${small[@]}" \
    --quant.method uniform --quant.bits 4 --run.log_steps 1 "$@" 2>&1)
  echo "$run, $deeds at $ranks ranks: $end"
}

# expect PATTERN ERRORS: of $end, and the number of error lines
expect() {
  [[ $end =~ ^$1$ && $(grep -c '^error:' "$WORK/err") =~ ^$2$ ]] && return
  fail "expected $1 and $2 error lines:"
  cat "$WORK/err"
}

epochs=20
short=(--train.epochs $epochs --train.global_batch 16 --train.micro_batch 8)

# stop_and_resume RUN SIGNAL RANKS SETTING...
stop_and_resume() {
  local run=$1 signal=$2 ranks=$3
  shift 3
  strike $run $signal:run $ranks "${short[@]}" "$@"
  expect "code=75 seconds=[0-9.]+ left=0 epochs=[0-9]+" 0
  grep -q '^stopped by a signal; --resume continues' "$WORK/err" || fail "no word on how to go on"
  distil $ranks data $run "${short[@]}" "$@" --resume
  grep -q ' of 75 steps$' "$WORK/err" || fail "it did not go on in mid-epoch"
  [ "$(grep -c '"type":"end"' "$WORK/$run/run.jsonl")" -eq 1 ] || fail "the resumed run did not end"
  [ "$(grep -c '"type":"epoch"' "$WORK/$run/run.jsonl")" -eq $epochs ] || fail "the epochs are not $epochs"
}

for name in USR1 TERM INT; do stop_and_resume $name $name 2; done
# With pieces of a teacher in slices on their way; a step has two micro-batches, so two of four ranks
# have no samples.
for ranks in 2 4; do
  stop_and_resume sliced.$ranks USR1 $ranks --teacher.sharding gather --teacher.piece_bytes 4096
  distil $ranks data straight.$ranks "${short[@]}"
  same_weights sliced.$ranks straight.$ranks
done

# In mid-run, to others than launch/run.sh: to mpirun, to one rank (the others hear of it), to all at once.
for deed in TERM:mpirun USR1:mpirun TERM:1 INT:ranks TERM:all USR1:all; do
  strike ${deed/:/.} $deed 2 "${short[@]}" --train.epochs 100000
  expect "code=75 seconds=[0-9.]+ left=0 epochs=[0-9]+" 0
done

# first_second TARGET: signals after so many seconds: before the ranks run, while MPI starts, while data are loaded.
# A fraction of $RANDOM makes each call of this test another one.
first_second() {
  local target=$1 delay name run=first.$1
  for delay in 0.01 0.25 0.5 0.$((RANDOM % 900 + 100)); do
    name=USR1
    [ $((RANDOM % 2)) -eq 0 ] || name=TERM
    [ "$target.$delay" != mpirun.0.25 ] || name=USR1  # mpirun passes it on to ranks that are not there yet
    strike $run at:$delay,$name:$target 2 "${short[@]}" --train.epochs 20 --resume=auto
    expect "code=75 seconds=[0-9.]+ left=0 epochs=[0-9]+" 0
  done
  distil 2 data $run "${short[@]}" --train.epochs 20 --resume=auto
  [ "$(grep -c '"type":"epoch"' "$WORK/$run/run.jsonl")" -eq 20 ] || fail "$run was not finished"
}
for target in run ranks mpirun all; do first_second $target; done

# With one rank stopped a step cannot end: the first signal waits for that, the second does not.
for name in USR1 TERM; do
  # Woken to be ended, it may still have stopped in good order.
  strike twice.$name "STOP:1,$name:run,wait:2.2,alive,$name:run" 2 --train.epochs 100000
  expect "code=(75|138|143) seconds=[2-6]\.[0-9] left=0 epochs=[0-9]+" "[01]"
done
finish "SIGUSR1, SIGTERM, SIGINT: exit 75 and a run that --resume finishes, with pieces of a teacher on their way" \
  "too, in the first second too, to launcher, ranks, mpirun and all at once; a second signal ends at once"
