#!/usr/bin/env bash
# 64 ranks on a few cores start, share a teacher in slices and train a step; and what the start costs the
# file system: one rank opens the index and reads it once for all, each opens the teacher's file twice, and a
# shard of the training once, besides the one that checks it.
. "$SOURCE/tests/whole/jobs.bash"
ranks=64
mkdir "$WORK/inputs" "$WORK/counts"
small_shards inputs/data 600 60 50
small_teacher inputs/data
mv "$WORK/teacher.safetensors" "$WORK/inputs"
${CXX:-c++} -std=c++20 -O1 -shared -fPIC "$SOURCE/tests/whole/count_reads.cpp" -o "$WORK/count_reads.so" -ldl ||
  { echo "FAILED: count_reads.cpp does not compile"; exit 1; }

job=(distill --data.folder "$WORK/inputs/data" --teacher.file "$WORK/inputs/teacher.safetensors"
  --quant.method uniform "${student[@]}" "${small[@]}" --train.epochs 1 --train.global_batch 600
  --train.micro_batch 8 --run.timeout_s 120)
timeout -s KILL 240 "${mpi[@]}" -n $ranks env LD_PRELOAD="$WORK/count_reads.so" COUNT_BELOW="$WORK/inputs" \
  COUNT_OUT="$WORK/counts" "$BITSTILL" "${job[@]}" --run.folder "$WORK/many" --teacher.sharding gather \
  >"$WORK/out" 2>"$WORK/err" || { fail "exit $?"; cat "$WORK/err"; }
grep -q "^teacher: in slices over $ranks ranks" "$WORK/err" || fail "the teacher is not in slices"
[ "$(python3 "$compare" get "$WORK/many/run.jsonl" epoch step)" -eq 1 ] || fail "it was not one step"

python3 - "$WORK" $ranks <<'END' || fail "opens or bytes"
import collections, os, sys
work, ranks = sys.argv[1], int(sys.argv[2])
index, sums = f"{work}/inputs/data/index.json", f"{work}/inputs/data/rows.crc32c"
teacher = f"{work}/inputs/teacher.safetensors"
opens, read = collections.Counter(), collections.Counter()
processes = os.listdir(f"{work}/counts")
for process in processes:
    for line in open(f"{work}/counts/{process}"):
        count, size, path = line.split(maxsplit=2)
        path = path.strip()
        opens[path] += int(count)
        read[path] += int(size)
for path in sorted(opens):
    print(f"{path[len(work) + 8:]}: {opens[path]} opens, {read[path]} bytes of {os.path.getsize(path)}")
assert len(processes) == ranks, processes
for path in index, sums:
    assert opens[path] == 1, (path, opens[path])
    assert read[path] == os.path.getsize(path), (path, read[path])
assert opens[teacher] <= 2 * ranks + 1, opens[teacher]  # one hashes it
for path in opens:
    if path.endswith(".h5"):  # read; looked into by HDF5, checked
        assert opens[path] <= ranks + 3, (path, opens[path])
END
finish "$ranks ranks with a teacher in slices: a step; opens and bytes of the index"
