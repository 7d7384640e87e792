#!/usr/bin/env bash
# tests/tsan.sh [--torch-free]: ThreadSanitizer on what runs in threads: comm (watchdog: under mpirun), the
# prefetcher, and, with LibTorch itself not instrumented, gradient exchange and checkpoint writer.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
export OMP_NUM_THREADS=1 TSAN_OPTIONS="suppressions=$PWD/tests/tsan.supp"
export OMPI_ALLOW_RUN_AS_ROOT=1 OMPI_ALLOW_RUN_AS_ROOT_CONFIRM=1 OMPI_MCA_pml=ob1

build() { # PRESET TARGET...
  cmake --preset "$1" >/dev/null
  cmake --build --preset "$1" --target "${@:2}"
}
check() { "$@" --gtest_brief=1; }

build tsan test_comm ranktest_comm test_data
check build/tsan/test_comm
check build/tsan/test_data --gtest_filter='Prefetcher.*'
for ranks in 2 4; do
  check mpirun --oversubscribe --bind-to none -n $ranks build/tsan/ranktest_comm --gtest_filter='Watchdog.*'
done
[ "${1:-}" != --torch-free ] || exit 0
build tsan_torch test_train
check build/tsan_torch/test_train --gtest_filter='Exchange*:CheckpointWriter.*'
