"""Dense fastText models of any size, written number by number: what a classifier of millions of rows looks like."""

from __future__ import annotations

import struct
from pathlib import Path

import numpy as np


def write_model(path: Path, *, words: int, buckets: int, dim: int, labels: int) -> Path:
    """A supervised softmax model (version 12) with the words w0, w1, ... and bigrams, its matrices random."""
    draw = np.random.default_rng(3)
    with open(path, "wb") as file:
        file.write(struct.pack("<ii", 793712314, 12))
        file.write(struct.pack("<iiiiiiiiiiiid", dim, 5, 5, 1, 5, 2, 3, 3, buckets, 0, 0, 100, 1e-4))
        file.write(struct.pack("<iiiqq", words + labels, words, labels, 10 * words, -1))
        for n in range(words):
            file.write(b"w%d\0" % n + struct.pack("<qb", 10, 0))
        for n in range(labels):
            file.write(b"__label__l%d\0" % n + struct.pack("<qb", 5, 1))
        for rows in (words + buckets, labels):
            file.write(struct.pack("<?qq", False, rows, dim))
            for start in range(0, rows, 1 << 18):
                file.write(draw.standard_normal((min(1 << 18, rows - start), dim), np.float32).tobytes())
    return path
