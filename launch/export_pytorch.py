#!/usr/bin/env python3
"""Turns a PyTorch checkpoint into a safetensors file that bitstill reads (--model.file, --teacher.file).

    python3 launch/export_pytorch.py checkpoint.pt weights.safetensors [--prefix module.]

The checkpoint is a state_dict, or a dictionary that holds one as "state_dict" or "model"; it is read with
weights_only=True, so nothing in it runs. Needs torch and safetensors, which bitstill itself does not.
Names stay as they are, less --prefix; num_batches_tracked is left out.
"""
import argparse
import sys

import torch
from safetensors.torch import save_file


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("checkpoint")
    parser.add_argument("weights")
    parser.add_argument("--prefix", default="", help='taken off the names, "module." after DataParallel')
    given = parser.parse_args()
    state = torch.load(given.checkpoint, map_location="cpu", weights_only=True)
    for key in ("state_dict", "model"):
        if isinstance(state.get(key), dict):
            state = state[key]
    tensors = {}
    for name, value in state.items():
        if not isinstance(value, torch.Tensor):
            sys.exit(f"error: {given.checkpoint}: {name} is not a tensor; save model.state_dict()")
        if not name.endswith("num_batches_tracked"):
            # clone: safetensors refuses tensors that share memory
            tensors[name.removeprefix(given.prefix)] = value.detach().float().contiguous().clone()
    save_file(tensors, given.weights)
    print(f"{given.weights}: {len(tensors)} tensors, {sum(t.numel() for t in tensors.values()):,} values")


if __name__ == "__main__":
    main()
