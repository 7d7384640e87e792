# Sourced by tests of several hosts, after whole/jobs.bash: hosts that are network namespaces of this machine with
# names of their own, joined by a bridge in one more. Nothing outside those namespaces is touched, their
# names and files are this process's own, and they end with it. Needs root, ip and tc (iproute2).
#   hosts_up N; shape RATE [HOST...]; on_hosts N COMMAND...; hosts_down (a trap calls it)
agent=$WORK/agent
declare -a host_pid=() host_name=()  # the process that holds host i (1..N), its name; 0: the bridge

skip_hosts() {
  echo "SKIP: $*"
  [[ ,${BITSTILL_NO_SKIP:-}, != *,hosts,* ]] || exit 1
  exit 77
}

# hold INDEX NAME: a process in namespaces of its own; it ends by itself should this script be killed.
hold() {
  unshare --net --uts --mount sh -c 'hostname "$1" && ip link set lo up && mount --bind "$2" /etc/hosts &&
    echo held && exec sleep 900' hold "$2" "$WORK/etc_hosts" >"$WORK/held.$1" 2>"$WORK/held.err" &
  host_pid[$1]=$! host_name[$1]=$2
  disown
  for _ in {1..100}; do
    [ ! -s "$WORK/held.$1" ] || return 0
    kill -0 "$!" 2>/dev/null || break
    sleep 0.05
  done
  skip_hosts "no namespaces here: $(head -1 "$WORK/held.err")"
}

# inside INDEX COMMAND...: runs it on that host
inside() {
  local pid=${host_pid[$1]}
  shift
  nsenter -t "$pid" --net --uts --mount -- "$@"
}

hosts_up() {
  local i count=$1
  [ "$(id -u)" -eq 0 ] || skip_hosts "several hosts need root"
  for i in ip tc nsenter unshare; do
    command -v $i >/dev/null || skip_hosts "several hosts need $i (iproute2, util-linux)"
  done
  {
    echo "127.0.0.1 localhost"
    for ((i = 1; i <= count; i++)); do echo "10.77.0.$i host$$-$i"; done
  } >"$WORK/etc_hosts"
  trap hosts_down EXIT
  hold 0 "bridge$$"
  inside 0 ip link add bridge type bridge 2>"$WORK/held.err" && inside 0 ip link set bridge up ||
    skip_hosts "no bridge in this kernel: $(head -1 "$WORK/held.err")"
  for ((i = 1; i <= count; i++)); do
    hold $i "host$$-$i"
    inside 0 ip link add "port$i" type veth peer name eth0 netns "${host_pid[i]}" 2>"$WORK/held.err" ||
      skip_hosts "no veth in this kernel: $(head -1 "$WORK/held.err")"
    inside 0 ip link set "port$i" master bridge up
    inside $i ip addr add "10.77.0.$i/24" dev eth0
    inside $i ip link set eth0 up
  done
  # What mpirun calls instead of ssh: drops its options, takes the host, runs the rest there.
  {
    echo '#!/bin/sh'
    echo 'while [ "${1#-}" != "$1" ]; do shift; done; host=$1; shift; case $host in'
    for ((i = 1; i <= count; i++)); do
      echo "${host_name[i]}) exec nsenter -t ${host_pid[i]} --net --uts --mount -- sh -c \"\$*\" ;;"
    done
    echo '*) echo "no host $host" >&2; exit 1 ;; esac'
  } >"$agent"
  chmod +x "$agent"
}

# shape RATE [HOST...]: bounds what these hosts (all) send and receive. A shorter queue than 400 ms drops
# packets when several send to one, and TCP then waits for 200 ms.
shape() {
  local rate=$1 i
  shift
  for i in ${*:-$(seq $((${#host_pid[@]} - 1)))}; do
    inside "$i" tc qdisc replace dev eth0 root tbf rate "$rate" burst 256k latency 400ms 2>"$WORK/held.err" &&
      inside 0 tc qdisc replace dev "port$i" root tbf rate "$rate" burst 256k latency 400ms ||
      skip_hosts "no tbf in this kernel: $(head -1 "$WORK/held.err")"
  done
}

# sent_by HOST: bytes that left it so far, headers included
sent_by() { awk '/eth0:/ { print $10 }' "/proc/${host_pid[$1]}/net/dev"; }

# signal_rank SIGNAL HOST: to the ranks of that host
signal_rank() {
  local pid
  for pid in $(host_processes "$2"); do
    [ "$(readlink "/proc/$pid/exe")" != "$(readlink -f "$BITSTILL")" ] || kill "-$1" "$pid"
  done
}

cut_cable() { inside 0 ip link set "port$1" down; }

# host_processes INDEX: what runs there besides its holder
host_processes() {
  local namespace
  namespace=$(readlink "/proc/${host_pid[$1]}/ns/net") || return 0
  find /proc/[0-9]*/ns/net -maxdepth 0 -lname "net:\\[${namespace//[^0-9]/}\\]" 2>/dev/null |
    cut -d / -f 3 | grep -vx "${host_pid[$1]}"
  return 0
}

hosts_down() {
  local i pids
  for i in "${!host_pid[@]}"; do
    pids=$(host_processes "$i")
    # shellcheck disable=SC2086  # several words
    [ -z "$pids" ] || kill -KILL $pids 2>/dev/null
    kill -KILL "${host_pid[i]}" 2>/dev/null
  done
  host_pid=()
}

# mpirun_arguments N: for a rank on each of the first N hosts
mpirun_arguments() {
  local i list=''
  for ((i = 1; i <= $1; i++)); do list+=,${host_name[i]}:1; done
  echo "--host ${list#,} --bind-to none -mca plm_rsh_agent $agent -mca plm_rsh_no_tree_spawn 1" \
    "-mca btl self,tcp -mca btl_tcp_if_include eth0 -mca oob_tcp_if_include eth0"
}

# on_hosts N COMMAND...: bitstill COMMAND on N hosts, a rank each; its words go to $WORK/out, $WORK/err.
on_hosts() {
  local count=$1
  shift
  BITSTILL_MPIRUN_ARGS=$(mpirun_arguments "$count") inside 1 timeout -s KILL 120 \
    "$SOURCE/launch/run.sh" -n "$count" "$BITSTILL" "$@" >"$WORK/out" 2>"$WORK/err"
}
