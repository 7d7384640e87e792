#!/usr/bin/env bash
# bench step on the devices that run.device knows, and what P18 says where it cannot be measured.
. "$SOURCE/tests/whole/jobs.bash"
step=(bench step --student student3 --teacher none --batch 2 --warmup 0 --steps 1)

must 1 "${step[@]}" --device cpu
grep -q '"device":"cpu"' "$WORK/out" || fail "the line names no device: $(cat "$WORK/out")"
if on_ranks 2 "${step[@]}" --device cuda; then
  grep -q '"device":"cuda:0"' "$WORK/out" || fail "another device than asked for: $(cat "$WORK/out")"
  finish "bench step on a GPU"
  exit
fi
grep -Eq '^error: run.device = cuda: (no GPU is visible on|built without CUDA on) .*; use run.device = cpu' \
  "$WORK/err" || fail "without a GPU: $(cat "$WORK/err")"
must 2 "${step[@]}" --device auto
grep -q '"device":"cpu"' "$WORK/out" || fail "auto: $(cat "$WORK/out")"
"$BITSTILL" bench P18 >"$WORK/out" 2>&1 || fail "P18: exit $?"
grep -Eq '^ +SKIP (built without CUDA|no GPU is visible)' "$WORK/out" || fail "P18: $(cat "$WORK/out")"
finish "bench step on the CPU; a GPU that is not there is refused, and P18 skipped"
