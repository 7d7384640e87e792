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
        if "shape" in self.index:
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

    def patch(self, at, content):
        with open(self.shard, "r+b") as file:
            file.seek(at)
            file.write(content)

    def read(self, at, count):
        with open(self.shard, "rb") as file:
            file.seek(at)
            return file.read(count)

    def sign_row(self, content, label):
        """The row's sum made right, too."""
        sums_path = os.path.join(self.folder, "rows.crc32c")
        with open(sums_path, "r+b") as file:
            file.seek(self.row * 4)
            file.write(struct.pack("<I", crc32c(content + label)))
        with open(sums_path, "rb") as file:
            self.index["row_sums_sha256"] = hashlib.sha256(file.read()).hexdigest()
        self.write_index()

    def jpeg(self):
        """Place and bytes of the row's file."""
        first, end = struct.unpack("<2q", self.read(self.entry["offsets_at"] + ROW * 8, 16))
        at = self.entry["bytes_at"] + first
        return at, self.read(at, end - first)

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
    shards.patch(shards.entry["labels_at"] + ROW * 8, label)
    shards.sign_row(shards.read(shards.entry["images_at"] + ROW * shards.pixels, shards.pixels), label)


def undecodable_jpeg(shards):
    """A picture whose second half is zeros, with every checksum right."""
    at, content = shards.jpeg()
    half = len(content) // 2
    content = content[:half] + bytes(len(content) - half)
    shards.patch(at, content)
    shards.sign_row(content, shards.read(shards.entry["labels_at"] + ROW * 8, 8))


def falling_offsets(shards):
    at = shards.entry["offsets_at"] + ROW * 8
    first, _ = struct.unpack("<2q", shards.read(at, 16))
    shards.patch(at + 8, struct.pack("<q", first - 1))


def rename_class(shards):
    shards.index["classes"][3] = "cat"
    shards.write_index()


globals()[sys.argv[1]](Shards(sys.argv[2]))
