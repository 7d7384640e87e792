#!/usr/bin/env python3
"""compare.py losses RUN.JSONL RUN.JSONL: the steps and epochs of two runs, all but times, bytes and memory
compare.py first_loss RUN.JSONL RUN.JSONL BOUND: the first logged losses differ by at most BOUND
compare.py mean_loss RUN.JSONL RUN.JSONL BOUND: the logged losses differ by at most BOUND on average
compare.py weights A.SAFETENSORS B.SAFETENSORS BOUND [by_size]: no value differs by more than BOUND; by_size: running
  statistics by no more than BOUND of their tensor's largest where that is above 1
compare.py same_tensors A.SAFETENSORS B.SAFETENSORS PREFIX: all tensors are equal, some begin with PREFIX
compare.py same_but_running A.SAFETENSORS B.SAFETENSORS: only running statistics differ, and they do
compare.py get RUN.JSONL TYPE KEY...: a member of the last line of that type"""
import json
import struct
import sys

SAME = ["type", "step", "epoch", "loss", "soft_loss", "hard_loss", "accuracy", "rate", "train", "validation"]


def lines(path, *types):
    with open(path) as file:
        return [line for line in map(json.loads, file) if line["type"] in types]


def losses(one, other):
    kept = [
        [{key: line[key] for key in SAME if key in line} for line in lines(path, "step", "epoch")]
        for path in (one, other)
    ]
    if not any(line["type"] == "step" for line in kept[0]):
        sys.exit(f"{one} holds no step")
    if len(kept[0]) != len(kept[1]):
        sys.exit(f"{len(kept[0])} and {len(kept[1])} lines")
    for mine, theirs in zip(*kept):
        if mine != theirs:
            sys.exit(f"{mine}\n{theirs}")


def first_loss(one, other, bound):
    mine, theirs = (lines(path, "step")[0] for path in (one, other))
    if mine["step"] != 1 or theirs["step"] != 1:
        sys.exit("the first logged step is not step 1")
    if not abs(mine["loss"] - theirs["loss"]) <= float(bound):
        sys.exit(f"first losses {mine['loss']} and {theirs['loss']}")


def mean_loss(one, other, bound):
    mine, theirs = ([line["loss"] for line in lines(path, "step")] for path in (one, other))
    gap = sum(abs(a - b) for a, b in zip(mine, theirs, strict=True)) / len(mine)
    if not gap <= float(bound):
        sys.exit(f"losses differ by {gap} on average")
    print(f"losses differ by {gap:.3g} on average")


def tensors(path):
    with open(path, "rb") as file:
        (length,) = struct.unpack("<Q", file.read(8))
        header = json.loads(file.read(length))
        data = file.read()
    header.pop("__metadata__", None)
    found = {}
    for name, entry in header.items():
        begin, end = entry["data_offsets"]
        if entry["dtype"] == "U8":  # a vocabulary
            found[name] = tuple(data[begin:end])
        elif entry["dtype"] == "F32":
            found[name] = struct.unpack(f"<{(end - begin) // 4}f", data[begin:end])
        else:
            sys.exit(f"{path}: {name} is {entry['dtype']}")
    return found


def weights(one, other, bound, by_size=""):
    mine, theirs = tensors(one), tensors(other)
    if mine.keys() != theirs.keys() or not mine:
        sys.exit(f"{sorted(mine)} and {sorted(theirs)}")
    gaps = {}
    for name, values in mine.items():
        gap = max(abs(a - b) for a, b in zip(values, theirs[name], strict=True))
        gaps[name] = gap / max(1, *map(abs, theirs[name])) if by_size and ".running_" in name else gap
    for name, gap in gaps.items():
        if not gap <= float(bound):
            sys.exit(f"{name} differs by {gap}")
    print(f"weights differ by {max(gaps.values()):.3g} at most")


def same_tensors(one, other, prefix):
    held = []
    for path in (one, other):
        with open(path, "rb") as file:
            (length,) = struct.unpack("<Q", file.read(8))
            header = json.loads(file.read(length))
            header.pop("__metadata__", None)
            held.append((header, file.read()))
    if not any(name.startswith(prefix) for name in held[0][0]):
        sys.exit(f"no {prefix} in {sorted(held[0][0])}")
    if held[0] != held[1]:
        sys.exit(f"{one} and {other} hold other tensors")


def same_but_running(one, other):
    mine, theirs = tensors(one), tensors(other)
    differ = [name for name in mine if mine[name] != theirs[name]]
    if not differ or not all(".running_" in name for name in differ):
        sys.exit(f"these differ: {differ}")


def get(path, kind, *keys):
    value = lines(path, kind)[-1]
    for key in keys:
        value = value[key]
    print(value)


globals()[sys.argv[1]](*sys.argv[2:])
