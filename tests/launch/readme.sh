#!/usr/bin/env bash
# The README's blocks marked "run" do, one after the other, on small data; every file that it names is there.
. "$SOURCE/tests/strangers/rows.bash"
row_seconds=300
mkdir -p "$WORK/user/shards" && cd "$WORK/user" || exit 1
ln -s "$SOURCE/launch" launch
small_shards digits 100 20 100
mv "$WORK/digits" shards/digits
python3 "$SOURCE/tests/whole/small_images.py" images "$WORK/digits.idx" flat
i=0
for label in $(od -An -v -tu1 -w1 -j8 "$WORK/digits.idx/t10k-labels-idx1-ubyte"); do
  mkdir -p "images/$label" && mv "flat/$(printf %04d $i).png" "images/$label" && i=$((i + 1))
done
cp images/0/0000.png cat.png
PATH=$(dirname "$BITSTILL"):$PATH

awk -v to="$WORK/block" '/^```bash run$/ { n++; on = 1; next } /^```/ { on = 0 } on { print >(to n) }' \
  "$SOURCE/README.md"
for block in "$WORK"/block*; do
  row "6.12 $(basename "$block")" 0 '' bash -e -x -o pipefail "$block"
done
holds 6.12 [ "$(find "$WORK"/block* | wc -l)" -ge 2 ]
holds 6.12 [ -s page.html ]
holds 6.12 [ -s report.html ]

named_but_missing() {
  local file
  sed -n 's/^\(launch\|tests\)/`&/p; s/[`(]\(\(launch\|tests\|datasets\|src\|include\)\/[A-Za-z0-9_./-]*\)/\n\1\n/gp' \
    "$SOURCE/README.md" | grep -E '^(launch|tests|datasets|src|include)/[A-Za-z0-9_./-]*$' | sort -u |
    while read -r file; do [ -e "$SOURCE/$file" ] || echo "$file"; done
}
holds 6.13 [ -z "$(named_but_missing)" ]
# Data sets and recipes speak of the same folders.
for set in digits cifar10; do
  holds 6.14 grep -q -- "--out shards/$set\$" "$SOURCE/datasets/$set/README.md"
  holds 6.14 grep -qx "folder = shards/$set" "$SOURCE/launch/recipes/${set}_teacher.cfg"
done
holds 6.15 [ "$(wc -w <"$SOURCE/README.md")" -le 1900 ]
finish "the README's blocks, the files it names, its length"
