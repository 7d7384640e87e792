#!/usr/bin/env python3
"""Files for evaluate_predict.sh and what its commands must have printed:
small_images.py images IDX FOLDER: the test images of small_data.py as PNG files 0000.png, ...
small_images.py nine_classes IDX: takes the last class out of both parts
small_images.py plain STUDENT OUT: the decoded weights as a file that says nothing of itself
small_images.py not_finite STUDENT OUT: the same with a NaN in the last bias, still described
small_images.py evaluation JSON SAMPLES: numbers of an evaluation that follow from each other do
small_images.py itself JSON: a model against itself
small_images.py same_counts JSON JSON: all but file, bytes and reference are equal
small_images.py same_answers ROWS FILES JSON: predictions of rows, of files, and what evaluate counted
small_images.py csv CSV FILES TOP: the same predictions as values"""
import csv
import json
import math
import os
import struct
import subprocess
import sys
import tempfile
import zlib


def read_idx(folder, name):
    with open(os.path.join(folder, f"{name}-images-idx3-ubyte"), "rb") as file:
        _, count, height, width = struct.unpack(">4i", file.read(16))
        pixels = file.read()
    with open(os.path.join(folder, f"{name}-labels-idx1-ubyte"), "rb") as file:
        labels = file.read()[8:]
    size = height * width
    return [pixels[i * size : (i + 1) * size] for i in range(count)], list(labels), height, width


def png(pixels, height, width):
    def chunk(kind, data):
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    rows = b"".join(b"\0" + pixels[y * width : (y + 1) * width] for y in range(height))
    head = struct.pack(">IIBBBBB", width, height, 8, 0, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", head) + chunk(b"IDAT", zlib.compress(rows)) + chunk(b"IEND", b"")


def images(idx, folder):
    os.makedirs(folder)
    pixels, _, height, width = read_idx(idx, "t10k")
    for i, image in enumerate(pixels):
        with open(os.path.join(folder, f"{i:04}.png"), "wb") as file:
            file.write(png(image, height, width))


def nine_classes(idx):
    for name in ("train", "t10k"):
        pixels, labels, height, width = read_idx(idx, name)
        kept = [i for i, label in enumerate(labels) if label < 9]
        with open(os.path.join(idx, f"{name}-images-idx3-ubyte"), "wb") as file:
            file.write(struct.pack(">4i", 0x803, len(kept), height, width) + b"".join(pixels[i] for i in kept))
        with open(os.path.join(idx, f"{name}-labels-idx1-ubyte"), "wb") as file:
            file.write(struct.pack(">2i", 0x801, len(kept)) + bytes(labels[i] for i in kept))


def exported(student):
    """Header and data of the student's fp32 weights."""
    with tempfile.TemporaryDirectory() as folder:
        path = os.path.join(folder, "plain.safetensors")
        subprocess.run([os.environ["BITSTILL"], "export", "--model.file", student, "--out", path], check=True)
        with open(path, "rb") as file:
            content = file.read()
    (length,) = struct.unpack("<Q", content[:8])
    return json.loads(content[8 : 8 + length]), bytearray(content[8 + length :])


def write(path, header, data):
    text = json.dumps(header).encode()
    text += b" " * (-len(text) % 8)
    with open(path, "wb") as file:
        file.write(struct.pack("<Q", len(text)) + text + data)


def plain(student, out):
    header, data = exported(student)
    del header["__metadata__"]
    write(out, header, data)


def not_finite(student, out):
    header, data = exported(student)
    biases = [name for name, entry in header.items() if name != "__metadata__" and entry["shape"] == [10]]
    start = header[biases[-1]]["data_offsets"][0]
    data[start : start + 4] = struct.pack("<f", math.nan)
    write(out, header, data)


def load(path):
    with open(path) as file:
        return json.load(file)


def load_lines(path):
    with open(path) as file:
        return [json.loads(line) for line in file]


def require(good, what):
    if not good:
        sys.exit(what)


def evaluation(path, samples):
    it = load(path)
    matrix, classes, against = it["confusion"], it["classes"], it["against"]
    require(it["samples"] == int(samples) == sum(map(sum, matrix)), "samples")
    require(it["correct"] == sum(matrix[i][i] for i in range(10)) == sum(c["correct"] for c in classes), "correct")
    require([sum(row) for row in matrix] == [c["samples"] for c in classes], "samples of classes")
    require(it["low"] < it["accuracy"] < it["high"] and it["accuracy"] <= it["top_accuracy"], "accuracies")
    bins = it["calibration_bins"]
    require(sum(b["samples"] for b in bins) == it["samples"], "samples of bins")
    error = sum(abs(b["correct"] - b["samples"] * b["confidence"]) for b in bins) / it["samples"]
    require(abs(100 * error - it["calibration_error"]) < 1e-9, "calibration error")
    both, first, second, neither = (against[k] for k in ("both", "only_reference", "only_model", "neither"))
    require(both + first + second + neither == it["samples"], "pairs")
    require(both + second == it["correct"] and both + first == against["correct"], "right ones of the pairs")
    require(abs(against["difference"] - (it["accuracy"] - against["accuracy"])) < 1e-9, "difference")
    require(against["difference_low"] < against["difference"] < against["difference_high"], "its interval")
    tail = sum(math.comb(first + second, k) for k in range(min(first, second) + 1))
    p = min(1, 2 * tail / 2 ** (first + second))
    require(abs(against["p"] - p) < 1e-9, f"p {against['p']} is not {p}")
    require(against["kl"] > 0 and first + second > 0, "two models are the same: nothing was compared")


def itself(path):
    against = load(path)["against"]
    require(against["agreement"] == 100 and against["kl"] == 0, "another answer")
    require(against["only_reference"] == against["only_model"] == 0 and against["p"] == 1, "another accuracy")
    require(against["classes_that_lost"] == [], "a class lost")


def same_counts(one, other):
    kept = [{k: v for k, v in load(path).items() if k not in ("file", "bytes", "against")} for path in (one, other)]
    require(kept[0] == kept[1], f"{kept[0]}\n{kept[1]}")


def same_answers(rows, files, counted):
    by_row, by_file, measured = load_lines(rows), load_lines(files), load(counted)
    require(len(by_row) == len(by_file) == measured["samples"], "numbers of answers")
    require([row["image"] for row in by_row] == [f"test/{i}" for i in range(len(by_row))], "order of rows")
    require([os.path.basename(f["image"]) for f in by_file] == [f"{i:04}.png" for i in range(len(by_file))], "order")
    for row, file in zip(by_row, by_file):
        require(row["top"] == file["top"], f"{row}\n{file}")
        ordered = [one["probability"] for one in row["top"]]
        require(ordered == sorted(ordered, reverse=True) and abs(sum(ordered) - 1) < 1e-9, f"{row}")
    right = sum(row["top"][0]["class"] == row["label"] for row in by_row)
    require(right == measured["correct"], f"{right} first classes are right, evaluate counts {measured['correct']}")
    loss = -sum(math.log(one["probability"]) for row in by_row for one in row["top"] if one["class"] == row["label"])
    require(abs(loss / len(by_row) - measured["cross_entropy"]) < 1e-5, "cross-entropy")


def csv_lines(path, files, top):
    with open(path, newline="") as file:
        lines = list(csv.DictReader(file))
    expected = [(f["image"], "", str(k + 1), one["class"], one["probability"])
                for f in load_lines(files) for k, one in enumerate(f["top"][: int(top)])]
    require(len(lines) == len(expected), "numbers of lines")
    for line, (*names, probability) in zip(lines, expected):
        require([line[k] for k in ("image", "label", "place", "class")] == names, f"{line}")
        require(abs(float(line["probability"]) - probability) <= 1e-8 * probability, f"{line}")


COMMANDS = dict(images=images, nine_classes=nine_classes, plain=plain, not_finite=not_finite, evaluation=evaluation,
                itself=itself, same_counts=same_counts, same_answers=same_answers, csv=csv_lines)
COMMANDS[sys.argv[1]](*sys.argv[2:])
