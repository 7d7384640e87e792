#!/usr/bin/env bash
# Networks of sentences as whole jobs: the number of ranks and the teacher's layout leave no trace in fixed
# order, resumed equals uninterrupted, the shipped file translates what it learned, and what is refused.
. "$SOURCE/tests/whole/jobs.bash"
python3 "$SOURCE/tests/whole/word_pairs.py" "$WORK" 2500 40 || exit 1
cd "$WORK" || exit 1
must 1 shard --vocabulary words:24 --name words --validation 40 --source train.en,train.de \
  --test-source test.en,test.de --rows 300 --out text

lstm=(--data.folder text --model.kind lstm --model.size 32 --train.micro_tokens 64 --train.global_tokens 64
  --train.optimizer adam --train.rate 0.01 --train.weight_decay 0 --train.clip_norm 5 --run.threads 1
  --train.precision fp32)
fixed=(--exchange.order fixed --run.log_steps 2)

must 2 train "${lstm[@]}" "${fixed[@]}" --run.folder teacher --quant.method none --train.epochs 10
small=(--model.size 16 --train.global_tokens 192 --train.epochs 2)
teacher=(--teacher.file teacher/master.safetensors --distill.temperature 1)

# compare_worlds NAME "RANKS..." SETTING...: the first of RANKS against all others
compare_worlds() {
  local name=$1 first='' ranks
  local -a worlds
  read -ra worlds <<<"$2"
  shift 2
  for ranks in "${worlds[@]}"; do
    must "$ranks" distill "${lstm[@]}" "${fixed[@]}" "${teacher[@]}" --run.folder "$name.$ranks" "${small[@]}" "$@"
    [ -n "$first" ] || first=$name.$ranks
    same_weights "$first" "$name.$ranks"
    same_losses "$first" "$name.$ranks"
  done
}
compare_worlds plain "1 2 3 4" --quant.bits 4
compare_worlds tied "1 3" --model.tie all --model.bidirectional true --quant.bits 2 --train.label_smoothing 0.1 \
  --model.dropout 0.1 --distill.slice_rows 7
compare_worlds points "1 2" --quant.method joint --quant.bits 2 --model.layers 2 --model.input_feed false

# The teacher in slices gives the same bits.
must 3 distill "${lstm[@]}" "${fixed[@]}" "${teacher[@]}" --run.folder sliced "${small[@]}" \
  --quant.bits 4 --teacher.sharding gather --teacher.precision fp32
same_weights plain.3 sliced

# From a cache, whoever wrote it: within rounding, since there other sentences are padded together.
# Of its largest logits other losses, but near ones.
must 2 cache "${lstm[@]}" --teacher.file teacher/master.safetensors --out cache.2 --batch 100
must 3 cache "${lstm[@]}" --teacher.file teacher/master.safetensors --out cache.3 --teacher.sharding gather
must 1 cache "${lstm[@]}" --teacher.file teacher/master.safetensors --out cache.top --top 8 --distill.temperature 1
grep -q '^cache.top: [0-9]* bytes, [0-9]* target tokens, the 8 largest logits at T = 1, by the teacher in fp32$' out ||
  { fail "cache said:"; cat out; }
for from in live cache.2 cache.3 cache.top; do
  asked=(--teacher.cache $from)
  [ $from != live ] || asked=(--teacher.file teacher/master.safetensors)
  must 2 distill "${lstm[@]}" "${fixed[@]}" "${asked[@]}" --distill.temperature 1 "${small[@]}" --run.log_steps 1 \
    --train.epochs 1 --quant.bits 4 --run.folder from.$from
done
for cache in 2 3; do
  python3 "$compare" first_loss from.live/run.jsonl from.cache.$cache/run.jsonl 3e-5 &&
    python3 "$compare" mean_loss from.live/run.jsonl from.cache.$cache/run.jsonl 2e-3 || fail "cache.$cache is not its teacher"
done
python3 "$compare" first_loss from.live/run.jsonl from.cache.top/run.jsonl 0.05 || fail "8 of 28 logits are far from all"
python3 "$compare" first_loss from.live/run.jsonl from.cache.top/run.jsonl 1e-5 >/dev/null 2>&1 && fail "nothing was left out"

# A first epoch, then the second one by --resume: as if never stopped.
must 2 distill "${lstm[@]}" "${fixed[@]}" "${teacher[@]}" --run.folder resumed "${small[@]}" --train.epochs 1 \
  --train.schedule constant --quant.bits 4
must 2 distill "${lstm[@]}" "${fixed[@]}" "${teacher[@]}" --run.folder resumed "${small[@]}" \
  --train.schedule constant --quant.bits 4 --resume
must 1 distill "${lstm[@]}" "${fixed[@]}" "${teacher[@]}" --run.folder straight "${small[@]}" \
  --train.schedule constant --quant.bits 4
same_weights resumed straight

# The job that counts: it has learned the words, 4 bits keep it, and the file alone translates.
must 2 distill "${lstm[@]}" "${teacher[@]}" --run.folder student --train.epochs 3 --quant.bits 4 \
  --student.init teacher/master.safetensors
for ranks in 1 3; do
  must "$ranks" evaluate --model.file student --against teacher/master.safetensors --data.folder text --unigram --json
  cp out "scores.$ranks"
done
cmp scores.1 scores.3 || fail "scores of 1 and 3 ranks differ: $(cat scores.1 scores.3)"
python3 - <<'END' || fail "scores: $(cat scores.1)"
import json
student, teacher, unigram = json.load(open("scores.1"))
assert unigram["samples"] == student["samples"] and 5 < unigram["perplexity"] < 13, unigram
assert student["samples"] == teacher["samples"] > 100
assert teacher["perplexity"] < 1.3 and student["perplexity"] < 1.4, (teacher, student)
assert student["bytes"] < teacher["bytes"]
END
must 1 translate --model.file student/student.safetensors --input test.en --reference test.de --beam 3
python3 - <<'END' || fail "translations: $(head -n 5 out)"
got, right = open("out").read().splitlines(), open("test.de").read().splitlines()
assert len(got) == 40 and sum(a == b for a, b in zip(got, right)) >= 38
END
must 1 report student plain.1
grep -q 'Perplexity' out || fail "the report has no perplexity: $(cat out)"
must 1 distill "${lstm[@]}" "${teacher[@]}" --run.folder planned --dry-run
[ ! -e planned ] || fail "a dry run left a folder"

small_shards pictures 60 20 20
refused images 2 2 'model.kind = lstm sees sentences' train --data.folder pictures --model.kind lstm
refused kind 2 2 'model.kind = convnet sees images' train --data.folder text --model.kind convnet --model.widths 4
must 1 shard --vocabulary words:20 --source test.en,test.de --validation 5 --test 5 --out other
refused vocabulary 2 4 'vocabulary' evaluate --model.file student --data.folder other
refused cache 2 2 'the index of data.folder was' distill "${lstm[@]}" --data.folder other --teacher.cache cache.2 \
  --run.folder never
refused pieces 2 2 'there are [0-9]* pieces' cache "${lstm[@]}" --teacher.file teacher/master.safetensors --out c --top 99
refused predict 1 2 'pairs of sentences' predict --model.file student --data.folder text
refused micro_tokens 2 2 'train.micro_tokens = 3' train "${lstm[@]}" --train.micro_tokens 3 --run.folder never
finish "lstm: fixed order at 1 to 4 ranks, tied, two layers, joint points, the teacher in slices and cached," \
  "resumed, perplexity of 1 and 3 ranks, translations of the 4-bit file, a report, and refusals"
