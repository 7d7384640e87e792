#!/usr/bin/env bash
# exchange.chunk_bytes = 0: what is measured becomes a value of the recipe and of the checkpoint; a run with that
# value given has the same bits, and a resumed one keeps it without measuring again.
. "$SOURCE/tests/whole/jobs.bash"
small_shards data 1200 60 50
small_teacher data
epochs=60  # long enough to be struck
job=(--train.epochs $epochs --train.global_batch 16 --train.micro_batch 8 --run.log_steps 4 --exchange.order fast)
measured='^exchange.chunk_bytes = [0-9]+: a sum over ranks takes'

# strike RUN: distils on 2 ranks and stops it in mid-epoch
strike() {
  local end
  end=$(python3 "$SOURCE/tests/failure/struck_job.py" 2 TERM:run distill --data.folder "$WORK/data" \
    --run.folder "$WORK/$1" --teacher.file "$WORK/teacher.safetensors" --quant.method uniform --quant.bits 4 \
    "${student[@]}" "${small[@]}" "${job[@]}" --exchange.chunk_bytes 0)
  [[ $end == "code=75 "* ]] || { fail "$1: $end"; cat "$WORK/err"; }
}
strike run
grep -qE "$measured" "$WORK/err" || fail "nothing was measured at the start"
chosen=$(sed -n "s/^exchange.chunk_bytes = //p" "$WORK/run/recipe.cfg")
[[ $chosen =~ ^[0-9]+$ && $chosen -ge 1024 ]] || fail "the recipe holds chunk_bytes = $chosen"
grep -aqE '"exchange.chunk_bytes\\*":\\*"'"$chosen" "$(newest run)"/part-* ||
  fail "the checkpoint does not hold $chosen"

distil 2 data run "${job[@]}" --exchange.chunk_bytes 0 --resume
grep -q '^resuming after epoch' "$WORK/err" || fail "the run did not go on"
grep -qE "$measured" "$WORK/err" && fail "the resumed run measured again"
distil 2 data given "${job[@]}" --exchange.chunk_bytes "$chosen"
same_weights run given

on_ranks 2 distill --data.folder "$WORK/data" --run.folder "$WORK/run" --teacher.file "$WORK/teacher.safetensors" \
  --quant.method uniform --quant.bits 4 "${student[@]}" "${small[@]}" "${job[@]}" --exchange.chunk_bytes 9984 \
  --train.epochs 20 --resume
[ $? -eq 2 ] && grep -q "^error: .*exchange.chunk_bytes was $chosen and is 9984 now" "$WORK/err" ||
  fail "other chunks were not refused: $(cat "$WORK/err")"
# One rank sends nothing, and takes the default.
distil 1 data alone --train.epochs 1 --exchange.chunk_bytes 0
grep -q '^exchange.chunk_bytes = 131072$' "$WORK/alone/recipe.cfg" || fail "one rank chose other chunks"
finish "chunks of $chosen bytes were measured, kept, resumed and not changed"
