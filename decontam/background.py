"""Counts of the index's n-grams in a sample of text: the guard against what is common, and GPT-3's limit."""

from __future__ import annotations

import hashlib
import heapq
from collections.abc import Iterable
from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from pipeline.errors import ConfigError

if TYPE_CHECKING:
    from .index import Index

LONG = 13
"""The n-gram whose documents are counted by place, as GPT-3 has it."""


def sample_documents(
    columns: Iterable[pa.ChunkedArray | pa.Array], documents: int = 20_000, seed: int = 0
) -> pa.LargeStringArray:
    """A background sample: that many texts of columns, the same ones whatever their order and how they are cut.

    A text's keyed hash decides, so that copies of one text count once: a benchmark that leaked in many copies of a
    page is not common for that. Nulls and empty texts are left out. Take the sample from text that is not what is to
    be scanned, where there is any: what is in more than `ScanOptions.max_documents` of it is no match. Raises
    ConfigError for no documents.
    """
    if documents < 1:
        raise ConfigError(f"a background sample of {documents} documents; it needs at least one")
    key = seed.to_bytes(8, "little", signed=True)
    kept: list[tuple[int, bytes]] = []  # the highest hash first
    chosen: set[int] = set()
    for column in columns:
        for scalar in column:
            raw = (scalar.as_py() or "").encode()
            number = -int.from_bytes(hashlib.blake2b(raw, digest_size=16, key=key).digest(), "little")
            if not raw or number in chosen or len(kept) == documents and number < kept[0][0]:
                continue
            chosen.add(number)
            if len(kept) < documents:
                heapq.heappush(kept, (number, raw))
            else:
                chosen.discard(heapq.heapreplace(kept, (number, raw))[0])
    return pa.array([raw.decode() for _, raw in sorted(kept, reverse=True)], pa.large_string())


def count_documents(
    index: Index, columns: Iterable[pa.ChunkedArray | pa.Array]
) -> tuple[NDArray[np.int32], NDArray[np.int32], int]:
    """(documents by n-gram, documents by place of a 13-gram, all documents) of columns of text."""
    from .index import N
    from .kernels.search import count_grams, count_places
    from .seeds import seeds_of

    grams_seen, places_seen = np.zeros(len(index.gram_hashes), np.int32), np.zeros(len(index.tokens), np.int32)
    last_gram, last_place = np.full(len(grams_seen), -1, np.int64), np.full(len(places_seen), -1, np.int64)
    documents = 0
    for column in columns:
        for seeds in seeds_of(column, index):
            offsets = seeds.tokens.offsets
            count_grams(seeds.grams, offsets, documents, last_gram, grams_seen)
            count_places(
                seeds.grams, offsets, documents, LONG - N + 1, index.posted, index.postings, index.part_gram,
                last_place, places_seen,
            )  # fmt: skip
            documents += len(seeds.text)
    return grams_seen, places_seen, documents
