#!/usr/bin/env python3
"""An independent decoder of bitstill's student files: decode_student.py FILE [EXPECTED]
decodes FILE and, where given, compares with the plain file EXPECTED bit for bit."""
import json
import sys

try:
    import numpy as np
except ImportError:
    print("SKIP: numpy is not installed")
    sys.exit(77)

TYPES = {"F32": np.float32, "U8": np.uint8, "I64": np.int64}


def load(path):
    with open(path, "rb") as file:
        header = json.loads(file.read(int.from_bytes(file.read(8), "little")))
        data = file.read()
    about = json.loads(header.pop("__metadata__", {}).get("bitstill", "{}"))
    return about, {
        name: np.frombuffer(data[slice(*entry["data_offsets"])], TYPES[entry["dtype"]]).reshape(entry["shape"])
        for name, entry in header.items()}


def decode(path):
    about, tensors = load(path)
    for name, how in about.get("quantized", {}).items():
        bits, count = how["bits"], how["count"]
        stream = np.unpackbits(tensors.pop(name + ".codes"), bitorder="little")[:count * bits]
        codes = (stream.reshape(count, bits) << np.arange(bits, dtype=np.uint8)).sum(1)
        last = np.float32(2 ** bits - 1)
        uniform = np.arange(2 ** bits, dtype=np.float32) / last
        points = tensors.pop(name + ".points") if how["points"] == "stored" else uniform
        scales = tensors.pop(name + ".scales")[np.arange(count) // max(how["bucket"], 1)]
        tensors[name] = (points[codes] * scales[:, 0] + scales[:, 1]).reshape(how["shape"])
    return tensors


if __name__ == "__main__":
    decoded = decode(sys.argv[1])
    for expected in [load(sys.argv[2])[1]] if len(sys.argv) > 2 else []:
        assert decoded.keys() == expected.keys(), (decoded.keys(), expected.keys())
        for name, values in expected.items():
            assert decoded[name].dtype == values.dtype and decoded[name].shape == values.shape, name
            assert decoded[name].tobytes() == values.tobytes(), name + " differs"
    print("decoded", len(decoded), "tensors")
