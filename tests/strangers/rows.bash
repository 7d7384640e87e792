# Sourced by the tests of tests/strangers: what strangers met, a row each. A row that fails does not
# keep the others from being run, so that one start on another commit shows which rows fail there:
#   BITSTILL=<its program> SOURCE=<this tree> bash tests/in_new_folder.sh bash tests/strangers/NAME.sh
. "$SOURCE/tests/whole/jobs.bash"

# row ID CODE PATTERN COMMAND...: COMMAND has to end with CODE, and its words (both streams) have to
# match the extended regular expression PATTERN; "" matches all. They stay in $WORK/said.
row() {
  local id=$1 code=$2 pattern=$3 got
  shift 3
  timeout -s KILL "${row_seconds:-60}" "$@" >"$WORK/said" 2>&1 </dev/null
  got=$?
  if [ "$got" -eq "$code" ] && grep -qE -- "$pattern" "$WORK/said"; then
    echo "row $id: right"
  else
    fail "row $id: exit $got (right: $code, '$pattern'): $*"
    head -c 2000 "$WORK/said"
  fi
}

# holds ID CONDITION...: a row of its own about what a command left behind.
holds() {
  local id=$1
  shift
  if "$@"; then echo "row $id: right"; else fail "row $id: not so: $*"; fi
}
