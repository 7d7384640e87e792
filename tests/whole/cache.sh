#!/usr/bin/env bash
# A student taught from a logit cache ends with the bytes of one taught by the network: at any number
# of ranks on either side, over the epochs that share a variant, for seeds other than the writer's;
# resumed and in a study, too.
. "$SOURCE/tests/whole/jobs.bash"
small_shards data 600 60 50
small_teacher data
teacher=$WORK/teacher.safetensors
# 30 steps: 3 epochs, of which the first and the last show the same variant.
setting=(--train.epochs 3 --train.global_batch 64 --exchange.order fixed --run.log_steps 2
  --data.shift 2 --data.flip --data.variants 2 --data.augment_seed 9)

# write_cache RANKS NAME SETTING...: $WORK/NAME; what it says stays in $WORK/NAME.out
write_cache() {
  must "$1" cache --data.folder "$WORK/data" --teacher.file "$teacher" --out "$WORK/$2" "${small[@]}" \
    "${@:3}"
  cp "$WORK/out" "$WORK/$2.out"
}

# from_cache RANKS NAME RUN SETTING...: as distil, without the teacher's file
from_cache() {
  must "$1" distill --data.folder "$WORK/data" --run.folder "$WORK/$3" --teacher.cache "$WORK/$2" \
    --quant.method uniform --quant.bits 4 "${student[@]}" "${small[@]}" "${@:4}"
}

write_cache 2 two "${setting[@]}" --run.seed 77 --batch 50
grep -q '^[^ ]*/two: 52800 bytes, 600 samples in 2 variants, all logits, by the teacher in fp32$' "$WORK/two.out" &&
  grep -qE '^written in [0-9.]+ s, [0-9.]+ s of them in the teacher; a student of 3 epochs .* pays from student [1-9]' \
    "$WORK/two.out" || { fail "cache said:"; cat "$WORK/two.out"; }
write_cache 3 three "${setting[@]}"
[ "$(ls "$WORK/two" "$WORK/three" | grep -c '^logits-')" -eq 5 ] || fail "not a file for each rank"
for seed in 1 2; do
  distil 2 data live.$seed "${setting[@]}" --run.seed $seed
  for ranks in 1 2 4; do
    from_cache $ranks two cached.$seed.$ranks "${setting[@]}" --run.seed $seed
    same_weights live.$seed cached.$seed.$ranks
    same_losses live.$seed cached.$seed.$ranks
  done
done
from_cache 2 three cached.three "${setting[@]}"
same_weights live.1 cached.three
cmp -s "$WORK/live.1/master.safetensors" "$WORK/live.2/master.safetensors" && fail "seeds 1 and 2 are equal"
grep -q '"cache":{"variants":2,"samples":600,"bytes":52800,"top":0}' "$WORK/cached.1.1/run.jsonl" ||
  fail "the run log does not name the cache"
grep -q '^teacher: its answers in fp32 from files: 600 samples in 2 variants, all logits' "$WORK/err" ||
  fail "the run does not say that it reads a cache"

# data.augment_seed is run.seed where it is not given, and else on its own.
seeded=(--train.epochs 1 --train.global_batch 64 --exchange.order fixed --data.shift 2 --run.seed 5)
distil 1 data seed "${seeded[@]}"
distil 1 data seed.same "${seeded[@]}" --data.augment_seed 5
distil 1 data seed.other "${seeded[@]}" --data.augment_seed 6
same_weights seed seed.same
cmp -s "$WORK/seed/master.safetensors" "$WORK/seed.other/master.safetensors" &&
  fail "data.augment_seed changes nothing"

# From a cache it is the cache's, also when the run goes on.
unseeded=()
for word in "${setting[@]}"; do [[ $word == @(--data.augment_seed|9) ]] || unseeded+=("$word"); done
from_cache 2 two cached.own "${unseeded[@]}" --run.seed 2
same_weights live.2 cached.own
grep -q '^data.augment_seed = 9$' "$WORK/cached.own/recipe.cfg" || fail "the recipe does not hold the cache's augment_seed"
from_cache 2 two cached.own "${unseeded[@]}" --run.seed 2 --resume
grep -q 'cached.own is finished' "$WORK/err" || { fail "the run from a cache's seed does not go on:"; cat "$WORK/err"; }

# Fewer variants than the cache has, the file named besides; without augmentation; bf16.
distil 1 data live.first "${setting[@]}" --data.variants 1
from_cache 2 two cached.first "${setting[@]}" --data.variants 1 --teacher.file "$teacher"
same_weights live.first cached.first
plain=(--train.epochs 2 --train.global_batch 64 --exchange.order fixed --run.log_steps 2)
write_cache 1 plain "${plain[@]}"
distil 2 data live.plain "${plain[@]}" --run.seed 3
from_cache 2 plain cached.plain "${plain[@]}" --run.seed 3
same_weights live.plain cached.plain
# Written by a teacher in slices, by ranks with as many passes and not.
for ranks in 4 3; do
  write_cache $ranks slices.$ranks "${plain[@]}" --teacher.sharding gather --batch $((62 - 3 * ranks))
  from_cache 2 slices.$ranks cached.slices.$ranks "${plain[@]}" --run.seed 3
  same_weights live.plain cached.slices.$ranks
done
write_cache 2 bf16 "${plain[@]}" --teacher.precision bf16
distil 2 data live.bf16 "${plain[@]}" --teacher.precision bf16
from_cache 1 bf16 cached.bf16 "${plain[@]}"
same_weights live.bf16 cached.bf16
same_losses live.bf16 cached.bf16

# The 3 largest logits of 10: other losses, but near ones; both temperatures are named elsewhere.
write_cache 2 top "${plain[@]}" --top 3
grep -qE '^mean KL divergence of all logits from those kept, at T = 2: [0-9.e-]+$' "$WORK/top.out" ||
  { fail "no divergence was printed:"; cat "$WORK/top.out"; }
from_cache 1 top cached.top "${plain[@]}" --run.log_steps 1
distil 1 data live.top "${plain[@]}" --run.log_steps 1
python3 "$compare" first_loss "$WORK/live.top/run.jsonl" "$WORK/cached.top/run.jsonl" 0.15 ||
  fail "the loss from the largest logits is far from that of all"
python3 "$compare" losses "$WORK/live.top/run.jsonl" "$WORK/cached.top/run.jsonl" >/dev/null 2>&1 &&
  fail "losses from 3 of 10 logits are those of all: nothing was left out"

# A live run that goes on from the cache, and a cached one from its network.
for way in to_cache to_live; do
  ends=(--train.epochs 2) more=(--resume --train.schedule constant)
  case $way in
    to_cache) distil 2 data $way "${setting[@]}" "${ends[@]}" --train.schedule constant
      from_cache 2 two $way "${setting[@]}" "${more[@]}" ;;
    to_live) from_cache 2 two $way "${setting[@]}" "${ends[@]}" --train.schedule constant
      distil 2 data $way "${setting[@]}" "${more[@]}" ;;
  esac
done
distil 2 data whole "${setting[@]}" --train.schedule constant
same_weights whole to_cache
same_weights whole to_live
on_ranks 2 distill --data.folder "$WORK/data" --run.folder "$WORK/cached.plain" --teacher.cache "$WORK/top" \
  --quant.method uniform --quant.bits 4 "${student[@]}" "${small[@]}" "${plain[@]}" --run.seed 3 \
  --train.epochs 4 --resume && fail "a run went on with other soft targets"
grep -q '^error: .*what teacher.cache keeps was all logits and is the 3 largest logits at T = 2 now' \
  "$WORK/err" || { fail "the refusal does not name the soft targets:"; cat "$WORK/err"; }

# A study reads it in every run, for all its seeds.
must 2 study --study.folder "$WORK/study" --study.arms fp32_distilled,qd --study.bits 2 --study.seeds 1,2 \
  --study.start_epochs 1 --study.epochs 1 --data.folder "$WORK/data" --teacher.cache "$WORK/two" \
  "${student[@]}" "${small[@]}" "${setting[@]}"
for run in fp32_distilled_s1 qd_2bit_s1 fp32_distilled_s2 qd_2bit_s2; do
  grep -q '"cache":{"variants":2' "$WORK/study/$run/run.jsonl" || fail "$run of the study asked a network"
done
finish "students from logit caches written by 1, 2 and 3 ranks: masters, students and losses byte-identical" \
  "to the network's at 1, 2 and 4 ranks, two seeds, two variants, fp32 and bf16; by a teacher in slices;" \
  "top-k; resume; study"
