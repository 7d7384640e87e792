#!/usr/bin/env bash
# Row R9: a bit that flips in a checkpoint or in a model file is found before it is used: the run goes on from an
# older checkpoint and ends with the same weights, or the file is refused. Never other weights with exit code 0.
# FLIPS=1000 for the full count (24 otherwise), each in checkpoints and in model files.
. "$SOURCE/tests/whole/jobs.bash"
flips=${FLIPS:-24}
small_shards data 300 60 50
small_teacher data
settings=(--train.epochs 3 --train.global_batch 48 --run.save_steps 4 --run.keep 4 --train.select best)
distil 1 data run "${settings[@]}"
must 1 evaluate --data.folder "$WORK/data" --model.file "$WORK/run/student.safetensors" --json
cp "$WORK/out" "$WORK/whole.json"
cp -r "$WORK/run" "$WORK/stopped"  # as if it had been killed before its end
rm "$WORK"/stopped/{master,student}.safetensors && sed -i '/"type":"end"/d' "$WORK/stopped/run.jsonl"
python3 "$SOURCE/tests/failure/rot.py" checkpoints "$flips" "$WORK/stopped" "$WORK/run" -- \
  distill --data.folder "$WORK/data" --teacher.file "$WORK/teacher.safetensors" --quant.method uniform --quant.bits 4 \
  "${student[@]}" "${small[@]}" "${settings[@]}" --resume=auto || fail "checkpoints"
for file in student master; do
  must 1 evaluate --data.folder "$WORK/data" --model.file "$WORK/run/$file.safetensors" --json
  python3 "$SOURCE/tests/failure/rot.py" model $((flips / 2)) "$WORK/run/$file.safetensors" "$WORK/out" -- \
    evaluate --data.folder "$WORK/data" --json || fail "$file.safetensors"
done

# What the words are: the newest alone will not do without =auto, and with it what is skipped is named.
python3 "$SOURCE/tests/failure/rot.py" flip "$(newest stopped)/part-00000.safetensors" -100
step=$(basename "$(newest stopped)")
refused resume 1 4 "$step/part-00000\.safetensors: .*SHA-256.*--resume=auto goes on from .*step-" \
  distill --data.folder "$WORK/data" --teacher.file "$WORK/teacher.safetensors" --quant.method uniform --quant.bits 4 \
  "${student[@]}" "${small[@]}" "${settings[@]}" --run.folder "$WORK/stopped" --resume
distil 1 data stopped "${settings[@]}" --resume=auto
grep -q "not from .*$step: .*SHA-256" "$WORK/err" || fail "what was skipped is not named: $(cat "$WORK/err")"
same_weights run stopped
# Resumed without a look at the sums, a run still writes checkpoints that have them all, that of the best epoch too.
cp -r "$WORK/stopped" "$WORK/believed"
rm -r "$(newest believed)" "$WORK"/believed/{master,student}.safetensors && rm -r "$(newest believed)"
sed -i '/"type":"end"/d' "$WORK/believed/run.jsonl"
on_ranks 1 distill --data.folder "$WORK/data" --run.folder "$WORK/believed" --teacher.file "$WORK/teacher.safetensors" \
  --quant.method uniform --quant.bits 4 "${student[@]}" "${small[@]}" "${settings[@]}" --run.walltime_s 1e-3 --resume --no-verify
grep -q '"best"' "$(newest believed)/manifest.json" || fail "no best epoch: nothing was checked"
distil 1 data believed "${settings[@]}" --resume
same_weights run believed
# A file without a SHA-256, as earlier versions wrote, is read, which is said once.
python3 "$SOURCE/tests/failure/rot.py" unseal "$WORK/run/student.safetensors" "$WORK/old.safetensors"
must 1 evaluate --data.folder "$WORK/data" --model.file "$WORK/old.safetensors" --json
grep -q 'old.safetensors: an earlier version wrote it' "$WORK/err" || fail "nothing is said of a file without a sum"
python3 "$SOURCE/tests/failure/rot.py" flip "$WORK/run/student.safetensors" -1
refused model 1 4 'student\.safetensors: .*SHA-256' evaluate --data.folder "$WORK/data" \
  --model.file "$WORK/run/student.safetensors"
must 1 evaluate --data.folder "$WORK/data" --model.file "$WORK/run/student.safetensors" --no-verify
finish "$flips flipped bits in checkpoints and $((flips / 2 * 2)) in model files: refused, or an older checkpoint used"
