# What is written reads back, lost output is a failure, messages are one visible line, only plain
# files are read, run folders stand for their student.
. "$SOURCE/tests/strangers/rows.bash"
small_shards data 160 20 20
recipe_run="$WORK/job #7 "
"$BITSTILL" train --data.folder "$WORK/data" --run.folder "$recipe_run" "${student[@]}" "${small[@]}" \
  --quant.method uniform --quant.bits 4 --train.epochs 1 --train.global_batch 32 >"$WORK/said" 2>&1 || fail "train: $(cat "$WORK/said")"
run=$WORK/run
mv "$recipe_run" "$run"

# What is written reads back: the folder, from the recipe that the run wrote.
row 5.31 0 'run\.folder = ".*/job #7 "$' "$BITSTILL" train --config "$run/recipe.cfg" --dry-run
plan=("${student[@]}" --data.folder "$WORK/data" --dry-run)
printf '\xef\xbb\xbfrun.folder = "a\\tb"\r\ntrain.epochs = 3\r\n' >"$WORK/windows.cfg"
row 5.33 0 'run\.folder = "a\\tb"' "$BITSTILL" train --config "$WORK/windows.cfg" "${plan[@]}"
printf '[run]\nfolder = job#7\n' >"$WORK/hash.cfg"
row 5.32 0 'run\.folder = job#7$' "$BITSTILL" train --config "$WORK/hash.cfg" "${plan[@]}"

# Lost output.
png=$SOURCE/tests/whole/small_images.py
python3 "$png" images "$WORK/data.idx" "$WORK/images" >"$WORK/said" 2>&1 || fail "images: $(cat "$WORK/said")"
measure=(--model.file "$run/student.safetensors" --run.threads 1)
lost() { "$@" >/dev/full; }
closed() { "$@" >&-; }
export -f lost closed
for words in --help --version "study --help" "inspect $WORK/data" "inspect $run/student.safetensors --json" \
  "evaluate ${measure[*]} --data.folder $WORK/data" "predict ${measure[*]} $WORK/images/0001.png" \
  "compress $run" "report $run --out $WORK/page.html" "train --config $run/recipe.cfg --dry-run" \
  "shard --source $WORK/data.idx --out $WORK/lost.${RANDOM}" "bench --help"; do
  row "5.34 ${words%% *}" 7 '^error: standard output is lost' \
    bash -c "lost '$BITSTILL' $words"
done
row "5.34 stopped early" 4 'none\.safetensors' bash -c "lost '$BITSTILL' inspect '$WORK/none.safetensors'"
row 5.35 7 '^error: standard output is lost: Bad file descriptor' \
  bash -c "closed '$BITSTILL' inspect '$WORK/data'"

# One visible line, at most 400 characters, with its end.
odd=$'no\nsuch\e[31m\xe2\x80\xaefile'  # bytes: \u hangs on the locale
row 5.36 4 '^error: .*/no\\nsuch\\x1b\[31m\\u202efile: cannot open: No such file' \
  "$BITSTILL" inspect "$WORK/$odd"
row 5.37 4 '^error: .{393}$' "$BITSTILL" inspect "$WORK/$(printf 'x%.0s' {1..5000})"
holds 5.37 grep -q ' \.\.\. .*: cannot open: File name too long$' "$WORK/said"

# Plain files only, each kind with its limit. (The memory is bounded for programs that take it all.)
bounded() { ulimit -v 6000000 && "$@"; }
export -f bounded
row_seconds=10
row 5.38 2 '^error: /dev/zero: is a device' bash -c "bounded '$BITSTILL' train --config /dev/zero"
truncate -s 100M "$WORK/large.cfg"
row 5.40 2 'large\.cfg: holds more than the 1\.0 MB' "$BITSTILL" train --config "$WORK/large.cfg"
mkfifo "$WORK/pipe.safetensors" "$WORK/pipe.html"
mkdir -p "$WORK/piped" && mkfifo "$WORK/piped/run.jsonl" "$WORK/piped/index.json"
row_seconds=10
row "5.39 recipe" 2 'pipe\.safetensors: is a pipe' "$BITSTILL" train --config "$WORK/pipe.safetensors"
row "5.39 model" 4 'pipe\.safetensors: is a pipe' "$BITSTILL" inspect "$WORK/pipe.safetensors"
row "5.39 index" 3 'index\.json: is a pipe' "$BITSTILL" evaluate "${measure[@]}" --data.folder "$WORK/piped"
row "5.39 log" 3 'run\.jsonl: is a pipe' "$BITSTILL" report "$WORK/piped" --out "$WORK/piped.html"
row "5.39 image" 3 'pipe\.safetensors: is a pipe' "$BITSTILL" predict "${measure[@]}" "$WORK/pipe.safetensors"
row_seconds=60

# A run's folder stands for its student.
row "5.41 evaluate" 0 '^.*/run/student\.safetensors on ' "$BITSTILL" evaluate --model.file "$run" \
  --against "$run" --data.folder "$WORK/data" --run.threads 1
row "5.41 predict" 0 '0001\.png: ' "$BITSTILL" predict --model.file "$run" --run.threads 1 "$WORK/images/0001.png"
row "5.41 inspect" 0 'smaller than fp32 values, the fp32 file, the teacher' \
  "$BITSTILL" inspect "$run" --against "$run" --teacher "$run"
holds "5.41 export" "$BITSTILL" export --model.file "$run" --out "$WORK/exported.safetensors"
row "5.41 no run" 4 'images: holds no student\.safetensors; name a model file' \
  "$BITSTILL" evaluate --model.file "$WORK/images" --data.folder "$WORK/data" --run.threads 1

# Names that promise what is not written.
for word in "export --model.file $run/student.safetensors" "compress $run"; do
  row "5.42 ${word%% *}" 2 'out = .*m\.onnx: what is written is a \.safetensors file; name it .*/m\.safetensors$' \
    "$BITSTILL" $word --out "$WORK/m.onnx"
done
row "5.42 evaluate" 2 'html = .*m\.pdf: .*name it .*/m\.html$' "$BITSTILL" evaluate "${measure[@]}" \
  --data.folder "$WORK/data" --html "$WORK/m.pdf"
row "5.42 report" 2 'out = .*m\.pdf: .*name it .*/m\.html$' "$BITSTILL" report "$run" --out "$WORK/m.pdf"

# What is written goes into files of our own making.
echo untouched >"$WORK/victim"
ln -s "$WORK/victim" "$run/student.safetensors.partial"
row 5.44 0 'student\.safetensors: ' "$BITSTILL" compress "$run"
holds 5.44 grep -qx untouched "$WORK/victim"
row 5.46 7 'pipe\.html: is a device or pipe' "$BITSTILL" report "$run" --out "$WORK/pipe.html"
holds 5.46 test -p "$WORK/pipe.html"
finish "recipes that read back, lost output, visible lines, plain files within limits, run folders, endings"
