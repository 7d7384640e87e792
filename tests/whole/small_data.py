#!/usr/bin/env python3
"""small_data.py FOLDER TRAIN TEST [SEED]: IDX files of TRAIN and TEST images of 8x8 pixels in 10
classes, each a pattern of its own (the same for every SEED) under noise; quickly learned."""
import os
import random
import struct
import sys

SIDE, CLASSES = 8, 10


def write_part(folder, name, count, seed):
    patterns = random.Random(1)
    classes = [[patterns.choice((60, 190)) for _ in range(SIDE * SIDE)] for _ in range(CLASSES)]
    noise = random.Random(f"{seed} {name}")
    pixels, labels = bytearray(), bytearray()
    for i in range(count):
        label = i % CLASSES
        labels.append(label)
        pixels += bytes(value + noise.randint(-60, 60) for value in classes[label])
    with open(os.path.join(folder, f"{name}-images-idx3-ubyte"), "wb") as file:
        file.write(struct.pack(">4i", 0x803, count, SIDE, SIDE) + pixels)
    with open(os.path.join(folder, f"{name}-labels-idx1-ubyte"), "wb") as file:
        file.write(struct.pack(">2i", 0x801, count) + labels)


def main():
    folder, train, test = sys.argv[1], int(sys.argv[2]), int(sys.argv[3])
    seed = sys.argv[4] if len(sys.argv) > 4 else "0"
    os.makedirs(folder, exist_ok=True)
    write_part(folder, "train", train, seed)
    write_part(folder, "t10k", test, seed)


main()
