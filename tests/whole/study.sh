#!/usr/bin/env bash
# A small study: stopped by a signal and killed in the middle, continued on another number of ranks,
# it ends with the bytes of one that was not; finished runs are not trained again; a grid that does
# not separate QD from PM fails.
. "$SOURCE/tests/whole/jobs.bash"
small_shards data 1200 100 100
cat >"$WORK/teacher.cfg" <<END
[model]
kind = convnet
widths = 8
kernels = 3
pools = 1
hidden = 16
[train]
epochs = 2
global_batch = 32
micro_batch = 16
precision = fp32
[exchange]
order = fixed
END
cat >"$WORK/study.cfg" <<END
[study]
teacher = $WORK/teacher.cfg
arms = qd,pm
bits = 2
seeds = 1,2
start_epochs = 2
epochs = 40
[data]
folder = $WORK/data
[model]
kind = convnet
widths = 4
kernels = 3
pools = 1
hidden = 8
[run]
threads = 1
log_steps = 2
[train]
global_batch = 16
micro_batch = 8
precision = fp32
reestimate_batches = 3
[exchange]
order = fixed
END
study=(study "$WORK/study.cfg")
runs=(teacher fp32_distilled_s1 qd_2bit_s1 fp32_longer_s1 pm_2bit_s1
  fp32_distilled_s2 qd_2bit_s2 fp32_longer_s2 pm_2bit_s2)

must 1 "${study[@]}" --study.folder "$WORK/clean"
for run in "${runs[@]}"; do
  [ "$(grep -c '"type":"end"' "$WORK/clean/$run/run.jsonl")" -eq 1 ] || fail "$run has no end"
done
for arm in qd pm; do
  grep -q '"without_reestimation":{"validation"' "$WORK/clean/${arm}_2bit_s1/run.jsonl" ||
    fail "$arm: no figures without re-estimation"
  "$BITSTILL" evaluate --model.file "$WORK/clean/${arm}_2bit_s1/student_trained_norm.safetensors" \
    --data.folder "$WORK/data" >"$WORK/out" || fail "$arm: no file without re-estimation"
done
for file in report.html report.md study.cfg; do
  [ -s "$WORK/clean/$file" ] || fail "no $file"
done
"$BITSTILL" report "$WORK/clean" >"$WORK/report" || fail "report failed"
grep -Eq '^QD  +2  +2  +[0-9.]+ % ' "$WORK/report" || { fail "no row for QD"; cat "$WORK/report"; }

# strike DEED CODE: interrupts the second run of the grid on 2 ranks
strike() {
  local end
  end=$(python3 "$SOURCE/tests/failure/struck_job.py" 2 "$1" "${study[@]}" \
    --study.folder "$WORK/struck" --run.folder "$WORK/struck/$3") || fail "$1: $end"
  [[ $end == "code=$2 "* && $end == *" left=0 "* ]] || { fail "$1: $end"; cat "$WORK/err"; }
}
strike TERM:run 75 qd_2bit_s1
grep -q '^stopped by a signal; the same command continues' "$WORK/err" || fail "no word on how to go on"
strike KILL:all 137 fp32_longer_s1
must 1 "${study[@]}" --study.folder "$WORK/struck"
for run in "${runs[@]}"; do
  same_weights "clean/$run" "struck/$run"
  starts=$(grep -c '"type":"start"' "$WORK/struck/$run/run.jsonl")
  case $run in qd_2bit_s1 | fp32_longer_s1) expected=2 ;; *) expected=1 ;; esac
  [ "$starts" -eq $expected ] || fail "$run was started $starts times"
done

# Everything is finished: the same command only reports, and judges nothing that was not asked.
must 2 "${study[@]}" --study.folder "$WORK/struck" --study.pm_gap 99
[ "$(grep -c ' is finished$' "$WORK/err")" -eq ${#runs[@]} ] || fail "finished runs were not skipped"

expect_code() {
  local code=$1 words=$2 got
  shift 2
  on_ranks "$@"
  got=$?
  [ $got -eq "$code" ] && grep -q "^error: .*$words" "$WORK/err" && return
  fail "expected code $code and \"$words\", got $got:"
  cat "$WORK/err"
}
expect_code 4 'does not separate QD from PM: 2 bits: QD above PM: .*mean at least 99' 2 \
  "${study[@]}" --study.folder "$WORK/struck" --study.check true --study.pm_gap 99
[ "$(grep -c '^error:' "$WORK/err")" -eq 1 ] || fail "more than one error line"
expect_code 2 'was made with train.rate = 0.05, now it is 0.1' 2 \
  "${study[@]}" --study.folder "$WORK/struck" --train.rate 0.1
expect_code 2 'no arm qt; did you mean qd' 1 "${study[@]}" --study.arms qt

# A sweep, on validation alone.
must 2 "${study[@]}" --study.folder "$WORK/sweep" --study.arms qd --study.seeds 1 \
  --study.sweep "temperature:1,4 soft_weight:.5" --study.epochs 1
[ "$(grep -c '^best of QD, 2 bits: temperature [14], soft_weight 0.5, ' "$WORK/out")" -eq 1 ] ||
  { fail "no best point"; cat "$WORK/out"; }
finish "a study interrupted by SIGTERM and SIGKILL, on 1 and 2 ranks, ends byte-identical; finished runs" \
  "are skipped, other settings refused; codes 4 and 75; a sweep"
