#!/usr/bin/env bash
# exchange.codec: fewer bytes, the same bits on all ranks and with overlap on and off, a run that is resumed ends as
# one that was not; 4 bits learn as well; refused where it would break a promise or do nothing; auto is measured
# once, and kept.
. "$SOURCE/tests/whole/jobs.bash"
small_shards data 600 60 200
small_teacher data
job=(--train.epochs 3 --train.global_batch 64 --train.rate 0.01 --run.log_steps 1 --run.check_steps 1
  --exchange.chunk_bytes 1024)
get() { python3 "$compare" get "$WORK/$1/run.jsonl" "${@:2}"; }

# strike RUN SETTING...: distils on 2 ranks, stopped by a signal after some epochs
strike() {
  local end run=$1
  shift
  end=$(python3 "$SOURCE/tests/failure/struck_job.py" 2 TERM:run distill --data.folder "$WORK/data" \
    --run.folder "$WORK/$run" --teacher.file "$WORK/teacher.safetensors" --quant.method uniform --quant.bits 4 \
    "${student[@]}" "${small[@]}" "${job[@]}" --train.epochs 60 "$@")
  [[ $end == "code=75 "* ]] || fail "$run: $end"
}

# refused CODEC PATTERN SETTING...
refused() {
  local codec=$1 pattern=$2
  shift 2
  on_ranks 2 distill --data.folder "$WORK/data" --run.folder "$WORK/refused" --teacher.file \
    "$WORK/teacher.safetensors" "${student[@]}" "${small[@]}" --exchange.codec "$codec" "$@"
  [ $? -eq 2 ] && grep -q "^error: exchange.codec = $codec: $pattern" "$WORK/err" || {
    fail "$codec $* was not refused"
    cat "$WORK/err"
  }
}

# check_codec CODEC PERCENT WEIGHTS: bytes at most PERCENT of plain ones, weights that differ by WEIGHTS at most
check_codec() {
  local codec=$1 overlap plain coded
  # Without quantization, which makes a step of a small difference.
  for overlap in on off; do
    distil 4 data $codec.$overlap "${job[@]}" --quant.method none --exchange.codec $codec --exchange.overlap $overlap
  done
  same_weights $codec.on $codec.off
  cmp -s "$WORK/plain/master.safetensors" "$WORK/$codec.on/master.safetensors" && fail "nothing was rounded"
  python3 "$compare" first_loss "$WORK/plain/run.jsonl" "$WORK/$codec.on/run.jsonl" 1e-7 ||
    fail "the first losses differ"
  python3 "$compare" weights "$WORK/plain/master.safetensors" "$WORK/$codec.on/master.safetensors" "$3" by_size ||
    fail "$codec leads elsewhere"
  plain=$(get plain step bytes gradients) coded=$(get $codec.on step bytes gradients)
  [ $((${coded%.*} * 100)) -lt $((${plain%.*} * $2)) ] || fail "$codec: $coded bytes a step, where $plain were plain"

  distil 2 data $codec.whole "${job[@]}" --train.epochs 60 --exchange.codec $codec
  strike $codec.struck --exchange.codec $codec
  distil 2 data $codec.struck "${job[@]}" --train.epochs 60 --exchange.codec $codec --resume
  same_weights $codec.whole $codec.struck
}

distil 4 data plain "${job[@]}" --quant.method none
check_codec bf16 60 0.3
check_codec qsgd 35 0.4

# As well as exact ones, on images that none of them has seen.
learn=("${job[@]}" --train.epochs 10 --train.rate 0.05 --exchange.chunk_bytes 131072)
for codec in none qsgd; do distil 4 data learnt.$codec "${learn[@]}" --exchange.codec $codec; done
exact=$(get learnt.none end test correct) coded=$(get learnt.qsgd end test correct)
[ "$exact" -ge 150 ] || fail "$exact of 200 are right: the exact run has learned nothing"
[ "$coded" -ge $((exact - 8)) ] || fail "$coded of 200 are right in 4 bits, $exact exactly"

# What auto comes to is a value like any other.
measured='^exchange.codec = (none|qsgd): the sum of 1 MB over ranks takes'
strike auto --exchange.codec auto
grep -qE "$measured" "$WORK/err" || fail "nothing was measured at the start"
chosen=$(sed -n "s/^exchange.codec = //p" "$WORK/auto/recipe.cfg")
[[ $chosen == none || $chosen == qsgd ]] || fail "the recipe holds codec = $chosen"
distil 2 data auto "${job[@]}" --train.epochs 60 --exchange.codec auto --resume
grep -q '^resuming after epoch' "$WORK/err" || fail "the run did not go on"
grep -qE "$measured" "$WORK/err" && fail "the resumed run measured again"
distil 2 data given "${job[@]}" --train.epochs 60 --exchange.codec "$chosen"
same_weights auto given
distil 1 data alone --train.epochs 1 --exchange.codec auto
grep -q '^exchange.codec = none$' "$WORK/alone/recipe.cfg" || fail "one rank, which sends nothing, chose a codec"

for codec in bf16 qsgd auto; do
  refused $codec 'rounded sums depend on the number of ranks' --exchange.order fixed
  refused $codec 'only points travel' --quant.method points --quant.bits 2
done
finish "gradients in bf16 and 4 bits at 2 and 4 ranks: bytes, bits, resume, refusals; $coded of 200 right in 4 bits," \
  "$exact exactly; auto took $chosen"
