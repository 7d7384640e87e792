#!/usr/bin/env bash
# bitstill translate as it is used: equal bytes at 1, 2 and 3 ranks and one by one, empty lines, the
# n best and their scores, files and streams, compressed and exported models, and what is refused.
. "$SOURCE/tests/whole/jobs.bash"
program=$(dirname "$BITSTILL")/sentences_program
cd "$WORK" || exit 1
python3 - <<'END' || exit 1
import random
random.seed(1)
words = [("dog", "Hund"), ("green", "grün"), ("walks", "läuft"), ("over", "über"), ("bridge", "Brücke"),
         ("house", "Häuser"), ("seven", "sieben"), ("yellow", "gelb"), ("fox", "Füchse"), ("river", "Fluß")]
with open("train.tsv", "w") as file:
    for number in range(300):
        chosen = random.choices(words, k=random.randint(3, 12))
        file.write("\t".join(f"{number} " + " ".join(word[side] for word in chosen) for side in (0, 1)) + "\n")
lines = [" ".join(random.choice(words)[0] for _ in range(random.randint(1, 15))) for _ in range(40)]
lines[4] = lines[39] = ""
lines[20] = "  "
lines[7] = "犬 zebra"  # <unk>
with open("lines", "w") as file:
    file.writelines(line + "\n" for line in lines)
with open("crlf", "wb") as file:
    file.write(b"\xef\xbb\xbf" + b"\r\n".join(line.encode() for line in lines) + b"\r\n")
END
must 1 shard --source train.tsv --vocabulary bpe:90,bpe:110 --out apart
must 1 shard --source train.tsv --vocabulary bpe:120 --out joint
sides=(apart/source.model apart/target.model)
"$program" 3 "${sides[@]}" apart.safetensors || fail "no model"
"$program" 3 "${sides[@]}" bare.safetensors bare || fail "no model without vocabularies"
"$program" 4 joint/vocabulary.model joint/vocabulary.model joint.safetensors || fail "no model of a joint vocabulary"

# given FILE RANKS SETTING...: translations of stdin
given() {
  local file=$1 ranks=$2
  shift 2
  timeout -s KILL 120 "${mpi[@]}" -n "$ranks" "$BITSTILL" translate --run.threads 1 "$@" <"$file" >out 2>err ||
    fail "translate $*: $(cat err)"
}

# equal_everywhere MODEL SETTING...: what 1 rank says is then in $WORK/right
equal_everywhere() {
  local setting=(--model.file "$@" --most-tokens 12) ranks
  given lines 1 "${setting[@]}"
  cp out right
  for ranks in 2 3; do
    given lines $ranks "${setting[@]}"
    cmp right out || fail "$* at 1 and $ranks ranks"
  done
}
equal_everywhere joint.safetensors --beam 3
equal_everywhere apart.safetensors --beam 4 --n-best 3 --scores --length-penalty 1
cp right apart.best
equal_everywhere apart.safetensors --beam 1
cp right greedy
greedy=(--model.file apart.safetensors --beam 1 --most-tokens 12)
given lines 2 "${greedy[@]}" --batch-tokens 1
cmp greedy out || fail "greedy one by one"
given crlf 1 "${greedy[@]}"
cmp greedy out || fail "greedy of CR LF"

# A line for a line; nothing for nothing; more than a few different ones.
[ "$(wc -l <greedy)" -eq 40 ] || fail "$(wc -l <greedy) lines of 40"
for line in 5 21 40; do [ -z "$(sed -n ${line}p greedy)" ] || fail "line $line is not empty"; done
[ "$(sort -u greedy | wc -l)" -ge 20 ] || fail "all translations are alike: $(head -3 greedy)"
given /dev/null 2 "${greedy[@]}"
[ -s out ] && fail "a translation of nothing"
must 2 translate "${greedy[@]}" --input lines --out written --run.threads 1
cmp greedy written || fail "from file to file"
[ -s out ] && fail "--out prints, too"

# The n best: numbered, sorted, different; the first is what is given alone.
python3 - apart.best <<'END' || fail "the three best of a line: $(head -5 apart.best)"
import sys
best = {}
for line in open(sys.argv[1]):
    number, score, text = line.rstrip("\n").split("\t")
    best.setdefault(int(number), []).append((float(score), text))
assert sorted(best) == list(range(1, 41))
for number, found in best.items():
    assert found == [(0, "")] if number in (5, 21, 40) else len(found) == 3, (number, found)
    assert [score for score, _ in found] == sorted((score for score, _ in found), reverse=True)
END
given lines 1 --model.file apart.safetensors --beam 4 --length-penalty 1 --most-tokens 12
awk -F '\t' '$1 != before { print $3; before = $1 }' apart.best | cmp - out || fail "the best is not the first"

# Against a reference: itself is right, another is not.
given lines 2 "${greedy[@]}" --reference greedy
cmp greedy out || fail "--reference changes what is written"
grep -q '^BLEU 100.00 nrefs:1|case:mixed' err && grep -q '^chrF2 100.00 nrefs:1' err || fail "scores of itself: $(cat err)"
given lines 2 "${greedy[@]}" --reference lines
grep -q '^BLEU [0-9]\.' err || fail "scores of the source: $(cat err)"

# Compressed, exported: the same values, the vocabularies in each.
must 1 compress apart.safetensors --post-mortem --quant.bits 4 --out packed.safetensors
must 1 export --model.file packed.safetensors --out decoded.safetensors
given lines 2 --model.file packed.safetensors
cp out right
given lines 1 --model.file decoded.safetensors
cmp right out || fail "packed and decoded weights"
given lines 1 --model.file packed.safetensors --precision bf16
[ "$(wc -l <out)" -eq 40 ] || fail "bf16: $(cat err)"
must 1 inspect packed.safetensors
for side in source target; do
  bytes=$(wc -c <apart/$side.model)
  grep -q "^vocabulary.$side .* $bytes B  a SentencePiece model" out || fail "inspect: $(cat out)"
done

# all_refused RANKS
all_refused() {
  local ranks=$1 tell=(translate --model.file apart.safetensors)
  printf 'a\nb\nGr\xfcn\n' >bad
  printf 'a\nb\nc\n' >three
  refused "no model file named" "$ranks" 2 'model\.file is not given' translate --input lines
  refused "no model file" "$ranks" 4 'none\.safetensors' translate --model.file none.safetensors --input lines
  refused "no input" "$ranks" 3 'none: cannot open' "${tell[@]}" --input none
  refused "no UTF-8" "$ranks" 3 'bad, line 3: a line without valid UTF-8' "${tell[@]}" --input bad
  refused "more best ones than places" "$ranks" 2 'n-best = 6: give 1 to beam, 5' "${tell[@]}" --input lines --n-best 6
  refused "another reference" "$ranks" 3 'three has 3 lines, lines has 40' "${tell[@]}" --input lines --reference three
  refused "no vocabulary" "$ranks" 4 'bare\.safetensors: carries no source vocabulary' translate \
    --model.file bare.safetensors --input lines
  refused "an unwritable file" "$ranks" 7 'lines/x' "${tell[@]}" --input lines --out lines/x
}
side_by_side all_refused 1 2
"$BITSTILL" translate --model.file apart.safetensors --input lines --run.threads 1 >/dev/full 2>err
[ $? -eq 7 ] && grep -q 'standard output is lost' err || fail "lost output: $(cat err)"
finish "translate, equal at 1, 2 and 3 ranks and one by one, n best, references, compressed and exported, refusals"
