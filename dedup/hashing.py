"""128-bit hashes (XXH3-128) of columns: of normalised texts and of keys such as URLs.

A hash is two uint64: `high` and `low`, the first and the last 16 of its 32 hex digits.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import xxhash
from numpy.typing import NDArray

_SPACE = re.compile(r"\s+")


def normalise(text: str) -> str:
    """What two texts must share to count as the same: case and runs of white space don't matter."""
    return _SPACE.sub(" ", text).strip().lower()


def text_hash(text: str) -> str:
    """XXH3-128 of the normalised text, 32 hex digits. `text_hashes` gives the same for columns."""
    return xxhash.xxh3_128_hexdigest(normalise(text).encode("utf-8", "surrogatepass"))


@dataclass(frozen=True)
class Hashes:
    """128-bit hashes of n values: `digests` holds 16 bytes each, in order, big end first."""

    digests: bytes

    @property
    def halves(self) -> tuple[NDArray[np.uint64], NDArray[np.uint64]]:
        """(high, low), uint64[n] each."""
        both = np.frombuffer(self.digests, ">u8").reshape(-1, 2).astype(np.uint64)
        return np.ascontiguousarray(both[:, 0]), np.ascontiguousarray(both[:, 1])

    def hex(self) -> pa.Array:
        """32 hex digits each, a string column."""
        n = len(self.digests) // 16
        offsets = np.arange(n + 1, dtype=np.int32) * 32
        digits = self.digests.hex().encode()
        return pa.StringArray.from_buffers(n, pa.py_buffer(offsets), pa.py_buffer(digits))


def normalised(column: pa.Array | pa.ChunkedArray) -> tuple[NDArray[np.uint8], NDArray[np.int64]]:
    """(bytes, offsets) of the texts as `normalise` makes them; nulls are empty texts."""
    from filters.kernels.columns import text_of

    from .kernels import texthash

    text = text_of(column)
    size = int(text.offsets[-1] - text.offsets[0])
    out, offsets = np.empty(size + size // 2 + 8, np.uint8), np.zeros(len(text) + 1, np.int64)
    texthash.normalise_texts(text.data, text.offsets, *texthash.tables(), out, offsets)
    return out, offsets


def text_hashes(column: pa.Array | pa.ChunkedArray) -> Hashes:
    """The hash of each normalised text."""
    data, offsets = normalised(column)
    view, digest = memoryview(data.data), xxhash.xxh3_128_digest
    bounds = offsets.tolist()
    return Hashes(b"".join([digest(view[a:b]) for a, b in zip(bounds[:-1], bounds[1:], strict=True)]))


def raw_hashes(column: pa.Array | pa.ChunkedArray) -> NDArray[np.uint64]:
    """uint64[n]: XXH3-64 of each text as it is."""
    from filters.kernels.columns import text_of

    text = text_of(column)
    view, digest = memoryview(text.data.data), xxhash.xxh3_64_intdigest
    bounds = text.offsets.tolist()
    return np.array([digest(view[a:b]) for a, b in zip(bounds[:-1], bounds[1:], strict=True)], np.uint64)


def key_hashes(keys: Iterable[str]) -> Hashes:
    """The hash of each key's UTF-8."""
    digest = xxhash.xxh3_128_digest
    return Hashes(b"".join([digest(key.encode("utf-8", "surrogatepass")) for key in keys]))
