#!/usr/bin/env bash
# As many pictures as a large data set has, tiny ones in 1,000 classes: sharded on 2 ranks, verified, an epoch
# trained. BITSTILL_PICTURES: how many; 20,000 unless given, 1281167 by command. Says what each stage takes.
. "$SOURCE/tests/whole/jobs.bash"
pictures=${BITSTILL_PICTURES:-20000}
# What a rank is called by, to know its peak memory and its share of the processors.
cat >"$WORK/rank" <<'END'
#!/usr/bin/env python3
import os, resource, subprocess, sys
code = subprocess.call([os.environ["PROGRAM"], *sys.argv[1:]])
used = resource.getrusage(resource.RUSAGE_CHILDREN)
print(f"peak {used.ru_maxrss / 1000:.0f} MB {used.ru_utime + used.ru_stime:.1f} CPU-s", file=sys.stderr)
sys.exit(code)
END
chmod +x "$WORK/rank"
export PROGRAM=$BITSTILL

# stage NAME COMMAND...: has to succeed
stage() {
  local name=$1 start=$EPOCHREALTIME
  shift
  "$@" >"$WORK/out" 2>"$WORK/err" || { echo "FAILED: $name"; tail -n 5 "$WORK/err"; exit 1; }
  echo "$name: $(python3 -c "print(f'{$EPOCHREALTIME - $start:.1f}')") s, $(grep '^peak' "$WORK/err" | sort | paste -sd, -)"
}
two=("${mpi[@]}" -n 2 "$WORK/rank")

stage "$pictures pictures" "$(dirname "$BITSTILL")/many_pictures_program" "$WORK/pictures" "$pictures" 1000
stage shard "${two[@]}" shard --source "$WORK/pictures" --store jpeg --validation 0 --test 0 --out "$WORK/shards" \
  --rows $((pictures / 140))
grep -q "1000 classes, JPEG ($pictures files as they were), $pictures train" "$WORK/out" || fail "shard says $(head -c 300 "$WORK/out")"
stage "inspect --verify" "${two[@]}" inspect "$WORK/shards" --verify
learn=("${two[@]}" train --data.folder "$WORK/shards" --run.folder "$WORK/run" --data.size 8 --data.scale 0.5,1
  --train.global_batch 1000 --train.rate 0.3 --train.epochs 1 --run.log_steps 1 "${student[@]}" "${small[@]}" --train.micro_batch 250)
stage "start" "${learn[@]}" --dry-run
stage "train" "${learn[@]}"
python3 - "$WORK/run/run.jsonl" "$pictures" <<'END' || fail "training saw other pictures"
import json, sys
lines = [json.loads(line) for line in open(sys.argv[1])]
steps = [line for line in lines if line["type"] == "step"]
pictures = int(sys.argv[2])
# A last step of one picture is none.
assert len(steps) == (pictures + 998) // 1000, len(steps)
start = next(line for line in lines if line["type"] == "start")
assert start["network"]["classes"] == 1000, start["network"]
print(f"first step: loss {steps[0]['loss']:.3f}, {steps[0]['memory_mb']:.0f} MB; last: loss {steps[-1]['loss']:.3f}, "
      f"{steps[-1]['memory_mb']:.0f} MB, {steps[-1]['images_per_s']:.0f} images/s")
assert steps[-1]["loss"] < steps[0]["loss"]
END
finish "$pictures pictures in 1,000 classes sharded, verified and trained on by 2 ranks"
