#!/usr/bin/env python3
"""Safetensors files whose words about their input are others, and what jobs made of them.

    input_words.py restate|plain|stating|classes|size|negative FROM TO
    input_words.py accuracy <JSON             its accuracy
    input_words.py near|differ LOG LOG KEY [MOST]     of the steps of two run logs
    input_words.py running FILE FILE MOST             the running statistics of two files
    input_words.py holds FILE KEY JSON        a member of the file's description
    input_words.py start LOG PRECISION COMPILED
"""
import array
import json
import struct
import sys

MEAN, DEVIATION = 0.9, 0.1  # far from the shards'


def read(path):
    with open(path, "rb") as file:
        bytes_ = file.read()
    size = struct.unpack("<Q", bytes_[:8])[0]
    header = json.loads(bytes_[8 : 8 + size])
    about = json.loads(header.pop("__metadata__", {}).get("bitstill", "null"))
    return header, about, bytes_[8 + size :]


def write(path, header, metadata, data):
    texts = {key: json.dumps(value) for key, value in metadata.items()}
    front = json.dumps({"__metadata__": texts, **header} if texts else header).encode()
    front += b" " * (-len(front) % 8)
    with open(path, "wb") as file:
        file.write(struct.pack("<Q", len(front)) + front + data)


def values(header, data, name):
    begin, end = header[name]["data_offsets"]
    return array.array("f", data[begin:end])


def put(header, data, name, numbers):
    begin, end = header[name]["data_offsets"]
    return data[:begin] + numbers.tobytes() + data[end:]


def restate(header, about, data):
    """The same function of bytes under MEAN and DEVIATION: (x - m) / d = (D y + M - m) / d."""
    (mean,), (deviation,) = about["normalization"]["mean"], about["normalization"]["deviation"]
    name = min((n for n in header if n.endswith(".weight") and len(header[n]["shape"]) == 2), key=lambda n: int(n[:-7]))
    rows, columns = header[name]["shape"]
    weight = values(header, data, name)
    bias_name = name[:-6] + "bias"
    bias = values(header, data, bias_name)
    for row in range(rows):
        bias[row] += (MEAN - mean) / deviation * sum(weight[row * columns : (row + 1) * columns])
    weight = array.array("f", (w * DEVIATION / deviation for w in weight))
    about["normalization"] = {"mean": [MEAN], "deviation": [DEVIATION]}
    return about, put(header, put(header, data, name, weight), bias_name, bias)


def change(what, source, target):
    header, about, data = read(source)
    metadata = {"bitstill": about}
    if what == "restate":
        metadata["bitstill"], data = restate(header, about, data)
    elif what == "plain":
        metadata = {}
    elif what == "stating":
        metadata = {"bitstill_input": {"normalization": {"mean": [MEAN], "std": [DEVIATION]},
                                       "evaluation": {"resize": 8, "crop": 7}}}
    elif what == "classes":
        about["classes"][1:3] = reversed(about["classes"][1:3])
    elif what == "size":
        about["network"]["input"].update(height=4, width=16)
    elif what == "negative":
        name = "2.weight"  # of the norm after the first convolution
        numbers = values(header, data, name)
        numbers[0] = -abs(numbers[0])
        data = put(header, data, name, numbers)
    write(target, header, metadata, data)


def steps(path, key):
    lines = [json.loads(line) for line in open(path)]
    return [line[key] for line in lines if line["type"] == "step"]


def main():
    what, rest = sys.argv[1], sys.argv[2:]
    if what == "accuracy":
        print(json.load(sys.stdin)["accuracy"])
        return 0
    if what in ("near", "differ"):
        pairs = list(zip(steps(rest[0], rest[2]), steps(rest[1], rest[2])))
        most = max(abs(a - b) / max(abs(a), 1e-9) for a, b in pairs)
        print(f"{len(pairs)} steps: {rest[2]} differs by {most:.2e} at most")
        return 0 if (most <= float(rest[3]) if what == "near" else most > 1e-6) else 1
    if what == "running":
        mine, theirs = ([values(header, data, name) for name in sorted(header) if ".running_" in name]
                        for header, _, data in map(read, rest[:2]))
        most = max(abs(a - b) for one, other in zip(mine, theirs, strict=True) for a, b in zip(one, other, strict=True))
        print(f"running statistics differ by {most:.2e} at most")
        return 0 if most <= float(rest[2]) else 1
    if what == "holds":
        return 0 if read(rest[0])[1].get(rest[1]) == json.loads(rest[2]) else 1
    if what == "start":
        first = json.loads(open(rest[0]).readline())
        told = first.get("teacher", {})
        return 0 if told.get("precision") == rest[1] and told.get("compiled") == (rest[2] == "true") else 1
    change(what, *rest)
    return 0


sys.exit(main())
