#!/usr/bin/env bash
# Two real steps of the ImageNet recipes at full picture and network size, on 2 ranks: pictures of ImageNet,
# relabelled to 1,000 classes, teachers that nobody trained; from shards to a file that evaluates. Says seconds and
# peak memory. Some minutes on idle cores, so only where it is asked for (CI has tests/whole/recipes.sh):
#   RECIPES=all BITSTILL=... SOURCE=... SHARED=... bash tests/in_new_folder.sh bash tests/whole/imagenet_recipes.sh
. "$SOURCE/tests/whole/jobs.bash"
[ "${RECIPES:-}" = all ] || { echo "SKIP: give RECIPES=all"; exit 77; }
archive=$SHARED/data/imagenette224_small.tar.zst
[ -f "$archive" ] || { echo "SKIP: $archive is not there"; exit 77; }
mkdir "$WORK/pictures" && zstd -dc "$archive" | tar -x -C "$WORK/pictures" || { fail "no pictures"; finish; }
cd "$WORK" || exit 1

# peak_of_ranks COMMAND...: as `must 2`, with $WORK/peak.RANK.
peak_of_ranks() {
  timeout -s KILL 1200 "${mpi[@]}" -n 2 python3 "$SOURCE/tests/whole/peak_memory.py" "$WORK/peak" "$BITSTILL" "$@" \
    >"$WORK/out" 2>"$WORK/err" || { fail "bitstill $*: $(cat "$WORK/err")"; finish; }
}

# two_steps RECIPE TEACHER GLOBAL_BATCH MICRO_BATCH
two_steps() {
  local name=$1 teacher=$2 global=$3 micro=$4 started
  if [ ! -d "shards/$global" ]; then
    python3 "$SOURCE/tests/whole/relabel.py" pictures "labelled.$global" 1000 $((2 * global)) 4
    must 2 shard --source "labelled.$global" --store jpeg --normalization imagenet --allow-empty-classes \
      --out "shards/$global"
  fi
  if [ ! -f "$teacher.safetensors" ]; then
    must 1 train --data.folder "shards/$global" --model.kind "$teacher" --train.epochs 0 --run.folder runs/teacher
    mv runs/teacher/master.safetensors "$teacher.safetensors" && rm -r runs/teacher
  fi
  started=$SECONDS
  peak_of_ranks distill --config "$SOURCE/launch/recipes/$name.cfg" --data.folder "shards/$global" \
    --run.folder "runs/$name" --train.epochs 1 --train.global_batch "$global" --train.micro_batch "$micro" \
    --train.warmup_epochs 0 --run.log_steps 1
  python3 - "runs/$name" "$global" "$micro" $((SECONDS - started)) "$(cat peak.0)" "$(cat peak.1)" <<'END' ||
import json, math, os, sys
folder, (batch, micro, seconds, *peaks) = sys.argv[1], map(int, sys.argv[2:])
lines = [json.loads(line) for line in open(folder + "/run.jsonl")]
steps = [line for line in lines if line["type"] == "step"]
assert [line["step"] for line in steps] == [1, 2], steps
assert all(math.isfinite(line[key]) for line in steps for key in ("loss", "soft_loss", "hard_loss")), steps
times = [batch / line["images_per_s"] for line in steps]
whole, packed = (os.path.getsize(f"{folder}/{name}.safetensors") for name in ("master", "student"))
print(f"{os.path.basename(folder)}: 2 steps of {batch} images in passes of {micro}: {times[0]:.1f} and {times[1]:.1f} s, "
      f"the job {seconds} s; peak {peaks[0]:,} and {peaks[1]:,} MB; {whole:,} bytes in fp32, {packed:,} shipped")
assert packed < whole / 5, "what ships is not at 4 bits"
assert sum(peaks) <= 20000, "more than 20 GB"
END
    fail "$name"
  must 1 evaluate --model.file "runs/$name/student.safetensors" --data.folder "shards/$global"
  rm -r "runs/$name"
}

two_steps imagenet_r34_2xr18 resnet34 32 16
two_steps imagenet_r50_2xr34 resnet50 32 16
two_steps imagenet_r50_32k resnet101 128 16  # 4 passes a rank
finish "two real steps of three recipes"
