#!/usr/bin/env bash
# Checkpoints of OpenNMT-py, exported: perplexity and greedy lines are OpenNMT-py's own (tests/infer/opennmt.py made
# both); one teaches, and is compressed.
. "$SOURCE/tests/whole/jobs.bash"
folder=$SOURCE/tests/infer/opennmt
python=${BITSTILL_PEER_PYTHON:-python3}
export PYTHONDONTWRITEBYTECODE=1
"$python" -c 'import torch' 2>/dev/null || export PYTHONPATH=$SOURCE/tests/launch/no_torch
cd "$WORK" || exit 1
python3 - "$folder" <<'END' || exit 1
import json, sys
def write(name, lines):
    with open(name, "w") as file:
        file.writelines(f"{line}\n" for line in lines)
golden = json.load(open(sys.argv[1] + "/golden.json"))
write("source", [pair[0] for pair in golden["pairs"]])
write("target", [pair[1] for pair in golden["pairs"]])
write("most_tokens", [golden["most_tokens"]])
for name, of in golden["checkpoints"].items():
    write(name + ".lines", of["lines"])
    write(name + ".perplexity", [of["perplexity"]])
END

# agrees NAME SHARDS VOCABULARY
agrees() {
  [ -e "$2" ] || must 1 shard --vocabulary "$3" --source source,target --validation 4 --test-source source,target \
    --out "$2"
  "$python" "$SOURCE/launch/export_pytorch.py" "$folder/$1.pt" "$1.safetensors" --vocabulary "$3" >"$1.said" ||
    fail "no export of $1"
  must 2 evaluate --model.file "$1.safetensors" --data.folder "$2" --json
  python3 -c 'import json, sys
found, right = json.load(open("out"))[0]["perplexity"], float(open(sys.argv[1]).read())
sys.exit(not abs(found / right - 1) <= 1e-4)' "$1.perplexity" || fail "$(cat "$1.perplexity") of $1: $(cat out)"
  must 1 translate --model.file "$1.safetensors" --beam 1 --most-tokens "$(cat most_tokens)" --input source
  diff out "$1.lines" >differ || fail "lines of $1: $(cat differ)"
}
agrees plain joint "$folder/joint.model"
agrees all joint "$folder/joint.model"
agrees apart apart "$folder/source.model,$folder/target.model"
[ "$(wc -l <plain.said)" -eq 1 ] || fail "all is known, and yet: $(cat plain.said)"
for side in source target; do
  grep -q "$side.model: 5 of [0-9]* pieces without a $side token of the checkpoint, taken as <unk>: " apart.said &&
    grep -q "$side.model: no piece for 1 of [0-9]* $side tokens of the checkpoint, left out: ｟de｠" apart.said ||
    fail "not named: $(cat apart.said)"
done

lstm=(--data.folder joint --train.micro_tokens 64 --train.global_tokens 64 --run.threads 1)
must 2 distill "${lstm[@]}" --teacher.file plain.safetensors --model.kind lstm --model.size 8 --train.epochs 1 \
  --run.folder student
must 1 compress plain.safetensors --post-mortem --quant.bits 8 --out packed.safetensors
must 1 translate --model.file packed.safetensors --beam 1 --most-tokens "$(cat most_tokens)" --input source
[ "$(diff out plain.lines | grep -c '^<')" -lt 20 ] || fail "in 8 bits: $(diff out plain.lines)"
refused "shards of another vocabulary" 1 4 'another source vocabulary' evaluate --model.file plain.safetensors \
  --data.folder apart
finish "OpenNMT-py's checkpoints (bidirectional; tied, bridge, 2 layers; without input feeding, two vocabularies):" \
  "perplexities, greedy lines, a student, 8 bits"
