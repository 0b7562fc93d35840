"""Two indexes made into one, array for array as if it were built of all items at once.

Distinct n-grams and tokens are sorted in both, so that merging them is one pass over each; only the tables that are
asked by hash are filled anew.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from pipeline.errors import ConfigError

from .index import Index
from .index_build import distinct_values, offsets_of, short_parts, table_of, weights_of
from .seeds import power

BLOCK = 1 << 16
"""Tokens that are looked up at once."""


class _Union(NamedTuple):
    """The distinct values of two sorted arrays a and b."""

    values: NDArray[np.uint64]
    of_a: NDArray[np.int64]
    """The number of each value of a among all."""
    of_b: NDArray[np.int64]
    both: NDArray[np.bool_]
    """By value of b: whether a has it too."""


def merge(a: Index, b: Index) -> Index:
    """The index of the items of both, those of a first. The background counts are to be made anew.

    Raises ConfigError for different normalisations and for too many tokens. No item may be in both.
    """
    if a.normalisation != b.normalisation:
        raise ConfigError(f"indexes of different normalisations: {a.normalisation.text}; {b.normalisation.text}")
    shift = len(a.tokens) - 1
    if shift + len(b.tokens) >= 1 << 31:
        raise ConfigError(f"together {shift + len(b.tokens)} tokens; an index holds fewer than 2^31: scan with both")
    items = pa.concat_tables([a.items, b.items])
    part_item = np.concatenate([a.part_item, b.part_item + np.int32(len(a))])
    part_kind = np.concatenate([a.part_kind, b.part_kind])
    part_offsets = np.concatenate([a.part_offsets, b.part_offsets[1:] + shift])
    part_of = np.concatenate([a.part_of, b.part_of[1:] + np.int32(len(a.part_kind))])
    tokens = np.concatenate([a.tokens, b.tokens[1:]])
    scripts = np.concatenate([a.scripts, b.scripts[1:]])
    words = _union(a.words, b.words)
    word_items = _added(words, a.word_items, b.word_items)
    grams = _union(a.gram_hashes, b.gram_hashes)
    posted, postings = _postings(a, b, grams, shift)
    gram_benchmarks = _added(grams, a.gram_benchmarks, b.gram_benchmarks)
    shared = np.flatnonzero(np.isin(np.arange(len(grams.values)), grams.of_b[grams.both]))
    benchmarks = items["benchmark"].combine_chunks().dictionary_encode().indices.to_numpy(zero_copy_only=False)
    counts = posted[shared + 1] - posted[shared]
    of_shared = postings[np.repeat(posted[shared] - offsets_of(counts)[:-1], counts) + np.arange(counts.sum())]
    gram_benchmarks[shared] = distinct_values(
        np.repeat(np.arange(len(shared)), counts), benchmarks[part_item[part_of[of_shared]]], len(shared)
    )
    slots, bloom = table_of(grams.values)
    return Index(
        items=items,
        normalisation=a.normalisation,
        part_item=part_item,
        part_kind=part_kind,
        part_offsets=part_offsets,
        breaks=np.concatenate([a.breaks, b.breaks[1:]]),
        scripts=scripts,
        tokens=tokens,
        weights=weights_of(scripts, word_items, _numbers(tokens, words.values), len(items)),
        words=words.values,
        word_items=word_items,
        part_of=part_of,
        part_gram=np.concatenate([_renumbered(a.part_gram, grams.of_a), _renumbered(b.part_gram[1:], grams.of_b)]),
        gram_hashes=grams.values,
        posted=posted,
        postings=postings,
        gram_items=_added(grams, a.gram_items, b.gram_items),
        gram_benchmarks=gram_benchmarks,
        gram_documents=np.zeros(len(grams.values), np.int32),
        place_documents=np.zeros(len(tokens), np.int32),
        documents=0,
        slots=slots,
        bloom=bloom,
        **short_parts(part_offsets, part_kind, tokens),
    )


def _union(a: NDArray[np.uint64], b: NDArray[np.uint64]) -> _Union:
    at = np.searchsorted(a, b)
    both = np.zeros(len(b), bool)
    inside = at < len(a)
    both[inside] = a[at[inside]] == b[inside]
    new = at[~both]  # the new ones stand before these of a
    of_a = np.arange(len(a)) + np.cumsum(np.bincount(new, minlength=len(a) + 1))[: len(a)]
    of_b = np.empty(len(b), np.int64)
    of_b[both] = of_a[at[both]]
    of_b[~both] = new + np.arange(len(new))
    values = np.empty(len(a) + len(new), np.uint64)
    values[of_a], values[of_b] = a, b
    return _Union(values, of_a, of_b, both)


def _added(union: _Union, a: NDArray[np.int32], b: NDArray[np.int32]) -> NDArray[np.int32]:
    """Counts of both, added."""
    out = np.zeros(len(union.values), np.int32)
    out[union.of_a] = a
    out[union.of_b] += b
    return out


def _renumbered(grams: NDArray[np.int32], numbers: NDArray[np.int64]) -> NDArray[np.int32]:
    """Numbers of n-grams as they are among all; those under 0 stay."""
    out = grams.copy()
    whole = grams >= 0
    out[whole] = numbers[grams[whole]]
    return out


def _postings(a: Index, b: Index, grams: _Union, shift: int) -> tuple[NDArray[np.int64], NDArray[np.int32]]:
    counts_a, counts_b = np.diff(a.posted), np.diff(b.posted)
    counts = np.zeros(len(grams.values), np.int64)
    counts[grams.of_a] = counts_a
    before = counts[grams.of_b]  # places of b come after those of a
    counts[grams.of_b] += counts_b
    posted = offsets_of(counts)
    out = np.empty(len(a.postings) + len(b.postings), np.int32)
    out[np.arange(len(a.postings)) + np.repeat(posted[grams.of_a] - a.posted[:-1], counts_a)] = a.postings
    starts = posted[grams.of_b] + before - b.posted[:-1]
    out[np.arange(len(b.postings)) + np.repeat(starts, counts_b)] = b.postings + np.int32(shift)
    return posted, out


def _numbers(tokens: NDArray[np.uint64], words: NDArray[np.uint64]) -> NDArray[np.int32]:
    """The number of each token among the distinct ones, as n-grams of one token are found."""
    from .kernels import search

    hashes = np.zeros(len(words), np.uint64)
    search.hash_grams(words, np.array([0, len(words)]), 1, power(1), hashes)
    slots, bloom = table_of(hashes)
    found: NDArray[Any] = np.empty(len(tokens), np.int32)
    room, counts = (np.empty(BLOCK, np.uint64), np.empty(BLOCK + 1, np.int64)), np.zeros(1, np.int64)
    masks = np.uint64(len(slots) - 1), np.uint64(len(bloom) - 1)
    for low in range(0, len(tokens), BLOCK):
        block = tokens[low : low + BLOCK]
        search.find_grams(
            block, np.array([0, len(block)]), 1, power(0), slots, masks[0], bloom, masks[1], *room,
            found[low : low + BLOCK], counts,
        )  # fmt: skip
    return found
