#!/usr/bin/env bash
# A study of sentences: each run's file translates the study's sentences, arms are compared by BLEU, the
# same as bitstill translate's; the teacher's translations as shards are what further arms learn from.
. "$SOURCE/tests/whole/jobs.bash"
cd "$WORK" || exit 1
python3 - <<'END' || exit 1
import random
random.seed(1)
words = [("dog", "Hund"), ("green", "grün"), ("walks", "läuft"), ("over", "über"), ("bridge", "Brücke"),
         ("house", "Haus"), ("seven", "sieben"), ("yellow", "gelb"), ("fox", "Fuchs"), ("river", "Fluß")]
for name, count in (("train", 1500), ("test", 40), ("more", 9)):
    with open(f"{name}.en", "w") as en, open(f"{name}.de", "w") as de:
        for _ in range(count):
            chosen = random.choices(words, k=random.randint(4, 7))
            en.write(" ".join(word[0] for word in chosen) + "\n")
            de.write(" ".join(word[1] for word in chosen) + "\n")
END
must 1 shard --vocabulary words:24 --name words --validation 40 --source train.en,train.de \
  --test-source test.en,test.de --out text
cat >teacher.cfg <<END
[model]
kind = lstm
size = 32
[train]
epochs = 8
micro_tokens = 64
global_tokens = 64
optimizer = adam
rate = 0.01
weight_decay = 0
clip_norm = 5
precision = fp32
END
cat >study.cfg <<END
[study]
folder = runs
teacher = teacher.cfg
arms = qd,pm_bucket
bits = 2
seeds = 1
start_epochs = 4
epochs = 2
source = test.en,more.en
reference = test.de,more.de
[data]
folder = text
[run]
threads = 1
$(sed -e 's/size = 32/size = 16/' -e '/^epochs/d' teacher.cfg)
END
must 2 study study.cfg
cp "$WORK/err" first
cat test.en more.en >all.en
cat test.de more.de >all.de
for run in teacher fp32_distilled_s1 fp32_longer_s1 qd_2bit_s1 pm_bucket_2bit_s1; do
  must 1 translate --model.file runs/$run --beam 1 --input all.en --reference all.de --out lines
  bleu=$(grep -o '^BLEU [0-9.]*' "$WORK/err" | head -1)
  grep -q "runs/$run/translations.json: $bleu of 49 sentences" first || fail "$run: not $bleu"
  grep -q "| ${bleu#BLEU } (" runs/report.md || fail "no $bleu of $run in the report"
done
grep -q '^| 2 bits: QD to fp32 trained as long | .* BLEU' runs/report.md || fail "no target of BLEU"

# Finished runs are not translated again; other sentences are.
must 1 study study.cfg
! grep -q translations.json "$WORK/err" || fail "translated again"
must 1 study study.cfg --study.source more.en --study.reference more.de
[ "$(grep -c 'of 9 sentences' "$WORK/err")" -eq 5 ] || fail "not translated anew"
refused lines 2 3 'study.source has 49 lines, study.reference 18' study study.cfg --study.reference more.de,more.de
refused files 1 2 'as many files of both' study study.cfg --study.reference test.de
refused arms 1 2 'study.sequence_folder' study study.cfg --study.arms seq_qd

# The teacher's beam as targets: the same bytes at 1 and 3 ranks, taken over from parts, and learned from.
beam=(translate --model.file runs/teacher --data.folder text --beam 3 --run.threads 1)
must 3 "${beam[@]}" --shards beam
must 1 "${beam[@]}" --shards alone
for file in rows.crc32c vocabulary.model index.json; do
  cmp beam/$file alone/$file || fail "$file of translated shards at 1 and 3 ranks"
done
[ ! -e beam.parts ] || fail "parts are left"
for split in validation test; do
  must 1 evaluate --model.file runs/teacher --data.folder text --split $split --json
  grep -o '"samples": [0-9]*' "$WORK/out" >before
  must 1 evaluate --model.file runs/teacher --data.folder beam --split $split --json
  grep -o '"samples": [0-9]*' "$WORK/out" | cmp - before || fail "$split changed"
done
perplexity() {
  must 1 evaluate --model.file runs/teacher --data.folder "$1" --split train --json
  python3 -c 'import json, sys; print(json.load(sys.stdin)[0]["perplexity"])' <"$WORK/out"
}
python3 -c 'import sys; sys.exit(not float(sys.argv[1]) < float(sys.argv[2]))' "$(perplexity beam)" "$(perplexity text)" ||
  fail "its own translations do not suit the teacher better"
must 2 "${beam[@]}" --shards near --interpolate
near=$(grep -o 'BLEU [0-9.]*' "$WORK/out")
must 2 "${beam[@]}" --shards best
best=$(grep -o 'BLEU [0-9.]*' "$WORK/out")
python3 -c 'import sys; sys.exit(not float(sys.argv[1]) > float(sys.argv[2]))' "${near#BLEU }" "${best#BLEU }" ||
  fail "interpolated $near, best $best"
must 2 study study.cfg --study.arms seq_qd --study.sequence_folder beam
grep -q '"data.folder": *"beam"' runs/seq_qd_2bit_s1/run.jsonl || fail "seq_qd did not read them"
refused exists 2 2 'exists already' "${beam[@]}" --shards beam
refused alone 1 2 'shards and data.folder go together' translate --model.file runs/teacher --shards new
refused text 1 2 'leave them out' "${beam[@]}" --shards new --scores
finish "a study of sentences: translations scored by BLEU as translate does, kept, made anew for others;" \
  "shards of the teacher's translations"
