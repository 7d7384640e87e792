#!/usr/bin/env bash
# With all that training changes of its pictures - crops of pictures decoded smaller, mirrors, colours,
# erased parts, mixtures - the number of ranks and of decoding threads leaves no trace in masters, running
# statistics, averages and losses, and a resumed run ends as one that was not stopped.
. "$SOURCE/tests/whole/jobs.bash"
"$(dirname "$BITSTILL")/jpeg_pictures_program" "$WORK/pictures" 243 24 || { fail "no pictures"; finish; }
must 2 shard --source "$WORK/pictures" --store jpeg --rows 100 --validation 33 --out "$WORK/shards"

changes=(--data.flip --data.scale 0.3,1 --data.jitter 0.4 --data.lighting 0.1 --data.erase 0.3 --data.mixup 0.4
  --data.cutmix 1 --data.scaled_decode)
common=(--data.folder "$WORK/shards" --data.size 12 --exchange.order fixed --train.epochs 2 --train.schedule constant
  --train.global_batch 72 --run.log_steps 1 "${student[@]}" "${small[@]}")
average=(--train.average ema --train.average_decay 0.9)
learn=(distill "${common[@]}" --teacher.file "$WORK/teacher/master.safetensors" --quant.method uniform --quant.bits 4)

# same RUN OTHER: files, losses and all that the checkpoints hold
same() {
  same_weights "$1" "$2"
  same_losses "$1" "$2"
  python3 "$compare" same_tensors "$(newest "$1")/part-00000.safetensors" "$(newest "$2")/part-00000.safetensors" \
    "${3:-average.}" || fail "the checkpoints of $1 and $2 differ"
}

must 1 train "${common[@]}" "${changes[@]}" "${average[@]}" --run.folder "$WORK/teacher"
must 3 train "${common[@]}" "${changes[@]}" "${average[@]}" --run.folder "$WORK/teacher.3"
same teacher teacher.3
for ranks in 1 2 3 4; do
  must $ranks "${learn[@]}" "${changes[@]}" "${average[@]}" --train.label_smoothing 0.1 --run.folder "$WORK/$ranks"
  same 1 $ranks
done
must 2 "${learn[@]}" "${changes[@]}" "${average[@]}" --train.label_smoothing 0.1 --data.threads 2 --run.folder "$WORK/threads"
same 1 threads
for ranks in 1 2; do
  must $ranks "${learn[@]}" "${changes[@]}" --distill.loss dist --quant.method joint --run.folder "$WORK/dist.$ranks"
  same dist.1 dist.$ranks optimizer.
done

# Each of them changes what is learned.
for ((i = 0; i < ${#changes[@]}; ++i)); do
  [[ ${changes[i]} == --* ]] || continue
  more=("${changes[i]}")
  [[ ${changes[i + 1]:---} == --* ]] || more+=("${changes[i + 1]}")
  must 1 "${learn[@]}" --data.scale 0.5,1 --train.epochs 1 "${more[@]}" --run.folder "$WORK/${changes[i]#--}"
done
[ "$(sha256sum "$WORK"/data.*/master.safetensors | cut -d ' ' -f 1 | sort -u | wc -l)" -eq 8 ] ||
  fail "two of ${changes[*]} are alike: $(sha256sum "$WORK"/data.*/master.safetensors)"

must 2 "${learn[@]}" "${changes[@]}" "${average[@]}" --train.label_smoothing 0.1 --train.epochs 1 --run.folder "$WORK/resumed"
must 1 "${learn[@]}" "${changes[@]}" "${average[@]}" --train.label_smoothing 0.1 --resume --run.folder "$WORK/resumed"
same_weights 1 resumed
on_ranks 1 "${learn[@]}" "${changes[@]}" "${average[@]}" --train.label_smoothing 0.1 --train.epochs 3 --data.jitter 0.3 \
  --resume --run.folder "$WORK/resumed" && fail "a run went on with other colours"
grep -q '^error: .*data\.jitter was 0\.4 and is 0\.3' "$WORK/err" || fail "resumed with other colours: $(cat "$WORK/err")"

must 1 "${learn[@]}" --data.mixup 1 --train.micro_batch 0 --exchange.order fast --train.epochs 1 --run.folder "$WORK/local"
grep -q '^data\.mixup and data\.cutmix mix within a micro-batch, here' "$WORK/err" ||
  fail "a run does not say that its mixtures depend on the ranks: $(cat "$WORK/err")"
finish "crops decoded smaller, mirrors, colours, erased parts and mixtures: masters, statistics, averages and losses alike" \
  "at 1 to 4 ranks and 1 and 2 threads, teachers and students; resumed as if never stopped"
