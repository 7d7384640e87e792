#!/usr/bin/env bash
# slurm.sh limit|node|scaling|all: launch/slurm.sbatch under a real Slurm of four nodes, which are namespaces of this machine.
# limit: the time limit comes, the job stops in good order before it, is queued again by itself and ends. node: a
# node is lost in mid-run, the job goes on without it. Both leave the bytes of a run that met neither. scaling: what
# bitstill scaling emits is taken by sbatch, up to 4 nodes on those and up to 256 on a partition of nodes that would be
# rented (CLOUD), and its points of one and two nodes run and are collected.
# Needs root, slurm-wlm, munge, and the scripts of $SHARED/cluster; takes some minutes (waiting for the queue).
. "$SOURCE/tests/whole/jobs.bash"
cluster=$SHARED/cluster
skip() {
  [[ ",${BITSTILL_NO_SKIP:-}," != *,slurm,* ]] || { echo "FAILED: $*"; exit 1; }
  echo "SKIP: $*"
  exit 77
}
[[ -n "${1:-}" || ,${BITSTILL_NO_SKIP:-}, != *,slurm,* ]] || set -- all
[ -n "${1:-}" ] || skip "by command: tests/hosts/slurm.sh all (some minutes)"
[ "$(id -u)" -eq 0 ] && command -v slurmctld >/dev/null && command -v munge >/dev/null && [ -d "$cluster" ] ||
  skip "it needs root, slurm-wlm, munge and \$SHARED/cluster"
small_shards data 600 60 50
small_teacher data
job=(distill --data.folder "$WORK/data" --teacher.file "$WORK/teacher.safetensors" "${student[@]}" "${small[@]}"
  --quant.method uniform --quant.bits 4 --train.global_batch 64 --exchange.order fixed --run.log_steps 5
  --run.save_steps 10 --run.timeout_s 5)

export CLU_DIR=$WORK/net SLURM_CONF=$WORK/slurm/slurm.conf
down() {
  kill "$(cat "$WORK/slurm/ctld.pid")" 2>/dev/null
  for pid in "$WORK"/slurm/slurmd.h*.pid; do kill "$(cat "$pid")" 2>/dev/null; done
  "$cluster/netcluster.sh" down
}
trap down EXIT
cp -r "$cluster" "$WORK/cluster"
cat >>"$WORK/cluster/slurm/slurm.conf.in" <<'END'
NodeName=c[1-256] CPUs=4 Boards=1 SocketsPerBoard=1 CoresPerSocket=4 ThreadsPerCore=1 RealMemory=2000 State=CLOUD
PartitionName=cloud Nodes=c[1-256] MaxTime=60 State=UP
ResumeProgram=/bin/false
SuspendProgram=/bin/false
SuspendTime=600
SuspendExcNodes=h[1-4]
END
"$cluster/netcluster.sh" up 4 && "$WORK/cluster/slurm/slurm_up.sh" "$WORK/slurm" || skip "no Slurm came up"
on_node() { "$cluster/netcluster.sh" exec h1 "$@"; }
for _ in {1..60}; do
  [ "$(on_node sinfo -h -t idle -o %D)" = 4 ] && break
  sleep 0.5
done
on_node sinfo

export OMPI_MCA_btl=tcp,self OMPI_MCA_btl_tcp_if_include=eth0 OMPI_MCA_oob_tcp_if_include=eth0
export BITSTILL BITSTILL_MPIRUN_ARGS='--bind-to none'
cd "$SOURCE" || exit 1  # where sbatch is called

# submit RUN SBATCH... -- SETTING...: the job's number in $number
submit() {
  local run=$1 options=()
  shift
  while [ "$1" != -- ]; do options+=("$1"); shift; done
  shift
  number=$(on_node sbatch --parsable --nodes 4 --ntasks-per-node 1 "${options[@]}" --output "$WORK/$run.out" \
    launch/slurm.sbatch "${job[@]}" --run.folder "$WORK/$run" "$@") || { fail "sbatch"; return 1; }
}
steps() { cat "$WORK/$1/run.jsonl" 2>/dev/null | grep -c "\"type\":\"$2\""; }
# ended RUN SECONDS: waits for the run's end
ended() {
  local i
  for ((i = 0; i < $2; i++)); do
    [ "$(steps "$1" end)" -eq 1 ] && return
    sleep 1
  done
  fail "$1 has not ended: $(on_node squeue -h -j "$number" -o '%T %r'); its words:"
  tail -n 20 "$WORK/$1.out"
  return 1
}
clean() { must 2 "${job[@]}" --run.folder "$WORK/clean$1" --train.epochs "$1"; }

limit() {
  clean 350
  submit limit --time 1 --signal=B:USR1@20 -- --train.epochs 350 || return
  ended limit 600 || return
  echo "limit: $(steps limit start) starts; $(grep -c 'stopped by a signal' "$WORK/limit.out") stops in good order"
  [ "$(steps limit start)" -ge 2 ] || fail "the limit never came"
  grep -q 'stopped by a signal' "$WORK/limit.out" || fail "it did not stop in good order"
  same_weights clean350 limit
}

node() {
  clean 150
  submit node --time 20 -- --train.epochs 150 || return
  until [ "$(steps node epoch)" -ge 5 ]; do
    sleep 0.5
    [ "$(on_node squeue -h -j "$number" -o %T)" != "" ] || { fail "the job is gone"; cat "$WORK/node.out"; return; }
  done
  "$cluster/netcluster.sh" cut h3
  "$cluster/netcluster.sh" killhost h3
  ended node 400 || return
  grep '^restart .*going on with 3 hosts' "$WORK/node.out" || fail "no restart on three: $(grep '^restart' "$WORK/node.out")"
  same_weights clean150 node
}

# taken PARTITION NODES SCRIPTS: sbatch would take what is emitted for so many nodes
taken() {
  local script count=0
  on_node "$BITSTILL" scaling emit "${words[@]}" --scaling.nodes "$2" --scaling.folder "$WORK/$1" || fail "emit"
  for script in "$WORK/$1"/points/*.sh; do
    on_node sbatch --test-only --partition "$1" "$script" >"$WORK/out" 2>&1 ||
      fail "sbatch --test-only $script: $(cat "$WORK/out")"
    count=$((count + 1))
  done
  [ "$count" -eq "$3" ] || fail "$count scripts of $3"
  echo "sbatch --test-only: $count scripts of $2 nodes"
}

scaling() {
  local words
  words=("${job[@]:1}" --train.epochs 99 --scaling.repeats 1 --scaling.skip_steps 3 --scaling.steps 20)
  taken batch 1,2,4 6
  taken cloud 1,2,4,8,16,32,64,128,256 18
  set -- "$WORK"/cloud/points/*.sh
  on_node sbatch --test-only --partition cloud --nodes 257 "$1" >"$WORK/out" 2>&1
  grep -q "Requested node configuration is not available" "$WORK/out" || fail "257 of 256 nodes: $(cat "$WORK/out")"
  on_node "$BITSTILL" scaling emit "${words[@]}" --scaling.nodes 1,2 --scaling.folder "$WORK/study" || fail "emit"
  on_node bash "$WORK/study/submit.sh" >"$WORK/out" 2>&1 || fail "submit.sh: $(cat "$WORK/out")"
  for _ in {1..120}; do
    [ "$(grep -l '"step":23,' "$WORK"/study/points/*/run.jsonl 2>/dev/null | wc -l)" -lt 4 ] || break
    sleep 1
  done
  "$BITSTILL" scaling collect --scaling.folder "$WORK/study" >"$WORK/out" 2>"$WORK/err" || fail "collect"
  cat "$WORK/out"
  [ ! -s "$WORK/err" ] || fail "collect said: $(cat "$WORK/err"); $(tail -n 3 "$WORK"/study/points/*.out)"
}
case $1 in
  all) scaling; limit; node ;;  # which costs a node
  limit | node | scaling) $1 ;;
  *) fail "limit, node, scaling or all" ;;
esac
finish "a real Slurm of four nodes: $1"
