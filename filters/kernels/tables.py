"""Character properties by code point, from filters/data/unicode.npz (made by `make_tables`).

A property word holds Word_Break (5 bits), Sentence_Break (4), the script (4) and flags. The kernels take two arrays:
`first` (uint16, block number by code point >> 7) and `blocks` (uint32, 128 words a block). Block 0 to read for ASCII
is `first[0]`; `load` puts it in front, so that the word of an ASCII character c is `blocks[c]`.
"""

from __future__ import annotations

import functools
from importlib import resources

import numpy as np
from numpy.typing import NDArray

BLOCK = 128

WORD_BREAK = (
    "Other", "ALetter", "Hebrew_Letter", "Numeric", "ExtendNumLet", "Katakana", "Regional_Indicator", "WSegSpace",
    "Extend", "Format", "ZWJ", "CR", "LF", "Newline", "Single_Quote", "Double_Quote", "MidNumLet", "MidLetter",
    "MidNum",
)  # fmt: skip
"""UAX #29, table 3."""
(W_OTHER, W_ALETTER, W_HEBREW, W_NUMERIC, W_EXTENDNUMLET, W_KATAKANA, W_REGIONAL, W_SPACE, W_EXTEND, W_FORMAT, W_ZWJ,
 W_CR, W_LF, W_NEWLINE, W_SINGLE, W_DOUBLE, W_MIDNUMLET, W_MIDLETTER, W_MIDNUM) = range(19)  # fmt: skip
WORD_MASK = 31

SENTENCE_BREAK = (
    "Other", "Lower", "Upper", "OLetter", "Numeric", "Extend", "Format", "Sp", "Close", "SContinue", "ATerm", "STerm",
    "Sep", "CR", "LF",
)  # fmt: skip
"""UAX #29, table 4."""
(S_OTHER, S_LOWER, S_UPPER, S_OLETTER, S_NUMERIC, S_EXTEND, S_FORMAT, S_SP, S_CLOSE, S_CONTINUE, S_ATERM, S_STERM,
 S_SEP, S_CR, S_LF) = range(15)  # fmt: skip
SENTENCE_SHIFT = 5

SCRIPTS = (
    "other", "Han", "Hiragana", "Thai", "Lao", "Khmer", "Myanmar", "Katakana", "Hangul", "Latin", "Cyrillic", "Arabic",
    "Greek", "Devanagari", "Hebrew",
)  # fmt: skip
LAST_SPACELESS = 6
"""Scripts 1 to 6 part no words by spaces and have one token a character."""
SCRIPT_SHIFT = 9

(LETTER, NUMBER, PUNCTUATION, SYMBOL, SPACE, UPPER, LOWER, MARK, PICTURE, CONTROL, TERMINAL, NO_WORD) = (
    1 << i for i in range(13, 25)
)  # fmt: skip
"""LETTER, NUMBER, PUNCTUATION, SYMBOL, MARK, CONTROL: general categories L, N, P, S, M, Cc. SPACE: White_Space and
U+001C to U+001F, as Python's str.isspace. TERMINAL: Sentence_Terminal and three Khmer signs, as datatrove has it.
NO_WORD: CCNet's punctuation, terminal punctuation and control characters; a word of nothing else is no word for Gopher
quality as datatrove counts."""

CCNET_PUNCTUATION = "!\"#$%&'()*+,-./:;<=>?@[\\]^_`{|}~«´»–—’“”„…∶━►、。〈〉《》「」【】！％（），．１：；？～"
"""The characters that CCNet normalises away (Wenzek et al. 2020, cc_net/text_normalizer.py), the 1 among them too."""


@functools.lru_cache(maxsize=1)
def load() -> tuple[NDArray[np.uint16], NDArray[np.uint32]]:
    """(first, blocks), the block of ASCII in front."""
    with (resources.files("filters") / "data" / "unicode.npz").open("rb") as file, np.load(file) as stored:
        first, blocks = stored["first"], stored["blocks"].reshape(-1, BLOCK)
    order = np.arange(len(blocks))
    order[[0, first[0]]] = order[[first[0], 0]]  # swaps two blocks
    moved = np.empty(len(blocks), np.uint16)
    moved[order] = np.arange(len(blocks))
    return moved[first], np.ascontiguousarray(blocks[order]).reshape(-1)


def unicode_version() -> str:
    """The version of the Unicode Character Database that the tables follow."""
    with (resources.files("filters") / "data" / "unicode.npz").open("rb") as file, np.load(file) as stored:
        return str(stored["unicode"])


def of(character: str) -> int:
    """The property word of one character."""
    first, blocks = load()
    point = ord(character)
    return int(blocks[int(first[point >> 7]) * BLOCK + (point & 127)])
