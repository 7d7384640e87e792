#!/usr/bin/env bash
# Data sets as strangers have them: taken as their owner means them, or refused with what settles it.
. "$SOURCE/tests/strangers/rows.bash"
cd "$WORK" || exit 1
make() { python3 "$SOURCE/tests/strangers/make_images.py" "$@"; }
# classes FOLDER: 12 images of cat and 12 of dog in it
classes() { make "$1/cat" 12 && make "$1/dog" 12; }
shard() {
  rm -rf out
  "$BITSTILL" shard --out out --source "$@"
}
export -f shard
export BITSTILL
# sharded ID CODE PATTERN SOURCE [SETTING...]
sharded() { row "$1" "$2" "$3" bash -c 'shard "$@"' shard "${@:4}"; }

classes named/Training && classes named/Testing
sharded 4.1 0 '2 classes.* 22 train / 2 validation / 24 test' named
classes evals/train && classes evals/eval
sharded 4.2 0 '2 classes.* 22 train / 2 validation / 24 test' evals
classes lone/train
sharded 4.3 3 'one split folder alone, train; give --source lone/train' lone
classes outer/pets
sharded 4.4 3 'single folder, pets, with the folders cat and dog.*--source outer/pets' outer
classes flat/train && make flat/test 5
sharded 4.5 3 'flat/test holds 5 images and no class folders' flat
make single/cat 12
sharded 4.6 3 'a single class folder, cat; --layout classes' single
classes mixed/train && classes mixed/test && make mixed/owl 4
sharded 4.7 3 'and also owl, which has images; --layout splits leaves it out' mixed

classes hidden && make hidden/__MACOSX 3 && make hidden/cat/.ipynb_checkpoints 3 && make hidden/dog/@eaDir 3
sharded 4.8 0 '2 classes.* 20 train / 2 validation / 2 test' hidden
classes linked && make elsewhere 8 && ln -s "$WORK/elsewhere" linked/cat/more && ln -s .. linked/dog/loop
sharded 4.9 0 '2 classes.* 26 train / 3 validation / 3 test' linked
classes dangling && ln -s nowhere dangling/cat/gone.png
sharded 4.10 3 '1 of 25 images cannot be read: dangling/cat/gone.png: a link that leads nowhere' dangling
sharded 4.10 0 'unreadable: dangling/cat/gone.png' dangling --skip-bad

classes foreign && mkdir foreign/owl && echo RIFF >foreign/owl/1.webp
sharded 4.11 3 '1 of 3 classes have no train images: owl; .*owl/1\.webp.*--allow-empty-classes' foreign
make idx letters $(seq 1 26) $(seq 1 26) $(seq 1 26)
sharded 4.12 3 '1 of 27 classes have no train images: 0;' letters
sharded 4.12 0 '27 classes' letters --allow-empty-classes
make idx stray 0 1 2 0 1 2 0 1 2 255 255
sharded 4.13 3 '252 of 256 classes have no train images: 3, 4,' stray

make idx kaggle.flat 0 1 0 1 0 1
for file in kaggle.flat/*; do mkdir -p "kaggle/${file##*/}" && mv "$file" "kaggle/${file##*/}"; done
sharded 4.16 0 '2 classes.* 4 train / 2 validation / 1 test' kaggle
make cifar missing 1 2 - 4 5
sharded 4.17 3 'lacks data_batch_3\.bin' missing
make cifar doubled 1 2 2 4 5
sharded 4.18 3 'data_batch_3\.bin: holds the same bytes as .*data_batch_2\.bin' doubled
mkdir pickled && touch pickled/{data_batch_1,test_batch,batches.meta} named.{npz,tar.gz}
sharded 4.19 3 'pickled CIFAR-10 .*binary' pickled
sharded 4.20 3 '\.npz is not read: write' named.npz
sharded 4.21 3 'an archive: unpack it' named.tar.gz

# No test images; the network it trains then answers for a folder.
classes few
"$BITSTILL" shard --source few --out shards --channels 1 --test 0 --validation 4 >log 2>&1 || fail "$(cat log)"
row 4.22 0 'student.safetensors: test none,' "$BITSTILL" train --data.folder shards --run.folder run \
  --train.epochs 1 --train.global_batch 16 --quant.method none "${student[@]}" "${small[@]}"
row 4.22 0 ' none ' "$BITSTILL" report run
row 4.10 3 'gone.png: a link that leads nowhere' "$BITSTILL" predict dangling --model.file run/student.safetensors
row 4.10 0 'skipped dangling/cat/gone.png' "$BITSTILL" predict dangling --skip-bad --model.file run/student.safetensors
row 4.8 0 'left out, hidden or of the system: 3' "$BITSTILL" predict hidden --model.file run/student.safetensors

row_seconds=10
mkfifo pipe.png piped
row 5.54 3 'pipe.png: .*plain file' "$BITSTILL" predict pipe.png --model.file run/student.safetensors
sharded 5.54 3 'piped: .*plain file' piped
cp -r shards device && ln -sf /dev/zero device/index.json
row 5.55 3 'device/index.json: .*plain file' bash -c 'ulimit -v 8000000; "$BITSTILL" inspect device'
finish "data sets of strangers"
