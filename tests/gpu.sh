#!/usr/bin/env bash
# All that needs a GPU, in one command of less than ten minutes on 16 cores: builds the preset gpu (configures
# it unless build/gpu is), runs the unit and rank tests and sees that none of CUDA is skipped, trains small
# jobs on the GPU by every quantizer and on two ranks, each within stated bounds of the CPU, and measures P18.
# Ranks that share a GPU get an NCCL_HOSTID each, without which NCCL refuses them.
cd "$(dirname "${BASH_SOURCE[0]}")/.." || exit 8
gpus=$(nvidia-smi -L 2>/dev/null | grep -c '^GPU')
if [ "$gpus" -eq 0 ]; then
  echo "SKIP: no GPU is visible (nvidia-smi -L)"
  exit 77
fi
export SOURCE=$PWD BITSTILL=$PWD/build/gpu/bitstill WORK
WORK=$(mktemp -d)
trap 'rm -rf "$WORK"' EXIT
. tests/whole/jobs.bash

section() { echo "== $SECONDS s: $*"; }

section "$(nvidia-smi -L | head -1), $gpus in all"
[ -e build/gpu/build.ninja ] || cmake --preset gpu >"$WORK/configure" ||
  { tail -n 30 "$WORK/configure"; exit 8; }
cmake --build --preset gpu >"$WORK/build" || { tail -n 40 "$WORK/build"; exit 8; }

section "unit and rank tests"
ctest --preset gpu -L '^(unit|ranks)$' -j "$(nproc)" >"$WORK/ctest" 2>&1 || fail "ctest"
grep -E '\*\*\*|tests passed|Failure$' "$WORK/ctest"
build/gpu/test_quant --gtest_filter='Cuda*' >"$WORK/cuda" 2>&1 || fail "test_quant"
grep -E '^\[  PASSED|SKIPPED' "$WORK/cuda"
! grep -q SKIPPED "$WORK/cuda" || fail "tests of CUDA kernels were skipped"
for ranks in 1 2; do
  "${mpi[@]}" -n "$ranks" build/gpu/ranktest_train --gtest_filter='Nccl*' >"$WORK/nccl" 2>&1
  grep -q '^2 of 2 tests passed' "$WORK/nccl" || { fail "NCCL's verbs on $ranks ranks"; cat "$WORK/nccl"; }
done

# job DEVICE RANKS RUN COMMAND SETTING...: $WORK/RUN; 30 steps
job() {
  local device=$1 ranks=$2 run=$3 apart=''
  shift 3
  [ "$device" != cuda ] || [ "$ranks" -le "$gpus" ] || apart='export NCCL_HOSTID=$OMPI_COMM_WORLD_RANK;'
  timeout -s KILL 120 "${mpi[@]}" -n "$ranks" bash -c "$apart"' exec "$0" "$@"' "$BITSTILL" "$@" \
    --data.folder "$WORK/data" --run.folder "$WORK/$run" --run.device "$device" "${student[@]}" \
    "${small[@]}" --train.epochs 3 --train.global_batch 64 --train.rate 0.01 \
    --train.schedule constant --run.log_steps 1 \
    >"$WORK/out" 2>"$WORK/err" || fail "$run: exit $?"
  ! grep -q 'no current CUDA context' "$WORK/err" || fail "$run: cuBLAS found no context"
  [ -e "$WORK/$run/master.safetensors" ] || cat "$WORK/err"
}

# near RUN OTHER [BOUND [LOSSES]]: masters within BOUND, first losses within 1e-4, losses within LOSSES
# (5e-3) on average.
# Wherever a sum's last bit makes one code another one, quantized runs part a little.
near() {
  local runs=("$WORK/$1/run.jsonl" "$WORK/$2/run.jsonl")
  echo "$1 and $2:"
  python3 "$compare" weights "$WORK/$1/master.safetensors" "$WORK/$2/master.safetensors" "${3:-5e-2}" ||
    fail "masters of $1 and $2"
  python3 "$compare" first_loss "${runs[@]}" 1e-4 || fail "first losses of $1 and $2"
  python3 "$compare" mean_loss "${runs[@]}" "${4:-5e-3}" || fail "losses of $1 and $2"
}

section "training on the CPU and on the GPU"
export NVIDIA_TF32_OVERRIDE=0  # cuDNN would multiply with 10 bits
small_shards data 600 60 50
small_teacher data
for method in none uniform points joint lsq kmeans; do
  for device in cpu cuda; do
    job $device 1 $method.$device train --quant.method $method --quant.bits 4
  done
  bound=5e-2
  losses=5e-3
  [ $method != none ] || bound=1e-3
  # Learned steps turn a last bit into other codes: two instruction sets of a CPU differ by 2e-2, too.
  [ $method != lsq ] || bound=3e-1 losses=2e-2
  near $method.cpu $method.cuda $bound $losses
done

section "two ranks, a teacher whole and in slices"
distilled=(distill --teacher.file "$WORK/teacher.safetensors" --quant.method uniform --quant.bits 4)
job cpu 2 two.cpu "${distilled[@]}"
job cuda 1 one.cuda "${distilled[@]}"
job cuda 2 two.cuda "${distilled[@]}"
job cuda 2 sliced.cuda "${distilled[@]}" --teacher.sharding gather
near two.cpu two.cuda
near one.cuda two.cuda
near two.cuda sliced.cuda

section "figures"
unset NVIDIA_TF32_OVERRIDE
timeout 300 "$BITSTILL" bench P18
code=$?
[ $code -eq 0 ] || [ $code -eq 4 ] || fail "bench P18: exit $code"  # 4: a target is missed, as it says
section "done"
finish "a GPU: kernels, NCCL's verbs, training by every quantizer, two ranks, a teacher in slices"
