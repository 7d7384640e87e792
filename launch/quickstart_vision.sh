#!/usr/bin/env bash
# Residual networks on JPEG pictures, from nothing: 5,000 handwritten digits in colours, 64 pixels wide, as JPEG
# shards; a ResNet-18; students of a quarter of its width from it, in full precision, at 4 and at 2 bits, and
# what each is worth. A second start goes on where the first was stopped, and keeps what is finished.
set -euo pipefail
usage() {
  echo "launch/quickstart_vision.sh    (some 5 minutes, and 4 for set-up and build; 2 cores)"
  echo "Environment: RANKS (2), RUNS (runs/quickstart_vision of the checkout): a new folder, or one"
  echo "             that this script made, whose runs are then continued"
}
runs=runs/quickstart_vision
. "$(dirname "${BASH_SOURCE[0]}")/quickstart.bash"
names=(teacher student_fp32 student_4bit student_2bit student_2bit_post_mortem)

if [ ! -f shards/digits_colour/index.json ]; then
  wheel=$(datasets/digits/fetch.sh build/deps/digits)
  pictures=build/digits_colour
  rm -rf "$pictures"
  datasets/digits/colour.py "$wheel" "$pictures"
  launch/run.sh -n "$ranks" $bitstill shard --source "$pictures" --store jpeg --validation 400 --test 1000 \
    --out shards/digits_colour
fi

student=(distill --config launch/recipes/digits_resnet18_quarter.cfg --resume=auto
  --teacher.file "$runs/teacher/master.safetensors")
fine=(--student.init "$runs/student_fp32/master.safetensors" --train.epochs 3 --train.rate 0.01)

run teacher train --config launch/recipes/digits_resnet18.cfg --resume=auto
run student_fp32 "${student[@]}" --quant.method none
run student_4bit "${student[@]}" "${fine[@]}"
run student_2bit "${student[@]}" "${fine[@]}" --quant.bits 2
# The baseline: the distilled student quantized afterwards, without training.
run student_2bit_post_mortem "${student[@]}" "${fine[@]}" --quant.bits 2 --train.epochs 0

show "${names[@]}"
cat <<END
  bitstill evaluate --model.file $runs/student_4bit/student.safetensors --data.folder shards/digits_colour \\
    --against $runs/teacher/master.safetensors --html page.html
  launch/run.sh -n $ranks bitstill shard --source IMAGES --store jpeg --out shards/mine    # IMAGES/CLASS/*.jpg
  launch/run.sh -n $ranks bitstill distill --config launch/recipes/imagenet_r34_2xr18.cfg --dry-run
END
