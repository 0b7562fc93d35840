"""Words, lines, paragraphs and sentences of a column of texts, as spans.

Words follow UAX #29 (Unicode 18.0.0, word boundaries without tailoring): a token is a segment that holds anything
but white space, and its kind is WORD (a letter), NUMBER (digits and no letter), MARKS (punctuation and symbols alone)
or from CHARACTER on. CHARACTER tokens are how scripts that part no words by spaces are handled: no dictionary is used;
Han, Hiragana, Thai, Lao, Khmer and Burmese have one token a character with its marks (Katakana runs together, as
UAX #29 has it), and the kind tells the script: CHARACTER + 0 to 5 in this order. Filters that count words take such
a token for `WORDS_PER_TOKEN` of a word.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from . import tables
from .columns import Column, Spans, Text, remembered, text_of
from .word_breaks import CHARACTER, HAS_WORD, MARKS, NUMBER, STARTS_ALNUM, WORD

__all__ = [
    "CHARACTER", "HAS_WORD", "MARKS", "NUMBER", "STARTS_ALNUM", "WORD", "WORDS_PER_TOKEN", "Column", "Spans", "Text",
    "Tokens", "breaks", "describe", "lines", "marks", "selected", "selected_tokens", "sentences", "split_lines",
    "text_of", "trimmed", "whitespace_words", "word_tokens", "words",
]  # fmt: skip


_CHUNK = 1 << 17  # bytes that stay in the processor's cache
CHARACTERS_PER_WORD = {"Han": 1.8, "Hiragana": 1.6, "Thai": 4.0, "Lao": 4.0, "Khmer": 4.0, "Myanmar": 4.0}
"""Characters (marks not counted) a word, measured on extracted web pages: Han 1.84 in 49 000 characters of Chinese
(jieba 0.42.1), Han and Hiragana 1.60 in 22 000 of Japanese (SudachiPy 0.7.0, mode C), Thai 3.96 in 4 600 (PyThaiNLP
5.4.0, newmm). Lao, Khmer and Burmese were not measured and have Thai's."""
WORDS_PER_TOKEN: NDArray[np.float64] = np.array(
    [1.0] * CHARACTER + [1 / CHARACTERS_PER_WORD[name] for name in tables.SCRIPTS[1 : tables.LAST_SPACELESS + 1]]
)
"""float64[kinds]: how many words a token of a kind counts for."""
KINDS = len(WORDS_PER_TOKEN)


@dataclass(frozen=True, eq=False)
class Tokens:
    """What spans hold, one item a span."""

    chars: NDArray[np.int32]
    """Characters (code points)."""
    holds: NDArray[np.uint32]
    """Flags of `tables` of any of the characters, and `word_breaks.HAS_WORD`, `STARTS_ALNUM`."""
    ids: NDArray[np.int32]
    """Equal within a document for equal bytes only; 0, 1, 2 ... by first appearance."""
    hashes: NDArray[np.uint64]
    """Of the bytes. Two of 1e9 different words collide with a probability of .03."""


def words(column: Column) -> Spans:
    """UAX #29 words with their kinds."""
    text = text_of(column)
    return remembered(text, "words", lambda: _words(text, False)[0])


def word_tokens(column: Column) -> Tokens:
    """As `describe` of `words`: both made in one pass, if the words were not asked for before."""
    text = text_of(column)

    def make() -> Tokens:
        if "words" in text.found:
            return describe(text, words(text))
        text.found["words"], tokens = _words(text, True)
        return tokens

    return remembered(text, "word_tokens", make)


def _words(text: Text, described: bool) -> tuple[Spans, Tokens]:
    from .hashing import room_for
    from .word_breaks import ascii_table, word_spans

    size = int(text.offsets[-1] - text.offsets[0])
    longest = int(np.diff(text.offsets).max(initial=0))
    slots = room_for(longest, size) if described else np.zeros(0, np.int32)
    first, blocks = tables.load()
    ascii = ascii_table(blocks)

    def fill(document: int, starts: Any, ends: Any, kinds: Any, counts: Any, *more: Any) -> int:
        made = (slots, starts, ends, kinds, counts, *more)
        return int(word_spans(text.data, text.offsets, document, ascii, first, blocks, *made))

    spans, more = _filled(text, fill, 5, (np.int32, np.uint32, np.int32, np.uint64), described)
    return spans, Tokens(*more)


def whitespace_words(column: Column) -> Spans:
    """Words as Python's `str.split()` has them: runs of what is no white space."""
    from .word_breaks import whitespace_spans

    text = text_of(column)
    first, blocks = tables.load()

    def fill(document: int, starts: Any, ends: Any, kinds: Any, counts: Any) -> int:
        return int(whitespace_spans(text.data, text.offsets, document, first, blocks, starts, ends, counts))

    return remembered(text, "whitespace_words", lambda: _filled(text, fill, 6)[0])


def lines(column: Column) -> Spans:
    """Lines as `text.split("\\n")` has them, "\\r\\n" counting as one break; an empty text has none."""
    return _lines(column, "lines", 1, False, False, False, True)


def split_lines(column: Column) -> Spans:
    """Lines as Python's `str.splitlines()` has them: every kind of break, no empty line after the last."""
    return _lines(column, "split_lines", 1, False, True, False, False)


def breaks(column: Column, at_least: int = 2, strip: bool = True) -> Spans:
    """Parts between runs of `at_least` or more line breaks ("\\n" or "\\r\\n"), as `re.split("\\n{2,}", text)`.

    With 2: paragraphs. `strip` takes the white space off the text's ends first. An empty text has no parts.
    """
    return _lines(column, f"breaks {at_least} {strip}", at_least, True, False, strip, True)


def sentences(column: Column) -> Spans:
    """UAX #29 sentences (Unicode 18.0.0, no tailoring), without the white space around them; none are empty.

    A line break ends a sentence, and so do 。！？, the danda and every other Sentence_Terminal; abbreviations do too.
    """
    from .sentence_breaks import sentence_spans

    text = text_of(column)
    first, blocks = tables.load()

    def fill(document: int, starts: Any, ends: Any, kinds: Any, counts: Any) -> int:
        return int(sentence_spans(text.data, text.offsets, document, first, blocks, starts, ends, counts))

    return remembered(text, "sentences", lambda: _filled(text, fill, 40)[0])


def describe(text: Text, spans: Spans) -> Tokens:
    """Characters, character classes, ids and hashes of spans."""
    from .hashing import room_for
    from .token_tables import describe_spans

    first, blocks = tables.load()
    n = len(spans)
    slots = room_for(int(spans.counts.max(initial=0)), n)
    out = Tokens(np.empty(n, np.int32), np.empty(n, np.uint32), np.empty(n, np.int32), np.empty(n, np.uint64))
    describe_spans(
        text.data, spans.starts, spans.ends, spans.offsets, first, blocks, slots, out.chars, out.holds, out.ids,
        out.hashes,
    )  # fmt: skip
    return out


def marks(text: Text) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """(positions, offsets by document) of bytes that may be, or begin, a line break, "#", "." or "…"."""

    def make() -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        found = []
        start, end = int(text.offsets[0]), int(text.offsets[-1])
        for low in range(start, end, _CHUNK):
            data = text.data[low : min(low + _CHUNK, end)]
            mask = data < 31
            for sign in (35, 46, 0xC2, 0xE2):
                mask |= data == sign
            found.append(np.flatnonzero(mask) + low)
        positions = np.concatenate(found).astype(np.int64) if found else np.zeros(0, np.int64)
        return positions, np.searchsorted(positions, text.offsets).astype(np.int64)

    return remembered(text, "marks", make)


def trimmed(text: Text, spans: Spans) -> Spans:
    """Spans without the white space at both ends; those that are empty then are left out."""
    from .token_tables import trim_spans

    first, blocks = tables.load()
    starts, ends, offsets = np.empty_like(spans.starts), np.empty_like(spans.ends), np.zeros_like(spans.offsets)
    trim_spans(text.data, spans.starts, spans.ends, spans.offsets, first, blocks, starts, ends, offsets)
    n = int(offsets[-1])
    return Spans(starts[:n], ends[:n], offsets, np.zeros(n, np.uint8))


def selected_tokens(tokens: Tokens, mask: NDArray[np.bool_]) -> Tokens:
    """The tokens for which the mask is true; ids stay as they are, first appearances may leave gaps."""
    return Tokens(tokens.chars[mask], tokens.holds[mask], tokens.ids[mask], tokens.hashes[mask])


def selected(spans: Spans, mask: NDArray[np.bool_]) -> Spans:
    """The spans for which the mask is true."""
    passed = np.concatenate([[0], np.cumsum(mask)])
    return Spans(spans.starts[mask], spans.ends[mask], passed[spans.offsets], spans.kinds[mask])


def _lines(column: Column, name: str, at_least: int, runs: bool, every: bool, strip: bool, open_end: bool) -> Spans:
    from .line_breaks import line_spans

    text = text_of(column)
    first, blocks = tables.load()

    settings = at_least, runs, every, strip, open_end, first, blocks, *marks(text)

    def fill(document: int, starts: Any, ends: Any, kinds: Any, counts: Any) -> int:
        return int(line_spans(text.data, text.offsets, document, *settings, starts, ends, counts))

    return remembered(text, name, lambda: _filled(text, fill, 30)[0])


def _filled(
    text: Text, fill: Callable[..., int], bytes_each: int, types: tuple[Any, ...] = (), used: bool = False
) -> tuple[Spans, list[NDArray[Any]]]:
    """Run a kernel, with more room whenever it has none left. `bytes_each` is how long a span is at a guess.

    `types` are those of further arrays with an item a span; unless `used` they have no room.
    """
    n = len(text)
    size = int(text.offsets[-1] - text.offsets[0]) if n else 0
    room = size // bytes_each + n + 64
    arrays: list[NDArray[Any]] = [np.empty(room, np.int64), np.empty(room, np.int64), np.zeros(room, np.uint8)]
    more: list[NDArray[Any]] = [np.empty(room if used else 0, kind) for kind in types]
    counts = np.zeros(n + 1, np.int64)
    document = 0
    while document < n:
        document = fill(document, *arrays, counts, *more)
        if document < n:
            filled = int(counts[document])
            left = int(text.offsets[-1] - text.offsets[document])
            longest = int(text.offsets[document + 1] - text.offsets[document])
            room = filled + max(min(left, (left * 3) // bytes_each), longest) + (n - document) + 64
            arrays = [_grown(one, filled, room) for one in arrays]
            more = [_grown(one, filled, room) if used else one for one in more]
    filled = int(counts[n])
    starts, ends, kinds = (one[:filled] for one in arrays)
    return Spans(starts, ends, counts, kinds), [one[:filled] for one in more]


def _grown(array: NDArray[Any], used: int, room: int) -> NDArray[Any]:
    grown = np.zeros(room, array.dtype) if array.dtype == np.uint8 else np.empty(room, array.dtype)
    grown[:used] = array[:used]
    return grown
