#!/usr/bin/env bash
# endure.sh MINUTES: row R16 (120). A job of launch/run.sh --restarts meets a random fault every few seconds: a
# rank killed, crashed or stopped, or the launcher told to stop and called again. It ends with the bytes of a run that
# nothing befell, and neither launcher nor ranks grow. SEED=N gives other faults.
. "$SOURCE/tests/whole/jobs.bash"
[ $# -eq 1 ] || { echo "SKIP: by command alone, endure.sh MINUTES"; exit 77; }
small_shards data 3000 60 50
small_teacher data
RANDOM=${SEED:=$RANDOM}
settings=(distill --data.folder "$WORK/data" --teacher.file "$WORK/teacher.safetensors" "${student[@]}" "${small[@]}"
  --quant.method uniform --quant.bits 4 --train.global_batch 64 --exchange.order fixed --run.timeout_s 3
  --run.save_steps 20)
start=$(date +%s)
must 2 "${settings[@]}" --train.epochs 20 --run.folder "$WORK/pace"
# Two fifths of the time for the run that nothing befalls.
epochs=$((20 * $1 * 24 / ($(date +%s) - start)))
must_last() { timeout -s KILL 7200 "${mpi[@]}" -n 2 "$BITSTILL" "$@" >"$WORK/out" 2>"$WORK/err" || fail "the clean run"; }
must_last "${settings[@]}" --train.epochs "$epochs" --run.folder "$WORK/clean"
echo "clean: $epochs epochs"

# sizes: of launcher and ranks, "WHO KILOBYTES DESCRIPTORS"
sizes() {
  local pid who
  for pid in $(pgrep -f "run.folder $WORK/run"); do
    case $(basename "$(readlink "/proc/$pid/exe")") in
      bitstill) who=rank ;; python3*) who=launcher ;; *) continue ;;
    esac
    echo "$who $(awk '/VmRSS/ { print $2 }' "/proc/$pid/status") $(find "/proc/$pid/fd" 2>/dev/null | wc -l)"
  done
}

launch() {
  "$SOURCE/launch/run.sh" --restarts 100000 -n 2 "$BITSTILL" "${settings[@]}" --train.epochs "$epochs" \
    --run.folder "$WORK/run" --resume=auto >>"$WORK/out" 2>>"$WORK/err" &
  launcher=$!
}

restarts() { grep -c '^restart ' "$WORK/err"; }
newest() { ls "$WORK/run/checkpoints" 2>/dev/null | grep -v partial | grep '^step' | tail -n 1; }

faults=0 calls=1
launch
for (( ; ; )); do
  sleep $((5 + RANDOM % 8)).$((RANDOM % 10))
  # Two faults without a checkpoint between them end the job, as they should.
  while [ "$(newest)" = "${seen:-}" ] && kill -0 $launcher 2>/dev/null; do sleep 0.3; done
  kill -0 $launcher 2>/dev/null || {
    wait $launcher
    code=$?
    [ $code -eq 75 ] || break
    launch
    calls=$((calls + 1))
    continue
  }
  sizes >>"$WORK/sizes"
  faults=$((faults + 1))
  mapfile -t ranks < <(pgrep -f "bitstill distill .*run.folder $WORK/run" | while read -r pid; do
    [ "$(basename "$(readlink "/proc/$pid/exe")")" = bitstill ] && echo "$pid"
  done)
  target=${ranks[RANDOM % (${#ranks[@]} + 1)]:-}
  case $((RANDOM % 4)) in
    0) name=KILL ;; 1) name=SEGV ;; 2) name=STOP ;; 3) name=TERM target=$launcher ;;
  esac
  told=$(restarts)
  [ -z "$target" ] || kill -$name "$target" 2>/dev/null
  # What the struck ranks were saving is there, or never will be, once the launcher has heard of it.
  for (( tenth = 0; tenth < 200; tenth++ )); do
    [ "$(restarts)" -eq "$told" ] && kill -0 $launcher 2>/dev/null || break
    sleep 0.1
  done
  seen=$(newest)
done
[ $code -eq 0 ] || { fail "exit $code"; tail -n 3 "$WORK/err"; }
same_weights clean run
python3 - "$WORK/sizes" <<'END' || fail "something grew"
import sys
for who in "launcher", "rank":
    rows = [tuple(map(int, line.split()[1:])) for line in open(sys.argv[1]) if line.split()[0] == who and len(line.split()) == 3]
    fourth = max(1, len(rows) // 4)
    first, last = (sorted(part)[len(part) // 2] for part in (rows[:fourth], rows[-fourth:]))
    print(f"{who}: {first[0]} -> {last[0]} kB, {first[1]} -> {last[1]} descriptors, {len(rows)} looks")
    assert last[0] <= 1.1 * first[0] and last[1] <= first[1] + 2
END
segments=$(ls /dev/shm | grep -c '^vader_segment')
[ "$segments" -le 40 ] || fail "$segments segments of memory that ranks shared are left"
finish "$faults faults in $(($(date +%s) - start)) s (SEED=$SEED), $calls calls, $(restarts) restarts: the clean run's bytes"
