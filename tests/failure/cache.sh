#!/usr/bin/env bash
# Caches that do not fit, are damaged or were not written to their end: one error line with file and
# reason, the right exit code, all ranks together; and a full disk leaves none that could be taken for
# whole.
. "$SOURCE/tests/whole/jobs.bash"
small_shards data 600 60 50
small_shards other 600 60 50 7
small_teacher data
teacher=$WORK/teacher.safetensors
setting=(--data.shift 1 --data.variants 2 --data.augment_seed 5 --run.threads 1 --train.precision fp32)
write=(cache --data.folder "$WORK/data" --teacher.file "$teacher" "${setting[@]}" --out)
must 2 "${write[@]}" "$WORK/cache"

learn=(distill --overwrite --data.folder "$WORK/data" --run.folder "$WORK/run" --quant.method uniform --train.epochs 2
  --train.global_batch 64 "${student[@]}" "${small[@]}" "${setting[@]}" --teacher.cache "$WORK/cache")
# misfit NAME PATTERN SETTING...
misfit() {
  for ranks in 1 2; do refused "$1" $ranks 2 "teacher\.cache = .*/cache .*$2" "${learn[@]}" --dry-run "${@:3}"; done
}
misfit "precision" 'teacher\.precision was fp32 .*is bf16' --teacher.precision bf16
misfit "shift" 'data\.shift = 1 .*is data\.shift = 2' --data.shift 2
misfit "variants" 'data\.variants was 2 .*is 3' --data.variants 3
misfit "endless variants" 'data\.variants was 2 .*is 0 .never' --data.variants 0
misfit "augment seed" 'data\.augment_seed was 5 .*is 6' --data.augment_seed 6
misfit "data" 'the index of data\.folder was' --data.folder "$WORK/other"
misfit "normalization" 'normalization was .*is mean 0\.5 and std 2' --teacher.mean 0.5 --teacher.std 2
misfit "another teacher" 'SHA-256 of teacher\.file was' --teacher.file "$WORK/teacher/student.safetensors"
ATEN_CPU_CAPABILITY=default misfit "processor" "the processor's instructions was .*is DEFAULT"
must 1 cache --data.folder "$WORK/data" --teacher.file "$teacher" --run.threads 1 --top 2 --out "$WORK/top"
refused "temperature" 2 2 'distill\.temperature was 2 .*is 4' "${learn[@]}" --data.shift 0 --teacher.cache "$WORK/top" \
  --distill.temperature 4
refused "no folder" 2 3 "$WORK/none: .*no logit cache" "${learn[@]}" --teacher.cache "$WORK/none"

# harmed NAME: a copy of the cache
harmed() {
  cp -r "$WORK/cache" "$WORK/$1"
}
harmed unfinished && rm "$WORK/unfinished/index.json"
harmed truncated && truncate -s 1000 "$WORK/truncated/logits-00001.bin"
harmed gone && rm "$WORK/gone/logits-00001.bin"
harmed foreign && must 1 "${write[@]}" "$WORK/one" --data.augment_seed 6 && cp "$WORK/one/index.json" "$WORK/foreign/"
harmed flipped && python3 - "$WORK/flipped/logits-00001.bin" <<'PY'
import sys
with open(sys.argv[1], "r+b") as file:
    file.seek(64 + 44 * 7 + 13)
    byte = file.read(1)[0]
    file.seek(-1, 1)
    file.write(bytes([byte ^ 1]))
PY
for ranks in 1 2 4; do
  refused "unfinished" $ranks 3 "$WORK/unfinished: .*never ended" "${learn[@]}" --teacher.cache "$WORK/unfinished"
  refused "truncated" $ranks 3 'truncated/logits-00001\.bin: holds 1000 bytes' "${learn[@]}" --teacher.cache "$WORK/truncated"
  refused "gone" $ranks 3 'gone/logits-00001\.bin: cannot open' "${learn[@]}" --teacher.cache "$WORK/gone"
  refused "foreign" $ranks 3 'foreign/logits-0000.\.bin: (holds|is of another)' "${learn[@]}" --teacher.cache "$WORK/foreign"
  refused "flipped" $ranks 3 'flipped/logits-00001\.bin, row 7: .*CRC' "${learn[@]}" --teacher.cache "$WORK/flipped"
done

# One path, two caches: the last rank finds another one.
mkdir "$WORK/here" "$WORK/there"
cp -r "$WORK/cache" "$WORK/here"
must 1 "${write[@]}" "$WORK/there/cache" --batch 50
for ranks in 2 4; do
  timeout -s KILL 60 "${mpi[@]}" -n $((ranks - 1)) -wdir "$WORK/here" "$BITSTILL" "${learn[@]}" --teacher.cache cache \
    : -n 1 -wdir "$WORK/there" "$BITSTILL" "${learn[@]}" --teacher.cache cache >"$WORK/out" 2>"$WORK/err"
  [ $? -eq 3 ] && [ "$(grep -c '^error:' "$WORK/err")" -eq 1 ] &&
    grep -q "^error: the index of teacher.cache differs: .* on rank $((ranks - 1))" "$WORK/err" ||
    { fail "two caches under one path:"; cat "$WORK/err"; }
done

# Writing: what cannot be, what is there already, a full disk, a killed writer.
refused "no variants" 2 2 'data\.variants = 0: .*never repeats' "${write[@]}" "$WORK/new" --data.variants 0
refused "too many kept" 2 2 'top = 10: there are 10 classes' "${write[@]}" "$WORK/new" --top 10
refused "a cache" 2 2 "$WORK/cache holds a cache; --overwrite" "${write[@]}" "$WORK/cache"
refused "something else" 2 2 'holds [a-z._0-9]*; give a new or empty folder' "${write[@]}" "$WORK"
mkdir "$WORK/own" && : >"$WORK/own/logits-of-mine.bin"
refused "someone's own logits" 2 2 'holds logits-of-mine\.bin; give a new' "${write[@]}" "$WORK/own"
[ -e "$WORK/own/logits-of-mine.bin" ] || fail "a file that is not the cache's was removed"
must 2 "${write[@]}" "$WORK/cache" --overwrite
cmp "$WORK/cache/index.json" "$WORK/cache.1/index.json" && cmp "$WORK/cache/logits-00000.bin" "$WORK/cache.1/logits-00000.bin" ||
  fail "the cache written again is another one"
bash -c 'ulimit -f 20 && exec "$0" "$@"' "$BITSTILL" "${write[@]}" "$WORK/limited" >"$WORK/out" 2>"$WORK/err"
[ $? -eq 7 ] && grep -q '^error: .*logits-00000\.bin: cannot allocate 52\.9 kB: File too large$' "$WORK/err" ||
  { fail "a file that may not grow:"; cat "$WORK/err"; }
[ -z "$(ls "$WORK/limited")" ] || fail "a refused cache left $(ls "$WORK/limited")"
full=SKIP
mkdir "$WORK/full"
if [ "$(id -u)" -eq 0 ] && mount -t tmpfs -o size=40k none "$WORK/full" 2>/dev/null; then
  trap 'umount "$WORK/full"' EXIT
  for ranks in 1 2 4; do
    refused "a full disk" $ranks 7 'logits-0000.\.bin: cannot allocate [0-9.]+ kB: No space' "${write[@]}" "$WORK/full/cache"
    [ -z "$(ls "$WORK/full/cache")" ] || fail "a full disk holds $(ls "$WORK/full/cache")"
  done
  full="a full disk"
fi
echo "full disk: $full"

"${mpi[@]}" -n 2 "$BITSTILL" "${write[@]}" "$WORK/killed" --data.variants 400 >"$WORK/out" 2>"$WORK/err" &
job=$!
for ((i = 0; i < 1000; i++)); do
  [ -e "$WORK/killed/logits-00001.bin" ] && break
  sleep 0.02
done
sleep 0.1
# The ranks are the only processes with this folder among their words; they are fast.
for process in /proc/[0-9]*; do
  mapfile -d '' words 2>/dev/null <"$process/cmdline" || continue
  [[ " ${words[*]} " == *" $WORK/killed "* ]] && kill -KILL "${process#/proc/}" 2>/dev/null
done
wait $job
[ -e "$WORK/killed/logits-00001.bin" ] && [ ! -e "$WORK/killed/index.json" ] || fail "the writer was not killed while it wrote"
refused "killed" 2 3 "$WORK/killed: .*never ended" "${learn[@]}" --teacher.cache "$WORK/killed" --data.variants 1
cp -r "$WORK/killed" "$WORK/resumed"
must 2 "${write[@]}" "$WORK/killed"
cmp "$WORK/cache/index.json" "$WORK/killed/index.json" || fail "the cache written after the kill is another one"

# What the killed one left goes on to the cache that nobody killed, and then there is no more to do.
more=(--data.variants 400)
refused "another world" 3 2 'logits-0000.\.bin: was begun with .*another number of ranks' \
  "${write[@]}" "$WORK/resumed" "${more[@]}" --resume
refused "other settings" 2 2 'logits-0000.\.bin: was begun with other settings' \
  "${write[@]}" "$WORK/resumed" "${more[@]}" --resume --batch 50
must 2 "${write[@]}" "$WORK/straight" "${more[@]}"
must 2 "${write[@]}" "$WORK/resumed" "${more[@]}" --resume
grep -qE 'resuming after [1-9][0-9]* of 240000 rows' "$WORK/err" || { fail "nothing was kept:"; cat "$WORK/err"; }
for file in index.json logits-00000.bin logits-00001.bin; do
  cmp "$WORK/straight/$file" "$WORK/resumed/$file" || fail "the resumed cache is another one: $file"
done
must 2 "${write[@]}" "$WORK/resumed" "${more[@]}" --resume
grep -q 'resumed holds this cache whole' "$WORK/err" || fail "a whole cache was begun again"
# By a teacher in slices: ranks of which one has written all, one half of a row more, two nothing.
must 4 "${write[@]}" "$WORK/slices" --teacher.sharding gather
cp -r "$WORK/slices" "$WORK/parts"
rm "$WORK/parts/index.json" "$WORK/parts/logits-00003.bin"
python3 - "$WORK/parts" <<'PY'
import sys
for name, kept in (("logits-00001.bin", 64 + 100 * 44 + 20), ("logits-00002.bin", 0)):
    with open(f"{sys.argv[1]}/{name}", "r+b") as file:
        size = file.seek(0, 2)
        file.seek(kept)
        file.write(bytes(size - kept))
PY
must 4 "${write[@]}" "$WORK/parts" --teacher.sharding gather --resume
for file in "$WORK/slices"/*; do
  cmp "$file" "$WORK/parts/${file##*/}" || fail "the resumed cache of a teacher in slices: ${file##*/}"
done
refused "nothing to resume" 2 2 "--resume: $WORK/never holds no cache" "${write[@]}" "$WORK/never" --resume
finish "caches of other teachers, precisions, processors, data, augmentation, temperatures; damaged, truncated," \
  "foreign, unfinished; full disk ($full) and a killed writer: one line, the right code; resumed = never killed"
