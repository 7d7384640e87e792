#!/usr/bin/env bash
# Pictures, JPEG shards and weights that are wrong, and a disk that fills in one rank's shard: the right exit
# code and exactly one "error:" line that names the thing and the way out, on one rank and on four.
. "$SOURCE/tests/whole/jobs.bash"
harm=$SOURCE/tests/failure/harm.py
"$(dirname "$BITSTILL")/jpeg_pictures_program" "$WORK/pictures" 120 12 || { fail "no pictures"; finish; }
must 2 shard --source "$WORK/pictures" --store jpeg --validation 0 --rows 60 --out "$WORK/good"

# Sources: each a copy in links, apart from what is wrong.
source_like() { cp -rl "$WORK/pictures" "$WORK/$1"; }
source_like torn && rm "$WORK/torn/train/bee/00001.jpg" &&
  head -c 700 "$WORK/pictures/train/bee/00001.jpg" >"$WORK/torn/train/bee/00001.jpg"
source_like empty && mkdir "$WORK/empty/train/dog"
source_like flat && mv "$WORK"/flat/val/*/*.jpg "$WORK/flat/val" && rmdir "$WORK"/flat/val/*/
for ((i = 0; i < 11; i++)); do echo bee; done >"$WORK/labels.txt"
for kind in undecodable_jpeg falling_offsets; do
  cp -r "$WORK/good" "$WORK/$kind" && python3 "$harm" $kind "$WORK/$kind" || exit 1
done
python3 -c 'import sys, zipfile; zipfile.ZipFile(sys.argv[1], "w").writestr("archive/data.pkl", b"\x80\x02.")' "$WORK/weights.pth"

# all_refusals RANKS
all_refusals() {
  local ranks=$1
  local shard=(shard --store jpeg --out "$WORK/none") learn=(train --run.folder "$WORK/run" --data.size 16
    --overwrite --train.epochs 1 --train.global_batch 40 "${student[@]}" "${small[@]}")
  refused "a truncated picture" "$ranks" 3 \
    '1 of 132 images cannot be read: .*torn/train/bee/00001\.jpg: damaged JPEG: .*--skip-bad' "${shard[@]}" --source "$WORK/torn"
  refused "pictures above the limit" "$ranks" 3 '132 of 132 images .*pixels are more than 900' \
    "${shard[@]}" --source "$WORK/pictures" --most-pixels 900
  refused "a class without pictures" "$ranks" 3 '1 of 4 classes have no train images: dog' "${shard[@]}" --source "$WORK/empty"
  refused "labels of another length" "$ranks" 3 'labels\.txt: 11 lines for 12 images; give one a line' \
    "${shard[@]}" --source "$WORK/flat" --labels "$WORK/labels.txt"
  ls "$WORK"/none* >/dev/null 2>&1 && fail "refused sources left $(ls -d "$WORK"/none*)"
  refused "a row that does not decode" "$ranks" 3 'undecodable_jpeg/train-00001\.h5, row 5: damaged JPEG: .*convert the data again' \
    "${learn[@]}" --data.folder "$WORK/undecodable_jpeg"
  refused "offsets that fall" "$ranks" 3 'falling_offsets/train-00001\.h5, row 5: its bytes are said to be' \
    "${learn[@]}" --data.folder "$WORK/falling_offsets"
  refused "a .pth file" "$ranks" 4 'weights\.pth: is a PyTorch pickle \(zip\); .*export_pytorch\.py' distill "${learn[@]:1}" \
    --data.folder "$WORK/good" --teacher.kind resnet18 --teacher.file "$WORK/weights.pth"
  refused "a .pth file to evaluate" "$ranks" 4 'weights\.pth: is a PyTorch pickle' evaluate --data.folder "$WORK/good" \
    --model.file "$WORK/weights.pth" --model.kind resnet18
  refused "no whole channels" "$ranks" 2 'width_factor 0\.3 makes 19\.2 of 64 channels' "${learn[@]:0:8}" \
    --data.folder "$WORK/good" --model.kind resnet18 --model.width_factor 0.3
}
side_by_side all_refusals 1 4

# The disk fills in rank 3's shard: the others end theirs, and the next try has only that one to write.
cat >"$WORK/full.c" <<'END'
#include <errno.h>
#include <sys/types.h>
int posix_fallocate(int file, off_t offset, off_t bytes) { (void)file, (void)offset, (void)bytes; return ENOSPC; }
int posix_fallocate64(int file, off_t offset, off_t bytes) { return posix_fallocate(file, offset, bytes); }
END
${CC:-cc} -shared -fPIC "$WORK/full.c" -o "$WORK/full.so" || { echo "FAILED: full.c does not compile"; exit 1; }
four=(shard --source "$WORK/pictures" --store jpeg --validation 0 --rows 30 --out "$WORK/four")
timeout -s KILL 60 "${mpi[@]}" -n 3 "$BITSTILL" "${four[@]}" : -n 1 env LD_PRELOAD="$WORK/full.so" "$BITSTILL" \
  "${four[@]}" >"$WORK/out" 2>"$WORK/err"
code=$?
[ $code -eq 7 ] && [ "$(grep -c '^error:' "$WORK/err")" -eq 1 ] &&
  grep -q '^error: rank 3: .*four\.partial/train-00003\.h5\.part: cannot allocate [0-9.]* kB: No space left' "$WORK/err" ||
  { fail "a full disk on rank 3: exit $code"; cat "$WORK/err"; }
[ ! -e "$WORK/four" ] || fail "a full disk left a folder that looks whole"
before=$(stat -c '%i %y' "$WORK"/four.partial/train-0000{0,1,2}.h5) || fail "the other shards were not written"
must 4 "${four[@]}"
[ "$before" = "$(stat -c '%i %y' "$WORK"/four/train-0000{0,1,2}.h5)" ] || fail "shards that were whole were written again"
must 1 "${four[@]/four/again}"
diff -r "$WORK/four" "$WORK/again" || fail "shards written after a full disk are others"

full=SKIP
mkdir "$WORK/full"
if [ "$(id -u)" -eq 0 ] && mount -t tmpfs -o size=80k none "$WORK/full" 2>/dev/null; then
  trap 'umount "$WORK/full"' EXIT
  for ranks in 1 4; do
    refused "a full disk" $ranks 7 'full/shards\.partial/.*: (cannot .*)?No space left' shard --source "$WORK/pictures" \
      --store jpeg --validation 0 --rows 30 --out "$WORK/full/shards"
    rm -r "$WORK"/full/*
  done
  full="a full disk"
fi
echo "full disk: $full"
finish "pictures, labels, JPEG rows, offsets, pickled weights, widths and full disks ($full) at 1 and 4 ranks"
