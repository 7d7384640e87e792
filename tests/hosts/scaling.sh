#!/usr/bin/env bash
# bitstill scaling run and collect on two hosts: nested node sets of a hostfile, and what is refused.
. "$SOURCE/tests/whole/jobs.bash"
. "$SOURCE/tests/hosts/hosts.bash"
hosts_up 2
small_shards data 640 60 50
small_teacher data
for i in 1 2; do echo "${host_name[i]} slots=1"; done >"$WORK/hostfile"
settings=(--scaling.folder "$WORK/study" --scaling.nodes 1,2 --scaling.repeats 1 --scaling.skip_steps 3
  --scaling.steps 10 --scaling.hostfile "$WORK/hostfile" --data.folder "$WORK/data"
  --teacher.file "$WORK/teacher.safetensors" "${student[@]}" --quant.method uniform --quant.bits 4
  --train.epochs 9 --train.global_batch 64)
BITSTILL_MPIRUN_ARGS=$(mpirun_arguments 2 | sed 's/^--host [^ ]* //') inside 1 timeout -s KILL 300 \
  "$BITSTILL" scaling run "${settings[@]}" >"$WORK/out" 2>"$WORK/err" || fail "run: $(tail -n 3 "$WORK/err")"
"$BITSTILL" scaling collect --scaling.folder "$WORK/study" >"$WORK/out" 2>"$WORK/err" || fail "collect"
[ ! -s "$WORK/err" ] || fail "collect said $(cat "$WORK/err")"
python3 - "$WORK/study/results.json" <<'END' || fail "results.json"
import json
import sys

rows = json.load(open(sys.argv[1]))["rows"]
seen = [(row["mode"], row["nodes"], row["batch"]) for row in rows]
assert seen == [("weak", 1, 64), ("weak", 2, 128), ("strong", 1, 64), ("strong", 2, 64)], seen
for row in rows:
    assert 0 < row["efficiency"] and (row["nodes"] > 1 or row["efficiency"] == 100), row
END
# Two ranks of one host are not two nodes.
sed -i 's/"hosts":2/"hosts":1/' "$WORK/study/points/weak_n2_r1/run.jsonl"
"$BITSTILL" scaling collect --scaling.folder "$WORK/study" >"$WORK/out" 2>"$WORK/err" || fail "collect again"
grep -q 'weak_n2_r1: ran on 1 host, not on 2 nodes' "$WORK/err" || fail "one host counted as two nodes"
finish "four points on two hosts"
