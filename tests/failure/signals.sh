#!/usr/bin/env bash
# Signals to launch/run.sh: the first stops the run in good order (exit 75, resumable), the second at once.
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

epochs=4
short=(--train.epochs $epochs --train.global_batch 16 --train.micro_batch 8)

# stop_and_resume RUN SIGNAL RANKS SETTING...
stop_and_resume() {
  local run=$1 signal=$2 ranks=$3
  shift 3
  strike $run $signal:run $ranks "${short[@]}" "$@"
  expect "code=75 seconds=[0-9.]+ left=0 epochs=[1-3]" 0
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

# With one rank stopped a step cannot end: the first signal waits for that, the second does not.
for name in USR1 TERM; do
  strike twice.$name "STOP:1,$name:run,wait:2,alive,$name:run" 2 --train.epochs 100000
  expect "code=(75|1) seconds=[2-6]\.[0-9] left=0 epochs=[0-9]+" "[01]"
done
finish "SIGUSR1, SIGTERM, SIGINT: exit 75 and a run that --resume finishes, with pieces of a teacher on their way" \
  "too; a second signal ends at once"
