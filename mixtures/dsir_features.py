"""DSIR's features of texts: hashed n-grams, counted by a kernel on Arrow's own buffers.

As the published code has them (`data-selection` 1.0.3, https://github.com/p-lambda/dsir): text in small letters, words
by `\\w+|[^\\w\\s]+` (NLTK's wordpunct), unigrams and bigrams, 10 000 buckets by SHA-256. Small letters are those of
Python's Unicode, letters and white space those of the Unicode tables in `filters.kernels.tables`.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

BUCKETS = 10_000
NGRAMS = 2
MAX_NGRAMS = 8
_MEMORY = 1 << 18
"""Buckets that are remembered, 12 bytes each: SHA-256 of an n-gram takes some 0.3 microseconds, a look-up 10 ns."""
_CHUNK_BYTES = 8 << 20


@dataclass(frozen=True, eq=False)
class Features:
    """What n texts gave."""

    counts: NDArray[np.int64]
    """int64[buckets]: how often each bucket came, over all texts."""
    words: NDArray[np.int64]
    """int64[n]: words of each text."""
    weights: NDArray[np.float64]
    """float64[n]: sum of the differences over each text's n-grams, in nats."""


class Featurizer:
    """Counts n-grams of texts; remembers buckets from call to call, which changes no result.

    `differences` float64[buckets]: log p_target - log p_raw of each bucket; None for zeros. One object is for one
    thread. Two n-grams are taken for one with a probability of 2^-63 a pair.
    """

    def __init__(
        self, buckets: int = BUCKETS, ngrams: int = NGRAMS, differences: NDArray[np.float64] | None = None
    ) -> None:
        from filters.kernels import tables

        from .kernels import ngrams as kernels
        from .kernels.sha256 import constants

        self.buckets, self.ngrams = buckets, ngrams
        self.differences = np.zeros(buckets) if differences is None else np.ascontiguousarray(differences, np.float64)
        self._tables = tables.load()
        self._classes = np.full(128, kernels.SIGNS, np.uint8)
        for point in range(128):
            char = chr(point)
            if char.isalnum() or char == "_":
                self._classes[point] = kernels.WORD
            elif char.isspace():
                self._classes[point] = kernels.GAP
        self._memory = np.zeros(_MEMORY, np.uint64), np.zeros(_MEMORY, np.int32)
        ring = 1 << ngrams.bit_length()
        self._ring = np.zeros(ring, np.int64), np.zeros(ring, np.int64), np.zeros(ring, np.uint64)
        self._scratch = np.zeros(64, np.uint8), np.zeros(64, np.uint32), np.zeros(8, np.uint32), *constants()

    def __call__(self, column: Any) -> Features:
        """Features of a column of texts (`filters.kernels.columns.Column`); nulls are empty texts."""
        from filters.kernels.columns import view

        from .kernels.ngrams import count_ngrams

        text = view(column)
        n = len(text)
        counts, words, weights = np.zeros(self.buckets, np.int64), np.zeros(n, np.int64), np.zeros(n)
        low = 0
        while low < n:
            reach = int(text.offsets[low]) + _CHUNK_BYTES
            high = max(low + 1, int(np.searchsorted(text.offsets, reach, side="right")) - 1)
            data, offsets = _small_letters(text.data, text.offsets[low : high + 1])
            count_ngrams(
                data, offsets, self._classes, *self._tables, self.ngrams, self.buckets, self.differences, counts,
                words[low:high], weights[low:high], *self._memory, *self._ring, *self._scratch,
            )  # fmt: skip
            low = high
        return Features(counts, words, weights)


def _small_letters(data: NDArray[np.uint8], offsets: NDArray[np.int64]) -> tuple[NDArray[np.uint8], NDArray[np.int64]]:
    """The texts as Python's `str.lower` has them, in new buffers."""
    from dedup.kernels import normalise as kernels
    from dedup.kernels.foldings import folding

    table = folding(True, False, False, False, False)
    out = np.empty(int(offsets[-1] - offsets[0]) * kernels.LARGEST_GROWTH, np.uint8)
    into = np.zeros(len(offsets), np.int64)
    kernels.normalise(data, offsets, table.fast, table.entries, table.pool, table.simple, out, into)
    return out, into


def log_ratio(target: NDArray[np.int64], raw: NDArray[np.int64], smoothing: float = 1e-8) -> NDArray[np.float64]:
    """log(p + smoothing) - log(q + smoothing) of two counts' distributions, float64[buckets] (Xie et al. 2023).

    Counts that are all zero are a distribution of zeros.
    """
    p, q = (counts / max(1, int(counts.sum())) for counts in (target, raw))
    return np.asarray(np.log(p + smoothing) - np.log(q + smoothing))


def divergence(target: NDArray[np.int64], other: NDArray[np.int64], smoothing: float = 1e-8) -> float:
    """Kullback-Leibler divergence of other's distribution from target's, in nats: sum p (log p - log q), smoothed."""
    p = target / max(1, int(target.sum()))
    return float(np.dot(p, log_ratio(target, other, smoothing)))
