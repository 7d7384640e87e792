"""launch/export_pytorch.py: what people save, and what it says of the rest. With PyTorch where there is one."""
import argparse
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
sys.path.append(SOURCE + "/launch")
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

JOINT, TARGET = (f"{SOURCE}/tests/infer/opennmt/{name}.model" for name in ("joint", "target"))
HALF = WORK + "/half.model"
with open(JOINT, "rb") as whole, open(HALF, "wb") as half:
    half.write(whole.read()[:1001])
TABLE = "{}.embeddings.make_embedding.emb_luts.0.weight"


def opennmt(tokens=None, **options):
    """As OpenNMT-py has it; what is in it is tested by tests/whole/opennmt.sh."""
    tokens = tokens or exporter.export_opennmt.Vocabulary(JOINT).tokens
    sizes = dict.fromkeys(("enc_hid_size", "dec_hid_size", "src_word_vec_size", "tgt_word_vec_size"), 4)
    table = torch.zeros(len(tokens), 4)
    return {"model": {TABLE.format("encoder"): table, TABLE.format("decoder"): table},
            "generator": {"weight": table, "bias": torch.zeros(len(tokens))}, "optim": {},
            "vocab": {"src": tokens, "tgt": tokens, "data_task": "seq2seq"},
            "opt": argparse.Namespace(**{"enc_layers": 2, "dec_layers": 2, "dropout": [0.3], **sizes, **options})}


def without(*keys):
    return {key: value for key, value in opennmt().items() if key not in keys}


row("OpenNMT-py's", export(opennmt(bridge=True, encoder_type="brnn"), "--vocabulary", JOINT) is None and
    {key: value["dtype"] for key, value in header().items() if key != "__metadata__"} ==
    {TABLE.format("encoder"): "F32", TABLE.format("decoder"): "F32", "generator.weight": "F32",
     "generator.bias": "F32", "vocabulary.joint": "U8"})
row("it says its network", json.loads(header()["__metadata__"]["bitstill"])["network"] ==
    {"kind": "lstm", "layers": 2, "size": 4, "bidirectional": True, "bridge": True, "input_feed": True, "tie": "none",
     "dropout": [0.3], "source_pieces": 200, "classes": 200, "begin": 0, "end": 2})
for option, value in (("rnn_type", "GRU"), ("encoder_type", "cnn"), ("decoder_type", "transformer"),
                      ("copy_attn", True), ("coverage_attn", True), ("global_attention", "mlp"),
                      ("global_attention_function", "sparsemax"), ("generator_function", "sparsemax"),
                      ("context_gate", "both"), ("position_encoding", True), ("n_src_feats", 1),
                      ("model_task", "lm"), ("lora_layers", ["linear_in"]), ("decoder_start_token", "</s>")):
    says(option, f"its {option} = {value} is not supported", opennmt(**{option: value}), "--vocabulary", JOINT)
says("widths", "src_word_vec_size 3, tgt_word_vec_size 4; bitstill's lstm has them equal", opennmt(src_word_vec_size=3),
     "--vocabulary", JOINT)
says("depths", "enc_layers 1, dec_layers 2; bitstill's lstm has them equal", opennmt(enc_layers=1), "--vocabulary",
     JOINT)
says("weights elsewhere", "holds no weights; write it with save_format pytorch", without("model", "generator"),
     "--vocabulary", JOINT)
says("an old vocabulary", "is it of OpenNMT-py 3?", {**opennmt(), "vocab": {"src": {}, "tgt": {}}}, "--vocabulary",
     JOINT)
says("rows", "has not the 201 rows of its source vocabulary",
     {**opennmt(), "vocab": dict.fromkeys(("src", "tgt"), opennmt()["vocab"]["src"] + ["averyunlikelytoken0"])},
     "--vocabulary", JOINT)
says("another .model", "source tokens are not in", opennmt(), "--vocabulary", TARGET)
says("one table, two vocabularies", "share_embeddings; give one vocabulary", opennmt(
    share_embeddings=True, share_decoder_embeddings=True), "--vocabulary", f"{JOINT},{TARGET}")
says("no vocabulary", "give --vocabulary its SentencePiece .model", opennmt())
says("three vocabularies", "give --vocabulary its", opennmt(), "--vocabulary", f"{JOINT},{JOINT},{JOINT}")
says("no .model", "is no SentencePiece model", opennmt(), "--vocabulary", IN)
says("a missing .model", "cannot read none.model: No such file", opennmt(), "--vocabulary", "none.model")
says("half a .model", "is no SentencePiece model", opennmt(), "--vocabulary", HALF)
says("a vocabulary for others", "is not OpenNMT-py's", named(""), "--vocabulary", JOINT)
says("--mean for OpenNMT-py's", "--mean, --std and --prefix are for others", opennmt(), "--vocabulary", JOINT,
     "--mean", "0", "--std", "1")
sys.exit(1 if failures else 0)
