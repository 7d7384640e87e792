#!/usr/bin/env bash
# Several nodes: ranks against the slots of an allocation or of named hosts, binding kept; srun; the batch
# script. mpirun, scontrol and the nodes are stand-ins; the variables are those of Slurm 22.05.
. "$SOURCE/tests/strangers/rows.bash"
mkdir -p "$WORK"/{bin,job/launch,job/build/release}
printf '#!/bin/bash\necho "mpirun $*"\n' >"$WORK/bin/mpirun"
printf '#!/bin/bash\necho "scontrol $*"\n' >"$WORK/bin/scontrol"
chmod +x "$WORK"/bin/*
PATH=$WORK/bin:$PATH
run=$SOURCE/launch/run.sh
bound='--map-by slot:PE=1 --bind-to core'

# run_in ID CODE PATTERN RANKS VARIABLE...: launch/run.sh in such an environment
run_in() {
  local id=$1 code=$2 pattern=$3 ranks=$4
  shift 4
  row "$id" "$code" "$pattern" env "$@" "$run" -n "$ranks" true
}
# silent CODE COMMAND...: it ends with the code, without a word
silent() {
  local code=$1
  shift
  [ -z "$("$@" 2>&1 </dev/null)" ] && { "$@" >/dev/null 2>&1 </dev/null || [ $? -eq "$code" ]; }
}
slurm=(SLURM_JOB_ID=7 'SLURM_TASKS_PER_NODE=64(x2),32')
run_in 6.7 0 "-n 160 $bound true" 160 "${slurm[@]}"
run_in 6.7 2 "^error: 161 ranks, but the allocation .*64\(x2\),32.* has 160 slots" 161 "${slurm[@]}"
row 6.7 0 '--map-by slot:PE=4 --bind-to core' env "${slurm[@]}" SLURM_CPUS_PER_TASK=4 \
  "$run" -n 160 --threads 4 true
row 6.7 2 '^error: --threads 4, but a task .* has 1 cores' env "${slurm[@]}" "$run" -n 2 --threads 4 true
run_in 6.7 0 'mpirun .*-n 170 --oversubscribe true' 170 "${slurm[@]}" BITSTILL_MPIRUN_ARGS=--oversubscribe

printf 'a slots=64  # the first\n\nb max_slots=99 slots = 32\n' >"$WORK/hosts"
printf 'a\nb slots=2\n' >"$WORK/open_hosts"
run_in 6.8 0 "-n 96 $bound --hostfile" 96 BITSTILL_MPIRUN_ARGS="--hostfile $WORK/hosts"
run_in 6.8 2 '^error: 97 ranks, but the hostfile .*hosts has 96 slots' 97 \
  BITSTILL_MPIRUN_ARGS="--hostfile $WORK/hosts"
run_in 6.8 0 "-n 99 $bound" 99 BITSTILL_MPIRUN_ARGS="--hostfile $WORK/open_hosts"
run_in 6.8 2 '^error: cannot read the hostfile' 2 BITSTILL_MPIRUN_ARGS="--hostfile $WORK/none"
run_in 6.8 2 '^error: 67 ranks, but --host a:64,b,c has 66 slots' 67 "${slurm[@]}" \
  BITSTILL_MPIRUN_ARGS='--host a:64,b,c'

step=("${slurm[@]}" SLURM_STEP_NUM_TASKS=4)
run_in 6.9 2 '^error: run.sh starts the ranks itself: call it without srun' 4 "${step[@]}" SLURM_PROCID=0
holds 6.9 silent 2 env "${step[@]}" SLURM_PROCID=1 "$run" -n 4 true

# A node of the allocation, and one of a hostfile, that answers no more when the first start has ended.
mkdir "$WORK/lossy"
cat >"$WORK/lossy/mpirun" <<'END'
#!/bin/bash
case $* in
  *leftovers.py*) [[ $* != *"--host n2:1"* ]] ;;
  *bitstill-hosts*) echo "$* lost $BITSTILL_HOSTS_LOST"; cat "$(sed 's/.*--hostfile \(\S*bitstill-hosts\S*\).*/\1/' <<<"$*")" ;;
  *) exit 5 ;;
esac
END
printf '#!/bin/bash\nprintf "n%%s\\n" 1 2 3\n' >"$WORK/lossy/scontrol"
chmod +x "$WORK"/lossy/*
printf 'n1 slots=2\nn2 slots=2  # old\nn3 slots=2\n' >"$WORK/three"
lossy() {  # lossy VARIABLE...
  row 6.9 0 "-n 4 $bound (-mca a b )?--hostfile .*run.timeout_s 0.1 lost n2" \
    env "$@" PATH="$WORK/lossy:$PATH" "$run" --restarts 1 -n 6 true distill --run.timeout_s 0.1
  holds 6.9 [ "$(grep '^[n#]' "$WORK/said" | paste -sd ' ')" = 'n1 slots=2 n3 slots=2 # n2: lost' ]
}
lossy SLURM_JOB_ID=7 'SLURM_JOB_NODELIST=n[1-3]' 'SLURM_TASKS_PER_NODE=2(x3)'
lossy BITSTILL_MPIRUN_ARGS="-mca a b --hostfile $WORK/three"
holds 6.9 grep -q 'n2 slots=2  # old' "$WORK/three"

# srun without PMIx: each process would be a job of its own, and write the same files.
row 6.10 8 '^error: 4 processes were started, but MPI does not join them' env "${step[@]}" \
  SLURM_PROCID=0 "$BITSTILL" --version
holds 6.10 silent 8 env "${step[@]}" SLURM_PROCID=1 "$BITSTILL" --version
row 6.10 8 '^error: 2 processes were started' env PMI_RANK=0 PMI_SIZE=2 "$BITSTILL" --version
row 6.10 0 torch env "${step[@]}" SLURM_STEP_NUM_TASKS=1 "$BITSTILL" --version

# The batch script, which Slurm starts from a copy, in the folder of the checkout.
cp "$SOURCE/launch/slurm.sbatch" "$WORK/batch" && cd "$WORK/job" || exit 1
printf '#!/bin/bash\necho "run $*"; trap "exit 75" USR1; [ -z "$CODE" ] || exit $CODE; [ -z "$WAITS" ] || for i in {1..99}; do sleep 0.1; done\n' \
  >launch/run.sh
touch build/release/bitstill && chmod +x launch/run.sh build/release/bitstill
batch=("${slurm[@]}" SLURM_NTASKS=160 SLURM_CPUS_PER_TASK=2 bash "$WORK/batch" train --run.seed 3)
row 6.11 0 '^run -n 160 --threads 2 --restarts 3 build/release/bitstill train --run.seed 3$' env -u BITSTILL "${batch[@]}"
mkdir -p build/gpu && cp build/release/bitstill build/gpu
row 6.11 0 '^run -n 160 --threads 2 --restarts 3 build/gpu/bitstill train ' env BITSTILL=build/gpu/bitstill "${batch[@]}"
row 6.11 0 'train --run.seed 3 --overwrite --overwrite=false --resume=auto$' env SLURM_RESTART_COUNT=1 "${batch[@]}" --overwrite
row 6.11 75 '^scontrol requeue 7$' env WAITS=1 timeout --foreground --preserve-status -s USR1 1 env "${batch[@]}"
row 6.11 137 '^scontrol requeue 7$' env CODE=137 "${batch[@]}"
requeued() { [[ $(env "$@" "${batch[@]}" 2>&1) == *"scontrol requeue"* ]]; }
holds 6.11 requeued CODE=5 SLURM_RESTART_COUNT=9
for own in CODE=5\ SLURM_RESTART_COUNT=10 CODE=2 CODE=3 CODE=6; do
  # shellcheck disable=SC2086  # several words
  if requeued $own; then fail "6.11: $own goes back into the queue"; fi
done
row 6.11 0 'train --run.seed 3 --run.folder runs/s4$' env SLURM_ARRAY_TASK_ID=4 "${batch[@]}" --run.folder runs/s%a
finish "allocations of several nodes, srun, the batch script"
