#!/usr/bin/env bash
# A teacher in slices: masters are those of the replicated teacher to the byte, whatever the number of
# ranks, the pieces, the window and the overlap; and what cannot be is refused.
. "$SOURCE/tests/whole/jobs.bash"
small_shards data 600 60 50
small_teacher data
get() { python3 "$compare" get "$WORK/$1/run.jsonl" "${@:2}"; }

# Micro-batches of 16 of which the last one of an epoch holds one sample more or less; a sweep of all
# of a step's or of one.
layouts() {
  local precision=$1 base=(--train.epochs 2 --teacher.precision "$1" --train.global_batch 80 --run.log_steps 4)
  local ranks
  for ranks in 2 4; do
    distil $ranks data whole.$ranks "${base[@]}"
    distil $ranks data sliced.$ranks "${base[@]}" --teacher.sharding gather --teacher.piece_bytes 4096
    distil $ranks data off.$ranks "${base[@]}" --teacher.sharding gather --exchange.overlap off \
      --teacher.sweep_batches 1
    same_weights whole.$ranks sliced.$ranks
    same_weights whole.$ranks off.$ranks
  done
  [ "$(get sliced.4 start teacher precision)" = "$precision" ] || fail "another precision ran"
  python3 - "$WORK/sliced.4/run.jsonl" <<'END' || fail "what travelled is not what lies in slices"
import json, sys
lines = [json.loads(line) for line in open(sys.argv[1])]
slices = lines[0]["teacher"]["slices"]
assert slices["mine_bytes"] * 4 >= slices["plain_bytes"], slices
steps = [line for line in lines if line["type"] == "step"]
assert all(line["ms"]["gather"] >= 0 and line["ms"]["gather_busy"] > 0 for line in steps), steps
# A sweep a step: as much as a rank keeps. What travels ahead of an epoch counts with neither.
sent = sum(line["bytes"]["gathers"] * line["steps"] for line in steps)
sweeps = sum(line["steps"] for line in steps)
assert abs(sent - sweeps * slices["mine_bytes"]) <= slices["mine_bytes"], (sent, sweeps, slices)
END
}
side_by_side layouts fp32 bf16
! grep -q avx512_vnni /proc/cpuinfo || layouts int8

# Groups of two of four ranks.
distil 4 data grouped --train.epochs 2 --teacher.precision fp32 --train.global_batch 80 \
  --teacher.sharding hybrid --teacher.group 2
distil 4 data ungrouped --train.epochs 2 --teacher.precision fp32 --train.global_batch 80
same_weights grouped ungrouped

# A run goes on under another layout.
distil 2 data straight --train.epochs 3
distil 2 data part --train.epochs 3 --train.epochs 2
distil 4 data part --train.epochs 3 --resume --teacher.sharding gather --teacher.window 1000000
grep -q 'resuming after epoch 2' "$WORK/err" || fail "nothing was resumed"

# A run in slices goes on as another group, to the byte.
regroup=(--train.epochs 2 --train.global_batch 80 --teacher.precision fp32 --teacher.sharding hybrid)
distil 4 data regrouped "${regroup[@]}" --train.epochs 1 --teacher.group 4
distil 4 data regrouped "${regroup[@]}" --resume --teacher.group 2
grep -q 'teacher.group was 4, is 2 now' "$WORK/err" || fail "the change of teacher.group was not said"
distil 4 data at_once "${regroup[@]}" --train.epochs 1 --teacher.group 2
distil 4 data at_once "${regroup[@]}" --resume --teacher.group 2
same_weights regrouped at_once

# The fastest layout: whole, until that does not fit.
must 1 train --data.folder "$WORK/data" --run.folder "$WORK/large" --model.kind convnet --model.hidden 1000,1000,1000,1000 \
  --quant.method none --train.epochs 0 --train.global_batch 80 "${small[@]}"
chosen=(--teacher.file "$WORK/large/master.safetensors" --train.epochs 1 --train.global_batch 80
  --teacher.precision fp32 --teacher.piece_bytes 500000)
distil 2 data freely "${chosen[@]}" --teacher.sharding auto
[ "$(get freely start teacher sharding)" = replicated ] || fail "not the fastest layout"
[ "$(grep -c '^the teacher .* ms a sweep, .*B of a rank' "$WORK/err")" -eq 2 ] || fail "not two layouts were said"
distil 2 data bounded "${chosen[@]}" --teacher.sharding auto --teacher.memory_mb 10
[ "$(get bounded start teacher sharding)" = gather ] || fail "not the layout that fits"
[ "$(get bounded start teacher slices window_bytes)" -le 2900000 ] || fail "a window beyond the memory"
same_weights freely bounded

# refused RANKS CODE PATTERN SETTING...
refused() {
  local ranks=$1 code=$2 pattern=$3
  shift 3
  rm -rf "$WORK/refused"
  on_ranks "$ranks" distill --data.folder "$WORK/data" --run.folder "$WORK/refused" \
    --teacher.file "$WORK/teacher.safetensors" "${student[@]}" "${small[@]}" \
    --teacher.sharding gather "$@"
  local said=$?
  [ $said -eq "$code" ] && [ "$(grep -c '^error:' "$WORK/err")" -eq 1 ] &&
    grep -q "$pattern" "$WORK/err" || { fail "exit $said, not $code and '$pattern':"; cat "$WORK/err"; }
}
# A run ends early, and with an error one whose teacher's answers are no numbers: the pieces that were sent
# ahead of a step that never comes keep no rank.
python3 - "$WORK/teacher.safetensors" "$WORK/nan.safetensors" <<'END'
import json, struct, sys
content = bytearray(open(sys.argv[1], "rb").read())
start = 8 + struct.unpack("<Q", content[:8])[0]
header = json.loads(content[8:start])
for name in header:
    if name.endswith(".bias"):
        at = start + header[name]["data_offsets"][0]
        content[at:at + 4] = struct.pack("<f", float("nan"))
open(sys.argv[2], "wb").write(content)
END
early=(--train.epochs 50 --train.patience 1 --train.rate 1e-12 --train.global_batch 80)
distil 4 data early "${early[@]}" --teacher.sharding gather --teacher.piece_bytes 4096
grep -q 'no better epoch for 1 epochs: stopping early' "$WORK/err" || fail "the run did not end early"
distil 4 data whole.early "${early[@]}"
same_weights early whole.early
for ranks in 2 4; do
  refused $ranks 6 'losses or gradients are not finite for 20 steps' --no-verify --teacher.file "$WORK/nan.safetensors" \
    --train.epochs 50 --train.global_batch 80
done
refused 2 2 'teacher.window = 64: its largest piece takes [0-9]* bytes' --teacher.window 64
refused 2 2 'teacher.piece_bytes = 5: give 4096 or more' --teacher.piece_bytes 5
refused 4 2 'teacher.group = 3 does not divide the 4 ranks; give one of 1, 2 and 4' \
  --teacher.sharding hybrid --teacher.group 3
refused 2 4 'is packed, and its tensors cannot be read in parts; export it first' \
  --teacher.file "$WORK/grouped/student.safetensors"
refused 4 2 'teacher.memory_mb = 1: no layout of the teacher fits; bytes that each needs: replicated [0-9]*, hybrid [0-9]* and gather [0-9]*' \
  --teacher.file "$WORK/large/master.safetensors" --teacher.sharding auto --teacher.group 2 --teacher.memory_mb 1
head -c 5000 "$WORK/teacher.safetensors" >"$WORK/cut.safetensors"
refused 2 4 'cut.safetensors: is truncated' --teacher.file "$WORK/cut.safetensors"

# What a run would take, said once. The teacher: 8 filters of 3x3 on 8x8 pixels, 128 x 16 and 16 x 10.
distil 2 data planned --dry-run --teacher.sharding gather --teacher.precision fp32
[ ! -e "$WORK/planned" ] || fail "a dry run left a folder"
! grep -q '^teacher' "$WORK/err" || fail "the layout is said twice"
for line in 'teacher: in slices over 2 ranks, fp32: 3 pieces of .*, a rank keeps .*, a window of .* made ready' \
  'teacher: 6816 multiply-adds an image; values of 16 images ' \
  'student: 2896 multiply-adds an image; values of 16 images '; do
  [ "$(grep -c "^# $line" "$WORK/out")" -eq 1 ] || { fail "no line \"$line\":"; grep '^#' "$WORK/out"; }
done

# One rank keeps the whole teacher, and says so.
distil 1 data alone --train.epochs 1 --teacher.sharding gather
grep -q 'one rank keeps the whole teacher' "$WORK/err" || fail "one rank said nothing"
finish "a teacher in slices at 2 and 4 ranks, fp32, bf16 and (with avx512_vnni) int8, equals the replicated one; resumed; ended early and by numbers; refused"
