#!/usr/bin/env python3
"""An independent decoder of bitstill's compressed files: decode_student.py FILE [EXPECTED [FILE ...]]
decodes each FILE and compares it with the plain file EXPECTED bit for bit."""
import json
import sys

import numpy as np

TYPES = {"F32": "<f4", "F16": "<f2", "BF16": "<u2", "U8": "u1", "I64": "<i8"}
POINTS = {"uniform": lambda j, s: j / np.float32(s - 1), "integers": lambda j, s: j - np.float32(s // 2),
          "signed": lambda j, s: (j - np.float32((s - 1) // 2)) / np.float32((s - 1) // 2)}


def load(path):
    with open(path, "rb") as file:
        header = json.loads(file.read(int.from_bytes(file.read(8), "little")))
        data = file.read()
    about = json.loads(header.pop("__metadata__", {}).get("bitstill", "{}"))
    return about, {name: np.frombuffer(data[slice(*entry["data_offsets"])], TYPES[entry["dtype"]])
                   .reshape(entry["shape"]) for name, entry in header.items()}


def frequencies(weights, group):
    """12-bit frequencies of symbols of `group` codes, from one 8-bit float a code."""
    share = np.array([b if b < 16 else (16 + b % 16) << (b // 16 - 1) for b in weights.tolist()])
    share = single = np.where(share > 0, np.maximum(1, (share << 16) // share.sum()), 0)
    for _ in range(group - 1):
        product = np.multiply.outer(single, share).ravel()
        share = np.where(product > 0, np.maximum(1, product >> 16), 0)
    excess = np.maximum(share * 4096 - share.sum(), 0).cumsum()
    steps = excess * (4096 - (share > 0).sum()) // excess[-1]
    return (share > 0) + np.diff(steps, prepend=0)


def rans(stream, lanes, runs):
    """The symbols of runs (frequencies, count), from states and words."""
    states, words, lane, at = stream[:4 * lanes].view("<u4").astype(np.int64), stream[4 * lanes:].view("<u2"), 0, 0
    for frequency, count in runs:
        start, symbols, done = frequency.cumsum() - frequency, np.zeros(count, np.int64), 0
        of_slot = np.repeat(np.arange(frequency.size), frequency)
        while done < count:
            n = min(count - done, lanes - lane)  # lanes that step together
            x = states[lane:lane + n]
            symbol = of_slot[x % 4096]
            x[:] = frequency[symbol] * (x >> 12) + x % 4096 - start[symbol]
            low = np.flatnonzero(x < 65536)
            x[low] = x[low] << 16 | words[at:at + low.size]
            symbols[done:done + n] = symbol
            lane, at, done = (lane + n) % lanes, at + low.size, done + n
        yield symbols
    assert at == words.size and (states == 65536).all(), "the stream does not end as it must"


def decode_codes(stream, packed):
    """The codes of each group, in turn."""
    runs, kept = [], []
    for group in packed["groups"]:
        s, count = group["s"], sum(int(np.prod(shape)) for _, shape in group["tensors"])
        if group["coding"] == "rans":
            size = next((g for g in range(8, 1, -1) if max(s, 2) ** g <= 256), 1)
            runs.append((frequencies(stream[:s], size), -(-count // size)))
            kept.append((s, size, count))
            stream = stream[s:]
        else:
            bits = max(1, (s - 1).bit_length())
            flat = np.unpackbits(stream[:-(-count * bits // 8)], bitorder="little")[:count * bits]
            kept.append((flat.reshape(count, bits) << np.arange(bits, dtype=np.uint8)).sum(1))
            stream = stream[-(-count * bits // 8):]
    symbols = rans(stream, packed["lanes"], runs) if runs else iter(())
    for one in kept:
        if isinstance(one, tuple):  # digits of base s, lowest first
            s, size, count = one
            one = (next(symbols)[:, None] // s ** np.arange(size) % s).ravel()[:count]
        yield one
    assert next(symbols, None) is None


def decode(path):
    about, tensors = load(path)
    packed = about.get("packed", {"groups": []})
    parts = {name: tensors.pop(name) for name in list(tensors) if packed["groups"]
             and name in ("codes", "points", "values", "scales.F32", "scales.F16", "scales.BF16")}

    def take(name, count):
        values, parts[name] = np.split(parts.get(name, np.zeros(0, np.float32)), [count])
        if name == "scales.BF16":
            return (values.astype(np.uint32) << 16).view(np.float32)
        return values.astype(np.float32)

    all_codes = decode_codes(parts.pop("codes", np.zeros(0, np.uint8)), packed)
    for group, codes in zip(packed["groups"], all_codes):
        counts = [int(np.prod(shape)) for _, shape in group["tensors"]]
        buckets = [max(1, {"tensor": n, "channel": n // max(1, (shape or [1])[0])}.get(group["bucket"], group["bucket"]))
                   for n, (_, shape) in zip(counts, group["tensors"])]
        sizes = [-(-n // k) for n, k in zip(counts, buckets)]
        alpha = take("scales." + group["scales"], sum(sizes))
        beta = take("scales." + group["scales"], sum(sizes)) if group["beta"] else np.zeros_like(alpha)
        for (name, shape), n, k, size in zip(group["tensors"], counts, buckets, sizes):
            s, bucket = group["s"], np.arange(n) // k
            points = take("points", s) if group["points"] == "stored" else POINTS[group["points"]](np.arange(s, dtype=np.float32), s)
            tensors[name] = (points[codes[:n]] * alpha[bucket] + beta[bucket]).reshape(shape)
            codes, alpha, beta = codes[n:], alpha[size:], beta[size:]
    for name, shape in packed.get("plain", []):
        tensors[name] = take("values", int(np.prod(shape))).reshape(shape)
    assert all(part.size == 0 for part in parts.values()), "something is left over"
    return tensors


if __name__ == "__main__":
    for path, other in zip(sys.argv[1::2], sys.argv[2::2] or [None]):
        decoded = decode(path)
        expected = load(other)[1] if other else decoded
        assert decoded.keys() == expected.keys(), (path, decoded.keys(), expected.keys())
        for name, values in expected.items():
            assert decoded[name].dtype == values.dtype and decoded[name].shape == values.shape, (path, name)
            assert decoded[name].tobytes() == values.tobytes(), path + ": " + name + " differs"
    print(len(sys.argv[1::2]), "files decode to equal bits, the last with", len(decoded), "tensors")
