#!/usr/bin/env bash
# bench step --emulate: layers sleep for the time that was asked for, in all; gradients, messages and sums are those
# of the same step that computes.
. "$SOURCE/tests/whole/jobs.bash"
step=(bench step --student student3 --batch 4 --warmup 1 --steps 3 --chunk_bytes 65536)
must 2 "${step[@]}"
cp "$WORK/out" "$WORK/computed"
for overlap in on off; do
  must 2 "${step[@]}" --emulate 40 --overlap $overlap
  python3 - "$WORK/computed" "$WORK/out" <<'END' || fail "overlap $overlap"
import json
import sys

computed, emulated = (json.loads(open(path).read()) for path in sys.argv[1:])
if computed["sent"] != emulated["sent"]:
    sys.exit(f"sent {emulated['sent']} instead of {computed['sent']}")
times = emulated["emulated"]
for key, asked in ("backward_ms", 40), ("forward_ms", 20):
    total = sum(layer[key] for layer in times["layers"])
    if abs(total - asked) > 1e-6:
        sys.exit(f"layers sleep {total} ms of {key} instead of {asked}")
for phase, least in ("backward", 40), ("forward", 20), ("teacher", 20):
    if emulated["ms"][phase] < 0.95 * least:
        sys.exit(f"{phase} took {emulated['ms'][phase]} ms, less than it sleeps")
if not times["hidden"] <= 1:
    sys.exit(f"hidden share {times['hidden']}")
END
done
on_ranks 1 bench step --emulate -1
[ $? -eq 2 ] && grep -q '^error: .*emulate 0 or more' "$WORK/err" || fail "--emulate -1 was taken"
finish "emulated layers: their times, and the bytes and messages of the real step"
