#!/usr/bin/env bash
# Residual networks as users have them: a ResNet-18 of a quarter's width distilled to 4 bits, evaluated and
# exported; a wide one; teachers whole, in slices and from a cache; a checkpoint of PyTorch; what does not fit.
. "$SOURCE/tests/whole/jobs.bash"
words=$SOURCE/tests/strangers/input_words.py
small_shards data 600 60 200
resnet=(--model.kind resnet18 --model.width_factor 0.25 --model.stem small)
wide=(--model.kind wrn --model.depth 10 --model.width_factor 1)
short=(--data.folder "$WORK/data" --train.epochs 1 --train.global_batch 50 --train.rate 0.02 --run.threads 1
  --train.micro_batch 25)
quant=(--quant.method uniform --quant.bits 4 --quant.first_layer false --quant.last_layer false)

# accuracy FILE: in %
accuracy() {
  must 1 evaluate --data.folder "$WORK/data" --json --model.file "$1"
  python3 "$words" accuracy <"$WORK/out"
}
at_least() { python3 -c "import sys; sys.exit(float('$1') < $2)" || fail "$3 has an accuracy of $1"; }

must 2 train --run.folder "$WORK/teacher" "${short[@]}" "${resnet[@]}" --model.zero_norm --quant.method none \
  --train.epochs 4
teacher=$WORK/teacher/master.safetensors
at_least "$(accuracy "$teacher")" 50 "the teacher"

# student RUN RANKS SETTING...: distilled at 4 bits
student() {
  must "$2" distill --run.folder "$WORK/$1" --teacher.file "$teacher" "${short[@]}" "${quant[@]}" "${@:3}"
}
student quarter 2 "${resnet[@]}" --student.init "$teacher" --train.precision bf16
student wide 1 "${wide[@]}" --model.dropout 0.1 --train.precision fp32
for run in quarter wide; do
  echo "$run: $(stat -c %s "$WORK/$run/master.safetensors") bytes in fp32," \
    "$(stat -c %s "$WORK/$run/student.safetensors") shipped"
  must 1 export --model.file "$WORK/$run/student.safetensors" --out "$WORK/$run.safetensors"
  [ "$(accuracy "$WORK/$run.safetensors")" = "$(accuracy "$WORK/$run/student.safetensors")" ] ||
    fail "export of $run changes its accuracy"
done
at_least "$(accuracy "$WORK/quarter/student.safetensors")" 50 "the student"
# 694,000 weights at 4 bits with their scales.
[ "$(stat -c %s "$WORK/quarter/student.safetensors")" -le 480000 ] || fail "what ships is not at 4 bits"
must 1 inspect "$WORK/quarter/student.safetensors"
for kept in conv1.weight fc.weight; do
  grep -E "^ *$kept .*fp32" "$WORK/out" || fail "$kept is not kept"
done
grep -E "^ *layer1.0.conv1.weight .* 16 points" "$WORK/out" || fail "a block is not at 4 bits"

# Teachers in every layout give the same student.
must 1 train --run.folder "$WORK/wide_teacher" "${short[@]}" "${wide[@]}" --quant.method none
fixed=("${wide[@]}" --train.precision fp32)
for teacher in "$WORK/teacher/master.safetensors" "$WORK/wide_teacher/master.safetensors"; do
  student whole 2 "${fixed[@]}" --overwrite
  student sliced 2 "${fixed[@]}" --overwrite --teacher.sharding gather --teacher.piece_bytes 8192
  same_weights whole sliced
  rm -rf "$WORK/cache"
  must 2 cache --data.folder "$WORK/data" --teacher.file "$teacher" --out "$WORK/cache" --run.threads 1 \
    --train.precision fp32
  must 1 distill --run.folder "$WORK/cached" --teacher.cache "$WORK/cache" "${short[@]}" "${quant[@]}" \
    "${fixed[@]}" --overwrite
  must 1 distill --run.folder "$WORK/asked" --teacher.file "$teacher" "${short[@]}" "${quant[@]}" \
    "${fixed[@]}" --overwrite
  same_weights asked cached
done

# refused CODE PATTERN COMMAND...: one error line that says PATTERN
refused() {
  local code=$1 pattern=$2 got
  shift 2
  on_ranks 1 "$@"
  got=$?
  [ $got -eq "$code" ] && [ "$(grep -c '^error:' "$WORK/err")" -eq 1 ] && grep -Eq "$pattern" "$WORK/err" && return
  fail "$*: exit $got (expected $code, '$pattern'): $(cat "$WORK/err")"
}
dry=(train --run.folder "$WORK/none" "${short[@]}" --dry-run)
refused 2 'depth is 27; give model.depth = 6n \+ 4' "${dry[@]}" --model.kind wrn --model.depth 27
refused 2 'makes 19.2 of 64 channels' "${dry[@]}" --model.kind resnet18 --model.width_factor 0.3
teacher=$WORK/teacher/master.safetensors
refused 2 'says kind resnet18, the settings model.* say kind resnet34' "${dry[@]}" --student.init "$teacher" \
  --model.kind resnet34 --model.width_factor 0.25 --model.stem small
refused 2 'says width_factor 0.25, the settings model.* say width_factor 0.5' "${dry[@]}" --student.init "$teacher" \
  --model.kind resnet18 --model.width_factor 0.5 --model.stem small

# Weights of PyTorch, which do not say of which network they are.
if [ -n "${BITSTILL_PEER_PYTHON:-}" ]; then
  PYTHONPATH=$SOURCE/tests/infer "$BITSTILL_PEER_PYTHON" - "$WORK/theirs.pt" <<'END' || fail "no checkpoint"
import sys, torch, residual_nets
torch.manual_seed(3)
torch.save({"epoch": 3, "state_dict": residual_nets.ResNet(18, 0.25, True, 10, channels=1).state_dict()}, sys.argv[1])
END
  "$BITSTILL_PEER_PYTHON" "$SOURCE/launch/export_pytorch.py" "$WORK/theirs.pt" "$WORK/theirs.safetensors" \
    --mean 0.5 --std 0.25 || fail "no export"
else
  python3 "$words" plain "$teacher" "$WORK/theirs.safetensors" || fail "no plain file"
fi
teacher=$WORK/theirs.safetensors
student plain 2 "${fixed[@]}" --teacher.kind resnet18 --teacher.width_factor 0.25 --teacher.stem small
plain=(distill --run.folder "$WORK/none" --teacher.file "$teacher" "${short[@]}" "${fixed[@]}" --dry-run
  --teacher.stem small)
refused 4 'do not fit the resnet34 network: missing layer1.2' "${plain[@]}" --teacher.kind resnet34 \
  --teacher.width_factor 0.25
refused 4 'do not fit the resnet18 network: misshaped conv1.weight' "${plain[@]}" --teacher.kind resnet18 \
  --teacher.width_factor 0.5
finish "residual students and teachers, and what does not fit"
