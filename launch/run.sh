#!/usr/bin/env bash
# Starts PROGRAM on N ranks by mpirun, with the flags that fit this machine.
set -euo pipefail

usage() {
  cat <<'END'
launch/run.sh -n N [--threads T] PROGRAM [ARGUMENT...]
  -n N         ranks
  --threads T  cores for each rank (default 1: results then do not depend on the machine)
Ranks are bound to their cores; with more ranks than cores they share them, unbound.
The first SIGINT, SIGTERM or SIGUSR1 asks the ranks to stop in good order (exit code 75), the second
ends them. The exit code is mpirun's: that of the first rank that
failed, or 128 + the signal that killed it. A rank that dies without an "error:" line is reported by
one; mpirun's own words are dropped.
Environment: BITSTILL_MPIRUN_ARGS is handed to mpirun (--hostfile FILE, --host A:1,B:1 ...);
             a --bind-to or --map-by there replaces the choice made here.
On a terminal the program finds BITSTILL_TERMINAL=1: under mpirun it cannot see that itself.
END
}
die() { echo "error: $2" >&2; exit "$1"; }

ranks='' threads=1
while [[ $# -gt 0 && $1 == -* ]]; do
  case $1 in
    -n) ranks=${2:-}; shift 2 || die 2 "-n needs a number" ;;
    --threads) threads=${2:-}; shift 2 || die 2 "--threads needs a number" ;;
    --help | -h) usage; exit 0 ;;
    *) die 2 "unknown option $1 (launch/run.sh --help)" ;;
  esac
done
[[ $ranks =~ ^[1-9][0-9]*$ && $threads =~ ^[1-9][0-9]*$ ]] ||
  die 2 "-n and --threads need whole numbers above 0 (launch/run.sh --help)"
[ $# -gt 0 ] || die 2 "no program to start (launch/run.sh --help)"
command -v "$1" >/dev/null || die 2 "no program $1: build it with cmake --build --preset release"
command -v mpirun >/dev/null || die 8 "no mpirun here: run launch/setup.sh, or module load openmpi"

cores=$(lscpu -p=CORE,SOCKET | grep -v '^#' | sort -u | wc -l)
[ "$(nproc)" -lt "$cores" ] && cores=$(nproc)
flags=()
read -ra extra <<<"${BITSTILL_MPIRUN_ARGS:-}"
case " ${extra[*]} " in
  *" --bind-to "* | *" --map-by "*) ;;
  *" --host"* | *" -host"*) flags+=(--map-by "slot:PE=$threads" --bind-to core) ;;
  *)
    if [ $((ranks * threads)) -gt "$cores" ]; then
      flags+=(--oversubscribe --bind-to none)
    else
      flags+=(--map-by "slot:PE=$threads" --bind-to core)
    fi
    ;;
esac
[ "$(id -u)" -ne 0 ] || export OMPI_ALLOW_RUN_AS_ROOT=1 OMPI_ALLOW_RUN_AS_ROOT_CONFIRM=1
[ ! -t 2 ] || export BITSTILL_TERMINAL=1
exec python3 "$(dirname "$(readlink -f "${BASH_SOURCE[0]}")")/watch.py" \
  mpirun -n "$ranks" "${flags[@]}" "${extra[@]}" "$@"
