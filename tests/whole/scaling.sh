#!/usr/bin/env bash
# bitstill scaling emit, run, collect on one node: scripts, what is refused, points that go on, and the page.
. "$SOURCE/tests/whole/jobs.bash"
small_shards data 640 60 50
small_teacher data
cat >"$WORK/recipe.cfg" <<END
[scaling]
folder = $WORK/study
nodes = 1
ranks = 2
repeats = 2
skip_steps = 3
steps = 10
[data]
folder = $WORK/data
[teacher]
file = $WORK/teacher.safetensors
[model]
kind = convnet
widths = 4
kernels = 3
pools = 1
hidden = 8
[quant]
method = uniform
bits = 4
[train]
epochs = 9
global_batch = 64
END
scaling() { on_ranks 1 scaling "$WORK/recipe.cfg" "$@"; }
study=$WORK/study
nodes=--scaling.nodes

# Scripts up to 256 nodes, in a second.
started=$(date +%s%N)
scaling emit $nodes 1,2,4,8,16,32,64,128,256 --scaling.folder "$WORK/large" || fail "emit: $(cat "$WORK/err")"
echo "36 scripts: $((($(date +%s%N) - started) / 1000000)) ms"
[ "$(find "$WORK/large/points" -name '*.sh' | wc -l)" -eq 36 ] || fail "not 36 scripts"
for script in "$WORK"/large/points/*.sh "$WORK/large/submit.sh"; do bash -n "$script" || fail "$script"; done
grep -q -- '--train.global_batch 16384 ' "$WORK/large/points/weak_n256_r2.sh" || fail "weak: the batch does not grow"
grep -q -- '--train.global_batch 64 ' "$WORK/large/points/strong_n256_r1.sh" || fail "strong: another batch"
refused "nodes that fall" 1 2 'above the one before' scaling "$WORK/recipe.cfg" emit $nodes 4,2
refused "no hosts" 1 2 'scaling.hostfile is not given' scaling "$WORK/recipe.cfg" run $nodes 1,2
printf 'a max_slots=9 slots = 2\nb slots=1  # too few\n' >"$WORK/hosts"
refused "too few slots" 1 2 'scaling.ranks = 2, but .* slots for 1: b' \
  scaling "$WORK/recipe.cfg" run $nodes 1,2 --scaling.hostfile "$WORK/hosts"
refused "too few hosts" 1 2 'scaling.nodes has 3, .* names 2 hosts' \
  scaling "$WORK/recipe.cfg" run $nodes 1,3 --scaling.ranks 1 --scaling.hostfile "$WORK/hosts"
refused "no verb" 1 2 'give one of emit, run' scaling "$WORK/recipe.cfg"
refused "a wrong verb" 1 2 'collect' scaling "$WORK/recipe.cfg" colect
refused "under mpirun" 2 2 'run it without mpirun' scaling "$WORK/recipe.cfg" emit
refused "no plan" 1 3 'plan.json' scaling "$WORK/recipe.cfg" collect --scaling.folder "$WORK/none"

export BITSTILL_MPIRUN_ARGS='--oversubscribe --bind-to none'
"$BITSTILL" scaling "$WORK/recipe.cfg" run >"$WORK/out" 2>"$WORK/err" || fail "run: $(tail -n 3 "$WORK/err")"
[ "$(grep -l '"step":13,' "$study"/points/*/run.jsonl | wc -l)" -eq 4 ] || fail "not 4 points of 13 steps"
! grep -l '"step":14,' "$study"/points/*/run.jsonl || fail "a point went on"
# What was cut off goes on, what has ended stays.
rm -r "$study/points/weak_n1_r1"
"$BITSTILL" scaling "$WORK/recipe.cfg" run >"$WORK/out" 2>"$WORK/err" || fail "run again: $(tail -n 3 "$WORK/err")"
[ "$(cat "$WORK/out" "$WORK/err" | grep -c 'has ended')" -eq 3 ] || fail "not 3 points that had ended"
refused "another recipe" 1 2 'another plan or recipe' scaling "$WORK/recipe.cfg" run --train.rate 0.3
# A point that fails: its job's exit code.
rm -r "$study/points/weak_n1_r1"
mv "$WORK/data" "$WORK/away"
"$BITSTILL" scaling "$WORK/recipe.cfg" run >"$WORK/out" 2>"$WORK/err"
[ $? -eq 3 ] && grep -q '^error: weak_n1_r1: .*the same command goes on' "$WORK/err" || fail "a point without data: $(cat "$WORK/err")"
mv "$WORK/away" "$WORK/data"
"$BITSTILL" scaling "$WORK/recipe.cfg" run >"$WORK/out" 2>"$WORK/err" || fail "the third run: $(tail -n 3 "$WORK/err")"
scaling collect --html "$WORK/scaling.html" || fail "collect: $(cat "$WORK/err")"
[ ! -s "$WORK/err" ] || fail "collect said $(cat "$WORK/err")"
python3 - "$study/results.json" "$WORK/scaling.html" <<'END' || fail "results.json"
import json
import sys

results = json.load(open(sys.argv[1]))
modes = sorted((row["mode"], row["nodes"], row["ranks"], row["repeats"], row["batch"]) for row in results["rows"])
assert modes == [("strong", 1, 2, 2, 64), ("weak", 1, 2, 2, 64)], modes
for row in results["rows"]:
    assert row["images_per_s"] > 0 and row["megabytes"] > 0, row
page = open(sys.argv[2]).read()
assert "<svg" in page and "Weak scaling" in page
END
scaling collect --html "$WORK/scaling.txt" && fail "a page that is no .html"
finish "scripts of 18 sizes, 4 points on one node, what is refused, the page"
