#!/usr/bin/env python3
"""Images for data_sets.sh: make_images.py FOLDER COUNT [SEED]: FOLDER/0.png, ...: 8x8 grey noise.
make_images.py idx FOLDER LABEL...: IDX files of 4x4 noise with these train labels (test: the first).
make_images.py cifar FOLDER BATCH...: data_batch_N.bin of 20 records, alike where N is, and a test batch."""
import os
import random
import struct
import sys
import zlib


def noise(seed, count):
    return random.Random(seed).randbytes(count)


def put(path, data):
    os.makedirs(os.path.dirname(path), exist_ok=True)
    with open(path, "wb") as file:
        file.write(data)


def png(pixels, side):
    def chunk(kind, data):
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    rows = b"".join(b"\0" + pixels[y * side : (y + 1) * side] for y in range(side))
    head = struct.pack(">IIBBBBB", side, side, 8, 0, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", head) + chunk(b"IDAT", zlib.compress(rows)) + chunk(b"IEND", b"")


def idx(folder, labels):
    for name, part in (("train", labels), ("t10k", labels[:1])):
        put(f"{folder}/{name}-images-idx3-ubyte",
            struct.pack(">4i", 0x803, len(part), 4, 4) + noise(name, 16 * len(part)))
        put(f"{folder}/{name}-labels-idx1-ubyte", struct.pack(">2i", 0x801, len(part)) + bytes(part))


def cifar(folder, batches):
    for place, batch in enumerate(batches, 1):
        if batch != "-":
            records = b"".join(bytes([i % 10]) + noise(f"{batch} {i}", 3072) for i in range(20))
            put(f"{folder}/data_batch_{place}.bin", records)
    put(f"{folder}/test_batch.bin", b"".join(bytes([i]) + noise(f"test {i}", 3072) for i in range(10)))


def images(folder, count, seed=""):
    for i in range(int(count)):
        put(f"{folder}/{i}.png", png(noise(f"{folder} {seed} {i}", 64), 8))


if sys.argv[1] == "idx":
    idx(sys.argv[2], [int(label) for label in sys.argv[3:]])
elif sys.argv[1] == "cifar":
    cifar(sys.argv[2], sys.argv[3:])
else:
    images(*sys.argv[1:])
