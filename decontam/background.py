"""Counts of the index's n-grams in a sample of text: the guard against what is common, and GPT-3's limit."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

if TYPE_CHECKING:
    from .index import Index

LONG = 13
"""The n-gram whose documents are counted by place, as GPT-3 has it."""


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
