#!/usr/bin/env bash
# bitstill evaluate and predict as they are used: equal output at 1, 2 and 3 ranks, one file against
# another, figures that agree with each other, and what is refused.
. "$SOURCE/tests/whole/jobs.bash"
small_shards data 600 60 1100
small_teacher data
must 1 distill --data.folder "$WORK/data" --run.folder "$WORK/run" --teacher.file "$WORK/teacher.safetensors" \
  --quant.method uniform --quant.bits 3 --train.epochs 1 --train.global_batch 32 "${student[@]}" "${small[@]}"
file=$WORK/run/student.safetensors
images=$SOURCE/tests/whole/small_images.py
check() { python3 "$images" "$@" || fail "$*"; }

# same_output NAME COMMAND...: at 1, 2 and 3 ranks; what 1 rank said is then in $WORK/NAME
same_output() {
  local name=$1 ranks
  shift
  must 1 "$@"
  cp "$WORK/out" "$WORK/$name"
  for ranks in 2 3; do
    must $ranks "$@"
    cmp "$WORK/$name" "$WORK/out" || fail "$name at 1 and $ranks ranks"
  done
}

measure=(evaluate --data.folder "$WORK/data" --run.threads 1 --model.file)
same_output text "${measure[@]}" "$file"
same_output json "${measure[@]}" "$file" --json --against "$WORK/teacher.safetensors"
same_output checkpoint "${measure[@]}" "$(newest run)" --json
for ranks in 1 2 3; do
  must $ranks "${measure[@]}" "$file" --against "$WORK/teacher.safetensors" --html "$WORK/page.$ranks.html"
  cmp "$WORK/page.1.html" "$WORK/page.$ranks.html" || fail "the page at 1 and $ranks ranks"
done
check evaluation "$WORK/json" 1100

# A file against itself, and plain PyTorch weights that have to be told their network.
must 1 "${measure[@]}" "$file" --against "$file" --json
check itself "$WORK/out"
check plain "$file" "$WORK/plain.safetensors"
must 1 "${measure[@]}" "$WORK/plain.safetensors" --json "${student[@]}"
check same_counts "$WORK/json" "$WORK/out"
must 1 "${measure[@]}" "$file" --json --against "$WORK/plain.safetensors" --against.kind convnet \
  --against.widths 4 --against.kernels 3 --against.pools 1 --against.hidden 8
check itself "$WORK/out"

# The same images as rows of a split and as files: the same answers.
check images "$WORK/data.idx" "$WORK/images"
tell=(predict --model.file "$file" --run.threads 1)
same_output rows "${tell[@]}" --data.folder "$WORK/data" --top 10 --json
same_output files "${tell[@]}" "$WORK/images" --top 10 --json
check same_answers "$WORK/rows" "$WORK/files" "$WORK/json"
same_output csv "${tell[@]}" "$WORK/images" --top 3 --csv
check csv "$WORK/csv" "$WORK/files" 3
same_output lines "${tell[@]}" "$WORK/images/0007.png" "$WORK/images/0003.png"
[ "$(cut -d: -f1 "$WORK/lines")" = "$WORK/images/0007.png"$'\n'"$WORK/images/0003.png" ] ||
  fail "files are not answered in the order in which they are named"

# Images that cannot be read: the first is named, or all are left out and listed.
cp -r "$WORK/images" "$WORK/bad"
for name in 0001 0040 0041 1099; do head -c 60 "$WORK/images/$name.png" >"$WORK/bad/$name.png"; done
: >"$WORK/bad/0500.png"
for ranks in 1 2 3; do
  refused "a torn image" $ranks 3 'bad/0001\.png: damaged PNG' "${tell[@]}" "$WORK/bad"
  must $ranks "${tell[@]}" "$WORK/bad" --skip-bad --json --top 10
  [ "$(grep -c '^skipped .*bad/\(0001\|0040\|0041\|0500\|1099\)\.png: ' "$WORK/err")" -eq 5 ] &&
    grep -q '^warning: 5 of 1100 images' "$WORK/err" || fail "5 skipped images are not listed: $(cat "$WORK/err")"
  cp "$WORK/out" "$WORK/skipped.$ranks"
  cmp "$WORK/skipped.1" "$WORK/skipped.$ranks" || fail "predictions without 5 images at 1 and $ranks ranks"
done
[ "$(wc -l <"$WORK/skipped.1")" -eq 1095 ] || fail "$(wc -l <"$WORK/skipped.1") answers to 1095 images"

# What is refused, with the exit code of its kind.
python3 "$SOURCE/tests/whole/small_data.py" "$WORK/nine.idx" 60 10
check nine_classes "$WORK/nine.idx"
"$BITSTILL" shard --source "$WORK/nine.idx" --out "$WORK/nine" >"$WORK/log" || fail "$(cat "$WORK/log")"
mkdir -p "$WORK/folders/one" && cp "$WORK"/images/00*.png "$WORK/folders/one"
"$BITSTILL" shard --source "$WORK/folders" --layout classes --size 9x8 --channels 1 --out "$WORK/shape" >"$WORK/log" 2>&1 || fail "$(cat "$WORK/log")"
check not_finite "$file" "$WORK/not_finite.safetensors"
mkdir "$WORK/empty"
# all_refused RANKS
all_refused() {
  local ranks=$1
  refused "no model file named" "$ranks" 2 'model\.file is not given' evaluate --data.folder "$WORK/data"
  refused "no shards named" "$ranks" 2 'data\.folder is not given' evaluate --model.file "$file"
  refused "an unknown split" "$ranks" 2 'data\.split = tset' "${measure[@]}" "$file" --data.split tset
  refused "no model file" "$ranks" 4 'none\.safetensors' "${measure[@]}" "$WORK/none.safetensors"
  refused "no reference" "$ranks" 4 'none\.safetensors' "${measure[@]}" "$file" --against "$WORK/none.safetensors"
  refused "weights of an unknown network" "$ranks" 4 'plain\.safetensors' "${tell[@]:0:1}" "$WORK/images" \
    --model.file "$WORK/plain.safetensors"
  refused "another shape" "$ranks" 4 '1x8x8 images.*1x9x8' evaluate --model.file "$file" --data.folder "$WORK/shape"
  refused "other classes" "$ranks" 4 '10 classes.*9' evaluate --model.file "$file" --data.folder "$WORK/nine"
  refused "a reference of other classes" "$ranks" 4 'student\.safetensors.*10 classes' \
    evaluate --model.file "$file" --against "$file" --data.folder "$WORK/nine"
  refused "answers that are no numbers" "$ranks" 6 'not_finite\.safetensors.*1100 of 1100' \
    "${measure[@]}" "$WORK/not_finite.safetensors" --no-verify
  refused "a page below a file" "$ranks" 7 'text/page\.html' "${measure[@]}" "$file" --html "$WORK/text/page.html"
  refused "nothing to predict" "$ranks" 2 'nothing to predict' "${tell[@]}"
  refused "no such image" "$ranks" 3 'none\.png: no such file' "${tell[@]}" "$WORK/images/0001.png" "$WORK/none.png"
  refused "no images" "$ranks" 3 'empty: holds no' "${tell[@]}" "$WORK/empty"
  refused "shards as images" "$ranks" 3 'data: holds shards.*--data\.folder' "${tell[@]}" "$WORK/data"
  refused "a shard as an image" "$ranks" 3 'neither a JPEG nor a PNG' "${tell[@]}" "$WORK/data/index.json"
  refused "no class at all" "$ranks" 2 'top = 0' "${tell[@]}" "$WORK/images" --top 0
}
side_by_side all_refused 1 3
finish "evaluate and predict, equal at 1, 2 and 3 ranks, against each other, files against rows, torn images," \
  "exit codes of what is refused"
