"""Counts and repetition of documents, from texts and spans; any splitter's spans will do."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from . import tables
from .columns import Column, Spans, Text, remembered, text_of
from .counting import BLANK, BULLET, ELLIPSIS_END, TERMINAL_END
from .hashing import MIX, hash_of, room_for
from .segments import CHARACTER, WORDS_PER_TOKEN, Tokens, marks

__all__ = [
    "BLANK", "BULLET", "ELLIPSIS_END", "TERMINAL_END", "Classes", "Repeats",
    "Signs", "StopWords", "TokenSums", "classes", "line_holds", "per_document", "repeated_ngrams", "repeats",
    "share", "signs", "token_sums", "word_counts",
]  # fmt: skip
Ints = NDArray[np.int64]


@dataclass(frozen=True, eq=False)
class Classes:
    """Characters of each document by class, int64[n]: general categories, White_Space, Uppercase and Lowercase."""

    characters: Ints
    letters: Ints
    numbers: Ints
    punctuation: Ints
    symbols: Ints
    spaces: Ints
    upper: Ints
    lower: Ints
    marks: Ints
    spaceless: Ints
    """Of Han, Hiragana, Thai, Lao, Khmer and Burmese."""


def classes(column: Column) -> Classes:
    """Characters by class."""
    from .counting import CLASSES, count_classes

    text = text_of(column)
    first, blocks = tables.load()
    out = np.zeros(len(text) * CLASSES, np.int64)
    count_classes(text.data, text.offsets, first, blocks, out)
    return Classes(*out.reshape(-1, CLASSES).T)


@dataclass(frozen=True, eq=False)
class Signs:
    """Counts of each document, int64[n]."""

    characters: Ints
    line_feeds: Ints
    hashes: Ints
    """Of "#"."""
    ellipses: Ints
    """Of "..." without overlap, and of "…"."""


def signs(column: Column) -> Signs:
    """Characters, line breaks, "#" and ellipses."""
    from .counting import count_signs

    text = text_of(column)

    def make() -> Signs:
        out = np.zeros(len(text) * 4, np.int64)
        count_signs(text.data, text.offsets, *marks(text), out)
        return Signs(*np.ascontiguousarray(out.reshape(-1, 4).T))

    return remembered(text, "signs", make)


def line_holds(text: Text, spans: Spans) -> NDArray[np.uint8]:
    """uint8[spans]: what lines hold, a sum of flags.

    BLANK: white space alone, or nothing. BULLET: after white space, "•" or "-". ELLIPSIS_END: before white space,
    "..." or "…". TERMINAL_END: the very last character ends a sentence (`tables.TERMINAL`).
    """
    from .counting import hold_lines

    first, blocks = tables.load()
    out = np.empty(len(spans), np.uint8)
    hold_lines(text.data, spans.starts, spans.ends, first, blocks, out)
    return out


def per_document(spans: Spans, values: NDArray[np.generic]) -> Ints:
    """int64[n]: the sum of whole numbers or truths, one a span, by document."""
    sums = np.zeros(len(values) + 1, np.int64)
    np.cumsum(values, out=sums[1:])
    return sums[spans.offsets[1:]] - sums[spans.offsets[:-1]]


def share(part: NDArray[np.generic], whole: NDArray[np.generic]) -> NDArray[np.float64]:
    """part / whole in double precision; nan where the whole is 0."""
    out = np.full(len(part), np.nan)
    np.divide(part, whole, out=out, where=whole != 0, dtype=np.float64)
    return out


@dataclass(frozen=True, eq=False)
class Repeats:
    """Repeated spans of each document, int64[n], and the length of every span."""

    chars: NDArray[np.int32]
    """int32[spans]: characters."""

    later: Ints
    """Second and later copies."""
    later_chars: Ints
    every: Ints
    """All copies of what is there twice."""
    every_chars: Ints


def repeats(text: Text, spans: Spans) -> Repeats:
    """Repeated lines or paragraphs, by count and by characters."""
    from .repetition import repeated_spans

    n, longest = len(spans), int(spans.counts.max(initial=0))
    out = np.zeros(4 * len(spans.counts), np.int64)
    chars, ids, hashes = np.empty(n, np.int32), np.empty(n, np.int32), np.empty(n, np.uint64)
    slots, scratch = room_for(longest, n), np.empty(longest, np.int32)
    repeated_spans(text.data, spans.starts, spans.ends, spans.offsets, slots, scratch, chars, ids, hashes, out)
    return Repeats(chars, *out.reshape(-1, 4).T)


def repeated_ngrams(tokens: Tokens, spans: Spans, every_copy: bool = False) -> dict[int, Ints]:
    """{n: int64[n]}: for n = 2 to 4 characters in the most frequent n-gram, for n = 5 to 10 in repeated ones.

    As datatrove counts: n = 2 to 4 with one space between words, the first of equally frequent n-grams, and the
    document's first n-gram where none repeats; n = 5 to 10 the second and later copies, reading on after each. -1
    where there are no n words (n = 2 to 4). With `every_copy` as DCLM: without spaces, the longest of equally
    frequent ones, 0 where none repeats; n = 5 to 10 every word that is part of a repeated n-gram, once.
    """
    from .repetition import repeated_ngrams as run

    longest = max(int(spans.counts.max(initial=0)), int(tokens.ids.max(initial=0)) + 1) + 1
    out = np.zeros(9 * len(spans.counts), np.int64)
    position, gram, counts = (np.empty(longest, np.int32) for _ in range(3))
    keys, slots = np.empty(longest, np.uint64), room_for(longest, 9 * len(spans))
    run(tokens.ids, tokens.chars, spans.offsets, every_copy, position, gram, counts, keys, slots, out)
    return {n: out.reshape(-1, 9)[:, n - 2] for n in range(2, 11)}


@dataclass(frozen=True, eq=False)
class TokenSums:
    """Of the words of each document, float64[n]; in scripts without spaces a token counts for a part of a word."""

    words: NDArray[np.float64]
    proper: NDArray[np.float64]
    """Words that are not punctuation alone (`tables.NO_WORD`)."""
    proper_chars: NDArray[np.float64]
    """Characters of these."""
    lettered: NDArray[np.float64]
    """Words with a letter."""


def token_sums(tokens: Tokens, spans: Spans) -> TokenSums:
    """Words, words that are not punctuation alone and their characters, and words with a letter."""
    from .token_sums import sum_tokens

    out = np.zeros(4 * len(spans.counts))
    sum_tokens(tokens.chars, tokens.holds, spans.kinds, spans.offsets, WORDS_PER_TOKEN, out)
    return TokenSums(*out.reshape(-1, 4).T)


def word_counts(spans: Spans) -> NDArray[np.float64]:
    """float64[n]: words of each document; in scripts without spaces a token counts for a part of a word."""
    counts = spans.counts.astype(np.float64)
    where = np.flatnonzero(spans.kinds >= CHARACTER)
    kinds = spans.kinds[where]
    for kind in np.unique(kinds):
        passed = np.searchsorted(where[kinds == kind], spans.offsets)
        counts -= np.diff(passed) * (1 - WORDS_PER_TOKEN[kind])
    return counts


class StopWords:
    """Hash tables of the stop words of several languages; words are looked up as they are written."""

    def __init__(self, words: dict[str, Sequence[str]]) -> None:
        """Words by language."""
        flat = [word for lang in words for word in words[lang]]
        n = len(flat)
        hashes = np.array([hash_of(word.encode()) for word in flat], np.uint64)
        langs = np.repeat(np.arange(len(words)), [len(words[lang]) for lang in words])
        self._langs = {lang: number for number, lang in enumerate(words)}
        self._salts = (np.arange(len(words) + 1, dtype=np.uint64) * MIX) ^ (np.uint64(1) << np.uint64(63))
        slots = 16
        while slots < (64 * n if n < 64 else 4 * n):  # a short list's misses are seldom probed twice
            slots *= 2
        self._keys = np.zeros(slots, np.uint64)
        for key in hashes ^ self._salts[langs]:
            slot = int(key) & (slots - 1)
            while self._keys[slot] and self._keys[slot] != key:
                slot = (slot + 1) % slots
            self._keys[slot] = key

    def count(self, text: Text, spans: Spans, tokens: Tokens, langs: Sequence[str | None]) -> Ints:
        """int64[n]: distinct stop words of the document's language; 0 for languages without a list.

        In scripts without spaces a stop word of up to 4 characters is found as tokens that touch. A word that is no
        stop word counts as one with a probability of 1e-16 (64-bit hashes).
        """
        from .token_tables import count_stop_words

        unknown = len(self._langs)
        salts = self._salts[[self._langs.get(lang or "", unknown) for lang in langs]]
        seen = np.full(len(self._keys), -1, np.int64)
        out = np.zeros(len(text), np.int64)
        count_stop_words(
            text.data, spans.starts, spans.ends, spans.offsets, spans.kinds, tokens.ids, tokens.hashes, salts,
            len(self._keys) - 1, self._keys, seen, out,
        )  # fmt: skip
        return out
