#!/usr/bin/env bash
# Rows R3 and R4: with exchange.order = fixed the number of ranks leaves no trace in the weights, the
# running statistics or the losses, and neither does a repetition.
. "$SOURCE/tests/whole/jobs.bash"
small_shards data 600 60 50
small_teacher data
fixed=(--exchange.order fixed --train.epochs 3 --run.log_steps 2)

# compare_worlds NAME "RANKS..." SETTING...: the first of RANKS against all others
compare_worlds() {
  local name=$1 first='' run
  local -a worlds
  read -ra worlds <<<"$2"
  shift 2
  for ranks in "${worlds[@]}"; do
    run=$name.$ranks
    while [ -e "$WORK/$run" ]; do run+=.again; done
    distil "$ranks" data "$run" "${fixed[@]}" "$@"
    [ -n "$first" ] || first=$run
    same_weights "$first" "$run"
    same_losses "$first" "$run"
  done
}

# REPEATS=10: row R3 at its full count.
again() { for ranks in 1 2 4; do printf "$ranks %.0s" $(seq "${REPEATS:-2}"); done; }
compare_worlds plain "$(again)" --train.global_batch 64
# 600 = 8 x 72 + 24: the last step has two micro-batches, so some ranks hold no sample in it.
compare_worlds uneven "1 2 3 4" --train.global_batch 72
compare_worlds all_options "1 2 4" --train.global_batch 72 --train.optimizer adam --train.rate 0.01 \
  --train.schedule plateau --train.plateau_epochs 1 --train.plateau_points 90 --train.clip_norm 0.5 \
  --model.dropout 0.1,0.2 --quant.rounding stochastic --quant.tensors all --quant.bits 5 \
  --train.select best --train.reestimate_batches 3 --data.shift 1 --exchange.chunk_bytes 1024
compare_worlds average "1 2 4" --train.global_batch 72 --train.average ema --train.average_decay 0.9 \
  --train.optimizer lamb --train.rate 0.01 --train.base_batch 36 --train.schedule polynomial \
  --train.label_smoothing 0.1 --distill.loss dist --train.select best
compare_worlds average_last "1 4" --train.global_batch 72 --quant.method joint --train.average last \
  --train.average_epochs 2
for method in points joint lsq kmeans; do
  more=()
  [ "$method" != points ] || more=(--quant.redistribute points)
  compare_worlds "$method" "1 2 4" --train.global_batch 72 --quant.method "$method" --quant.bits 2 \
    "${more[@]}"
done
compare_worlds alternate "1 4" --train.global_batch 72 --quant.method points --quant.alternate keep
cmp -s "$WORK/plain.1/master.safetensors" "$WORK/uneven.1/master.safetensors" &&
  fail "runs of different global batches are equal: nothing was compared"
grep -q '"type":"epoch".*"rate":0.005}' "$WORK/all_options.1/run.jsonl" || {
  fail "the plateau schedule cut no rate"
  grep '"type":"epoch"' "$WORK/all_options.1/run.jsonl"
}
finish "fixed order, 1 to 4 ranks and repetitions: masters, students and losses byte-identical," \
  "also with a short last batch, Adam, plateau, clipping, dropout, stochastic rounding, best epoch," \
  "averages, LAMB, DIST, every method that learns points or steps, redistribution and re-estimated batch norm"
