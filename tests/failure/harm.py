#!/usr/bin/env python3
"""harm.py KIND FOLDER: harms a folder of shards whose second training shard is train-00001.h5."""
import hashlib
import json
import os
import struct
import sys

ROW = 5  # of the second training shard


def crc32c(data):
    crc = 0xFFFFFFFF
    for byte in data:
        crc ^= byte
        for _ in range(8):
            crc = crc >> 1 ^ 0x82F63B78 * (crc & 1)
    return crc ^ 0xFFFFFFFF


class Shards:
    def __init__(self, folder):
        self.folder = folder
        self.index_path = os.path.join(folder, "index.json")
        with open(self.index_path) as file:
            self.index = json.load(file)
        first, self.entry = self.index["splits"]["train"]["shards"]
        self.row = first["rows"] + ROW  # its number in the split and in rows.crc32c
        self.shard = os.path.join(folder, self.entry["file"])
        shape = self.index["shape"]
        self.pixels = shape["channels"] * shape["height"] * shape["width"]

    def write_index(self):
        """With its own digest made right: only the contents are wrong."""
        self.index.pop("index_sha256")
        compact = json.dumps(self.index, separators=(",", ":"), ensure_ascii=False)
        self.index["index_sha256"] = hashlib.sha256(compact.encode()).hexdigest()
        with open(self.index_path, "w") as file:
            json.dump(self.index, file, indent=1, ensure_ascii=False)
            file.write("\n")

    def flip(self, at):
        with open(self.shard, "r+b") as file:
            file.seek(at)
            byte = file.read(1)[0]
            file.seek(at)
            file.write(bytes([byte ^ 4]))


def no_index(shards):
    os.remove(shards.index_path)


def no_shard(shards):
    os.remove(shards.shard)


def truncated_shard(shards):
    os.truncate(shards.shard, shards.entry["bytes"] - 1)


def foreign_shard(shards):
    with open(shards.shard, "wb") as file:
        file.write(os.urandom(shards.entry["bytes"]))


def flipped_frame(shards):
    shards.flip(20)


def flipped_pixel(shards):
    shards.flip(shards.entry["images_at"] + ROW * shards.pixels + 7)


def flipped_label(shards):
    shards.flip(shards.entry["labels_at"] + ROW * 8)


def label_200(shards):
    """Label 200 of 10 classes, with every checksum right: as a faulty writer would leave it."""
    label = struct.pack("<q", 200)
    with open(shards.shard, "r+b") as file:
        file.seek(shards.entry["labels_at"] + ROW * 8)
        file.write(label)
        file.seek(shards.entry["images_at"] + ROW * shards.pixels)
        row = file.read(shards.pixels)
    sums_path = os.path.join(shards.folder, "rows.crc32c")
    with open(sums_path, "r+b") as file:
        file.seek(shards.row * 4)
        file.write(struct.pack("<I", crc32c(row + label)))
    with open(sums_path, "rb") as file:
        shards.index["row_sums_sha256"] = hashlib.sha256(file.read()).hexdigest()
    shards.write_index()


def rename_class(shards):
    shards.index["classes"][3] = "cat"
    shards.write_index()


globals()[sys.argv[1]](Shards(sys.argv[2]))
