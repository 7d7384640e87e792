#!/usr/bin/env bash
# What a model's file says of its own input is kept by every command, and teacher.precision by the
# teacher: files that state another normalization, plain weights that state theirs, contradictions.
. "$SOURCE/tests/strangers/rows.bash"
words=$SOURCE/tests/strangers/input_words.py
small_shards data 600 60 300
linear=(--model.kind convnet --model.hidden 16)
short=(--train.global_batch 32 "${small[@]}")
# A network without convolutions: another normalization goes exactly into its first layer.
must 1 train --data.folder "$WORK/data" --run.folder "$WORK/linear" "${linear[@]}" --quant.method none \
  --train.epochs 3 "${short[@]}"
own=$WORK/linear/master.safetensors
python3 "$words" restate "$own" "$WORK/other.safetensors" || exit 1

evaluate=(evaluate --data.folder "$WORK/data" --run.threads 1 --json --model.file)
# accuracy COMMAND...: of what it measures, as JSON
accuracy() { must 1 "$@"; python3 "$words" accuracy <"$WORK/out"; }
right=$(accuracy "${evaluate[@]}" "$own")
same() { python3 -c "import sys; sys.exit(abs(float('$1') - float('$2')) > ${3:-0.4})"; }
holds 1.1 same "$(accuracy "${evaluate[@]}" "$WORK/other.safetensors")" "$right"

# student.init: the untrained start is the file's network, and so is what ships.
must 1 train --data.folder "$WORK/data" --run.folder "$WORK/start" "${linear[@]}" --quant.method none \
  --student.init "$WORK/other.safetensors" --train.epochs 0 "${short[@]}"
holds 1.2 same "$(python3 "$compare" get "$WORK/start/run.jsonl" end test accuracy)" "$right"
holds 1.2 same "$(accuracy "${evaluate[@]}" "$WORK/start/student.safetensors")" "$right"
# Batch norm re-estimated: the layer under it answers the same from both files.
for start in linear/master other; do
  must 1 train --data.folder "$WORK/data" --run.folder "$WORK/norm_of_$(basename $start)" "${linear[@]}" \
    --quant.method none --student.init "$WORK/$start.safetensors" --train.epochs 0 --train.reestimate_batches 9 "${short[@]}"
done
holds 1.18 python3 "$words" running "$WORK/norm_of_master/master.safetensors" "$WORK/norm_of_other/master.safetensors" 1e-3

# The teacher: the same soft targets from both files.
teach=(distill --data.folder "$WORK/data" "${linear[@]}" --quant.method none --train.epochs 1 "${short[@]}"
  --run.log_steps 1)
must 1 "${teach[@]}" --run.folder "$WORK/by_own" --teacher.file "$own"
must 1 "${teach[@]}" --run.folder "$WORK/by_other" --teacher.file "$WORK/other.safetensors"
holds 1.3 python3 "$words" near "$WORK/by_own/run.jsonl" "$WORK/by_other/run.jsonl" soft_loss 1e-3

# Plain weights: told by the settings, or by themselves.
python3 "$words" plain "$WORK/other.safetensors" "$WORK/plain.safetensors" || exit 1
python3 "$words" stating "$WORK/other.safetensors" "$WORK/stating.safetensors" || exit 1
row 1.4 0 '' "$BITSTILL" "${evaluate[@]}" "$WORK/plain.safetensors" "${linear[@]}" --model.mean 0.9 --model.std 0.1
holds 1.4 same "$(python3 "$words" accuracy <"$WORK/said" || echo -1)" "$right"
holds 1.5 same "$(accuracy "${evaluate[@]}" "$WORK/stating.safetensors" "${linear[@]}")" "$right"
row 1.6 0 'does not say how its input is normalized; taken is the shards. mean .*teacher\.mean' \
  "$BITSTILL" "${teach[@]}" --dry-run --run.folder "$WORK/none" --teacher.file "$WORK/plain.safetensors" \
  --teacher.kind convnet --teacher.hidden 16
row 1.7 2 'stating.safetensors says mean 0\.9 and std 0\.1, the settings teacher\.\* say mean 0\.5 and std 1' \
  "$BITSTILL" "${teach[@]}" --dry-run --run.folder "$WORK/none" --teacher.file "$WORK/stating.safetensors" \
  --teacher.kind convnet --teacher.hidden 16 --teacher.mean 0.5 --teacher.std 1

# What cannot be honoured is refused with both values, student.init's as well.
python3 "$words" classes "$own" "$WORK/classes.safetensors" || exit 1
python3 "$words" size "$own" "$WORK/size.safetensors" || exit 1
init=(train --data.folder "$WORK/data" --run.folder "$WORK/none" --dry-run "${linear[@]}" "${short[@]}" --student.init)
row 1.8 4 'classes.safetensors knows 10 classes .*, class 1 being 2 and 1' "$BITSTILL" "${init[@]}" "$WORK/classes.safetensors"
row 1.9 4 'size.safetensors takes 1x4x16 images, the shards hold 1x8x8' "$BITSTILL" "${init[@]}" "$WORK/size.safetensors"

# Resize and crop of evaluation go into what is made of the file.
must 1 train --data.folder "$WORK/data" --run.folder "$WORK/kept" "${linear[@]}" --quant.method uniform \
  --student.init "$WORK/stating.safetensors" --train.epochs 0 "${short[@]}"
holds 1.10 python3 "$words" holds "$WORK/kept/student.safetensors" evaluation '{"resize":8,"crop":7}'

# A norm before a pool whose scale is below zero cannot be folded: the teacher keeps its precision.
small_teacher data
python3 "$words" negative "$WORK/teacher.safetensors" "$WORK/negative.safetensors" || exit 1
teach=(distill --data.folder "$WORK/data" "${student[@]}" --quant.method none --train.epochs 1 "${short[@]}"
  --run.log_steps 1 --teacher.file "$WORK/negative.safetensors" --teacher.precision)
for precision in fp32 bf16; do
  row 1.11 0 "warning: the teacher is not compiled .the norm before a pool, after convolution 1, has a scale below zero.* layer by layer in $precision" \
    "$BITSTILL" "${teach[@]}" $precision --run.folder "$WORK/by_$precision"
  holds 1.12 python3 "$words" start "$WORK/by_$precision/run.jsonl" $precision false
done
holds 1.13 python3 "$words" differ "$WORK/by_fp32/run.jsonl" "$WORK/by_bf16/run.jsonl" soft_loss
row 1.14 2 'teacher\.precision = int8 cannot be for this network: .*(scale below zero|instructions)' \
  "$BITSTILL" "${teach[@]}" int8 --dry-run --run.folder "$WORK/none"
finish "files that state another normalization, plain weights, contradictions, the teacher's precision"
