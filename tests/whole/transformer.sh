#!/usr/bin/env bash
# Transformers as whole jobs: the number of ranks and the teacher's layout leave no trace in fixed order, the
# shipped file is made again from its run and translates what it learned, and what is refused.
. "$SOURCE/tests/whole/jobs.bash"
python3 "$SOURCE/tests/whole/word_pairs.py" "$WORK" 2500 40 || exit 1
cd "$WORK" || exit 1
must 1 shard --vocabulary words:24 --name words --validation 40 --source train.en,train.de \
  --test-source test.en,test.de --rows 300 --out text

transformer=(--data.folder text --model.kind transformer --model.size 32 --model.heads 4 --model.filter 48
  --train.micro_tokens 64 --train.optimizer adam --train.rate 0.01 --train.weight_decay 0 --train.clip_norm 5
  --train.schedule inverse_sqrt --train.warmup_steps 60 --run.threads 1)
must 2 train "${transformer[@]}" --run.folder teacher --model.layers 2 --model.decoder_layers 1 \
  --train.global_tokens 128 --train.epochs 10
teacher=(--teacher.file teacher/master.safetensors --distill.temperature 1)

# small RANKS RUN SETTING...
small() {
  must "$1" distill "${transformer[@]}" "${teacher[@]}" --run.folder "$2" --exchange.order fixed \
    --train.precision fp32 --teacher.precision fp32 --run.log_steps 2 --model.size 16 --train.global_tokens 256 \
    --train.epochs 2 --model.dropout 0.1 --quant.bits 4 "${@:3}"
}
for ranks in 1 2 3 4; do
  small $ranks "plain.$ranks"
  same_weights plain.1 "plain.$ranks"
  same_losses plain.1 "plain.$ranks"
done
small 3 sliced --teacher.sharding gather
same_weights plain.3 sliced
for ranks in 1 3; do
  small $ranks "tied.$ranks" --model.tie all --quant.method joint --quant.bits 2 --distill.slice_rows 7
done
same_weights tied.1 tied.3

# The job that counts: 4 bits keep what the teacher knows, and the file alone translates.
must 2 distill "${transformer[@]}" "${teacher[@]}" --run.folder student --train.epochs 6 --train.rate 0.003 --quant.bits 4 \
  --train.global_tokens 128 --model.layers 2 --model.decoder_layers 1 --student.init teacher/master.safetensors
must 1 compress student --out again.safetensors
cmp student/student.safetensors again.safetensors || fail "compress makes another file"
must 1 inspect student/student.safetensors
for name in encoder.transformer.1.self_attn.linear_keys decoder.transformer_layers.0.context_attn.final_linear \
  encoder.transformer.0.feed_forward.w_2 encoder.embeddings.make_embedding.emb_luts.0; do
  grep -q "^$name\.weight .* 16 points" out || fail "$name is not in 4 bits"
done
for ranks in 1 3; do
  must "$ranks" evaluate --model.file student --against teacher/master.safetensors --data.folder text --json
  cp out "scores.$ranks"
  must "$ranks" translate --model.file student --input test.en --beam 1 --run.threads 1
  cp out "lines.$ranks"
done
cmp scores.1 scores.3 || fail "scores of 1 and 3 ranks differ: $(cat scores.1 scores.3)"
cmp lines.1 lines.3 || fail "translations of 1 and 3 ranks differ"
python3 - <<'END' || fail "scores and translations: $(cat scores.1) $(head -n 5 lines.1)"
import json
student, teacher = json.load(open("scores.1"))
assert teacher["perplexity"] < 1.2 and student["perplexity"] < 1.3, (teacher, student)
assert student["bytes"] + 90_000 < teacher["bytes"]  # of 115 kB in fp32, the vocabulary in both
got, right = open("lines.1").read().splitlines(), open("test.de").read().splitlines()
same = sum(a == b for a, b in zip(got, right))
assert len(got) == 40 and same >= 32, same
END
must 1 translate --model.file student --input test.en --beam 1 --batch-tokens 1 --run.threads 1
cmp lines.1 out || fail "translations one by one differ"

refused heads 2 2 'size 32 does not divide into 5 heads' train "${transformer[@]}" --model.heads 5 --run.folder never
refused odd 1 2 'size 33 is odd' train "${transformer[@]}" --model.size 33 --run.folder never
refused other 2 2 'says heads 4, the settings teacher.\* say heads 8' distill "${transformer[@]}" "${teacher[@]}" \
  --run.folder never --teacher.kind transformer --teacher.size 32 --teacher.filter 48 --teacher.layers 2 \
  --teacher.decoder_layers 1
finish "transformer: fixed order at 1 to 4 ranks, tied, joint points, the teacher in slices, perplexity and" \
  "translations of 1 and 3 ranks from the 4-bit file, made again by compress, and refusals"
