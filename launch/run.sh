#!/usr/bin/env bash
# Starts PROGRAM on N ranks by mpirun, with the flags that fit this machine.
set -euo pipefail
# From here on a signal waits until watch.py sees it. Coreutils before 8.31 cannot; it ends this, then.
if [ -z "${BITSTILL_SIGNALS_WAIT:-}" ] && env --block-signal=INT true 2>/dev/null; then
  BITSTILL_SIGNALS_WAIT=1 exec env --block-signal=INT,TERM,USR1 bash "${BASH_SOURCE[0]}" "$@"
fi
unset BITSTILL_SIGNALS_WAIT
trap 'exit 75' INT TERM USR1  # nothing has begun yet

usage() {
  cat <<'END'
launch/run.sh -n N [--threads T] [--restarts R] PROGRAM [ARGUMENT...]
  -n N          ranks
  --threads T   cores for each rank (default 1: results then do not depend on the machine)
  --restarts R  starts again up to R times what lost a rank or a host (default 0)
Ranks are bound to their cores; with more ranks than this machine has cores they share them, unbound.
In a Slurm allocation (call it once in the batch script, not by srun: launch/slurm.sbatch) and with
hosts in BITSTILL_MPIRUN_ARGS, ranks fill the slots of all nodes; a slot is the place of one rank.
The first SIGINT, SIGTERM or SIGUSR1, also one that reaches mpirun, asks the ranks to stop in good order:
exit code 75, whatever mpirun then returns, and also before there was anything to save. What comes
within 2 s is the same request; a later one ends them (128 + its number). A bare mpirun, without
run.sh, answers SIGTERM by killing the ranks: its code is its own, the checkpoint before stays.
The exit code else is mpirun's: that of the first rank that failed, or 128 + the signal that killed it.
A rank that dies without an "error:" line is reported by one; mpirun's words are dropped. Where mpirun
then waits for a host that no longer answers, it is ended after 7 s; so it is (code 5) when bitstill's
ranks have not started in time (run.timeout_s + 8 s up to 50 s, else ten times it), or rank 0 gives no
sign of life for run.timeout_s.
--restarts: after code 5, a signal, or a daemon of mpirun that is gone; not where the program itself
says what is wrong, nor twice without a newer checkpoint between. Hosts (BITSTILL_MPIRUN_ARGS, Slurm's
allocation) that do not answer, or were named twice in a row, are left out; the others keep their
number of ranks and need python3. Their list is written to launch.hosts in the run folder. This
host itself has to stay; so does the run folder, on a file system that all hosts see.
Environment: BITSTILL_MPIRUN_ARGS is handed to mpirun (--hostfile FILE, --host A:1,B:1 ...);
             a --bind-to, --map-by or --oversubscribe there replaces the choice made here.
On a terminal the program finds BITSTILL_TERMINAL=1: under mpirun it cannot see that itself.
END
}
die() { echo "error: $2" >&2; exit "$1"; }

ranks='' threads=1 restarts=0
while [[ $# -gt 0 && $1 == -* ]]; do
  case $1 in
    -n) ranks=${2:-}; shift 2 || die 2 "-n needs a number" ;;
    --threads) threads=${2:-}; shift 2 || die 2 "--threads needs a number" ;;
    --restarts) restarts=${2:-}; shift 2 || die 2 "--restarts needs a number" ;;
    --help | -h) usage; exit 0 ;;
    *) die 2 "unknown option $1 (launch/run.sh --help)" ;;
  esac
done
[[ $ranks =~ ^[1-9][0-9]*$ && $threads =~ ^[1-9][0-9]*$ ]] ||
  die 2 "-n and --threads need whole numbers above 0 (launch/run.sh --help)"
[[ $restarts =~ ^(0|[1-9][0-9]{0,5})$ ]] || die 2 "--restarts needs a whole number (launch/run.sh --help)"
[ $# -gt 0 ] || die 2 "no program to start (launch/run.sh --help)"
command -v "$1" >/dev/null || die 2 "no program $1: build it with cmake --build --preset release"
command -v mpirun >/dev/null || die 8 "no mpirun here: run launch/setup.sh, or module load openmpi"

if [ "${SLURM_STEP_NUM_TASKS:-1}" -gt 1 ] && [ ! -t 0 ]; then  # a terminal: srun --pty
  [ "${SLURM_PROCID:-0}" -eq 0 ] || exit 2
  die 2 "run.sh starts the ranks itself: call it without srun, once (or, without run.sh: srun --mpi=pmix $1 ...)"
fi

whose=''  # by name, so that an Open MPI behind a site's own script passes
case $(mpirun --version 2>&1 </dev/null) in
  *"Open MPI"*) ;;
  *"Intel(R) MPI"*) whose="Intel MPI's" ;;
  *MVAPICH* | *mvapich*) whose="MVAPICH's" ;;
  *HYDRA* | *MPICH*) whose="MPICH's (Hydra)" ;;
esac
[ -z "$whose" ] || die 8 "$(type -P mpirun) is $whose, but bitstill is built for Open MPI: module load openmpi, or put Open MPI's mpirun first on PATH"

read -ra extra <<<"${BITSTILL_MPIRUN_ARGS:-}"

# slots_of_file FILE: the sum of slots=N; nothing where a host leaves them to mpirun.
slots_of_file() {
  [ -r "$1" ] || die 2 "cannot read the hostfile $1 of BITSTILL_MPIRUN_ARGS"
  awk '{ sub(/#.*/, "") } !NF { next }
    match($0, /(^|[ \t])slots *= *[0-9]+/) { n = substr($0, RSTART, RLENGTH); sub(/.*= */, "", n); sum += n; next }
    { open = 1 } END { if (!open) print sum }' "$1"
}
# slots_of_list A:4,B: one a host unless it says more.
slots_of_list() { tr , '\n' <<<"$1" | awk -F: '{ sum += NF > 1 ? $2 : 1 } END { print sum }'; }
# slots_of_slurm 4(x2),3: tasks a node, repeated.
slots_of_slurm() { tr , '\n' <<<"$1" | awk -F'[(x)]+' '{ sum += $1 * (NF > 1 ? $2 : 1) } END { print sum }'; }

# The places for ranks, where there is more than this machine: `slots` of `source`.
slots='' source='' own_places=false
for ((i = 0; i < ${#extra[@]}; i++)); do
  case ${extra[i]} in
    --hostfile | -hostfile | --machinefile | -machinefile | --default-hostfile)
      source="the hostfile ${extra[i + 1]:-}" slots=$(slots_of_file "${extra[i + 1]:-}") || exit ;;
    --host | -host | -H) source="--host ${extra[i + 1]:-}" slots=$(slots_of_list "${extra[i + 1]:-}") ;;
    --bind-to | --map-by | --oversubscribe) own_places=true ;;
  esac
done
if [ -z "$source" ] && [ -n "${SLURM_JOB_ID:-}" ] && [ -n "${SLURM_TASKS_PER_NODE:-}" ]; then
  source="the allocation (Slurm's tasks a node: $SLURM_TASKS_PER_NODE)"
  slots=$(slots_of_slurm "$SLURM_TASKS_PER_NODE")
  $own_places || [ "$threads" -le "${SLURM_CPUS_PER_TASK:-1}" ] ||
    die 2 "--threads $threads, but a task of the allocation has ${SLURM_CPUS_PER_TASK:-1} cores: sbatch --cpus-per-task=$threads"
fi

bound=(--map-by "slot:PE=$threads" --bind-to core)
flags=()
if $own_places; then
  :
elif [ -n "$source" ]; then
  [ "$ranks" -le "${slots:-$ranks}" ] ||
    die 2 "$ranks ranks, but $source has $slots slots: ask for more, or share cores by BITSTILL_MPIRUN_ARGS='--oversubscribe --bind-to none ...'"
  flags=("${bound[@]}")
else
  cores=$(lscpu -p=CORE,SOCKET 2>/dev/null | grep -v '^#' | sort -u | wc -l) || cores=0  # no /sys
  [ "$cores" -gt 0 ] && [ "$cores" -le "$(nproc)" ] || cores=$(nproc)
  flags=("${bound[@]}")
  [ $((ranks * threads)) -le "$cores" ] || flags=(--oversubscribe --bind-to none)
fi
[ "$(id -u)" -ne 0 ] || export OMPI_ALLOW_RUN_AS_ROOT=1 OMPI_ALLOW_RUN_AS_ROOT_CONFIRM=1
# mpirun's daemons are a step of Slurm's; those of a start before may linger on the nodes.
[ -z "${SLURM_JOB_ID:-}" ] || export SLURM_OVERLAP="${SLURM_OVERLAP:-1}"
[ ! -t 2 ] || export BITSTILL_TERMINAL=1
folder=$(dirname "$(readlink -f "${BASH_SOURCE[0]}")")
exec python3 -B "$folder/watch.py" "$restarts" "$ranks" -- "${flags[@]}" -- "${extra[@]}" -- "$@"
