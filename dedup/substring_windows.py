"""Tokens of a text, the windows of `min_tokens` of them, and the anchors by which equal windows find each other.

A window is the shortest run of tokens from a token on that counts for `min_tokens`; a repeated span is a run of
windows that occur elsewhere. The anchor of a window is the smallest of the hashes of its runs of half of `min_tokens`
tokens (winnowing: Schleimer, Wilkerson and Aiken 2003; https://doi.org/10.1145/872757.872770). Equal windows have
equal anchors at equal places, so a window whose anchor occurs once in the corpus occurs once; neighbours mostly share
an anchor, so that there are far fewer anchors than windows: 2 in 27 for 50 tokens of equal weight.

Units: `words` are those of `filters.kernels.segments` (UAX #29), without the white space between. A word or number
counts for 1, a character of a script that parts no words by spaces for `WORDS_PER_TOKEN` (90 Han characters or 80 of
Hiragana count for 50). A punctuation mark or symbol is compared, but counts for nothing: rules and table frames are no
repeats by themselves. No window begins with a mark that belongs to the word before it. `characters` are code points
and `bytes` are of UTF-8, white space among them; each counts for 1.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from numpy.typing import NDArray

from filters.kernels.columns import Spans, Text, view
from pipeline.storage import local_file

UNITS = ("words", "characters", "bytes")
PART_OF_WORD = 360
"""Weights are whole numbers of so many to the word: every `WORDS_PER_TOKEN` is one."""
OPENING = "([{¡¿«‘‚“„‹⁅⁽₍〈《「『【〔〖〘〚〝（［｛｟｢"
"""Marks that belong to what follows them."""
PIECE_BYTES = 4 << 20
"""Text that is worked on at once, unless a single document is longer."""


@dataclass(frozen=True, eq=False)
class Windows:
    """Tokens and windows of some documents; arrays are per token."""

    text: Text
    tokens: Spans
    window_ends: NDArray[np.int64]
    """The token after the window that begins here; -1 where the document ends before."""
    has_window: NDArray[np.bool_]
    anchors: NDArray[np.uint64]
    """The distinct anchors, in order of place."""
    anchor_of: NDArray[np.int64]
    """For each window, in order, the number of its anchor."""


def tokens_of(text: Text, unit: str) -> Spans:
    """The tokens of each document; kinds are those of words, else zeros."""
    if unit == "words":
        from filters.kernels import segments

        return segments.words(text)
    begin, end = int(text.offsets[0]), int(text.offsets[-1])
    starts = np.arange(begin, end)
    if unit == "characters":
        starts = starts[(text.data[begin:end] & 0xC0) != 0x80]
    ends = np.append(starts[1:], end)[: len(starts)]
    return Spans(starts, ends, np.searchsorted(starts, text.offsets), np.zeros(len(starts), np.uint8))


@lru_cache(maxsize=3)
def weights(unit: str) -> NDArray[np.int64]:
    """int64[kinds]: what a token of a kind counts for, in parts of a word."""
    if unit != "words":
        return np.full(1, PART_OF_WORD, np.int64)
    from filters.kernels import segments

    found = np.round(segments.WORDS_PER_TOKEN * PART_OF_WORD).astype(np.int64)
    found[segments.MARKS] = 0
    return found


def windows_of(text: Text, unit: str, min_tokens: int) -> Windows:
    """Windows and anchors of each document."""
    from .kernels import substrings as kernels

    tokens = tokens_of(text, unit)
    n = len(tokens)
    k = max(1, min_tokens // 2)
    hashes, grams = np.empty(n, np.uint64), np.zeros(n, np.uint64)
    window_ends, places = np.empty(n, np.int64), np.empty(n, np.int64)
    kernels.token_hashes(text.data, tokens.starts, tokens.ends, hashes)
    power = np.uint64(pow(int(kernels.BASE), k, 1 << 64))
    kernels.find_windows(
        hashes, tokens.kinds, weights(unit), tokens.offsets, min_tokens * PART_OF_WORD, k, power, np.empty(n, np.int64),
        grams, window_ends, places,
    )  # fmt: skip
    has_window = window_ends >= 0
    if unit == "words":
        has_window &= ~closing_marks(text, tokens)
    places = places[has_window]
    new = np.ones(len(places), np.bool_)
    new[1:] = places[1:] != places[:-1]
    return Windows(text, tokens, window_ends, has_window, grams[places[new]], np.cumsum(new) - 1)


def closing_marks(text: Text, tokens: Spans) -> NDArray[np.bool_]:
    """Marks that follow a token without white space, but for opening ones: they belong to that token.

    No window begins with one, so that a full stop or bracket stays with a sentence that stays.
    """
    from filters.kernels import segments

    found = tokens.kinds == segments.MARKS
    found[1:] &= tokens.starts[1:] == tokens.ends[:-1]
    firsts = tokens.offsets[:-1]
    found[firsts[firsts < len(tokens)]] = False
    at = np.flatnonzero(found)
    first = tokens.starts[at]
    codes = text.data[first].astype(np.int64)
    for size, mask in ((2, 0x1F), (3, 0x0F)):
        long = np.flatnonzero((codes >= (0xC0, 0xE0)[size - 2]) & (codes < (0xE0, 0xF0)[size - 2]))
        value = codes[long] & mask
        for i in range(1, size):
            value = value << 6 | (text.data[first[long] + i] & 0x3F)
        codes[long] = -value  # not to be taken for a first byte
    found[at[np.isin(np.abs(codes), [ord(c) for c in OPENING])]] = False
    return found


def pieces(path: str, columns: list[str] | None = None) -> Iterator[tuple[int, pa.Table]]:
    """(number of the first row, documents) of a shard, of up to PIECE_BYTES of text or a single document."""
    row = 0
    for batch in pq.ParquetFile(local_file(path)).iter_batches(512, columns=columns):
        table = pa.Table.from_batches([batch])
        sizes = pc.fill_null(pc.binary_length(table["text"]), 0).to_numpy()
        start = size = 0
        for i, one in enumerate(sizes.tolist()):
            if size + one > PIECE_BYTES and i > start:
                yield row + start, table.slice(start, i - start)
                start, size = i, 0
            size += one
        yield row + start, table.slice(start)
        row += table.num_rows


def text_column(table: pa.Table) -> Text:
    """The texts of documents."""
    return view(table["text"])


def text_bytes(path: Path) -> int:
    """Bytes of text in a shard, by the file's own statistics (those of a Parquet column, before compression)."""
    meta = pq.ParquetFile(local_file(path)).metadata
    at = [i for i in range(meta.num_columns) if meta.schema.column(i).path == "text"]
    return sum(meta.row_group(g).column(i).total_uncompressed_size for g in range(meta.num_row_groups) for i in at)
