#!/usr/bin/env python3
"""Turns a PyTorch checkpoint into a safetensors file that bitstill reads (--teacher.file, --student.init,
--model.file).

    python3 launch/export_pytorch.py checkpoint.pt weights.safetensors [--mean 0.49,0.48,0.45 --std 0.25,0.24,0.26]
    python3 launch/export_pytorch.py opennmt.pt weights.safetensors --vocabulary source.model,target.model

The checkpoint is a state_dict, or a dictionary that holds one ("state_dict", "model_state_dict", "model",
"net", or under any name as its only one). It is read with weights_only=True, so nothing in it runs; a whole module (torch.save(model)) needs
--unpickle, which runs what the file says, and its class importable. Names stay as they are, less --prefix
and what DataParallel and torch.compile put before them (module., _orig_mod.); num_batches_tracked is left
out. --mean and --std, one a channel, say how the network wants its input: (pixel / 255 - mean) / std.

A checkpoint of OpenNMT-py 3, an LSTM with general attention, becomes a file that describes itself and carries
its vocabularies: --vocabulary is the SentencePiece .model whose pieces it was trained on, or source's,target's.
Pieces that it does not know count as <unk>; tokens that no .model has are left out. Both are named.
Needs torch, which bitstill itself does not.
"""
import argparse
import ctypes
import json
import math
import pickle
import sys

import torch

import export_opennmt

HOLDERS = ("state_dict", "model_state_dict", "model", "net")
WRAPPERS = ("module.", "_orig_mod.")


def fail(message):
    sys.exit(f"error: {message}")


def load(path, unpickle):
    if hasattr(torch.serialization, "add_safe_globals"):  # since PyTorch 2.4
        torch.serialization.add_safe_globals([argparse.Namespace])  # OpenNMT-py's options: runs nothing
    try:
        return torch.load(path, map_location="cpu", weights_only=not unpickle)
    except pickle.UnpicklingError:
        fail(f"{path} holds more than tensors, a whole module perhaps: save model.state_dict(), or trust "
             "the file and add --unpickle")
    except (OSError, RuntimeError, EOFError, AttributeError, ImportError) as error:
        fail(f"cannot read {path}: {error}")


def is_state(value):
    return isinstance(value, dict) and len(value) > 0 and all(isinstance(v, torch.Tensor) for v in value.values())


def held_state(checkpoint):
    """What a checkpoint with other things around its state_dict holds; None: nothing of the kind."""
    for key in HOLDERS:
        if isinstance(checkpoint.get(key), (dict, torch.nn.Module)):
            return checkpoint[key]
    states = [value for value in checkpoint.values() if is_state(value)]
    return states[0] if len(states) == 1 else None


def state_of(checkpoint, path):
    """The state_dict in what torch.load gave."""
    for _ in range(8):  # {"model": {"state_dict": ...}}
        if is_state(checkpoint):
            break
        if isinstance(checkpoint, torch.nn.Module):
            checkpoint = checkpoint.state_dict()
            break
        if not isinstance(checkpoint, dict):
            fail(f"{path} holds a {type(checkpoint).__name__}: save model.state_dict()")
        inner = held_state(checkpoint)
        if inner is None:
            break
        checkpoint = inner
    if not checkpoint:
        fail(f"{path} holds no tensors: was model.state_dict() saved, and of the right model?")
    for name, value in checkpoint.items():
        if not isinstance(value, torch.Tensor):
            known = ", ".join(map(str, list(checkpoint)[:8]))
            fail(f"{path}: {name} is not a tensor (it holds {known}); save model.state_dict()")
    return checkpoint


def without_wrappers(names, prefix):
    """{name: its name in the file}"""
    short = {name: name.removeprefix(prefix) for name in names}
    while wrapper := next((w for w in WRAPPERS if all(n.startswith(w) for n in short.values())), None):
        short = {name: kept.removeprefix(wrapper) for name, kept in short.items()}
    # torch.compile of a part: features._orig_mod.0.weight
    return {name: kept.replace("._orig_mod.", ".") for name, kept in short.items()}


def input_of(given):
    """What the file says about its input."""
    if given.mean is None and given.std is None:
        return {}
    try:
        mean, std = ([float(value) for value in text.split(",")] for text in (given.mean, given.std))
    except (AttributeError, ValueError):
        fail("--mean and --std go together, numbers with commas, one a channel")
    if len(mean) != len(std) or min(std) <= 0 or not all(map(math.isfinite, mean + std)):
        fail("--mean and --std have one number a channel each, --std above 0")
    return {"bitstill_input": json.dumps({"normalization": {"mean": mean, "std": std}})}


def plain(checkpoint, given):
    """{name: tensor} and what the file says of itself."""
    metadata = input_of(given)
    state = state_of(checkpoint, given.checkpoint)
    state = {name: value for name, value in state.items() if not name.endswith("num_batches_tracked")}
    short = without_wrappers(state, given.prefix)
    if len(set(short.values())) < len(short):
        fail("without its prefix a name stands twice")
    return {short[name]: value for name, value in state.items()}, metadata


def of_opennmt(checkpoint, given):
    """The same of an OpenNMT-py checkpoint."""
    models = given.vocabulary.split(",")
    if len(models) > 2 or not all(models):
        fail(f"{given.checkpoint} is OpenNMT-py's: give --vocabulary its SentencePiece .model, or source's,target's")
    if given.mean or given.std or given.prefix:
        fail(f"{given.checkpoint} is OpenNMT-py's; --mean, --std and --prefix are for others")
    try:
        tensors, metadata, notes = export_opennmt.convert(checkpoint, models)
    except export_opennmt.Refused as refused:
        fail(f"{given.checkpoint}: {refused}")
    for note in notes:
        print(note)
    return tensors, metadata


def write(path, tensors, metadata):
    header, offset = ({"__metadata__": metadata} if metadata else {}), 0
    for name, value in tensors.items():
        raw = isinstance(value, bytes)
        end = offset + (len(value) if raw else 4 * value.numel())
        header[name] = {"dtype": "U8" if raw else "F32", "shape": [len(value)] if raw else list(value.shape),
                        "data_offsets": [offset, end]}
        offset = end
    text = json.dumps(header).encode()
    text += b" " * (-len(text) % 8)
    with open(path, "wb") as file:
        file.write(len(text).to_bytes(8, "little") + text)
        for value in tensors.values():
            file.write(value if isinstance(value, bytes) else ctypes.string_at(value.data_ptr(), 4 * value.numel()))


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("checkpoint")
    parser.add_argument("weights")
    parser.add_argument("--prefix", default="", help="also taken off the names")
    parser.add_argument("--mean", help="of the network's input, one a channel, of pixels from 0 to 1")
    parser.add_argument("--std", help="the same")
    parser.add_argument("--vocabulary", default="", help="an OpenNMT-py checkpoint's SentencePiece .model, or two")
    parser.add_argument("--unpickle", action="store_true", help="run what the file says, to read a whole module")
    given = parser.parse_args()
    checkpoint = load(given.checkpoint, given.unpickle)
    opennmt = export_opennmt.is_checkpoint(checkpoint)
    if given.vocabulary and not opennmt:
        fail(f"{given.checkpoint} is not OpenNMT-py's (no opt and vocab): --vocabulary is for those")
    tensors, metadata = (of_opennmt if opennmt else plain)(checkpoint, given)
    tensors = {name: value if isinstance(value, bytes) else value.detach().float().contiguous()
               for name, value in tensors.items()}
    try:
        write(given.weights, tensors, metadata)
    except OSError as error:
        fail(f"cannot write {given.weights}: {error.strerror}")
    values = sum(value.numel() for value in tensors.values() if not isinstance(value, bytes))
    print(f"{given.weights}: {len(tensors)} tensors, {values:,} values")


if __name__ == "__main__":
    main()
