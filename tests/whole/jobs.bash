# Sourced by tests of whole jobs: small data, a teacher, jobs on N ranks, what is expected of them.
# From the environment: BITSTILL (the program), SOURCE (the tree), WORK (a new folder).
set -uo pipefail
[ "$(id -u)" -ne 0 ] || export OMPI_ALLOW_RUN_AS_ROOT=1 OMPI_ALLOW_RUN_AS_ROOT_CONFIRM=1
export OMPI_MCA_pml=ob1  # for one machine; looking for others takes 0.2 s of every start
compare=$SOURCE/tests/whole/compare.py
failures=0

fail() {
  failures=$((failures + 1))
  echo "FAILED: $*"
}

# The last word of a test: what it checked.
finish() {
  [ "$failures" -eq 0 ] || { echo "$failures failures"; exit 1; }
  echo "checked: $*"
}

# side_by_side FUNCTION ARGUMENT...: calls FUNCTION with each ARGUMENT at the same time, each in a
# process with a WORK of its own, which shows what the present one holds. What they say comes in order.
side_by_side() {
  local function=$1 argument lane
  local -A lanes
  shift
  for argument; do
    lane=$WORK/lane.$argument
    mkdir "$lane" && ln -s "$WORK"/* "$lane" && rm -f "$lane"/{out,err} "$lane"/lane.* || exit 1
    (
      WORK=$lane failures=0
      "$function" "$argument"
      exit $((failures > 0))
    ) >"$lane.log" 2>&1 &
    lanes[$argument]=$!
  done
  for argument; do
    wait "${lanes[$argument]}" || fail "$function $argument"
    cat "$WORK/lane.$argument.log"
  done
}

# small_shards NAME TRAIN VALIDATION TEST [SEED [SETTING...]]: $WORK/NAME
small_shards() {
  python3 "$SOURCE/tests/whole/small_data.py" "$WORK/$1.idx" $(($2 + $3)) "$4" "${5:-0}" &&
    "$BITSTILL" shard --source "$WORK/$1.idx" --out "$WORK/$1" --validation "$3" \
      --rows 300 "${@:6}" >"$WORK/$1.log" ||
    { echo "FAILED: no shards"; cat "$WORK/$1.log"; exit 1; }
}

student=(--model.kind convnet --model.widths 4 --model.kernels 3 --model.pools 1 --model.hidden 8)
small=(--run.threads 1 --train.precision fp32 --train.micro_batch 16)

# When a rank ends with an error, mpirun waits once or twice for the others: not for a second each.
mpi=(mpirun -q --oversubscribe --bind-to none -mca odls_base_sigkill_timeout 0)

# on_ranks N COMMAND...: bitstill COMMAND; its words go to $WORK/out and $WORK/err.
on_ranks() {
  local ranks=$1
  shift
  timeout -s KILL 120 "${mpi[@]}" -n "$ranks" "$BITSTILL" "$@" >"$WORK/out" 2>"$WORK/err"
}

# must N COMMAND...: the same, and it has to succeed.
must() {
  on_ranks "$@" && return
  echo "FAILED: exit $?: bitstill on $* said:"
  cat "$WORK/err"
  exit 1
}

# refused NAME RANKS CODE PATTERN COMMAND...: bitstill COMMAND ends with CODE and one error line that says PATTERN.
refused() {
  local name=$1 ranks=$2 code=$3 pattern=$4 got lines
  on_ranks "$ranks" "${@:5}"
  got=$?
  lines=$(grep '^error:' "$WORK/err")
  [ "$got" -eq "$code" ] && [[ $lines =~ ^error:\ [^$'\n']*$ && $lines =~ $pattern ]] && return
  fail "$name on $ranks ranks: exit $got (expected $code, '$pattern'):"
  cat "$WORK/err"
}

# small_teacher DATA: $WORK/teacher.safetensors
small_teacher() {
  must 1 train --data.folder "$WORK/$1" --run.folder "$WORK/teacher" --model.kind convnet \
    --model.widths 8 --model.kernels 3 --model.pools 1 --model.hidden 16 --quant.method none \
    --train.epochs 2 --train.global_batch 32 "${small[@]}"
  cp "$WORK/teacher/master.safetensors" "$WORK/teacher.safetensors"
}

# distil N DATA RUN SETTING...: $WORK/RUN holds the run; it has to succeed.
distil() {
  local ranks=$1 data=$2 run=$3
  shift 3
  must "$ranks" distill --data.folder "$WORK/$data" --run.folder "$WORK/$run" \
    --teacher.file "$WORK/teacher.safetensors" --quant.method uniform --quant.bits 4 \
    "${student[@]}" "${small[@]}" "$@"
}

# same_weights RUN OTHER: what a run leaves behind, byte for byte
same_weights() {
  local file
  for file in master student; do
    cmp "$WORK/$1/$file.safetensors" "$WORK/$2/$file.safetensors" ||
      fail "$file.safetensors of $1 and $2 differ"
  done
}

# newest RUN: the folder of its newest checkpoint
newest() { find "$WORK/$1/checkpoints" -mindepth 1 -maxdepth 1 -name 'step-?????????' | sort | tail -1; }

same_losses() {
  python3 "$compare" losses "$WORK/$1/run.jsonl" "$WORK/$2/run.jsonl" ||
    fail "losses of $1 and $2 differ"
}
