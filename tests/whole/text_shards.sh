#!/usr/bin/env bash
# Sentences to token shards: equal ones from 1 and 2 ranks and from every form of the files, what the
# conversion and inspect say, and what is refused with one line and code.
. "$SOURCE/tests/whole/jobs.bash"
python3 - "$WORK" <<'END' || exit 1
import random, sys
random.seed(1)
words = [("dog", "Hund"), ("green", "grün"), ("walks", "läuft"), ("over", "über"), ("bridge", "Brücke"),
         ("house", "Häuser"), ("seven", "sieben"), ("yellow", "gelb"), ("fox", "Füchse"), ("river", "Fluß")]
def pairs(first, count):
    for number in range(first, first + count):
        chosen = random.choices(words, k=random.randint(3, 12))
        yield [f"{head} {number} " + " ".join(word[side] for word in chosen) + "."
               for side, head in enumerate(("Line", "Zeile"))]
def put(name, rows):
    for side, end in enumerate(("en", "de")):
        with open(f"{sys.argv[1]}/{name}.{end}", "w") as file:
            file.writelines(row[side] + "\n" for row in rows)
train, test = list(pairs(0, 500)), list(pairs(500, 30))
put("train", train + train[:3] + [["Only one side.", ""]])
put("test", test + test[:1])
with open(f"{sys.argv[1]}/train.tsv", "w") as file:
    file.writelines("\t".join(row) + "\n" for row in train)
put("crlf", [["a\r", "b\r"]])
END
gzip -k "$WORK/train.en" "$WORK/train.de"
cd "$WORK" || exit 1

shard=(shard --vocabulary unigram:100 --name words --validation 20)
for ranks in 1 2; do
  must "$ranks" "${shard[@]}" --source train.en,train.de --test-source test.en,test.de --rows 150 --out "text.$ranks"
done
diff -r text.1 text.2 >log || fail "shards of 1 and 2 ranks: $(cat log)"
for line in 'text.2: words, 100 pieces for both sides, 480 train / 20 validation / 31 test' \
  'pairs left out: 1 with an empty side and 3 seen before' 'unknown: 0 of'; do
  grep -q "$line" out || fail "no line '$line' in $(cat out)"
done
must 2 inspect text.1 --verify
grep -q 'pairs of sentences, 100 pieces for both sides' out || fail "inspect says: $(cat out)"
must 1 inspect text.1 --json
python3 - out <<'END' || fail "inspect --json says: $(cat out)"
import json, sys
found = json.load(open(sys.argv[1]))
assert found["content"] == "tokens" and [v["pieces"] for v in found["vocabularies"]] == [100]
splits = found["splits"]
assert [splits[name]["rows"] for name in ("train", "validation", "test")] == [480, 20, 31]
assert splits["train"]["shards"] == 4 and splits["train"]["source_tokens"] > 480 * 5
END

# The forms of the files: their rows are the same, the index names the source.
must 1 "${shard[@]}" --source train.en.gz,train.de.gz --test 10 --out gzipped
must 1 "${shard[@]}" --source train.tsv --test 10 --out tabs
must 1 "${shard[@]}" --source train.en,train.de --test 10 --vocabulary tabs/vocabulary.model --out plain
for other in gzipped plain; do
  cmp tabs/rows.crc32c $other/rows.crc32c || fail "rows of tabs and $other differ"
done

# refused CODE PATTERN SETTING...
refused() {
  local code=$1 pattern=$2 got
  shift 2
  on_ranks 2 "$@"
  got=$?
  [ $got -eq "$code" ] && [ "$(grep -c '^error:' err)" -eq 1 ] && grep -q "^error: .*$pattern" err ||
    fail "$*: exit $got (expected $code, '$pattern'): $(cat err)"
}
refused 3 'train.en has 504 lines, test.de has 31' "${shard[@]}" --source train.en,test.de --out no
refused 3 'crlf.en, line 1: ends in CR LF' "${shard[@]}" --source crlf.en,crlf.de --out no
refused 3 'train.tsv: is no SentencePiece model' shard --source train.tsv --vocabulary ./train.tsv --out no
refused 2 'unigram:9000: .*too high' shard --source train.tsv --vocabulary unigram:9000 --out no
refused 2 'give unigram:N' shard --source train.tsv --vocabulary 9000 --out no
refused 2 'vocabulary is missing' shard --source train.en,train.de --out no
refused 2 'vocabulary is missing' shard --source train.tsv --most-length 9 --out no
refused 2 'a setting of images is given' "${shard[@]}" --source train.tsv --channels 3 --out no
refused 2 'text.1: exists already' "${shard[@]}" --source train.tsv --out text.1
refused 2 'the shards hold sentences' train --data.folder text.1 --run.folder run "${student[@]}" "${small[@]}"
[ -e no ] || [ -e no.partial ] && fail "a refused conversion left a folder"
printf 'x' | dd of=text.2/vocabulary.model bs=1 seek=100 conv=notrunc status=none
refused 3 'vocabulary.model: .*was changed since it was written' inspect text.2 --verify
finish "token shards: 1 and 2 ranks, plain, gzipped and with tabs; 11 refusals"
