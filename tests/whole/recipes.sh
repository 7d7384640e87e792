#!/usr/bin/env bash
# Every recipe reads, its networks and its teacher fit each other, and --dry-run says what it takes: on small shards
# of as many classes, with weights of no meaning, steps of two pictures a rank. CI leaves the largest networks out
# (RECIPES=all: none).
. "$SOURCE/tests/whole/jobs.bash"
recipes=()
for recipe in "$SOURCE"/launch/recipes/*.cfg; do
  [[ ${RECIPES:-} == all || $recipe != */cifar10_wrn*.cfg ]] && recipes+=("$recipe")
done
cd "$WORK" || exit 1
small_shards digits 100 20 20
mkdir shards && mv digits shards/digits

# cifar FOLDER CLASSES LABEL_BYTES FILE...: records of noise, two a class in each file, 4 in the last.
cifar() {
  python3 - "$@" <<'END'
import os, random, sys
folder, classes, label_bytes, *files = sys.argv[1:]
os.makedirs(folder)
for name in files:
    with open(os.path.join(folder, name), "wb") as file:
        for record in range(4 if name == files[-1] else 2 * int(classes)):
            label = bytes([record % int(classes)]) * int(label_bytes)
            file.write(label + random.Random(f"{name} {record}").randbytes(3072))
END
}
cifar c10 10 1 data_batch_{1..5}.bin test_batch.bin
cifar c100 100 2 train.bin test.bin
"$(dirname "$BITSTILL")/jpeg_pictures_program" pictures 30 30 || fail "no pictures"
python3 "$SOURCE/tests/whole/relabel.py" pictures thousand 1000 1000 2
python3 "$SOURCE/tests/whole/relabel.py" pictures ten 10 100 10
python3 - <<'END'
import random
random.seed(1)
with open("pairs.tsv", "w") as file:
    for number in range(200):
        words = random.choices("one two three four five six seven".split(), k=random.randint(2, 9))
        file.write(f"{number} {' '.join(words)}\t{' '.join(reversed(words))} {number}\n")
END
for name in multi30k phrases; do
  must 1 shard --source pairs.tsv --vocabulary words:30 --validation 10 --test 10 --out shards/$name
done
must 1 shard --source c10 --out shards/cifar10 --validation 4
must 1 shard --source c100 --out shards/cifar100 --validation 4
must 1 shard --source thousand --store jpeg --out shards/imagenet --normalization imagenet
must 1 shard --source ten --store jpeg --out shards/digits_colour

# What a teacher's recipe leaves, and torchvision's networks, untrained.
for name in 34 50 101; do
  must 1 train --data.folder shards/imagenet --model.kind resnet$name --train.epochs 0 --run.folder runs/resnet$name
  mv runs/resnet$name/master.safetensors resnet$name.safetensors && rm -r runs/resnet$name
done
for recipe in "${recipes[@]}"; do
  grep -q 'bitstill train  *--config' "$recipe" || continue
  must 1 train --config "$recipe" --train.epochs 0
  rm "runs/$(basename "$recipe" .cfg)"/{student,checkpoints/last}.safetensors
done

# parameters RECIPE: of its student, where they are published.
parameters() {
  case $1 in
    imagenet_r34_2xr18) echo 45693032 ;;
    imagenet_r50_2xr34) echo 86110824 ;;
    imagenet_r50_32k) echo 25557032 ;;
    cifar100_wrn) echo 17210564 ;;
    cifar100_wrn_teacher) echo 36546980 ;;
    cifar10_wrn) echo 82746890 ;;
    cifar10_wrn_teacher) echo 145835690 ;;
    *) echo 0 ;;
  esac
}
for recipe in "${recipes[@]}"; do
  name=$(basename "$recipe" .cfg)
  command=distill
  grep -q 'bitstill train  *--config' "$recipe" && command=train
  pass=(--train.micro_batch 2)
  grep -qE '^kind = (lstm|transformer)' "$recipe" && pass=(--train.micro_tokens 64)
  must 2 $command --config "$recipe" --dry-run "${pass[@]}" --run.folder runs/none
  echo "$name: $(sed -n 's/^# measured: //p' out | tr '\n' ';')"
  python3 - "$(parameters "$name")" <<'END' || fail "the plan of $name: $(grep '^#' out)"
import re, sys
text = open("out").read()
def number(pattern): return float(re.search(pattern, text, re.M).group(1).replace(",", ""))
def near(a, b, share): assert abs(a - b) <= share * b, (a, b)
def size(pattern):
    value, unit = re.search(pattern + r"([\d.]+) (.?B)", text).groups()
    return float(value) * {"B": 1, "kB": 1e3, "MB": 1e6, "GB": 1e9}[unit]
setting = lambda name: number(rf"^{re.escape(name)} = (\S+)$")
count, known = number(r"^# student: (\d+) parameters"), int(sys.argv[1])
assert known in (0, count), (known, count)
quantized = "quant.method = none" not in text
near(size("shadows and gradients "), 4 * count * (3 if quantized else 2), 0.05)  # 1.2 GB
assert 4 * count <= 1.04 * size("sends ") <= 4.5 * count + 1e5, size("sends ")  # two digits
assert size("a rank holds ") > 4 * count * (3 if quantized else 2)
steps, seconds = number(r"^# plan: (\d+) steps"), number(r"a step (\S+) s;")
near(number(r"epochs (\S+) hours"), setting("train.epochs") * steps * seconds / 3600, 0.02)
if "images/s" in text:
    near(number(r"measured: (\S+) images/s"), setting("train.global_batch") / seconds, 0.02)
else:
    near(number(r"measured: (\S+) target tokens/s"), 2 * number(r"tokens a rank and step: (\d+)") / seconds, 0.02)
near(number(r"hours, (\S+) of a rank"), 2 * number(r"epochs (\S+) hours"), 0.02)
END
done
[ ! -e runs/none ] || fail "a dry run left a folder"
finish "plans of ${#recipes[@]} recipes, and what they measure"
