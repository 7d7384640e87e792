# Sourced by launch/quickstart.sh, quickstart_vision.sh and quickstart_translation.sh, which set `runs`, a folder of the checkout,
# and define usage(): their words, set-up and build, training jobs, the table, what comes next.
case ${1:-} in
  '') ;;
  --help | -h)
    usage
    exit 0
    ;;
  *) echo "error: unknown option $1 (launch/$(basename "$0") --help)" >&2; exit 2 ;;
esac
root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
ranks=${RANKS:-2}
bitstill=build/release/bitstill
[ -z "${RUNS:-}" ] || runs=$(realpath -m "$RUNS")
cd "$root"

# Only what an earlier start made is taken over.
made_here=$runs/.made_by_quickstart
if [ -e "$runs" ] && [ ! -e "$made_here" ] && [ -n "$(ls -A "$runs")" ]; then
  echo "error: $runs is not empty, and not made by quickstart: name a new folder by RUNS" >&2
  exit 2
fi

launch/setup.sh
mkdir -p build "$runs"
touch "$made_here"
cmake --preset release >build/configure.log 2>&1 || { cat build/configure.log; exit 8; }
cmake --build --preset release --target bitstill

# run NAME COMMAND [SETTING...]: one training job into $runs/NAME.
run() {
  local name=$1 command=$2
  shift 2
  echo
  echo "== $name"
  launch/run.sh -n "$ranks" $bitstill "$command" "$@" --run.folder "$runs/$name"
}

# show NAME...: the runs as a table and a page; then what may come next.
show() {
  echo
  $bitstill report "${@/#/$runs/}" --out "$runs/report.html"
  cat <<END

bitstill is $root/$bitstill. On PATH it comes by one of
  export PATH="$root/build/release:\$PATH"
  cmake --install build/release --prefix ~/.local    # the launch scripts, too

Next:
END
}
