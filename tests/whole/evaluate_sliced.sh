#!/usr/bin/env bash
# A model measured in slices: every word equals that of the whole one, at any number of ranks, also where
# some ranks have no batch left; and what cannot be is refused.
. "$SOURCE/tests/whole/jobs.bash"
small_shards data 600 60 2450  # 25 batches: of three ranks one alone has a ninth
must 1 train --data.folder "$WORK/data" --run.folder "$WORK/large" --model.kind convnet --model.widths 20,50 \
  --model.kernels 3 --model.pools 1,2 --model.hidden 600 --quant.method none --train.epochs 1 \
  --train.global_batch 32 "${small[@]}"
must 1 distill --data.folder "$WORK/data" --run.folder "$WORK/run" --teacher.file "$WORK/large/master.safetensors" \
  --quant.method uniform --quant.bits 3 --train.epochs 1 --train.global_batch 32 "${student[@]}" "${small[@]}"
measure=(evaluate --data.folder "$WORK/data" --run.threads 1 --json --model.file "$WORK/large/master.safetensors"
  --against "$WORK/run/student.safetensors")
sliced() { grep -q "master.safetensors: in slices over $1 ranks, $2" "$WORK/err" || fail "$2 on $1 ranks: no slices"; }

# layouts PRECISION
layouts() {
  local precision=$1 stored=$1 ranks
  [ "$precision" != exact ] || stored=fp32
  must 1 "${measure[@]}" --precision "$precision"
  cp "$WORK/out" "$WORK/whole"
  for ranks in 2 3; do
    must $ranks "${measure[@]}" --precision "$precision" --sharding gather
    sliced $ranks "$stored"
    cmp "$WORK/whole" "$WORK/out" || fail "$precision in slices over $ranks ranks"
  done
  must 4 "${measure[@]}" --precision "$precision" --sharding hybrid --group 2
  sliced 2 "$stored"
  cmp "$WORK/whole" "$WORK/out" || fail "$precision in two groups of two ranks"
}
precisions=(exact fp32)
! grep -q avx512bw /proc/cpuinfo || precisions+=(bf16)
! grep -q avx512_vnni /proc/cpuinfo || precisions+=(int8)
side_by_side layouts "${precisions[@]}"
must 1 "${measure[@]}" --precision fp32 --sharding gather
grep -q 'sharding = gather: one rank keeps the whole model' "$WORK/err" || fail "one rank said nothing"
cmp "$WORK/lane.fp32/whole" "$WORK/out" || fail "one rank that was to have slices"

# refused RANKS CODE PATTERN COMMAND...: one error line that says PATTERN
refused() {
  local ranks=$1 code=$2 pattern=$3 got
  shift 3
  on_ranks "$ranks" "$@"
  got=$?
  [ $got -eq "$code" ] && [ "$(grep -c '^error:' "$WORK/err")" -eq 1 ] && grep -q "^error: .*$pattern" "$WORK/err" ||
    { fail "exit $got, not $code and '$pattern':"; cat "$WORK/err"; }
}
packed=(evaluate --data.folder "$WORK/data" --run.threads 1 --sharding gather --model.file "$WORK/run")
refused 2 4 'student.safetensors is packed.*export it first' "${packed[@]}"
refused 2 2 'group = 3 does not divide the 2 ranks; give one of 1 and 2' \
  "${measure[@]}" --sharding hybrid --group 3
refused 2 2 'sharding = auto: give replicated, gather or hybrid' "${measure[@]}" --sharding auto
head -c 5000 "$WORK/large/master.safetensors" >"$WORK/cut.safetensors"
refused 2 4 'cut.safetensors: is truncated' "${measure[@]}" --sharding gather --model.file "$WORK/cut.safetensors"

# A row that one rank cannot read, while the others answer with it.
cp -r "$WORK/data" "$WORK/torn"
python3 - "$WORK"/torn/test-*.h5 <<'PY'
import sys
with open(sys.argv[-1], "r+b") as file:  # the last shard: the last rank's
    size = file.seek(0, 2)
    file.seek(size // 2)
    byte = file.read(1)[0]
    file.seek(size // 2)
    file.write(bytes([byte ^ 4]))
PY
refused 3 3 'rank 2: .*test-.*CRC' "${measure[@]}" --sharding gather --data.folder "$WORK/torn"
finish "a model in slices over 2, 3 and 2 x 2 ranks is worth what the whole one is, in ${precisions[*]}; refused"
