#!/usr/bin/env bash
# Row R1: every call that changes a file below checkpoints/ fails once, clean or torn, while a run saves; the run
# ends with exit code 7 or goes on, and a resumed one ends with the weights of one that met no failure.
# CALLS=all for each of them (every 11th otherwise). Row R13: disk full, EIO, quota, read-only, no descriptors.
. "$SOURCE/tests/whole/jobs.bash"
shim=$WORK/fail_call.so
${CXX:-c++} -std=c++20 -O1 -shared -fPIC "$SOURCE/tests/failure/fail_call.cpp" -o "$shim" -ldl ||
  { echo "FAILED: fail_call.cpp does not compile"; exit 1; }
small_shards data 300 60 50
small_teacher data
job=(distill --data.folder "$WORK/data" --teacher.file "$WORK/teacher.safetensors" --quant.method uniform --quant.bits 4
  "${student[@]}" "${small[@]}" --train.epochs 2 --train.global_batch 48 --run.save_steps 4 --run.keep 2
  --train.select best --run.folder "$WORK/run")
straight() { "$BITSTILL" "${job[@]}" "$@" >"$WORK/out" 2>"$WORK/err"; }

# with VARIABLE=VALUE... SETTING...: the job with the shim; its exit code
with() {
  local given=()
  while [[ ${1:-} == FAIL_* ]]; do given+=("$1"); shift; done
  env LD_PRELOAD="$shim" FAIL_BELOW="$WORK/run/checkpoints" "${given[@]}" "$BITSTILL" "${job[@]}" "$@" \
    >"$WORK/out" 2>"$WORK/err"
}

straight || { echo "FAILED: $(cat "$WORK/err")"; exit 1; }
cp "$WORK/run/master.safetensors" "$WORK/expected.safetensors"
# A run of which an epoch is done; what follows saves three more checkpoints and a best epoch's masters.
rm -r "$WORK/run" && straight --run.walltime_s 1e-3
[ $? -eq 75 ] || fail "a run whose time is up does not end with 75: $(cat "$WORK/err")"
cp -r "$WORK/run" "$WORK/begun"

fresh() { rm -rf "$WORK/run" && cp -r "$WORK/begun" "$WORK/run"; }
fresh && with FAIL_COUNT="$WORK/calls" --resume || fail "the shim alone harms: $(cat "$WORK/err")"
calls=$(wc -l <"$WORK/calls")
cut -d ' ' -f 2 "$WORK/calls" | sort | uniq -c | tr '\n' ';' && echo
[ "$calls" -gt 60 ] || fail "only $calls calls below checkpoints/"

# check NAME CODE: how the harmed run ended is right, and the resumed one ends as it should
declare -A ends=()
check() {
  local code=$2
  ends[$code]=$((${ends[$code]:-0} + 1))
  [[ $code =~ ^(0|7)$ ]] || { fail "$1: exit code $code: $(cat "$WORK/err")"; return; }
  [ "$code" -eq 0 ] || [ "$(grep -c '^error:' "$WORK/err")" -eq 1 ] || fail "$1: not one line: $(cat "$WORK/err")"
  [ "$code" -eq 0 ] || straight --resume=auto || { fail "$1, resumed: $(cat "$WORK/err")"; return; }
  cmp -s "$WORK/run/master.safetensors" "$WORK/expected.safetensors" || fail "$1: other weights"
}

step=11
[ "${CALLS:-}" != all ] || step=1
for torn in 0 1; do
  for ((at = 1 + torn * step / 2; at <= calls; at += step)); do
    fresh
    with FAIL_AT=$at FAIL_TORN=$torn --resume
    code=$?
    check "call $at ($(sed -n "${at}s|$WORK/run/||p" "$WORK/calls")), torn $torn" $code
  done
done
echo "exit codes: $(for code in "${!ends[@]}"; do echo "$code: ${ends[$code]}"; done | tr '\n' ' ')"

# From a place on nothing can be written: disk full at 20 of them, and each other reason.
for ((i = 1; i <= 20; i++)); do
  [ "${CALLS:-}" = all ] || [ $((i % 5)) -eq 0 ] || continue
  fresh
  with FAIL_AT=$((calls * i / 21 + 1)) FAIL_FROM=1 FAIL_TORN=1 --resume
  code=$?
  check "full from call $((calls * i / 21 + 1))" $code
done
for reason in 5:EIO 122:EDQUOT 30:EROFS 24:EMFILE; do
  fresh
  with FAIL_AT=$((calls / 3)) FAIL_FROM=1 FAIL_ERRNO=${reason%:*} --resume
  code=$?
  [ $reason != 24:EMFILE ] || { [ $code -eq 8 ] || fail "EMFILE: exit code $code"; code=7; }
  check "${reason#*:}" $code
done
# Too few descriptors from the start on: the machine's fault, wherever it shows.
for ((descriptors = 5; descriptors < 10; descriptors++)); do
  rm -rf "$WORK/run"
  (ulimit -n $descriptors && straight)
  code=$?
  [[ $code =~ ^(0|8)$ ]] && [ "$(grep -c '^error:' "$WORK/err")" -eq $((code > 0)) ] ||
    fail "$descriptors descriptors: exit code $code: $(cat "$WORK/err")"
  few=$((${few:-0} + (code > 0)))
done
[ $few -gt 2 ] || fail "descriptors sufficed in all but $few starts"
# The run goes on with what it has, and says so.
fresh
with FAIL_AT=$((calls / 3)) FAIL_FROM=0 --resume --run.on_storage_error go_on
[ $? -eq 0 ] || fail "on_storage_error = go_on: $(cat "$WORK/err")"
cmp -s "$WORK/run/master.safetensors" "$WORK/expected.safetensors" || fail "go_on: other weights"
finish "calls that change checkpoints, each failing once, whole or torn; full disks and other reasons: resumed to the" \
  "same weights"
