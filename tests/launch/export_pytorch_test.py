"""launch/export_pytorch.py: what people save, and what it says of the rest. With PyTorch where there is one."""
import contextlib
import importlib.util
import io
import json
import os
import sys

SOURCE, WORK = os.environ["SOURCE"], os.environ["WORK"]
python = os.environ.get("BITSTILL_PEER_PYTHON")
if python and sys.executable != python:
    os.execv(python, [python, *sys.argv])
try:
    import torch
except ImportError:
    sys.path.append(SOURCE + "/tests/launch/no_torch")
    import torch

sys.dont_write_bytecode = True
IN, OUT = WORK + "/in.pt", WORK + "/out.safetensors"
spec = importlib.util.spec_from_file_location("export_pytorch", SOURCE + "/launch/export_pytorch.py")
exporter = importlib.util.module_from_spec(spec)
spec.loader.exec_module(exporter)


def export(checkpoint, *options):
    """What it ended with: None, or its error."""
    torch.save(checkpoint, IN)
    sys.argv = ["export_pytorch.py", IN, OUT, *options]
    try:
        with contextlib.redirect_stdout(io.StringIO()):
            return exporter.main()
    except SystemExit as end:
        return end.code


def header():
    with open(OUT, "rb") as file:
        size = int.from_bytes(file.read(8), "little")
        read = json.loads(file.read(size))
        body = file.read()
    assert size % 8 == 0
    assert len(body) == max(v["data_offsets"][1] for k, v in read.items() if k != "__metadata__")
    return read


failures = []


def row(name, condition):
    print(f"row {name}: {'right' if condition else 'WRONG'}")
    if not condition:
        failures.append(name)


def gives(name, checkpoint, *options):
    row(name, export(checkpoint, *options) is None and {k: v["shape"] for k, v in header().items() if k != "__metadata__"} ==
        {"0.weight": [2, 1, 3, 3], "0.bias": [2]})


def says(name, hint, checkpoint, *options):
    said = str(export(checkpoint, *options))
    row(name, said.startswith("error: ") and "\n" not in said and hint in said)


def named(prefix):
    return {prefix + "0.weight": torch.zeros(2, 1, 3, 3), prefix + "0.bias": torch.zeros(2),
            prefix + "0.num_batches_tracked": torch.zeros(1)}


gives("state_dict", named(""))
for key in ("state_dict", "model_state_dict", "model", "net", "ema"):
    gives("under " + key, {key: named(""), "epoch": 3, "optimizer": {"state": {}, "param_groups": []}})
for prefix in ("module.", "_orig_mod.", "module._orig_mod.", "_orig_mod.module."):
    gives("names with " + prefix, {"state_dict": named(prefix)})
gives("--prefix", named("backbone.module."), "--prefix", "backbone.")
says("an empty dict", "holds no tensors", {})
says("an empty state_dict", "holds no tensors", {"state_dict": {}})
says("a list", "save model.state_dict()", [1, 2])
says("no state_dict", "epoch is not a tensor", {"epoch": 3})
says("a whole module", "save model.state_dict(), or trust", torch.nn.Conv2d(1, 2, 3))
for whole in (torch.nn.Conv2d(1, 2, 3), {"model": torch.nn.Conv2d(1, 2, 3)}):
    row("a whole module, --unpickle", export(whole, "--unpickle") is None and set(header()) == {"weight", "bias"})

gives("--mean --std", named(""), "--mean", "0.5", "--std", "0.25")
row("the file says its input", json.loads(header()["__metadata__"]["bitstill_input"]) ==
    {"normalization": {"mean": [0.5], "std": [0.25]}})
for options in (("--mean", "0.5"), ("--mean", "0.5,1", "--std", "1"), ("--mean", "0.5", "--std", "0"),
                ("--mean", "x", "--std", "1"), ("--mean", "nan", "--std", "1")):
    says(" ".join(options), "--mean and --std", named(""), *options)
sys.exit(1 if failures else 0)
