#!/usr/bin/env bash
# lose_hosts.sh [RUNS]: row R17. Jobs of launch/run.sh --restarts 3 on four hosts lose, at random steps, a rank
# (killed), a host's cable for ever, and a whole host for good; what they leave behind is that of a run that
# lost nothing, byte for byte. In the first run, whose launcher stands on a fifth host, the cut host is that of
# rank 0, which is stopped meanwhile and let go after the restart: it publishes nothing. In the second the last cable cut is the launcher's own, so one
# host is left. Another SEED=N gives other steps and orders.
. "$SOURCE/tests/whole/jobs.bash"
. "$SOURCE/tests/hosts/hosts.bash"
hosts_up 5
small_shards data 600 60 50
small_teacher data
runs=${1:-1} seed=${SEED:-$RANDOM}
RANDOM=$seed
timeout_s=3 epochs=80
settings=("${student[@]}" "${small[@]}" --quant.method uniform --quant.bits 4 --train.epochs "$epochs"
  --train.global_batch 64 --exchange.order fixed --run.log_steps 1 --run.timeout_s "$timeout_s" --run.save_steps 5)

# launch RUN HOST: in the background; the launcher stands on HOST, rank 0 on host 1
launch() {
  run=$WORK/$1
  : >"$WORK/err"  # no word of the run before
  BITSTILL_MPIRUN_ARGS=$(mpirun_arguments 4) inside "$2" timeout -s KILL 280 "$SOURCE/launch/run.sh" --restarts 3 \
    -n 4 "$BITSTILL" distill --data.folder "$WORK/data" --run.folder "$run" \
    --teacher.file "$WORK/teacher.safetensors" "${settings[@]}" >"$WORK/out" 2>"$WORK/err" &
  launcher=$!
}

# lines PATTERN FILE: how many match, also where there is no file
lines() { cat "$2" 2>/dev/null | grep -c -- "$1"; }

# await COUNT PATTERN FILE: until so many lines match; fails where the job has ended before
await() {
  until [ "$(lines "$2" "$3")" -ge "$1" ]; do
    kill -0 $launcher 2>/dev/null || return 1
    sleep 0.05
  done
}

kill_rank() { signal_rank KILL "$1"; }
cut_for_ever() { cut_cable "$1"; }
lose_host() {
  local pids
  cut_cable "$1"
  pids=$(host_processes "$1")
  # shellcheck disable=SC2086  # several words
  kill -KILL $pids
}
# Rank 0 stands still while its host is cut off, and goes on once the others have been started without it.
freeze_and_cut() {
  signal_rank STOP "$1"
  cut_cable "$1"
  await $((restarts + 1)) '^restart ' "$WORK/err" && await $((epochs_before + 3)) '"type":"epoch"' "$run/run.jsonl"
  signal_rank CONT "$1"
}

# strike DEED HOST: some steps after the newest start has published a checkpoint; waits for the restart
strike() {
  restarts=$(lines '^restart ' "$WORK/err") epochs_before=$(lines '"type":"epoch"' "$run/run.jsonl")
  await $((epochs_before + 2 + RANDOM % 10)) '"type":"epoch"' "$run/run.jsonl" || return 1
  sleep 0.0$((RANDOM % 100))
  epochs_before=$(lines '"type":"epoch"' "$run/run.jsonl")
  "$1" "$2"
  await $((restarts + 1)) '^restart ' "$WORK/err"
}

# one_run NUMBER
one_run() {
  local name=run$1 from=1 deeds deed code i
  deeds=("kill_rank $((1 + RANDOM % 2))" "cut_for_ever 4" "lose_host 3")
  case $1 in
    1) from=5 deeds=("kill_rank 2" "freeze_and_cut 1" "lose_host 4") ;;
    2) deeds=("lose_host 3" "kill_rank 2" "cut_for_ever 1") ;;
    *) mapfile -t deeds < <(printf '%s\n' "${deeds[@]}" | shuf --random-source=<(yes "$RANDOM")) ;;
  esac
  launch $name $from
  for deed in "${deeds[@]}"; do
    # shellcheck disable=SC2086  # deed and host
    strike $deed || { fail "$name, $deed: the job ended too early"; break; }
  done
  wait $launcher
  code=$?
  echo "$name: ${deeds[*]}: exit $code after $(grep -c '"type":"start"' "$run/run.jsonl") starts"
  grep '^restart ' "$WORK/err"
  [ $code -eq 0 ] && [ "$(lines '^error:' "$WORK/err")" -eq 0 ] || { fail "$name"; grep -v ^epoch "$WORK/err"; }
  same_weights clean $name
  [ "$(lines '^# .*: lost' "$run/launch.hosts")" -ge 2 ] || fail "$name: launch.hosts does not name the lost"
  # What a cut host still holds ends by itself.
  for ((i = 0; i < 60; i++)); do
    [ -n "$(left)" ] || break
    sleep 0.5
  done
  [ -z "$(left)" ] || { fail "$name: left on the hosts"; ps -o pid,args -p "$(left | paste -sd,)" | cut -c 1-200; }
  for i in 1 2 3 4; do inside 0 ip link set "port$i" up; done
  sleep 2  # the hosts have to find each other again
}
left() { for i in 1 2 3 4 5; do host_processes $i; done; }

launch clean 1
wait $launcher || { fail "the clean run"; cat "$WORK/err"; }
for ((number = 1; number <= runs; number++)); do one_run $number; done
finish "$runs jobs on four hosts (SEED=$seed) that lost a rank, a cable and a host went on and gave the clean run's bytes"
