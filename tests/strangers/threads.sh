#!/usr/bin/env bash
# Threads of ranks that share processors in part, and how long OpenMP's threads spin.
. "$SOURCE/tests/strangers/rows.bash"
small_shards data 60 20 20
train=("$BITSTILL" train --data.folder "$WORK/data" --train.epochs 0 --quant.method none "${student[@]}")

# Three ranks may use two processors, the fourth one of them.
read -r first second < <(python3 -c "import os; print(*sorted(os.sched_getaffinity(0))[:2])")
if [ -n "$second" ]; then
  row 3.21 0 '^4 ranks x 1 threads on cpu' "${mpi[@]}" \
    -n 3 taskset -c "$first,$second" "${train[@]}" --run.folder "$WORK/shared" : \
    -n 1 taskset -c "$first" "${train[@]}" --run.folder "$WORK/shared"
  row 3.22 0 '^2 ranks x 1 threads on cpu' "${mpi[@]}" \
    -n 1 taskset -c "$first" "${train[@]}" --run.folder "$WORK/apart" : \
    -n 1 taskset -c "$second" "${train[@]}" --run.folder "$WORK/apart"
else
  echo "rows 3.21, 3.22: SKIP, one processor"
fi

# What the program's libgomp was told.
spins=(env -u OMP_WAIT_POLICY -u GOMP_SPINCOUNT OMP_DISPLAY_ENV=verbose)
row 3.23 0 "GOMP_SPINCOUNT = '1000'" "${spins[@]}" "$BITSTILL" --version
row 3.23 0 "GOMP_SPINCOUNT = '0'" "${spins[@]}" OMP_WAIT_POLICY=passive "$BITSTILL" --version
row 3.23 0 "GOMP_SPINCOUNT = '7'" "${spins[@]}" GOMP_SPINCOUNT=7 "$BITSTILL" --version
finish "threads of ranks on overlapping processors, a brief spin unless the user says otherwise"
