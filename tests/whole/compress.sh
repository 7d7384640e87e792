#!/usr/bin/env bash
# bitstill compress makes a run's student.safetensors again, byte for byte, from its folder and from a
# checkpoint, for every method; what it refuses, and that the advice of its errors helps.
. "$SOURCE/tests/whole/jobs.bash"
small_shards data 600 60 50
small_teacher data
short=(--train.epochs 2 --train.global_batch 72)

# alone COMMAND...: one process without mpirun; as on_ranks otherwise
alone() { "$BITSTILL" "$@" >"$WORK/out" 2>"$WORK/err"; }

# again STATE FILE: compress of STATE gives the bytes of FILE
again() {
  rm -f "$WORK/again.safetensors"
  alone compress "$WORK/$1" --out "$WORK/again.safetensors" || fail "compress $1: $(cat "$WORK/err")"
  cmp "$WORK/again.safetensors" "$WORK/$2" || fail "compress $1 does not give $2"
}

# method NAME SETTING...: runs on 1 and 2 ranks, each compressed again in both ways
method() {
  local name=$1 ranks
  shift
  for ranks in 1 2; do
    distil $ranks data "$name.$ranks" "${short[@]}" "$@"
    again "$name.$ranks" "$name.$ranks/student.safetensors"
    again "$name.$ranks/checkpoints/$(basename "$(newest "$name.$ranks")")" "$name.$ranks/student.safetensors"
  done
}
method uniform --quant.rounding stochastic --quant.tensors all --quant.scales fp16 --run.seed 5
method averaged --train.average ema --run.seed 5
method points --quant.method points --quant.bits 2 --quant.redistribute points
method joint --quant.method joint --quant.points 3 --quant.subtract_mean true
method lsq --quant.method lsq --quant.step_size channel
method kmeans --quant.method kmeans --quant.bits 2 --quant.rules '0.weight:none'

# The epoch that ships is the best one, with the batch norm of training in its checkpoint.
distil 2 data best --train.epochs 6 --train.global_batch 72 --train.select best --train.rate 0.1 \
  --quant.rounding stochastic --train.reestimate_batches 3
best=$(python3 "$compare" get "$WORK/best/run.jsonl" end best_epoch)
[ "$best" -lt 6 ] || fail "the last epoch is the best: nothing was selected"
again best best/student.safetensors
again "best/checkpoints/$(cd "$WORK/best/checkpoints" && echo best-*.safetensors)" best/student_trained_norm.safetensors
# A run that has not ended: its best checkpoint, written beside run.jsonl.
mv "$WORK/best/student.safetensors" "$WORK/best/master.safetensors" "$WORK"
sed -i '/"type":"end"/d' "$WORK/best/run.jsonl"
on_ranks 2 compress "$WORK/best" || fail "compress of a run that has not ended: $(cat "$WORK/err")"
cmp "$WORK/best/student.safetensors" "$WORK/best/student_trained_norm.safetensors" ||
  fail "a run that has not ended does not give its best epoch"
cmp -s "$WORK/best/student.safetensors" "$WORK/student.safetensors" &&
  fail "re-estimation changes nothing: nothing was compared"

# refused CODE PATTERN WORD...: one error line that says PATTERN, and no file
refused() {
  local code=$1 pattern=$2 got
  shift 2
  alone "$@"
  got=$?
  [ $got -eq "$code" ] && [ ! -e "$WORK/none.safetensors" ] && [ "$(grep -c '^error:' "$WORK/err")" -eq 1 ] &&
    [[ $(cat "$WORK/err") =~ $pattern ]] && return
  fail "$*: exit $got (expected $code, '$pattern'): $(cat "$WORK/err")"
}
into=(--out "$WORK/none.safetensors")
packed=$WORK/uniform.1/student.safetensors
masters=$WORK/uniform.1/master.safetensors
alone export --model.file "$packed" --out "$WORK/decoded.safetensors" || fail "export: $(cat "$WORK/err")"
for file in "$packed" "$WORK/decoded.safetensors"; do
  refused 4 'is quantized already.*lose twice; give the run.s folder' compress "$file" "${into[@]}"
  refused 4 'is quantized already.*lose twice; give fp32' compress "$file" --post-mortem "${into[@]}"
done
refused 4 'full precision.*--post-mortem' compress "$WORK/teacher.safetensors" "${into[@]}"
refused 4 'no run\.jsonl' compress "$WORK/data" "${into[@]}"
refused 4 'no\.safetensors' compress "$WORK/no.safetensors" "${into[@]}"
refused 4 'is a folder.*/master\.safetensors' compress "$WORK/uniform.1" --post-mortem "${into[@]}"
refused 2 'nothing to compress' compress "${into[@]}"
refused 2 'more than one thing' compress "$packed" "$masters" "${into[@]}"
refused 2 'quant\.\* is given.*--post-mortem' compress "$masters" --quant.bits 3 "${into[@]}"
refused 2 'out is not given' compress "$masters" --post-mortem
refused 2 'quant\.method = none' compress "$masters" --post-mortem --quant.method none "${into[@]}"
refused 7 'nowhere' compress "$masters" --out "$WORK/nowhere/none.safetensors"
head -c 3000 "$(newest lsq.1)/part-00000.safetensors" >"$WORK/torn.safetensors"
refused 4 'torn\.safetensors' compress "$WORK/torn.safetensors" "${into[@]}"
mkdir "$WORK/young"
head -1 "$WORK/uniform.1/run.jsonl" >"$WORK/young/run.jsonl"
refused 4 'no checkpoint yet' compress "$WORK/young" "${into[@]}"

# Weights that do not say of which network they are: what the error advises makes a file that does.
python3 "$SOURCE/tests/whole/small_images.py" plain "$WORK/teacher.safetensors" "$WORK/plain.safetensors"
refused 4 'bitstill export --model\.kind NETWORK --data\.folder SHARDS' \
  compress "$WORK/plain.safetensors" --post-mortem "${into[@]}"
alone export --model.file "$WORK/plain.safetensors" --out "$WORK/described.safetensors" --data.folder "$WORK/data" \
  --model.kind convnet --model.widths 8 --model.kernels 3 --model.pools 1 --model.hidden 16 ||
  fail "the advised export: $(cat "$WORK/err")"
for file in teacher described; do
  alone compress "$WORK/$file.safetensors" --post-mortem --quant.bits 2 --out "$WORK/$file.pm.safetensors" ||
    fail "post-mortem of $file: $(cat "$WORK/err")"
  alone export --model.file "$WORK/$file.pm.safetensors" --out "$WORK/$file.values.safetensors" || fail "export of $file.pm.safetensors"
done
python3 "$compare" weights "$WORK/teacher.values.safetensors" "$WORK/described.values.safetensors" 0 ||
  fail "weights that were described afterwards are quantized otherwise"
finish "uniform, points, joint, lsq and kmeans at 1 and 2 ranks: compress gives student.safetensors again" \
  "from a run, a checkpoint, a best epoch and a run that has not ended; refusals and their advice"
