#!/usr/bin/env bash
# exchange.codec = bf16: half the bytes, the same bits on all ranks and with overlap on and off, a run that is
# resumed ends as one that was not; refused where it would break a promise or do nothing.
. "$SOURCE/tests/whole/jobs.bash"
small_shards data 600 60 50
small_teacher data
job=(--train.epochs 3 --train.global_batch 64 --train.rate 0.01 --run.log_steps 1 --run.check_steps 1
  --exchange.chunk_bytes 1024)

# Without quantization, which makes a step of a small difference.
distil 4 data plain "${job[@]}" --quant.method none
for overlap in on off; do
  distil 4 data bf16.$overlap "${job[@]}" --quant.method none --exchange.codec bf16 --exchange.overlap $overlap
done
same_weights bf16.on bf16.off
cmp -s "$WORK/plain/master.safetensors" "$WORK/bf16.on/master.safetensors" && fail "nothing was rounded"
python3 "$compare" first_loss "$WORK/plain/run.jsonl" "$WORK/bf16.on/run.jsonl" 1e-7 || fail "the first losses differ"
python3 "$compare" weights "$WORK/plain/master.safetensors" "$WORK/bf16.on/master.safetensors" 0.1 ||
  fail "rounded gradients lead elsewhere"
get() { python3 "$compare" get "$WORK/$1/run.jsonl" step bytes gradients; }
plain=$(get plain) bf16=$(get bf16.on)
[ $((${bf16%.*} * 100)) -lt $((${plain%.*} * 60)) ] || fail "$bf16 bytes a step, where $plain were plain"

# A signal after some epochs, and on.
distil 2 data whole "${job[@]}" --train.epochs 12 --exchange.codec bf16
end=$(python3 "$SOURCE/tests/failure/struck_job.py" 2 TERM:run distill --data.folder "$WORK/data" \
  --run.folder "$WORK/struck" --teacher.file "$WORK/teacher.safetensors" --quant.method uniform --quant.bits 4 \
  "${student[@]}" "${small[@]}" "${job[@]}" --train.epochs 12 --exchange.codec bf16)
[[ $end == "code=75 "* ]] || fail "$end"
distil 2 data struck "${job[@]}" --train.epochs 12 --exchange.codec bf16 --resume
same_weights whole struck

# refused PATTERN SETTING...
refused() {
  local pattern=$1
  shift
  on_ranks 2 distill --data.folder "$WORK/data" --run.folder "$WORK/refused" --teacher.file \
    "$WORK/teacher.safetensors" "${student[@]}" "${small[@]}" --exchange.codec bf16 "$@"
  [ $? -eq 2 ] && grep -q "^error: exchange.codec = bf16: $pattern" "$WORK/err" || {
    fail "$* was not refused"
    cat "$WORK/err"
  }
}
refused 'rounded sums depend on the number of ranks' --exchange.order fixed
refused 'only points travel' --quant.method points --quant.bits 2
finish "gradients in bf16 at 2 and 4 ranks: bytes, bits, resume, refusals"
