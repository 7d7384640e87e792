#!/usr/bin/env bash
# Rows R5, R6 and R7 on four hosts: a rank of another host is killed or stopped, a host's cable is cut, in
# mid-run. All hosts are free of the job in time, it ends not with 0, and one "error:" line names rank and host.
. "$SOURCE/tests/whole/jobs.bash"
. "$SOURCE/tests/hosts/hosts.bash"
hosts_up 4
small_shards data 600 60 50
small_teacher data
timeout_s=5
run=$WORK/run
job=(distill --data.folder "$WORK/data" --run.folder "$run" --teacher.file "$WORK/teacher.safetensors"
  --quant.method uniform --quant.bits 4 "${student[@]}" "${small[@]}" --train.epochs 100000
  --train.global_batch 64 --run.log_steps 1 --run.timeout_s $timeout_s)

trains() { [ -s "$run/run.jsonl" ] && [ "$(grep -c '"type":"step"' "$run/run.jsonl")" -gt 15 ]; }
job_processes() { for i in 1 2 3 4; do host_processes $i; done | wc -w; }

# expect WITHIN_S CODE PATTERN DEED...: DEED while the job trains
expect() {
  local within=$1 wanted=$2 pattern=$3 start code seconds lines launcher
  shift 3
  rm -rf "$run"
  on_hosts 4 "${job[@]}" &
  launcher=$!
  for _ in {1..600}; do
    trains && break
    kill -0 $launcher 2>/dev/null || break
    sleep 0.1
  done
  trains || { fail "$*: the job did not come to train"; cat "$WORK/err"; return; }
  "$@"
  start=$EPOCHREALTIME
  wait $launcher
  code=$?
  seconds=$(awk "BEGIN { print int($EPOCHREALTIME - $start + 0.999) }")
  while [ "$(job_processes)" -gt 0 ] &&
    awk "BEGIN { exit !($EPOCHREALTIME - $start < $within) }"; do sleep 0.1; done
  lines=$(grep '^error:' "$WORK/err")
  if [ "$code" -ne 0 ] && [[ $code =~ ^($wanted)$ ]] && [ "$seconds" -le "$within" ] &&
    [ "$(job_processes)" -eq 0 ] && [[ $lines =~ ^error:\ [^$'\n']*$ && $lines =~ $pattern ]]; then
    echo "ok: $*: exit $code after $seconds s: $lines"
  else
    fail "$*: exit $code (right: $wanted) after $seconds s (at most $within), $(job_processes) processes left;" \
      "expected '$pattern':"
    cat "$WORK/err"
    for i in 1 2 3 4; do for pid in $(host_processes $i); do
      echo "left on host $i: $(tr '\0' ' ' <"/proc/$pid/cmdline" | cut -c 1-120)"
      kill -KILL "$pid"
    done; done
  fi
}

for host in 2 4; do
  expect 10 137 "rank $((host - 1)) .*SIGKILL" signal_rank KILL $host
  expect $((timeout_s + 10)) 5 "rank $((host - 1)) on ${host_name[host]} does not answer" signal_rank STOP $host
done
# Cut off: rank 0's side speaks, and the other side ends by itself.
expect $((timeout_s + 10)) 5 "rank 2 on ${host_name[3]} does not answer" cut_cable 3
inside 0 ip link set port3 up
expect $((timeout_s + 10)) 5 "rank 1 on ${host_name[2]}, rank 2 on ${host_name[3]} and rank 3 on ${host_name[4]} do not answer" cut_cable 1
finish "a rank of another host killed and stopped; a cable cut, of a far host and of the one with mpirun"
