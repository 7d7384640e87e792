#!/usr/bin/env bash
# How jobs end when a rank throws, dies, stops or hangs: exit code, exactly one error line that names
# the rank, and the time it takes. BITSTILL names the program beside which fault_program was built.
. "$SOURCE/tests/whole/jobs.bash"
program=$(dirname "$BITSTILL")/fault_program
[ -x "$program" ] || { echo "no $program: build the target fault_program"; exit 1; }
host=$(hostname)

# expect RANKS FAULT RANK TIMEOUT_S CODE WITHIN_S [LINE]: no LINE means no error line. The seconds
# count from the fault, whose moment the rank prints. FAN_OUT: of the watchdog's tree.
expect() {
  local ranks=$1 fault=$2 rank=$3 timeout_s=$4 code=$5 within_s=$6 line=${7:-}
  local start got seconds errors
  start=$(date +%s)
  timeout -s KILL 60 "${mpi[@]}" -n "$ranks" "$program" "$fault" "$rank" "$timeout_s" ${FAN_OUT:-} \
    >"$WORK/out" 2>"$WORK/err"
  got=$?
  seconds=$(sed -n 's/^fault at //p' "$WORK/out" | sort -n | tail -1)
  seconds=$(($(date +%s) - ${seconds:-$start}))
  errors=$(grep '^error:' "$WORK/err")
  if [ "$got" -eq "$code" ] && [ "$seconds" -le "$within_s" ] &&
    [[ $errors =~ ^${line:+error: }${line}$ ]]; then
    echo "ok: $fault on rank $rank of $ranks: exit $got after $seconds s: ${errors:-no error line}"
    return
  fi
  fail "$fault on rank $rank of $ranks: exit $got (expected $code) after $seconds s" \
    "(at most $within_s); error lines, expected '$line':"
  cat "$WORK/err"
}

# all_ends RANKS: faults that end the job at once, or none; all_waits RANKS: those for the watchdog
all_ends() {
  local ranks=$1 last=$(($1 - 1)) all_done="0 30"
  expect "$ranks" none 0 5 $all_done
  # A rank that ends early, or late by more than the time-out, is no fault.
  expect "$ranks" uneven 0 1 $all_done
  expect "$ranks" uneven "$last" 1 $all_done

  expect "$ranks" throw 0 5 3 10 "rank 0 on $host: planted failure"
  expect "$ranks" throw "$last" 5 3 10 "rank $last on $host: planted failure"
  expect "$ranks" throw_late 1 5 6 10 "rank 1 on $host: planted failure"
  expect "$ranks" fatal_thread "$last" 5 7 10 "rank $last on $host: planted failure"
  expect "$ranks" agreed 1 5 7 10 "rank 1: planted failure"
  # In a backward pass, with chunks and with pieces of a teacher on their way.
  expect "$ranks" kill "$last" 5 137 10
  expect "$ranks" kill_waiting "$last" 5 137 10
  expect "$ranks" kill_gathering 0 5 137 10
}

all_waits() {
  local ranks=$1 last=$(($1 - 1)) silent behind
  silent="on $host does not answer \(last: phase"
  expect "$ranks" stop 0 5 5 15 "no progress for 5\.0 s: rank 0 $silent [a-z]+, step [0-9]+\)"
  expect "$ranks" stop "$last" 5 5 15 "no progress for 5\.0 s: rank $last $silent [a-z]+, step [0-9]+\)"
  expect "$ranks" stop_waiting 1 2 5 10 "no progress for 2\.0 s: rank 1 $silent exchange, step 17\)"
  expect "$ranks" stop_gathering 1 2 5 10 "no progress for 2\.0 s: rank 1 $silent gather, step 17\)"
  expect "$ranks" stop_at_end "$last" 2 5 10 \
    "no progress for 2\.0 s: rank $last $silent [a-z]+, step [0-9]+\)"

  behind="on $host is behind in phase"
  expect "$ranks" hang 0 2 5 10 "no progress for 2\.0 s: rank 0 $behind data of step 17"
  expect "$ranks" hang "$last" 5 5 15 "no progress for 5\.0 s: rank $last $behind data of step 17"
  expect "$ranks" spin 1 2 5 10 "no progress for 2\.0 s: rank 1 $behind forward of step 17"
  expect "$ranks" elsewhere 1 2 5 10 "no progress for 2\.0 s: rank 1 $behind exchange of step 17"
  # The others wait for its slices.
  expect "$ranks" hang_asking 1 2 5 10 "no progress for 2\.0 s: rank 1 $behind teacher of step 17"
  expect "$ranks" elsewhere_gathering 0 2 5 10 \
    "no progress for 2\.0 s: rank 0 $behind gather of step 17"
  expect "$ranks" circle 0 2 5 10 \
    "no progress for 2\.0 s: all ranks wait in phase exchange of step 17 and none is behind"
}

# chain.4: as waits.4, where each rank carries the reports of the next.
all_chain() {
  FAN_OUT=1
  all_waits "$1"
  expect "$1" stop 2 2 5 10 "no progress for 2\.0 s: rank 2 on $host does not answer \(last: phase [a-z]+, step [0-9]+\)"
}

faults() { "all_${1%.*}" "${1#*.}"; }
side_by_side faults ends.2 waits.2 ends.4 waits.4 chain.4
finish "ranks that throw, die, stop, hang, spin and wait in a circle, in gathers too, of 2 and of 4"
