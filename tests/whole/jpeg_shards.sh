#!/usr/bin/env bash
# JPEG shards from pictures to predictions: equal shards from 1, 2 and 3 ranks, random crops in training with
# equal weights at 1 and 2 ranks and 1 and 2 threads, evaluation and prediction as the model's file says.
. "$SOURCE/tests/whole/jobs.bash"
"$(dirname "$BITSTILL")/jpeg_pictures_program" "$WORK/pictures" 330 60 || { fail "no pictures"; finish; }

for ranks in 1 2 3; do
  must "$ranks" shard --source "$WORK/pictures" --store jpeg --rows 100 --out "$WORK/shards.$ranks"
  diff -r "$WORK/shards.1" "$WORK/shards.$ranks" >"$WORK/log" || fail "shards of 1 and $ranks ranks: $(cat "$WORK/log")"
done
grep -q 'JPEG (390 files as they were)' "$WORK/out" || fail "not all files were kept: $(cat "$WORK/out")"
[ -e "$WORK/shards.1.partial" ] && fail "a folder that is not finished was left"
must 2 inspect "$WORK/shards.1" --verify
grep -q 'JPEG images, 3 classes' "$WORK/out" || fail "inspect says: $(cat "$WORK/out")"

# train RANKS THREADS RUN SETTING...
train() {
  local ranks=$1 threads=$2 run=$3
  shift 3
  must "$ranks" train --data.folder "$WORK/shards.1" --run.folder "$WORK/$run" --data.size 24 --data.flip \
    --data.scale 0.3,1 --data.threads "$threads" --exchange.order fixed --train.epochs 3 --train.global_batch 32 \
    --run.log_steps 2 "${student[@]}" "${small[@]}" "$@"
}
train 1 1 one
train 1 2 threads
train 2 1 two
train 2 2 both
for run in threads two both; do
  same_weights one $run
  same_losses one $run
done
train 1 1 centre --data.crop centre
cmp -s "$WORK/one/master.safetensors" "$WORK/centre/master.safetensors" && fail "random and centre crops train alike"

# The pictures as rows and as files: the same answers, and what evaluate counts of them.
file=$WORK/one/student.safetensors
for ranks in 1 2; do
  must "$ranks" evaluate --model.file "$file" --data.folder "$WORK/shards.1" --json
  cp "$WORK/out" "$WORK/evaluation.$ranks"
  must "$ranks" predict --model.file "$file" --data.folder "$WORK/shards.1" --json --top 3
  cp "$WORK/out" "$WORK/rows.$ranks"
  must "$ranks" predict --model.file "$file" "$WORK/pictures/val" --json --top 3
  cp "$WORK/out" "$WORK/files.$ranks"
done
for what in evaluation rows files; do
  cmp "$WORK/$what.1" "$WORK/$what.2" || fail "$what at 1 and 2 ranks"
done
python3 - "$WORK/rows.1" "$WORK/files.1" "$WORK/evaluation.1" <<'END' || fail "rows and files are not answered alike"
import json, sys
rows, files = ([json.loads(line) for line in open(path)] for path in sys.argv[1:3])
measured = json.load(open(sys.argv[3]))
def key(one): return json.dumps(one["top"])
assert len(rows) == len(files) == measured["samples"] == 60
assert sorted(map(key, rows)) == sorted(map(key, files)), "answers"
right = sum(one["image"].split("/")[-2] == one["top"][0]["class"] for one in files)
assert right == sum(one["label"] == one["top"][0]["class"] for one in rows) == measured["correct"], "counts"
assert measured["accuracy"] > 60, f"{measured['accuracy']} %: nothing was learned"
END
must 1 inspect "$file" --json
grep -q '"evaluation"' "$WORK/out" || python3 - "$file" <<'END' || fail "the file does not say how its images were made"
import json, struct, sys
with open(sys.argv[1], "rb") as file:
    (length,) = struct.unpack("<Q", file.read(8))
    about = json.loads(json.loads(file.read(length))["__metadata__"]["bitstill"])
assert about["evaluation"] == {"resize": 27, "crop": 24}, about.get("evaluation")
END

# A teacher's cache holds each variant's crops and colours.
# In fp32: with AMX a bf16 answer depends on the batch, and cached ones are others (the cache says so).
seen=(--data.folder "$WORK/shards.1" --data.size 24 --data.flip --data.scale 0.3,1 --data.variants 2 --data.jitter 0.4
  --data.lighting 0.1 --data.erase 0.3 --teacher.precision fp32)
must 2 cache "${seen[@]}" --teacher.file "$WORK/one/master.safetensors" --out "$WORK/cache" --run.threads 1
distilled=("${seen[@]}" --train.epochs 2 --train.global_batch 32 --exchange.order fixed "${student[@]}" "${small[@]}")
must 1 distill "${distilled[@]}" --teacher.file "$WORK/one/master.safetensors" --run.folder "$WORK/asked"
must 2 distill "${distilled[@]}" --teacher.cache "$WORK/cache" --run.folder "$WORK/cached"
same_weights asked cached

refused "crops of another scale" 2 2 'data\.crop was' distill "${distilled[@]}" --data.scale 0.4,1 \
  --teacher.cache "$WORK/cache" --run.folder "$WORK/refused"
refused "other colours" 2 2 'data\.erase was .*0\.3.* and is .*0\.4' distill "${distilled[@]}" --data.erase 0.4 \
  --teacher.cache "$WORK/cache" --run.folder "$WORK/refused"
refused "mixed, from a cache" 2 2 'leave out data\.mixup' distill "${distilled[@]}" --data.mixup 0.2 \
  --teacher.cache "$WORK/cache" --run.folder "$WORK/refused"
refused "mixed, into a cache" 2 2 'data\.mixup .* no cache' cache "${seen[@]}" --data.cutmix 1 \
  --teacher.file "$WORK/one/master.safetensors" --out "$WORK/refused"
refused "shifted and cropped" 2 2 'data\.shift = 1 and data\.crop = random' train --data.folder "$WORK/shards.1" \
  --run.folder "$WORK/refused" --data.size 24 --data.shift 1 "${student[@]}"
refused "a folder that is there" 2 2 'holds shards already' shard --source "$WORK/pictures" --store jpeg --out "$WORK/shards.1"

# Changed rows: at the start, or when they are met.
cp -r "$WORK/shards.1" "$WORK/torn"
truncate -s -1 "$WORK/torn/train-00001.h5"
refused "a short shard" 2 3 'train-00001\.h5: holds' evaluate --model.file "$file" --data.folder "$WORK/torn"
cp "$WORK/shards.1/train-00001.h5" "$WORK/torn/"
offset=$(python3 -c 'import json, sys; s = json.load(open(sys.argv[1]))["splits"]["test"]["shards"][0]; print(s["bytes_at"] + 5)' "$WORK/torn/index.json")
printf '\xff' | dd of="$WORK/torn/test-00000.h5" bs=1 seek="$offset" conv=notrunc 2>"$WORK/log"
refused "a changed row" 2 3 'test-00000\.h5, row 0: its bytes were changed' evaluate --model.file "$file" --data.folder "$WORK/torn"
finish "JPEG shards alike from 1, 2 and 3 ranks, training on random crops alike at 1 and 2 ranks and threads," \
  "rows and files evaluated alike, a cache of coloured crops, torn shards"
