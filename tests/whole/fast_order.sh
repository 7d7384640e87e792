#!/usr/bin/env bash
# Row R4, second half: in fast order worlds of 1, 2 and 4 ranks stay close over 30 steps at rate .01,
# and sending during backward changes no bit.
. "$SOURCE/tests/whole/jobs.bash"
small_shards data 600 60 50
small_teacher data
fast=(--exchange.order fast --train.epochs 3 --train.global_batch 64 --train.rate 0.01
  --train.schedule constant --run.log_steps 1)

for ranks in 1 2 4; do
  distil $ranks data fast.$ranks "${fast[@]}"
  steps=$(grep -c '"type":"step"' "$WORK/fast.$ranks/run.jsonl")
  [ "$steps" -eq 30 ] || fail "$steps steps where 30 were expected"
  python3 "$compare" first_loss "$WORK/fast.1/run.jsonl" "$WORK/fast.$ranks/run.jsonl" 1e-5 ||
    fail "first loss at 1 and $ranks ranks"
  python3 "$compare" weights "$WORK/fast.1/master.safetensors" "$WORK/fast.$ranks/master.safetensors" \
    1e-3 || fail "masters at 1 and $ranks ranks"
done
for overlap in on off; do
  distil 2 data overlap.$overlap "${fast[@]}" --exchange.overlap $overlap --exchange.chunk_bytes 1024
done
same_weights overlap.on overlap.off
same_losses overlap.on overlap.off
finish "fast order, 1, 2 and 4 ranks: first loss within 1e-5, masters after 30 steps within 1e-3;" \
  "overlap on equals off bit for bit at 2 ranks"
