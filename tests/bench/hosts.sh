#!/usr/bin/env bash
# What bitstill bench measures on several hosts, which are network namespaces of this machine
# (tests/hosts/hosts.bash); root.
#   tests/bench/hosts.sh P4|P4q|P5|P6|P8 BITSTILL [ROUNDS [STEPS]]
# bench step --emulate at 200 Mbit/s: a JSON line for each program of a round; {"skip": REASON} where hosts
# cannot be made.
# P4: 4 hosts, with overlap and without, with a teacher's gathers beside, and the peer ddp_emulate.py where
# BITSTILL_PEER_PYTHON names a Python with PyTorch.
# P4q: 4 hosts, exchange.codec none and qsgd at 100 Mbit/s, none and auto at 50, 200 and 1,000: lines
# {"mbit_s": RATE, "asked": CODEC, "step": bench step's}, and once {"asked": CODEC, "step_bytes": what a host sends
# a step, headers included}.
# P5: weak scaling over 1, 2, 4 and 8 hosts: lines {"hosts": N, "teacher": whole or sliced, "overlap": on or off,
# "profile": bench step's, "step": its line}, the teacher whole (a blocking exchange at 8 hosts takes half of the
# backward pass) and in slices (blocking gathers take a quarter of the compute); and lines {"bound": N, "iperf_mbit":
# two hosts' rate, "step": of next to no compute}. P6: the same points, without overlap too.
# P8: 2 and 4 hosts, the teacher whole, in slices, and in slices without prefetch; its gathers take half of
# the compute.
set -uo pipefail
if [ $# -lt 2 ] || [[ $1 != @(P4|P4q|P5|P6|P8) ]]; then
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
case $what in P5 | P6) hosts_up 8 ;; *) hosts_up 4 ;; esac
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

# busy KIND HOSTS ARGUMENT...: milliseconds of a step inside its exchange or gather, each waited for
busy() {
  ours "$2" 300 --overlap off "${@:3}" >/dev/null
  sed -n "s/.*\"$1_busy\":\([0-9.]*\).*/\1/p" "$WORK/out"
}

sliced=(--teacher.sharding gather --teacher.precision bf16)

# point HOSTS MS TEACHER OVERLAP
point() {
  local words=(--overlap "$4" --teacher.overlap "$4") profile=null
  [ "$3" = whole ] || words+=("${sliced[@]}")
  [ "$4" = off ] || words+=(--profile "$WORK/profile")
  ours "$1" "$2" "${words[@]}" >/dev/null
  [ "$4" = off ] || profile=$(tr -d '\n' <"$WORK/profile")
  printf '{"hosts": %d, "teacher": "%s", "overlap": "%s", "profile": %s, "step": %s}\n' \
    "$1" "$3" "$4" "$profile" "$(cat "$WORK/out")"
}

# bound HOSTS: next to no compute
bound() {
  local rate
  inside 2 iperf3 --server --one-off >/dev/null 2>&1 &
  sleep 0.5
  rate=$(inside 1 iperf3 --client 10.77.0.2 --time 5 --json |
    python3 -c 'import json, sys; print(json.load(sys.stdin)["end"]["sum_received"]["bits_per_second"] / 1e6)')
  ours "$1" 10 --overlap on --teacher none >/dev/null
  printf '{"bound": %d, "iperf_mbit": %s, "step": %s}\n' "$1" "$rate" "$(cat "$WORK/out")"
}

# scaling_points OVERLAP...
scaling_points() {
  local hosts overlap
  if [ -z "$whole_ms" ]; then
    whole_ms=$(bc <<<"2 * $(busy exchange 8)")
    sliced_ms=$(bc <<<"2 * $(busy gather 8 "${sliced[@]}" --teacher.overlap off)")
    # The exchange, too, has to fit beneath it.
    [ "$(bc <<<"$sliced_ms < $whole_ms")" -eq 0 ] || sliced_ms=$whole_ms
  fi
  point 1 "$whole_ms" whole on
  point 1 "$sliced_ms" sliced on  # where one rank has all of it
  for hosts in 2 4 8; do
    for overlap; do
      point $hosts "$whole_ms" whole $overlap
      point $hosts "$sliced_ms" sliced $overlap
    done
  done
}

whole_ms='' sliced_ms=''
declare -a gather_ms=()
for ((round = 0; round < rounds; round++)); do
  case $what in
    P4) hidden_exchange ;;
    P5)
      scaling_points on
      ! command -v iperf3 >/dev/null || { bound 2 && bound 4; }
      ;;
    P6) scaling_points on off ;;
    P8) slices 2 && slices 4 ;;
    P4q) coded_exchange ;;
  esac
done
