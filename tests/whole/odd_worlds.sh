#!/usr/bin/env bash
# Worlds and batches of odd sizes, and the commands around a run, on whole jobs.
. "$SOURCE/tests/whole/jobs.bash"
small_shards data 600 60 1100
small_teacher data
get() { python3 "$compare" get "$WORK/$1/run.jsonl" "${@:2}"; }

# evaluate RANKS FILE: how many of the test images FILE gets right; its JSON is in $WORK/out
evaluate() {
  must "$1" evaluate --data.folder "$WORK/data" --model.file "$2" --run.threads 1 --json
  python3 -c 'import json, sys; r = json.load(open(sys.argv[1])); print(r["correct"], r["samples"])' "$WORK/out"
}

# Fewer samples than ranks, in the last batch and in all (without validation images too): 34 = 32 + 2
# at 4 ranks, 6 at 8. One sample
# that is left over joins the batch before: alone it has no batch statistics.
small_shards of34 34 10 10
small_shards of33 33 10 10
small_shards of6 6 0 10 0 --allow-empty-classes
two=(--train.epochs 2 --train.global_batch 32 --train.micro_batch 0 --run.log_steps 1)
distil 4 of34 few_left "${two[@]}"
distil 8 of6 few_at_all "${two[@]}"
distil 4 of33 one_left "${two[@]}"
for run in few_left:4 few_at_all:2 one_left:2; do
  [ "$(get ${run%:*} step step)" -eq ${run#*:} ] || fail "$run: another number of steps"
done
# In micro-batches the same worlds leave no trace.
for ranks in 1 8; do
  distil $ranks of6 tiny.$ranks --train.epochs 2 --train.micro_batch 2 --exchange.order fixed
done
same_weights tiny.1 tiny.8

# Synchronized statistics are those of the whole batch: 2 ranks equal 1 but for rounding.
synced=(--train.batch_norm synced --train.micro_batch 0 --train.epochs 1 --run.log_steps 1 --train.rate 0.01)
distil 1 data synced.1 "${synced[@]}"
distil 2 data synced.2 "${synced[@]}"
distil 2 data local.2 "${synced[@]}" --train.batch_norm local
# traffic RUN: bytes of statistics and of gathers that a rank sends in a step
traffic() {
  for kind in statistics gathers; do
    python3 "$compare" get "$WORK/$1/run.jsonl" step bytes $kind
  done | paste -sd ' '
}
[[ $(traffic synced.2) =~ ^[1-9].*\ 0\.0$ ]] || fail "synced statistics travel as: $(traffic synced.2)"
[ "$(traffic local.2)" = "0.0 0.0" ] || fail "local statistics travel as: $(traffic local.2)"
python3 "$compare" first_loss "$WORK/synced.1/run.jsonl" "$WORK/synced.2/run.jsonl" 1e-5 ||
  fail "synchronized statistics of 2 ranks are not those of the whole batch"
python3 "$compare" weights "$WORK/synced.1/master.safetensors" "$WORK/synced.2/master.safetensors" 1e-3 ||
  fail "synchronized batch norm at 1 and 2 ranks"
python3 "$compare" first_loss "$WORK/synced.1/run.jsonl" "$WORK/local.2/run.jsonl" 1e-5 2>/dev/null &&
  fail "local statistics of 2 ranks equal those of the whole batch: nothing was compared"
# A rank without samples takes part in the sums.
distil 4 of6 synced.few "${two[@]}" --train.batch_norm synced --train.global_batch 3

# One file, any number of ranks: the same counts; and the last line of a run is what its file is worth.
distil 2 data trained --train.epochs 3 --train.reestimate_batches 3
trained=$(evaluate 1 "$WORK/trained/student.safetensors")
for ranks in 2 3; do
  [ "$(evaluate $ranks "$WORK/trained/student.safetensors")" = "$trained" ] ||
    fail "evaluation at 1 and $ranks ranks counts differently"
done
[ "$(get trained end test correct) 1100" = "$trained" ] || fail "the run said another test accuracy"
must 1 export --model.file "$WORK/trained/student.safetensors" --out "$WORK/exported.safetensors"
[ "$(evaluate 1 "$WORK/exported.safetensors")" = "$trained" ] || fail "the exported file is worth another accuracy"

# Re-estimated batch norm: other running statistics, the same weights.
distil 2 data kept --train.epochs 3
python3 "$compare" same_but_running "$WORK/trained/master.safetensors" "$WORK/kept/master.safetensors" ||
  fail "re-estimation changes something else, or nothing"

# Post-mortem, two ways: no epoch, and compress.
distil 2 data fp32 --train.epochs 3 --quant.method none
distil 2 data post_mortem --train.epochs 0 --quant.bits 2 --student.init "$WORK/fp32/master.safetensors"
must 1 compress "$WORK/fp32/master.safetensors" --post-mortem --quant.bits 2 \
  --out "$WORK/compressed.safetensors"
compressed=$(evaluate 1 "$WORK/compressed.safetensors")
[ "$compressed" = "$(evaluate 1 "$WORK/post_mortem/student.safetensors")" ] ||
  fail "compress and a run of 0 epochs give different accuracies"
[ "$compressed" != "$(evaluate 1 "$WORK/fp32/student.safetensors")" ] ||
  fail "2 bits cost nothing: nothing was compared"
finish "more ranks than samples, a sample left over, synchronized batch norm, evaluation at 1, 2, 3 ranks," \
  "export, re-estimation, post-mortem by 0 epochs and by compress"
