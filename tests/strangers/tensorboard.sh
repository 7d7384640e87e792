# run.tensorboard = true: PyPI's tensorboard reads the run's scalars, also those of a resumed run.
. "$SOURCE/tests/strangers/rows.bash"
cd "$WORK" || exit 1
if ! python3 -c "import tensorboard" 2>/dev/null; then
  echo "SKIP: python3 has no tensorboard"
  exit 77
fi
small_shards data 640 200 100
small_teacher data
run=(2 data run --quant.bits 2 --train.global_batch 32 --run.log_steps 8 --run.tensorboard true)
distil "${run[@]}" --train.epochs 2
distil "${run[@]}" --train.epochs 4 --resume

# What TensorBoard shows are the log's scalars, each step once.
reads_back() {
  python3 - <<'END'
import json
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
events = EventAccumulator("run/tensorboard", size_guidance={"scalars": 0})
events.Reload()
lines = [json.loads(line) for line in open("run/run.jsonl")]
def check(tag, kind, get):
    wanted = [(line["step"], get(line)) for line in lines if line["type"] == kind]
    found = [(event.step, event.value) for event in events.Scalars(tag)]
    assert [step for step, _ in found] == [step for step, _ in wanted], (tag, found, wanted)
    assert all(abs(a - b) <= 1e-6 * abs(b) for (_, a), (_, b) in zip(found, wanted)), tag
check("loss/step", "step", lambda line: line["loss"])
check("rate/step", "step", lambda line: line["rate"])
check("accuracy/validation", "epoch", lambda line: line["validation"]["accuracy"])
check("loss/train", "epoch", lambda line: line["train"]["loss"])
END
}
holds 6.20 reads_back

finish "scalars for TensorBoard"
