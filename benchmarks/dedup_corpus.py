"""A corpus of made-up documents whose duplicates are known, of any size, made by counters: document i needs no other.

Every 20 documents in a row are a block: 16 of their own and copies of the first four, with 0, 1, 3 and 10 % of their
words replaced. In one block of 50 all 20 documents are pages of a templated site (20 sites): six tenths of the words
are the site's, the rest their own; none of these is a copy. Shards take the documents in a scattered order, so that
copies lie far apart. Words are 2 to 10 letters of a vocabulary of 60 000, low numbers more often; documents have 150 to
269 of them.
"""

# mypy: disable-error-code="no-untyped-def"
from __future__ import annotations

from math import gcd
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

from pipeline.kernels import kernel_part, plain_kernel
from pipeline.schema import RECORD

BLOCK, COPIED, SITE_EVERY, SITES = 20, 4, 50, 20
VOCABULARY, MIN_WORDS, MORE_WORDS = 60_000, 150, 120
EDITS = np.array([0, 10, 30, 100], np.int64)
"""Words replaced in the copies, per thousand."""
SITE_SHARE = 600
_M1, _M2 = np.uint64(0xBF58476D1CE4E5B9), np.uint64(0x94D049BB133111EB)
_S30, _S27, _S31 = np.uint64(30), np.uint64(27), np.uint64(31)
_STEP = np.uint64(0x9E3779B97F4A7C15)


@kernel_part
def _mix(h):
    h = (h ^ (h >> _S30)) * _M1
    h = (h ^ (h >> _S27)) * _M2
    return h ^ (h >> _S31)


@kernel_part
def _drawn(seed, a, b):
    """A number below 2^64 for a pair of counters."""
    return _mix(_mix(np.uint64(a) * _STEP + np.uint64(seed)) + np.uint64(b) * _STEP)


@kernel_part
def _word(number, out, o):
    """Write word `number` with a space behind it; where it ends."""
    h = _mix(np.uint64(number) + _STEP)
    letters = 2 + number % 9
    for _ in range(letters):
        out[o] = 97 + h % np.uint64(26)
        h = h // np.uint64(26)
        o += 1
    out[o] = 32
    return o + 1


@plain_kernel
def write_documents(numbers, seed, out, offsets):
    """Write documents `numbers` int64[n] to `out`, uint8; offsets int64[n + 1]."""
    o = 0
    for d in range(len(numbers)):
        number = numbers[d]
        block = number // BLOCK
        place = number % BLOCK
        site = block % SITE_EVERY == 0
        source = number
        edits = 0
        if not site and place >= BLOCK - COPIED:
            source = number - (BLOCK - COPIED)
            edits = EDITS[place - (BLOCK - COPIED)]
        words = MIN_WORDS + np.int64(_drawn(seed, source, 1 << 40) % np.uint64(MORE_WORDS))
        shared = words * SITE_SHARE // 1000 if site else 0
        for j in range(words):
            h = _drawn(seed, -1 - (block // SITE_EVERY) % SITES if j < shared else source, j)
            if edits > 0 and np.int64(_drawn(seed + 1, number, j) % np.uint64(1000)) < edits:
                h = _drawn(seed + 2, number, j)
            u = (h >> np.uint64(40)) / 16777216.0
            o = _word(np.int64(VOCABULARY * u * u), out, o)
        o -= 1
        offsets[d + 1] = o


def texts(numbers: NDArray[np.int64], seed: int) -> pa.Array:
    """The documents' texts, large_string."""
    out = np.empty(len(numbers) * (MIN_WORDS + MORE_WORDS) * 11, np.uint8)
    offsets = np.zeros(len(numbers) + 1, np.int64)
    write_documents(numbers, seed, out, offsets)
    data = pa.py_buffer(out[: offsets[-1]].copy())
    return pa.Array.from_buffers(pa.large_string(), len(numbers), [None, pa.py_buffer(offsets), data])


def scattered(places: NDArray[np.int64], total: int) -> NDArray[np.int64]:
    """The document at each place: a fixed permutation of all `total` ones."""
    step = int(total * 0.6180339887) | 1
    while gcd(step, total) > 1:
        step += 2
    return (places * step + 12345) % total


def family(number: NDArray[np.int64]) -> NDArray[np.int64]:
    """The document that each is a copy of, or itself."""
    place, block = number % BLOCK, number // BLOCK
    copy = (place >= BLOCK - COPIED) & (block % SITE_EVERY != 0)
    return np.where(copy, number - (BLOCK - COPIED), number)


def write_shard(path: Path, first: int, count: int, total: int, seed: int, begin: int = 0) -> dict[str, Any]:
    """Write documents at places first ... first + count of the `total` ones whose numbers start at `begin`.

    `id` is the document's number, 32 hex digits.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    schema = pa.schema([("id", pa.string()), ("text", pa.large_string()), ("url", pa.string()), ("record", RECORD)])
    size = 0
    with pq.ParquetWriter(path, schema, compression="zstd", compression_level=1) as out:
        for start in range(first, first + count, 20_000):
            places = np.arange(start, min(start + 20_000, first + count))
            numbers = begin + scattered(places, total)
            column = texts(numbers, seed)
            size += column.nbytes
            out.write_table(
                pa.table(
                    {
                        "id": pa.array([f"{n:032x}" for n in numbers.tolist()]),
                        "text": column,
                        "url": pa.nulls(len(numbers), pa.string()),
                        "record": pa.nulls(len(numbers), RECORD),
                    },
                    schema=schema,
                )
            )
    return {"rows": count, "text_bytes": size}
