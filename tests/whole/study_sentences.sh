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
finish "a study of sentences: translations scored by BLEU as translate does, kept, made anew for others"
