"""How the tables of an index are made from items.

Items are cut into tokens, all parts in one row; n-grams and tokens are numbered by sorting their hashes.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from pipeline.errors import ConfigError

from .index import PARTS, QUESTION, SHORTEST, Index, N
from .normalise import Normalisation, cut_text
from .seeds import power

LEAST_ITEMS = 20_000
"""Weights are as if there were at least so many items, or those of a small benchmark would be worth nothing."""

WORTH: NDArray[np.float64] = np.array([1.0, 1 / 1.8, 1 / 1.6, 1 / 4.0])
"""Words that a token is worth: a word; a character of Han, of Hiragana, of Thai and its like (`segments`)."""


def build(items: pa.Table, normalisation: Normalisation) -> Index:
    """The index of a table of items."""
    return _tables(_cut(items, normalisation), normalisation)


def add_items(index: Index, items: pa.Table) -> Index:
    """The index of both. Raises ConfigError for an item that is there already."""
    from .index_merge import merge

    known = set(index.items["item"].to_pylist())
    twice = [name for name in items["item"].to_pylist() if name in known]
    if twice:
        raise ConfigError(f"the index has item {twice[0]} already ({len(twice)} of those to be added)")
    return merge(index, build(items, index.normalisation))


def take_items(index: Index, keep: NDArray[np.bool_]) -> Index:
    """The index of the items for which the mask is true; nothing is cut into tokens again."""
    parts = keep[index.part_item]
    places = np.repeat(parts, index.part_lengths)
    numbers = (np.cumsum(keep) - 1).astype(np.int32)
    cut = _Cut(
        index.items.filter(pa.array(keep)),
        numbers[index.part_item[parts]],
        index.part_kind[parts],
        index.part_lengths[parts],
        index.tokens[1:][places],
        index.breaks[1:][places],
        index.scripts[1:][places],
    )
    return _tables(cut, index.normalisation)


@dataclass(frozen=True, eq=False)
class _Cut:
    """Items cut into tokens: the parts' tokens in one row."""

    items: pa.Table
    part_item: NDArray[np.int32]
    part_kind: NDArray[np.uint8]
    lengths: NDArray[np.int64]
    tokens: NDArray[np.uint64]
    breaks: NDArray[np.bool_]
    scripts: NDArray[np.uint8]


def _cut(items: pa.Table, normalisation: Normalisation) -> _Cut:
    from filters.kernels.columns import text_of

    texts, item, kind = [], [], []
    columns = [items[name].to_pylist() for name in PARTS]
    for i, parts in enumerate(zip(*columns, strict=True)):
        for k, part in enumerate(parts):
            for one in part if isinstance(part, list) else [part]:
                if one:
                    texts.append(one)
                    item.append(i)
                    kind.append(k)
    text = text_of(pa.array(texts, pa.large_string()))
    hashes, offsets, starts, ends = cut_text(text, normalisation)
    feeds = np.flatnonzero(text.data[: text.offsets[-1]] == 10)
    breaks = np.ones(len(hashes), bool)
    breaks[1:] = np.searchsorted(feeds, starts[1:]) > np.searchsorted(feeds, ends[:-1])
    breaks[offsets[:-1][np.diff(offsets) > 0]] = True
    names = items.select(["item", "benchmark", "split"])
    scripts = _scripts(text.data, starts)
    return _Cut(
        names, np.array(item, np.int32), np.array(kind, np.uint8), np.diff(offsets), hashes.copy(), breaks, scripts
    )


def _scripts(data: NDArray[np.uint8], starts: NDArray[np.int64]) -> NDArray[np.uint8]:
    """The entry of WORTH of the token that begins at each byte, by the first two bytes of its UTF-8."""
    first, second = data[starts], data[np.minimum(starts + 1, len(data) - 1)] if len(starts) else data[:0]
    scripts = np.zeros(len(starts), np.uint8)
    scripts[(first >= 0xE4) & (first <= 0xE9) | (first == 0xE3) & (second >= 0x90)] = 1
    scripts[(first == 0xE3) & ((second == 0x81) | (second == 0x82))] = 2
    thai_lao = (first == 0xE0) & (second >= 0xB8) & (second <= 0xBB)
    burmese_khmer = (first == 0xE1) & ((second <= 0x82) | (second == 0x9E) | (second == 0x9F))
    scripts[thai_lao | burmese_khmer] = 3
    return scripts


def _tables(cut: _Cut, normalisation: Normalisation) -> Index:
    from .kernels import search

    offsets = np.concatenate([[1], 1 + np.cumsum(cut.lengths)]).astype(np.int64)
    if offsets[-1] >= 1 << 31:
        raise ConfigError(f"the benchmarks have {offsets[-1]} tokens; an index holds fewer than 2^31: make several")
    tokens = np.concatenate([np.zeros(1, np.uint64), cut.tokens])
    scripts = np.concatenate([np.zeros(1, np.uint8), cut.scripts])
    part_of = np.concatenate([[-1], np.repeat(np.arange(len(cut.lengths)), cut.lengths)]).astype(np.int32)
    hashes = np.zeros(len(tokens), np.uint64)
    search.hash_grams(tokens, offsets, N, power(N), hashes)
    ends = offsets[1:][part_of] if len(cut.lengths) else np.zeros(1, np.int64)
    whole = np.arange(len(tokens)) + N <= ends
    whole[0] = False
    places = np.flatnonzero(whole)
    gram_hashes, numbers = _numbered(hashes[places])
    part_gram = np.full(len(tokens), -2, np.int32)
    part_gram[places] = numbers
    grams, at = _pairs(numbers, places)
    postings = at.astype(np.int32)
    posted = offsets_of(np.bincount(numbers, minlength=len(gram_hashes)))
    item_of = cut.part_item[part_of[postings]] if len(postings) else np.zeros(0, np.int32)
    benchmark = cut.items["benchmark"].combine_chunks().dictionary_encode().indices.to_numpy(zero_copy_only=False)
    slots, bloom = table_of(gram_hashes)
    words, word_of = _numbered(tokens)
    word_items = distinct_values(word_of[1:], cut.part_item[part_of[1:]], len(words))
    return Index(
        items=cut.items,
        normalisation=normalisation,
        part_item=cut.part_item,
        part_kind=cut.part_kind,
        part_offsets=offsets,
        breaks=np.concatenate([[False], cut.breaks]),
        tokens=tokens,
        scripts=scripts,
        weights=weights_of(scripts, word_items, word_of, cut.items.num_rows),
        words=words,
        word_items=word_items,
        part_of=part_of,
        part_gram=part_gram,
        gram_hashes=gram_hashes,
        posted=posted,
        postings=postings,
        gram_items=distinct_values(grams, item_of, len(gram_hashes)),
        gram_benchmarks=distinct_values(grams, benchmark[item_of], len(gram_hashes)),
        gram_documents=np.zeros(len(gram_hashes), np.int32),
        place_documents=np.zeros(len(tokens), np.int32),
        documents=0,
        slots=slots,
        bloom=bloom,
        **short_parts(offsets, cut.part_kind, tokens),
    )


def table_of(hashes: NDArray[np.uint64]) -> tuple[NDArray[np.uint64], NDArray[np.uint64]]:
    """(slots, filter): a table of twice the hashes, and a filter of 4 to 8 bits a hash.

    Measured on 5.1 million n-grams: filters of 2, 4, 8 and 16 MB took 9.5, 10, 15 and 16 ns a token.
    """
    from .kernels import search

    size = 16
    while size < 2 * len(hashes):
        size *= 2
    slots, bloom = np.zeros(size, np.uint64), np.zeros(max(size // 32, 8), np.uint64)
    search.fill_table(hashes, slots, np.uint64(len(slots) - 1), bloom, np.uint64(len(bloom) - 1))
    for made in (slots, bloom):
        made.setflags(write=False)  # as in an index
    return slots, bloom


def short_parts(offsets: NDArray[np.int64], kinds: NDArray[np.uint8], tokens: NDArray[np.uint64]) -> dict[str, Any]:
    """Questions that are too short for an n-gram, by the hash of all their tokens and their length."""
    from .kernels import search

    lengths = np.diff(offsets)
    parts = np.flatnonzero((lengths >= SHORTEST) & (lengths < N) & (kinds == QUESTION))
    hashes = np.zeros(len(parts), np.uint64)
    bits = 1 << 16  # 8 kB, which stay next to the processor
    while bits < 64 * len(parts):
        bits *= 2
    bloom = np.zeros(bits // 64, np.uint64)
    search.fill_short(tokens, offsets, parts, bloom, np.uint64(bits - 1), hashes)
    distinct, numbers = _numbered(hashes)
    return {
        "short_slots": table_of(distinct)[0],
        "short_bloom": bloom,
        "short_posted": offsets_of(np.bincount(numbers, minlength=len(distinct))),
        "short_parts": _pairs(numbers, parts)[1].astype(np.int32),
    }


def weights_of(
    scripts: NDArray[np.uint8], word_items: NDArray[np.int32], word_of: NDArray[Any], items: int
) -> NDArray[np.float32]:
    """How much the token at each place tells; `word_of` is its number among the distinct ones."""
    tells = np.log((1 + max(items, LEAST_ITEMS)) / np.maximum(word_items, 1)).astype(np.float32)
    made: NDArray[np.float32] = WORTH[scripts].astype(np.float32) * tells[word_of]
    return made


def _numbered(values: NDArray[np.uint64]) -> tuple[NDArray[np.uint64], NDArray[np.int64]]:
    """(distinct values in order, the number of each value among them). np.unique takes three times as long."""
    order = np.argsort(values)
    ordered = values[order]
    first = np.ones(len(values), bool)
    first[1:] = ordered[1:] != ordered[:-1]
    numbers = np.empty(len(values), np.int64)
    numbers[order] = np.cumsum(first) - 1
    return ordered[first], numbers


def _pairs(groups: NDArray[Any], values: NDArray[Any]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Both, in the order of groups and in these of values, which are under 2^32."""
    pairs = np.sort(groups.astype(np.int64) << 32 | values.astype(np.int64) & 0xFFFFFFFF)
    return pairs >> 32, pairs & 0xFFFFFFFF


def distinct_values(groups: NDArray[Any], values: NDArray[Any], count: int) -> NDArray[np.int32]:
    """How many distinct values each group has."""
    ordered, of_group = _pairs(groups, values)
    first = np.ones(len(ordered), bool)
    first[1:] = (ordered[1:] != ordered[:-1]) | (of_group[1:] != of_group[:-1])
    return np.bincount(ordered[first], minlength=count).astype(np.int32)


def offsets_of(counts: NDArray[Any]) -> NDArray[np.int64]:
    return np.concatenate([[0], np.cumsum(counts)]).astype(np.int64)
