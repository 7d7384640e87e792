#!/usr/bin/env bash
# What bitstill bench measures on several hosts, which are network namespaces of this machine
# (tests/hosts/hosts.bash); root.
#   tests/bench/hosts.sh P4|P4q|P8 BITSTILL [ROUNDS [STEPS]]
# bench step --emulate at 200 Mbit/s: a JSON line for each program of a round; {"skip": REASON} where hosts
# cannot be made.
# P4: 4 hosts, with overlap and without, with a teacher's gathers beside, and the peer ddp_emulate.py where
# BITSTILL_PEER_PYTHON names a Python with PyTorch.
# P4q: 4 hosts, exchange.codec none and qsgd at 100 Mbit/s, none and auto at 50, 200 and 1,000: lines
# {"mbit_s": RATE, "asked": CODEC, "step": bench step's}, and once {"asked": CODEC, "step_bytes": what a host sends
# a step, headers included}.
# P8: 2 and 4 hosts, the teacher whole, in slices, and in slices without prefetch; its gathers take half of
# the compute.
set -uo pipefail
if [ $# -lt 2 ] || [[ $1 != @(P4|P4q|P8) ]]; then
  sed -n '2,/^set/{/^#/s/^# \{0,1\}//p}' "$0" >&2
  exit 2
fi
what=$1 BITSTILL=$(readlink -f "$2") SOURCE=$(cd "$(dirname "$0")/../.." && pwd) WORK=$(mktemp -d)
rounds=${3:-3} steps=${4:-6}
python=${BITSTILL_PEER_PYTHON:-}
. "$SOURCE/tests/hosts/hosts.bash"
skip_hosts() {
  printf '{"skip": "%s"}\n' "$*"
  exit 0
}
hosts_up 4
trap 'hosts_down; rm -rf "$WORK"' EXIT
shape 200mbit

# failed WHAT: it could not be measured
failed() {
  cat "$WORK/err" >&2
  echo "$* failed" >&2
  exit 8
}

# ours HOSTS MS ARGUMENT...: bench step with a backward pass of MS
ours() {
  on_hosts "$1" bench step --emulate "$2" --batch 8 --warmup 6 --steps "$steps" "${@:3}" ||
    failed "bench step ${*:3}"
  cat "$WORK/out"
}

peer() {
  local i pids=()
  for i in 1 2 3 4; do
    inside $i env RANK=$((i - 1)) WORLD_SIZE=4 MASTER_ADDR=10.77.0.1 MASTER_PORT=29500 GLOO_SOCKET_IFNAME=eth0 \
      OMP_NUM_THREADS=1 "$python" "$SOURCE/tests/bench/ddp_emulate.py" "$WORK/layers" --steps "$steps" \
      >"$WORK/peer.$i" 2>"$WORK/err.$i" &
    pids+=($!)
  done
  for i in 0 1 2 3; do
    wait "${pids[i]}" || { cp "$WORK/err.$((i + 1))" "$WORK/err"; failed ddp_emulate.py; }
  done
  cat "$WORK/peer.1"
}

hidden_exchange() {
  local backward_ms=400  # student1's 4 MB take two thirds of it
  ours 4 $backward_ms --overlap on
  cp "$WORK/out" "$WORK/layers"
  ours 4 $backward_ms --overlap off
  # The teacher's 8 MB and the gradients' 6 that a host receives take nine tenths of it.
  ours 4 640 --overlap on --teacher.sharding gather --teacher.precision bf16
  [ -z "$python" ] || peer
}

# slices HOSTS: the passes take, teacher's included, twice the backward pass
slices() {
  if [ -z "${gather_ms[$1]:-}" ]; then
    ours "$1" 400 --teacher.sharding gather --teacher.overlap off >/dev/null
    gather_ms[$1]=$(sed -n 's/.*"gather_busy":\([0-9.]*\).*/\1/p' "$WORK/out")
  fi
  ours "$1" "${gather_ms[$1]}"
  ours "$1" "${gather_ms[$1]}" --teacher.sharding gather
  ours "$1" "${gather_ms[$1]}" --teacher.sharding gather --teacher.overlap off
}

# coded_step CODEC STEPS
coded_step() {
  on_hosts 4 bench step --emulate 40 --codec "$1" --batch 8 --warmup 2 --steps "$2" || failed "bench step --codec $1"
}

# coded_line RATE CODEC
coded_line() {
  coded_step "$2" "$steps"
  printf '{"mbit_s": %d, "asked": "%s", "step": %s}\n' "$1" "$2" "$(cat "$WORK/out")"
}

# coded_bytes CODEC: what steps more in one run cost, without its start
coded_bytes() {
  local before between
  before=$(sent_by 2)
  coded_step "$1" 1
  between=$(sent_by 2)
  coded_step "$1" $((steps + 1))
  printf '{"asked": "%s", "step_bytes": %d}\n' "$1" $((($(sent_by 2) - 2 * between + before) / steps))
}

# P4q: a round
coded_exchange() {
  local rate
  shape 100mbit
  if [ "$round" -eq 0 ]; then
    coded_bytes none
    coded_bytes qsgd
  fi
  coded_line 100 none
  coded_line 100 qsgd
  for rate in 50 200 1000; do
    shape "${rate}mbit"
    coded_line $rate none
    coded_line $rate auto
  done
}

declare -a gather_ms=()
for ((round = 0; round < rounds; round++)); do
  case $what in
    P4) hidden_exchange ;;
    P8) slices 2 && slices 4 ;;
    P4q) coded_exchange ;;
  esac
done
