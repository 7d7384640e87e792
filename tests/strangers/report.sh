# What reports say of real runs, and which folders they find.
. "$SOURCE/tests/strangers/rows.bash"
cd "$WORK" || exit 1
small_shards data 640 200 300
small_teacher data
must 2 distill --data.folder data --run.folder grid/two_bits --quant.bits 2 --train.epochs 3 \
  --teacher.file teacher/master.safetensors --train.global_batch 32 --run.log_steps 8 \
  "${student[@]}" "${small[@]}"
distil 1 data grid/fp32 --quant.method none --train.epochs 1 --train.global_batch 32

# phases_fit PAGE RUN: the page's sum of the phases is no more than a step of the log took, and most
# of it.
phases_fit() {
  python3 - "$1" "$2" <<'END'
import json, re, sys
page = open(sys.argv[1], encoding="utf-8").read()
time = page[page.index("Where the time goes"):]
shown = float(re.search(r'<text class="tick"[^>]*>([0-9.]+) ms</text>', time).group(1))
lines = [json.loads(line) for line in open(sys.argv[2] + "/run.jsonl")]
steps = [line for line in lines if line["type"] == "step"]
count = sum(line.get("steps", 8) for line in steps)
taken = sum(line.get("steps", 8) * 32e3 / line["images_per_s"] for line in steps) / count
print(f"phases {shown} ms, step {taken:.3f} ms")
sys.exit(not 0.5 * taken < shown < 1.02 * taken)
END
}
"$BITSTILL" report "$WORK/grid/two_bits" --out one.html >/dev/null
holds 5.1 phases_fit one.html grid/two_bits

row 5.2 0 'Smaller than fp32' "$BITSTILL" report grid/fp32 --out two.html
holds 5.2b grep -Eq '^fp32 .* 1\.0x( |$)' "$WORK/said"
row 5.3 0 'Points to teacher .*Smaller than teacher' "$BITSTILL" report teacher grid/two_bits \
  --out two.html
holds 5.3b grep -Eq "^two_bits .* [+-]?[0-9.]+ \([+-]?[0-9.]+ to [+-]?[0-9.]+\) .* [0-9.]+x .*$(
  python3 -c 'import os; t, s = (os.path.getsize(f) for f in
  ("teacher/master.safetensors", "grid/two_bits/student.safetensors")); print("%.1f" % (t / s))')x" \
  "$WORK/said"

mkdir -p grid/empty && echo text >grid/notes.txt
row 5.4 0 'skipped, no runs: .*empty' "$BITSTILL" report grid/* --out two.html
row 5.5 0 '^two_bits ' "$BITSTILL" report grid --out two.html
row 5.7 0 '' "$BITSTILL" report grid --out two.html --csv facts.csv --json facts.json
facts_agree() {
  python3 - <<'END'
import csv, json
rows = list(csv.DictReader(open("facts.csv", newline="")))
runs = json.load(open("facts.json"))["runs"]
assert [row["name"] for row in rows] == [run["name"] for run in runs] == ["fp32", "two_bits"]
for row, run in zip(rows, runs):
    assert float(row["test_accuracy"]) == run["test_accuracy"]
    assert int(row["file_bytes"]) == run["file_bytes"]
    assert run["settings"]["train.global_batch"] == "32" and run["curves"]
assert runs[0]["fp32_file_bytes"] == runs[0]["file_bytes"] == runs[1]["fp32_file_bytes"]
END
}
holds 5.7b facts_agree

evil=$(printf 'names/a\nb\033[31m<i>')
mkdir names && cp -r grid/fp32 "$evil" && cp -r grid/fp32 "names/$(printf 'x%.0s' {1..200})"
row 5.12 0 '^a\\nb\\x1b\[31m<i> ' "$BITSTILL" report "$evil" names/xx* --out names.html
holds 5.13 bash -c '! grep -q "x\{100\}" "$1" && ! grep -q "[[:cntrl:]]" "$1"' _ "$WORK/said"
holds 5.12b grep -qF 'a\nb\x1b[31m&lt;i&gt;' names.html

finish "reports"
