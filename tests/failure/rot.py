#!/usr/bin/env python3
"""Flips single bits and looks what becomes of it. A third of them fall into headers and manifests.

  rot.py checkpoints N STOPPED WHOLE -- WORD...  bitstill WORD... --run.folder COPY goes on from a copy of the
      run STOPPED, one of whose checkpoints' bits is flipped; it has to end as the run WHOLE, or be refused
  rot.py model N FILE OUTPUT -- WORD...  bitstill WORD... --model.file COPY prints OUTPUT, or refuses the file
  rot.py flip FILE BYTE
  rot.py unseal FILE COPY  without its own SHA-256"""
import filecmp
import json
import os
import random
import shutil
import struct
import subprocess
import sys

REFUSED = 4


def flip(path, bit):
    with open(path, "r+b") as file:
        file.seek(bit // 8)
        byte = file.read(1)[0] ^ 1 << bit % 8
        file.seek(bit // 8)
        file.write(bytes([byte]))


def header_bytes(path):
    with open(path, "rb") as file:
        return 8 + struct.unpack("<Q", file.read(8))[0]


def random_bit(draw, path, in_front):
    size = os.path.getsize(path)
    front = size if path.endswith(".json") else header_bytes(path)
    return draw.randrange(8 * front) if in_front else draw.randrange(8 * front, 8 * max(size, front + 1))


def run(words):
    done = subprocess.run([os.environ["BITSTILL"], *words], capture_output=True, text=True, timeout=120)
    return done.returncode, done.stdout, done.stderr


def count(found, what):
    found[what] = found.get(what, 0) + 1


def checkpoints(flips, stopped, whole, words):
    draw, found, copy = random.Random(1), {}, stopped + ".copy"
    for i in range(flips):
        shutil.rmtree(copy, ignore_errors=True)
        shutil.copytree(stopped, copy)
        folder = os.path.join(copy, "checkpoints")
        newest = sorted(name for name in os.listdir(folder) if name.startswith("step-"))[-1]
        kind = i % 3  # 0: a header or manifest
        if kind == 0 and i % 2:
            path = os.path.join(folder, newest, "manifest.json")
        elif i % 5 == 4:
            path = os.path.join(folder, sorted(n for n in os.listdir(folder) if n.startswith("best-"))[-1])
        else:
            path = os.path.join(folder, newest, "part-00000.safetensors")
        bit = random_bit(draw, path, kind == 0 or path.endswith(".json"))
        flip(path, bit)
        code, _, words_said = run([*words, "--run.folder", copy])
        where = f"bit {bit} of {os.path.relpath(path, copy)}"
        if code == REFUSED:
            count(found, "refused")
        elif code != 0:
            sys.exit(f"{where}: exit code {code}: {words_said}")
        elif not filecmp.cmp(f"{whole}/master.safetensors", f"{copy}/master.safetensors", shallow=False):
            sys.exit(f"{where}: exit code 0 and other weights: {words_said}")
        else:
            count(found, "an older one used" if "not from" in words_said else "not seen, and harmless")
    print(f"{flips} flips in checkpoints: {found}")


def model(flips, path, output, words):
    draw, found, copy = random.Random(2), {}, path + ".copy.safetensors"
    with open(output) as file:
        expected = json.load(file)
    for i in range(flips):
        shutil.copy(path, copy)
        bit = random_bit(draw, copy, i % 3 == 0)
        flip(copy, bit)
        code, said, error = run([*words, "--model.file", copy])
        if code == REFUSED:
            count(found, "refused")
        elif code != 0 or json.loads(said.replace(".copy.safetensors", "")) != expected:
            sys.exit(f"bit {bit} of {path}: exit code {code}: {said} {error}")
        else:
            count(found, "not seen, and harmless")
    print(f"{flips} flips in {os.path.basename(path)}: {found}")


def unseal(path, copy):
    with open(path, "rb") as file:
        length = struct.unpack("<Q", file.read(8))[0]
        header = json.loads(file.read(length))
        rest = file.read()
    del header["__metadata__"]["bitstill_sha256"]
    text = json.dumps(header).encode()
    text += b" " * (-len(text) % 8)
    with open(copy, "wb") as file:
        file.write(struct.pack("<Q", len(text)) + text + rest)


def main():
    deed, arguments = sys.argv[1], sys.argv[2:]
    if deed == "flip":
        at = int(arguments[1])
        flip(arguments[0], 8 * (at if at >= 0 else os.path.getsize(arguments[0]) + at))
    elif deed == "unseal":
        unseal(*arguments)
    else:
        split = arguments.index("--")
        {"checkpoints": checkpoints, "model": model}[deed](
            int(arguments[0]), *arguments[1:split], arguments[split + 1:])


main()
