#!/usr/bin/env bash
# What a user, a disk or a copy gets wrong: the right exit code, exactly one "error:" line that names
# the thing, within 5 s of what a healthy job needs to start, at 1, 2 and 4 ranks.
. "$SOURCE/tests/whole/jobs.bash"
harm=$SOURCE/tests/failure/harm.py
small_shards data 600 60 50
small_shards other 600 60 50 7
small_teacher data

now_ms() { echo $(($(date +%s%N) / 1000000)); }

# A healthy start at RANKS, for comparison: the machine may be busy.
measure_healthy() {
  local start
  start=$(now_ms)
  must "$1" "${job[@]:1}" --dry-run
  healthy_ms=$(($(now_ms) - start))
}

# judge NAME RANKS CODE PATTERN COMMAND...: COMMAND has to fail so. Late once or twice is the machine's
# doing, late three times ours.
judge() {
  local name=$1 ranks=$2 code=$3 pattern=$4 try start got late_ms lines
  shift 4
  for try in 1 2 3; do
    [ $try -eq 1 ] || measure_healthy "$ranks"
    start=$(now_ms)
    timeout -s KILL 60 "$@" >"$WORK/out" 2>"$WORK/err"
    got=$?
    late_ms=$(($(now_ms) - start - healthy_ms))
    [ $late_ms -gt 5000 ] || break
  done
  lines=$(grep '^error:' "$WORK/err")
  [ "$got" -eq "$code" ] && [[ $lines =~ ^error:\ [^$'\n']*$ && $lines =~ $pattern ]] &&
    [ $late_ms -le 5000 ] && return
  fail "$name on $ranks ranks: exit $got (expected $code, '$pattern'), $late_ms ms late:"
  cat "$WORK/err"
}

# A healthy job with this WORK's run folder.
make_job() {
  job=("$BITSTILL" distill --teacher.file "$WORK/teacher.safetensors" --train.epochs 2
    "${student[@]}" "${small[@]}" --run.folder "$WORK/run" --data.folder "$WORK/data")
}

# refused NAME RANKS CODE PATTERN SETTING...: a distillation with the SETTINGs
refused() {
  judge "$1" "$2" "$3" "$4" "${mpi[@]}" -n "$2" "${job[@]}" "${@:5}"
}

# refused_mixed NAME RANKS CODE PATTERN SETTING...: only the last rank gets the SETTINGs.
refused_mixed() {
  judge "$1" "$2" "$3" "$4" "${mpi[@]}" -n $(($2 - 1)) "${job[@]}" : -n 1 "${job[@]}" "${@:5}"
}

# harmed KIND: $WORK/KIND, a copy of the shards so harmed
harmed() {
  cp -r "$WORK/data" "$WORK/$1" && python3 "$harm" "$1" "$WORK/$1" || exit 1
}
for kind in no_index no_shard truncated_shard foreign_shard flipped_frame flipped_pixel flipped_label \
  label_200; do
  harmed $kind
done
head -c 1000 "$WORK/teacher.safetensors" >"$WORK/truncated.safetensors"
head -c 5000 /dev/urandom >"$WORK/noise.safetensors"
head -c 2000 "$WORK/data/train-00000.h5" >"$WORK/shard.safetensors"
: >"$WORK/empty.safetensors"
# Shards of another shape or set do not fit the teacher.
python3 "$harm" rename_class "$WORK/other"
mkdir "$WORK/here" "$WORK/there"
cp -r "$WORK/data" "$WORK/here/data"
small_shards there/data 600 60 50 9
cp "$WORK/teacher.safetensors" "$WORK/here"
python3 - "$WORK/teacher.safetensors" "$WORK/there/teacher.safetensors" <<'PY'
import sys
content = bytearray(open(sys.argv[1], "rb").read())
content[-1] ^= 1
open(sys.argv[2], "wb").write(content)
PY
: >"$WORK/file"

# all_refusals RANKS
all_refusals() {
  local ranks=$1 file layout other
  make_job
  other=("${job[@]}" --teacher.file teacher.safetensors)
  measure_healthy "$ranks"
  refused "unknown key" "$ranks" 2 'no\.such\.key' --no.such.key 3
  refused "unknown key, a near one" "$ranks" 2 'train\.epoch .*train\.epochs' --train.epoch 3
  refused "bits" "$ranks" 2 'quant\.bits.*99' --quant.method uniform --quant.bits 99
  refused "no number" "$ranks" 2 'train\.rate.*fast' --train.rate fast
  refused "tokens of images" "$ranks" 2 'train\.micro_tokens = 512: .*images' \
    --train.micro_batch 0 --train.micro_tokens 512

  refused "no data folder" "$ranks" 3 '/nonexistent' --data.folder /nonexistent
  refused "no index" "$ranks" 3 "$WORK/no_index" --data.folder "$WORK/no_index"
  refused "no shard" "$ranks" 3 'no_shard/train-00001\.h5' --data.folder "$WORK/no_shard"
  refused "truncated shard" "$ranks" 3 'truncated_shard/train-00001\.h5.*truncated' \
    --data.folder "$WORK/truncated_shard"
  refused "foreign shard" "$ranks" 3 'foreign_shard/train-00001\.h5' --data.folder "$WORK/foreign_shard"
  refused "flipped byte in a frame" "$ranks" 3 'flipped_frame/train-00001\.h5' \
    --data.folder "$WORK/flipped_frame"
  refused "flipped byte in a row" "$ranks" 3 'flipped_pixel/train-00001\.h5, row 5: .*CRC' \
    --data.folder "$WORK/flipped_pixel"
  refused "flipped byte in a label" "$ranks" 3 'flipped_label/train-00001\.h5, row 5: .*CRC' \
    --data.folder "$WORK/flipped_label"
  refused "label out of range" "$ranks" 3 'label_200/train-00001\.h5, row 5: label 200' \
    --data.folder "$WORK/label_200"

  for file in none truncated noise shard empty; do
    refused "teacher: $file" "$ranks" 4 "$WORK/$file\.safetensors" --teacher.file "$WORK/$file.safetensors"
  done
  refused "teacher of other classes" "$ranks" 4 "teacher\.safetensors.*classes" --data.folder "$WORK/other"
  refused "student from noise" "$ranks" 4 "noise\.safetensors" --student.init "$WORK/noise.safetensors"

  refused "run folder below a file" "$ranks" 7 "$WORK/file/run" --run.folder "$WORK/file/run"

  [ "$ranks" -gt 1 ] || return 0
  refused_mixed "another rate on one rank" "$ranks" 2 "train\.rate.*0\.2 on rank $((ranks - 1))" \
    --train.rate 0.2
  refused_mixed "bad bits on one rank" "$ranks" 2 "quant\.bits differs: .*99 on rank $((ranks - 1))" \
    --quant.method uniform --quant.bits 99
  judge "other shards on one rank" "$ranks" 3 "^error: rank $((ranks - 1)): .*another data\.folder than rank 0" \
    "${mpi[@]}" -n $((ranks - 1)) -wdir "$WORK/here" "${job[@]}" --data.folder data \
    : -n 1 -wdir "$WORK/there" "${job[@]}" --data.folder data
  for layout in replicated gather; do
    judge "another teacher on one rank, $layout" "$ranks" 4 \
      "SHA-256 .*of teacher\.safetensors differs: .* on rank $((ranks - 1))" \
      "${mpi[@]}" -n $((ranks - 1)) -wdir "$WORK/here" "${other[@]}" --teacher.sharding $layout \
      : -n 1 -wdir "$WORK/there" "${other[@]}" --teacher.sharding $layout
  done
}
side_by_side all_refusals 1 2 4

full=SKIP
mkdir "$WORK/full"
if [ "$(id -u)" -eq 0 ] && mount -t tmpfs -o size=12k none "$WORK/full" 2>/dev/null; then
  trap 'umount "$WORK/full"' EXIT
  make_job
  measure_healthy 4
  for ranks in 1 2 4; do
    refused "full disk" "$ranks" 7 "$WORK/full/.*No space" --run.folder "$WORK/full/run" --train.epochs 1
    rm -r "$WORK/full/run"
  done
  full="a full disk"
fi
echo "full disk: $full"
finish "settings, shards, teachers, mismatched ranks and run folders ($full) at 1, 2 and 4 ranks:" \
  "exit code, one error line that names the thing, within 5 s"
