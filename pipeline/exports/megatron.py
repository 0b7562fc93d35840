"""Megatron-LM's indexed dataset: `NAME.bin`, the tokens one after the other, and `NAME.idx`.

The index, little-endian: 9 bytes `MMIDIDX\\0\\0`, version 1 (uint64), code of the tokens' type (uint8: 4 int32,
8 uint16), number of sequences n and of document bounds m (uint64 each), then int32[n] tokens of each sequence,
int64[n] the byte at which it begins, int64[m] the sequences at which documents begin, with n at the end
(megatron/core/datasets/indexed_dataset.py; https://github.com/NVIDIA/Megatron-LM).
"""

from __future__ import annotations

import struct
from pathlib import Path

import numpy as np

from ..packreader import PackReader
from ..store import atomic_path
from .spans import runs

MAGIC = b"MMIDIDX\x00\x00"
VERSION = 1
CODES = {"int32": 4, "uint16": 8}


def export_megatron(reader: PackReader, target: Path, *, unit: str = "sequence") -> dict[str, int]:
    """Write `target`.bin and `target`.idx; returns the numbers of sequences and tokens.

    Each sequence of the pack set is a sequence, and document, of Megatron's; with `unit` document each piece of a
    document is one, for Megatron to pack by itself. Padding and removed documents are left out.
    """
    dtype = "uint16" if reader.dtype == np.uint16 else "int32"
    lengths = []
    with atomic_path(target.with_name(target.name + ".bin")) as temporary, open(temporary, "wb") as out:
        for tokens, counts in runs(reader, unit):
            out.write(tokens.astype(f"<{np.dtype(dtype).str[1:]}").tobytes())
            lengths.append(counts)
    counts = np.concatenate([np.zeros(0, np.int64), *lengths])
    starts = (np.cumsum(counts) - counts) * np.dtype(dtype).itemsize
    with atomic_path(target.with_name(target.name + ".idx")) as temporary, open(temporary, "wb") as out:
        out.write(MAGIC + struct.pack("<QBQQ", VERSION, CODES[dtype], len(counts), len(counts) + 1))
        out.write(counts.astype("<i4").tobytes())
        out.write(starts.astype("<i8").tobytes())
        out.write(np.arange(len(counts) + 1).astype("<i8").tobytes())
    return {"sequences": len(counts), "tokens": int(counts.sum())}
