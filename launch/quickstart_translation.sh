#!/usr/bin/env bash
# Translation, from nothing: 60,000 German-English phrases of Debian's dictionary as token shards; an LSTM of
# 256; students of half its width from it, in full precision, at 4 and at 2 bits; what each is worth, and what
# the 4-bit one makes of phrases that none of them has seen. A second start goes on where the first was stopped.
set -euo pipefail
usage() {
  echo "launch/quickstart_translation.sh    (some 7 minutes, and 6 for set-up and build; 2 cores)"
  echo "Environment: RANKS (2), RUNS (runs/quickstart_translation of the checkout): a new folder, or one"
  echo "             that this script made, whose runs are then continued"
}
runs=runs/quickstart_translation
. "$(dirname "${BASH_SOURCE[0]}")/quickstart.bash"
names=(teacher student_fp32 student_4bit student_2bit student_2bit_post_mortem)
shards=shards/phrases
unseen=build/phrases_unseen.tsv # ten pairs in no split

if [ ! -f $shards/index.json ] || [ ! -f $unseen ]; then
  pairs=$(datasets/trans_de_en/fetch.sh build/deps/trans_de_en 60010)
  awk 'NR % 6001' "$pairs" >build/phrases.tsv
  awk 'NR % 6001 == 0' "$pairs" >$unseen
  [ -f $shards/index.json ] || launch/run.sh -n "$ranks" $bitstill shard --source build/phrases.tsv \
    --vocabulary unigram:4000 --name phrases --out $shards
fi

student=(distill --config launch/recipes/phrases_lstm128.cfg --resume=auto
  --teacher.file "$runs/teacher/master.safetensors")
fine=(--student.init "$runs/student_fp32/master.safetensors" --train.epochs 2 --train.rate 5e-4)

run teacher train --config launch/recipes/phrases_lstm256.cfg --resume=auto
run student_fp32 "${student[@]}" --quant.method none
run student_4bit "${student[@]}" "${fine[@]}"
run student_2bit "${student[@]}" "${fine[@]}" --quant.bits 2
# The baseline: the distilled student quantized afterwards, without training.
run student_2bit_post_mortem "${student[@]}" "${fine[@]}" --quant.bits 2 --train.epochs 0

echo
for name in student_fp32 student_4bit; do
  $bitstill evaluate --model.file "$runs/$name" --data.folder $shards --data.split validation --unigram
done
echo
echo "Ten phrases that none has seen, the dictionary's word, and what 4 bits make of them:"
cut -f 1 $unseen | $bitstill translate --model.file "$runs/student_4bit" | paste $unseen -

show "${names[@]}"
cat <<END
  bitstill translate --model.file $runs/student_4bit <german.txt
  bitstill evaluate --model.file $runs/student_4bit --data.folder $shards --against $runs/teacher
  launch/run.sh -n $ranks bitstill shard --source yours.en,yours.de --vocabulary unigram:8000 --out shards/mine
END
