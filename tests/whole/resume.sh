#!/usr/bin/env bash
# A run that was interrupted in mid-epoch and resumed ends with the bytes of one that was not.
. "$SOURCE/tests/whole/jobs.bash"
small_shards data 1200 60 50
small_teacher data
epochs=40  # long enough to be struck
setting=(--train.epochs $epochs --train.global_batch 16 --train.micro_batch 8 --run.log_steps 1 --data.shift 1
  --data.jitter 0.4 --data.erase 0.3 --data.mixup 0.4 --data.cutmix 1 --model.dropout 0.1 --quant.rounding stochastic --exchange.order fixed)

# strike RUN DEED CODE SETTING...: distils on 2 ranks, does DEED in mid-epoch, and expects CODE
strike() {
  local run=$1 deed=$2 code=$3 end done
  shift 3
  end=$(python3 "$SOURCE/tests/failure/struck_job.py" 2 "$deed" distill --data.folder "$WORK/data" \
    --run.folder "$WORK/$run" --teacher.file "$WORK/teacher.safetensors" --quant.method uniform \
    --quant.bits 4 "${student[@]}" "${small[@]}" "$@") || fail "$run: $end"
  done=${end##*epochs=}
  [[ $end == "code=$code "* && $end == *" left=0 "* ]] && [ "$done" -ge 1 ] && [ "$done" -lt $epochs ] || {
    fail "$run, $deed: $end, expected code $code before epoch $epochs"
    cat "$WORK/err"
  }
  # On the disk is the last whole epoch (or, killed while it was written, the one before), and where a
  # signal stopped the run the steps after it; the epoch's line in run.jsonl may come after it.
  grep -qE '"epoch":('"$((done - 1))|$done|$((done + 1)))," "$(newest "$run")/manifest.json" ||
    fail "$run: the checkpoint is not of epoch $done"
}

for optimizer in sgd adam lars; do
  with=("${setting[@]}" --train.optimizer $optimizer --train.rate 0.01)
  [ $optimizer != lars ] || with+=(--train.average ema --train.trust 0.05)
  distil 2 data clean.$optimizer "${with[@]}"
  strike term.$optimizer TERM:run 75 "${with[@]}"
  strike kill.$optimizer KILL:all 137 "${with[@]}"
  for how in term kill; do
    # The first kind resumes on as many ranks, the second, in fixed order, on fewer.
    [ $how = term ] && ranks=2 || ranks=1
    distil $ranks data $how.$optimizer "${with[@]}" --resume
    epoch=$(python3 "$compare" get "$WORK/$how.$optimizer/run.jsonl" resumed epoch)
    [ $how = term ] && within=' and [0-9]* of 75 steps' || within=
    [ "${epoch%.*}" -ge 1 ] && [ "${epoch%.*}" -lt $epochs ] &&
      grep -q "^resuming after epoch ${epoch%.*}$within$" "$WORK/err" ||
      fail "$how.$optimizer did not resume, or logged another epoch than $epoch"
    same_weights clean.$optimizer $how.$optimizer
  done
done
finish "SIGTERM (exit 75) and SIGKILL in mid-epoch of mixed pictures, sgd, adam, lars with an average: the last step" \
  "or the last whole epoch is kept, and the resumed run ends byte-identical"
