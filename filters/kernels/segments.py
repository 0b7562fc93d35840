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
from .token_tables import HAS_WORD, STARTS_ALNUM
from .word_breaks import CHARACTER, LETTER_CLASSES, MARKS, MIDDLE, MIDDLES, NUMBER, RUN, WORD

__all__ = [
    "CHARACTER", "HAS_WORD", "MARKS", "NUMBER", "STARTS_ALNUM", "WORD", "WORDS_PER_TOKEN", "Column", "Spans", "Text",
    "Tokens", "breaks", "describe", "lines", "selected", "selected_tokens", "sentences", "split_lines", "text_of",
    "trimmed", "whitespace_words", "words",
]  # fmt: skip


CHARACTERS_PER_WORD = {"Han": 1.8, "Hiragana": 1.6, "Thai": 4.0, "Lao": 4.0, "Khmer": 4.0, "Myanmar": 4.0}
"""Characters (marks not counted) a word, measured on extracted web pages: Han 1.84 in 49 000 characters of Chinese
(jieba 0.42.1), Han and Hiragana 1.60 in 22 000 of Japanese (SudachiPy 0.7.0, mode C), Thai 3.96 in 4 600 (PyThaiNLP
5.4.0, newmm). Lao, Khmer and Burmese were not measured and have Thai's."""
WORDS_PER_TOKEN: NDArray[np.float64] = np.array(
    [1.0] * CHARACTER + [1 / CHARACTERS_PER_WORD[name] for name in tables.SCRIPTS[1 : tables.LAST_SPACELESS + 1]]
)
"""float64[kinds]: how many words a token of a kind counts for."""


@dataclass(frozen=True, eq=False)
class Tokens:
    """What spans hold, one item a span."""

    chars: NDArray[np.int32]
    """Characters (code points)."""
    holds: NDArray[np.uint32]
    """Flags of `tables` of any of the characters, and `token_tables.HAS_WORD`, `STARTS_ALNUM`."""
    ids: NDArray[np.int32]
    """Equal within a document for equal bytes only; 0, 1, 2 ... by first appearance."""
    hashes: NDArray[np.uint64]
    """Of the bytes. Two of 1e9 different words collide with a probability of .03."""


def words(column: Column) -> Spans:
    """UAX #29 words with their kinds."""
    from .word_breaks import word_spans

    text = text_of(column)
    first, blocks = tables.load()
    runs = _ascii_runs(blocks)

    def fill(document: int, starts: Any, ends: Any, kinds: Any, counts: Any) -> int:
        return int(word_spans(text.data, text.offsets, document, first, blocks, runs, starts, ends, kinds, counts))

    return remembered(text, "words", lambda: _filled(text, fill, 5))


def whitespace_words(column: Column) -> Spans:
    """Words as Python's `str.split()` has them: runs of what is no white space."""
    from .word_breaks import whitespace_spans

    text = text_of(column)
    first, blocks = tables.load()

    def fill(document: int, starts: Any, ends: Any, kinds: Any, counts: Any) -> int:
        return int(whitespace_spans(text.data, text.offsets, document, first, blocks, starts, ends, counts))

    return remembered(text, "whitespace_words", lambda: _filled(text, fill, 6))


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

    return remembered(text, "sentences", lambda: _filled(text, fill, 40))


def describe(text: Text, spans: Spans, name: str = "") -> Tokens:
    """Characters, character classes, ids and hashes of spans. With a `name` the result is remembered by it."""
    from .token_tables import describe_spans, slots_for_longest

    def make() -> Tokens:
        first, blocks = tables.load()
        n = len(spans)
        slots = np.full(slots_for_longest(spans.counts), -1, np.int64)
        out = Tokens(np.empty(n, np.int32), np.empty(n, np.uint32), np.empty(n, np.int32), np.empty(n, np.uint64))
        describe_spans(
            text.data, spans.starts, spans.ends, spans.offsets, first, blocks, slots, out.chars, out.holds, out.ids,
            out.hashes,
        )  # fmt: skip
        return out

    return remembered(text, f"describe {name}", make) if name else make()


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

    def fill(document: int, starts: Any, ends: Any, kinds: Any, counts: Any) -> int:
        return int(
            line_spans(
                text.data,
                text.offsets,
                document,
                at_least,
                runs,
                every,
                strip,
                open_end,
                first,
                blocks,
                starts,
                ends,
                counts,
            )  # fmt: skip
        )

    return remembered(text, name, lambda: _filled(text, fill, 30))


def _ascii_runs(blocks: NDArray[np.uint32]) -> NDArray[np.uint8]:
    """uint8[256] for `word_breaks.word_spans`."""
    from .word_breaks import DIGITS, LETTERS, OTHERS

    out = np.zeros(256, np.uint8)
    for byte in range(128):
        word = int(blocks[byte]) & tables.WORD_MASK
        if RUN >> word & 1:
            out[byte] = LETTERS if LETTER_CLASSES >> word & 1 else (DIGITS if word == tables.W_NUMERIC else OTHERS)
        elif MIDDLES >> word & 1:
            out[byte] = MIDDLE
    return out


def _filled(text: Text, fill: Callable[[int, Any, Any, Any, Any], int], bytes_each: int) -> Spans:
    """Run a kernel, with more room whenever it has none left. `bytes_each` is how long a span is at a guess."""
    n = len(text)
    size = int(text.offsets[-1] - text.offsets[0]) if n else 0
    room = size // bytes_each + n + 64
    starts, ends, kinds = np.empty(room, np.int64), np.empty(room, np.int64), np.zeros(room, np.uint8)
    counts = np.zeros(n + 1, np.int64)
    document = 0
    while document < n:
        document = fill(document, starts, ends, kinds, counts)
        if document < n:
            used = int(counts[document])
            left = int(text.offsets[-1] - text.offsets[document])
            longest = int(text.offsets[document + 1] - text.offsets[document])
            room = used + max(min(left, (left * 3) // bytes_each), longest) + (n - document) + 64
            starts, ends, kinds = (_grown(one, used, room) for one in (starts, ends, kinds))
    used = int(counts[n])
    return Spans(starts[:used], ends[:used], counts, kinds[:used])


def _grown(array: NDArray[Any], used: int, room: int) -> NDArray[Any]:
    grown = np.zeros(room, array.dtype) if array.dtype == np.uint8 else np.empty(room, array.dtype)
    grown[:used] = array[:used]
    return grown
