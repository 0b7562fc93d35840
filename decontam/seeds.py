"""Which n-grams of the index a chunk of texts has: what a scan begins with."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from filters.kernels.columns import Column, Text, text_of

from .normalise import Tokens, cut_text

if TYPE_CHECKING:
    from .index import Index

CHUNK_BYTES = 1 << 20
"""Text that is worked on at once; a longer document is a chunk of its own."""


class Seeds(NamedTuple):
    """A chunk of a column: documents from row `row` on, cut into tokens."""

    row: int
    text: Text
    tokens: Tokens
    """With positions in text.data."""
    grams: NDArray[np.int32]
    """By token: the number of the index's n-gram that begins here, -1 for none."""
    at: NDArray[np.int64]
    """Tokens that begin an n-gram of the index, in order."""
    counts: NDArray[np.int64]
    """By document: tokens that begin an n-gram of the index."""


class Room:
    """Arrays that are used again for one chunk after the other; a fresh page of memory costs as much as a search."""

    def __init__(self) -> None:
        self._arrays: dict[str, NDArray[Any]] = {}

    def of(self, name: str, size: int, kind: type[np.generic]) -> NDArray[Any]:
        """An array of `size`; what was in it is there no more."""
        if name not in self._arrays or len(self._arrays[name]) < size:
            self._arrays[name] = np.empty(size + size // 4, kind)
        return self._arrays[name][:size]


def seeds_of(column: Column, index: Index, room: Room | None = None) -> Iterator[Seeds]:
    """The chunks of a column, one after the other; a chunk's `grams` and `at` hold until the next one is asked for.

    Raises SchemaError for a column of no text.
    """
    text = text_of(column)
    room = room or Room()
    low = 0
    while low < len(text):
        reach = int(text.offsets[low]) + CHUNK_BYTES
        high = max(low + 1, int(np.searchsorted(text.offsets, reach, side="right")) - 1)
        yield _seeds(Text(text.data, text.offsets[low : high + 1], text.array), low, index, room)
        low = high


def _seeds(text: Text, row: int, index: Index, room: Room) -> Seeds:
    from .index import N
    from .kernels.search import find_grams

    tokens = cut_text(text, index.normalisation)
    n = len(tokens.hashes)
    mixed, at = room.of("mixed", n, np.uint64), room.of("at", n + 1, np.int64)
    grams, counts = room.of("grams", n, np.int32), np.zeros(len(text), np.int64)
    made = find_grams(
        tokens.hashes, tokens.offsets, N, power(N - 1), index.slots, np.uint64(len(index.slots) - 1), index.bloom,
        np.uint64(len(index.bloom) - 1), mixed, at, grams, counts,
    )  # fmt: skip
    return Seeds(row, text, tokens, grams, at[:made], counts)


def power(exponent: int) -> np.uint64:
    """The base of the rolling hash to a power, modulo 2^64."""
    from dedup.kernels.shingling import BASE

    return np.uint64(pow(int(BASE), exponent, 1 << 64))
