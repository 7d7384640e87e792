#!/usr/bin/env bash
# One rank of a training job fails, dies or stops in mid-epoch: the job ends in time and not with 0, one
# "error:" line names the rank, and no process of it is left.
. "$SOURCE/tests/whole/jobs.bash"
small_shards data 600 60 50
small_teacher data

# strike RANKS RANK DEED CODE WITHIN_S PATTERN [SETTING...]
strike() {
  local ranks=$1 rank=$2 deed=$3 code=$4 within_s=$5 pattern=$6 end seconds lines
  shift 6
  rm -rf "$WORK/run"
  end=$(python3 "$SOURCE/tests/failure/struck_job.py" "$ranks" "$deed" distill \
    --data.folder "$WORK/data" --run.folder "$WORK/run" --teacher.file "$WORK/teacher.safetensors" \
    "${student[@]}" "${small[@]}" --quant.method uniform --quant.bits 4 --train.epochs 100000 \
    --train.global_batch 64 --run.log_steps 1 "$@" 2>&1)
  seconds=${end##*seconds=} seconds=${seconds%%.*}
  lines=$(grep '^error:' "$WORK/err")
  if [[ $end == "code=$code "* && $end == *" left=0 "* && $seconds -lt $within_s &&
    $lines =~ ^error:\ [^$'\n']*$ && $lines =~ $pattern ]]; then
    echo "ok: $deed on rank $rank of $ranks: $end: $lines"
  else
    fail "$deed on rank $rank of $ranks: $end; expected code $code within $within_s s and '$pattern':"
    cat "$WORK/err"
  fi
}

# all_deeds RANKS
all_deeds() {
  local ranks=$1 rank
  for rank in 0 $((ranks - 1)); do
    strike $ranks $rank KILL:$rank 137 10 "rank $rank .*SIGKILL"
    strike $ranks $rank SEGV:$rank 139 10 "rank $rank .*SIGSEGV"
    strike $ranks $rank STOP:$rank 5 15 "rank $rank on .* does not answer" --run.timeout_s 5
  done
  # A row is read by one rank, which throws; the others are in the midst of the same step.
  cp -rL "$WORK/data" "$WORK/harmed"
  strike $ranks any "flip:$WORK/harmed/train-00001.h5" 3 10 \
    "rank [0-9]+: .*harmed/train-00001\.h5, row [0-9]+: .*CRC" --data.folder "$WORK/harmed"
}
side_by_side all_deeds 2 4

# The same with a teacher in slices, for whose pieces other ranks wait. More: phases.sh.
in_gathers() {
  local ranks=$1 rank deed
  for rank in 0 $((ranks - 1)); do
    strike $ranks $rank KILL:$rank 137 10 "rank $rank .*SIGKILL" --teacher.sharding gather
    strike $ranks $rank STOP:$rank 5 15 "rank $rank on .* does not answer" --run.timeout_s 5 \
      --teacher.sharding gather
  done
  # A row is read by one rank alone; the others still get its part of the teacher.
  strike $ranks any "flip:$WORK/harmed/train-00001.h5" 3 10 \
    "rank [0-9]+: .*harmed/train-00001\.h5, row [0-9]+: .*CRC" --data.folder "$WORK/harmed" \
    --teacher.sharding gather
}
cp -rL "$WORK/data" "$WORK/harmed"
in_gathers 4
# Eight of ten ranks are stopped as soon as they run, before MPI has joined them: there is no watchdog yet.
strike 10 2-9 "at:0$(printf ',STOP:%s' {2..9})" 5 15 "the ranks have not started within 12 s" --run.timeout_s 5
finish "ranks stopped while they start; a rank killed, crashed, stopped or throwing in mid-epoch, 2 and 4 ranks, first and last, teacher whole and in slices: over" \
  "within 10 s (stopped: 15 s), one line that names the rank, nothing left behind"
