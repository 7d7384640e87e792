#!/usr/bin/env bash
# phases.sh [R5|R6|R2|all]: a rank meets a fault as it enters a phase (--debug.inject). Rows R5 (it dies or throws: over
# within 10 s), R6 (it hangs, time-out 5 s: over within 15 s of the start, in every command with ranks) and R2
# (killed, then --resume: the bytes of a run that nothing befell). Without a row some of each.
. "$SOURCE/tests/whole/jobs.bash"
export BITSTILL_TEST=1
extent=${1:-some}
small_shards data 600 60 300
small_teacher data
job=(distill --data.folder "$WORK/data" --teacher.file "$WORK/teacher.safetensors" "${student[@]}" "${small[@]}"
  --quant.method uniform --quant.bits 4 --train.epochs 3 --train.global_batch 64 --run.save_steps 5
  --exchange.order fixed --run.timeout_s 5 --run.save_factor 1)
phases=(data teacher gather forward backward exchange update validate save)
file=$WORK/teacher.safetensors
done_rows=0

# struck FAULT RANKS CODE WITHIN_S PATTERN COMMAND...: of launch/run.sh, one error line, nothing left behind
struck() {
  local fault=$1 ranks=$2 code=$3 within_s=$4 pattern=$5 got=0 start lines seconds
  shift 5
  start=$(date +%s%N)
  timeout -s KILL 60 "$SOURCE/launch/run.sh" -n "$ranks" "$BITSTILL" "$@" --debug.inject "$fault" \
    >"$WORK/out" 2>"$WORK/err" </dev/null || got=$?
  seconds=$((($(date +%s%N) - start) / 1000000000))
  lines=$(grep '^error:' "$WORK/err")
  done_rows=$((done_rows + 1))
  if [[ $got -eq $code && $seconds -lt $within_s && $lines =~ ^error:\ [^$'\n']*$ && $lines =~ $pattern ]] &&
    ! pgrep -f "debug.inject $fault" >/dev/null; then
    echo "ok: $1 $fault at $ranks ranks: $seconds s: $lines"
  else
    fail "$1 $fault at $ranks ranks: exit $got after $seconds s; expected $code within $within_s s and '$pattern'"
    tail -n 5 "$WORK/err"
  fi
}

in_slices() { [ "$1" != gather ] || printf '%s\n' --teacher.sharding gather --teacher.piece_bytes 4096; }

# dies KIND PHASE RANK RANKS
dies() {
  local pattern="rank $3.*: the exception .* in phase $2 of step [0-9]+" code=8 extra
  case $1 in
    kill) code=137 pattern="rank $3 .*SIGKILL" ;;
    segv) code=139 pattern="rank $3 .*SIGSEGV" ;;
    exit) code=1 pattern="rank $3 .*exit code 1" ;;
  esac
  mapfile -t extra < <(in_slices "$2")
  struck "$1:$2,$3,7" "$4" $code 12 "$pattern" "${job[@]}" --run.folder "$WORK/run" --overwrite "${extra[@]}"
  # "when rank 0 last told, it was in PHASE": where the dead one is another
  [ $code -eq 8 ] || [ "$3" -eq 0 ] || grep -q '^error: .* it was in [a-z]* of step [0-9]' "$WORK/err" ||
    fail "no phase in the line"
}

# hangs KIND PHASE RANK RANKS COMMAND...
hangs() {
  local who="rank $3 on .* $2 of step" step=0
  # Asleep where ranks wait for each other it looks as if it waited.
  [[ ! $2 =~ gather|exchange ]] || who="$2 of step"
  # A stopped one says nothing more: what was heard last.
  [ $1 != stop ] || who="rank $3 on .* does not answer \(last: phase [a-z]+, step [0-9]+\)"
  [ $5 != distill ] || step=300
  struck "$1:$2,$3,$step" "$4" 5 15 "$who" "${@:5}"
}

# resumes PHASE RANK STEP
resumes() {
  local extra
  mapfile -t extra < <(in_slices "$1")
  struck "kill:$1,$2,$3" 2 137 60 "rank $2 .*SIGKILL" "${job[@]}" --run.folder "$WORK/run" --overwrite "${extra[@]}"
  must 2 "${job[@]}" --run.folder "$WORK/run" --resume=auto "${extra[@]}"
  same_weights clean run
}

BITSTILL_TEST=0 refused "a fault without leave" 2 2 'BITSTILL_TEST=1' "${job[@]}" --run.folder "$WORK/run" \
  --debug.inject kill:data,0,1
refused "a fault of no form" 2 2 'KIND:PHASE,RANK,STEP' "${job[@]}" --run.folder "$WORK/run" \
  --debug.inject kill:data,0

commands=("evaluate --data.folder $WORK/data --model.file $file --run.threads 1"
  "predict --data.folder $WORK/data --model.file $file --run.threads 1"
  "cache --data.folder $WORK/data --teacher.file $file --run.threads 1 --out $WORK/cache")
kinds=(kill segv exit throw) hanging=(stop sleep spin)
must 2 "${job[@]}" --run.folder "$WORK/clean"
r5() {
  for phase in "${phases[@]}"; do
    for kind in "${kinds[@]}"; do
      for rank in 0 1; do dies $kind $phase $rank 2; done
    done
  done
  echo "R5: $done_rows"
}
r6() {
  done_rows=0
  for phase in "${phases[@]}"; do
    mapfile -t extra < <(in_slices "$phase")
    for kind in "${hanging[@]}"; do
      hangs $kind $phase $((RANDOM % 2)) 2 "${job[@]}" --train.epochs 1000 --run.folder "$WORK/run" --overwrite "${extra[@]}"
    done
  done
  for command in "${commands[@]}"; do
    phase=validate
    [[ $command != cache* ]] || phase=teacher
    for kind in "${hanging[@]}"; do
      # shellcheck disable=SC2086  # a command's words
      hangs $kind $phase 1 2 $command --run.timeout_s 5
    done
  done
  # shellcheck disable=SC2086
  for command in "${commands[@]}"; do hangs stop load 1 4 $command --run.timeout_s 5; done
  hangs stop data 1 2 shard --source "$WORK/data.idx" --out "$WORK/more" --run.timeout_s 5
  echo "R6: $done_rows"
}
r2() {
  done_rows=0
  for phase in forward exchange update validate save; do
    for rank in 0 1; do
      for step in 1 4 5 9 13 20; do resumes $phase $rank $step; done
    done
  done
  echo "R2: $done_rows"
}
some() {
  for ((i = 0; i < ${#phases[@]}; i++)); do dies "${kinds[i % 4]}" "${phases[i]}" $((i % 2)) 2; done
  dies kill gather 3 4
  hangs spin forward 1 2 "${job[@]}" --train.epochs 1000 --run.folder "$WORK/run" --overwrite
  hangs stop validate 0 2 "${job[@]}" --train.epochs 1000 --run.folder "$WORK/run" --overwrite
  # shellcheck disable=SC2086
  for command in "${commands[@]::2}"; do hangs sleep validate 1 2 $command --run.timeout_s 2; done
  hangs stop data 1 2 shard --source "$WORK/data.idx" --out "$WORK/more" --run.timeout_s 2
  resumes save 0 5
  resumes exchange 1 13
}
case $extent in
  R5) r5 ;; R6) r6 ;; R2) r2 ;; all) r5 && r6 && r2 ;;
  *) some ;;
esac
finish "faults in $extent phases: over in time, one line that names rank and phase; killed runs went on to the same bytes"
