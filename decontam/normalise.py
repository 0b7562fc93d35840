"""How texts are made alike before items are looked for in them, and the tokens that come of it.

A token is a run of letters and digits after folding; a character each in scripts that part no words by spaces (Han,
Hiragana, Thai, Lao, Khmer, Burmese). Every token keeps its first and last byte in the text as it is.
"""

from __future__ import annotations

import functools
import unicodedata
from dataclasses import dataclass, field
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from filters.kernels.columns import Column, Text, text_of

APOSTROPHES = "'`\u00b4\u02bc\u02b9\u2018\u2019\u201b\u2032\uff07"
"""Signs that are written inside words; `don't`, `don\u2019t` and `dont` are one word."""
ACCENTS = (
    (0x300, 0x370), (0x483, 0x488), (0x591, 0x5C8), (0x610, 0x61B), (0x64B, 0x660), (0x670, 0x671), (0x6D6, 0x6ED),
    (0x1AB0, 0x1B00), (0x1DC0, 0x1E00), (0x20D0, 0x2100), (0xFE00, 0xFE10), (0xFE20, 0xFE30),
)  # fmt: skip
"""Blocks of marks that a text may go without: Latin, Greek, Cyrillic, Hebrew points, Arabic vowels, variation signs.

Marks of other scripts (Indic vowels, kana's voicing) make other words and stay.
"""


@dataclass(frozen=True, kw_only=True)
class Normalisation:
    """What two spellings may differ in and still be the same token."""

    lowercase: bool = field(default=True, metadata={"help": "case is folded (Unicode casefold: ß is ss)"})
    strip_punctuation: bool = field(
        default=True, metadata={"help": "punctuation and symbols part words; otherwise each sign is a token"}
    )
    join_apostrophes: bool = field(default=True, metadata={"help": "apostrophes are left out: don't is dont"})
    fold_width: bool = field(default=True, metadata={"help": "compatibility forms (NFKD): full width, ligatures"})
    strip_accents: bool = field(default=True, metadata={"help": "accents and optional vowel points are left out"})
    numbers_to_zero: bool = field(default=False, metadata={"help": "every digit is a 0; otherwise they stay"})
    drop_commands: bool = field(
        default=True, metadata={"help": "TeX commands of over 3 letters are left out: \\frac{1}{2} is 1 2"}
    )
    keep_identifiers: bool = field(default=False, metadata={"help": "_ is a letter: snake_case is one token"})

    @property
    def text(self) -> str:
        """Short, for reports."""
        on = [name for name in self.__dataclass_fields__ if getattr(self, name)]
        return ", ".join(on) or "as it is"


class Tokens(NamedTuple):
    """Tokens of a column: those of document i are numbers `offsets[i]` to `offsets[i + 1]`."""

    hashes: NDArray[np.uint64]
    """Of the folded spelling. Two of a billion different tokens collide with a probability of .03."""
    offsets: NDArray[np.int64]
    starts: NDArray[np.int64]
    """First byte, counted from the beginning of the document's text."""
    ends: NDArray[np.int64]
    """The byte after the last."""


class Folding(NamedTuple):
    """What the kernel `cut` reads beside the text."""

    ascii: NDArray[np.uint8]
    entries: NDArray[np.uint32]
    pool: NDArray[np.uint8]


def tokens_of(column: Column, normalisation: Normalisation | None = None) -> Tokens:
    """The tokens of every document. Raises SchemaError for a column of no text."""
    text = text_of(column)
    hashes, offsets, starts, ends = cut_text(text, normalisation or Normalisation())
    begin = np.repeat(text.offsets[:-1], np.diff(offsets))
    return Tokens(hashes, offsets, starts - begin, ends - begin)


def cut_text(text: Text, normalisation: Normalisation) -> Tokens:
    """As `tokens_of`, with positions in `text.data`."""
    from .kernels.tokens import cut

    # Where signs are tokens, each byte may be one. Else words part by a byte at least, and a character that is a
    # token of its own has three (below U+0E00 there is none), or is cut off and ends the text: a byte of it pays for
    # the word before. So a text of b bytes has at most b // 2 + 1 tokens.
    size = int(text.offsets[-1] - text.offsets[0])
    room = (size // 2 if normalisation.strip_punctuation else size) + 2 * len(text)
    hashes, starts, ends = np.empty(room, np.uint64), np.empty(room, np.int64), np.empty(room, np.int64)
    offsets = np.zeros(len(text) + 1, np.int64)
    cut(text.data, text.offsets, *folding(normalisation), hashes, starts, ends, offsets)
    n = int(offsets[-1])
    return Tokens(hashes[:n], offsets, starts[:n], ends[:n])


@functools.lru_cache(maxsize=4)
def folding(normalisation: Normalisation) -> Folding:
    """The tables for these options; some 0.3 s the first time."""
    from .kernels import tokens as k

    entries = np.zeros(k.PLAIN_POINTS, np.uint32)
    pool = bytearray()
    for point in range(k.PLAIN_POINTS):
        if 0xD800 <= point < 0xE000:
            continue
        kind, spelling = _folded(chr(point), normalisation)
        raw = spelling.encode()[: k.LENGTH_MASK]
        entries[point] = kind | len(raw) << k.LENGTH_SHIFT | (len(pool) << k.POOL_SHIFT if raw else 0)
        pool += raw
    ascii = np.full(256, k.SLOW, np.uint8)
    for point in range(128):
        entry = int(entries[point])
        if entry & 3 == k.SEPARATOR:
            ascii[point] = 0
        elif entry & 3 == k.WORD and entry >> k.LENGTH_SHIFT & k.LENGTH_MASK == 1:
            ascii[point] = pool[entry >> k.POOL_SHIFT]
    if normalisation.drop_commands:
        ascii[k.BACKSLASH], entries[k.BACKSLASH] = k.SLOW, k.SEPARATOR
    return Folding(ascii, entries, np.frombuffer(bytes(pool), np.uint8))


def _folded(char: str, options: Normalisation) -> tuple[int, str]:
    """(class, spelling) of one character: what the kernel's tables say of it."""
    from .kernels.tokens import CHARACTER, MARK, SEPARATOR, WORD

    category = unicodedata.category(char)
    if char in APOSTROPHES and options.join_apostrophes or category == "Cf":
        return MARK, ""
    if char == "_" and options.keep_identifiers:
        return WORD, char
    if category[0] == "M":
        return MARK, "" if options.strip_accents and _is_accent(char) else _spelled(char, options)
    if category[0] in "LN" or options.fold_width and any(_is_content(c) for c in unicodedata.normalize("NFKD", char)):
        spelling = _spelled(char, options)
        if spelling:
            return CHARACTER if _spaceless(spelling[0]) else WORD, spelling
    if category[0] in "PS" and not options.strip_punctuation:
        return CHARACTER, char
    return SEPARATOR, ""


def _spelled(char: str, options: Normalisation) -> str:
    if options.lowercase:
        char = char.casefold()
    char = unicodedata.normalize("NFKD" if options.fold_width else "NFD", char)
    if options.lowercase:
        char = char.casefold()
    if options.strip_accents:
        char = "".join(c for c in char if not _is_accent(c))
    char = "".join(c for c in char if _is_content(c) or unicodedata.category(c)[0] == "M")
    if options.numbers_to_zero:
        char = "".join("0" if c.isdecimal() else c for c in char)
    return char


def _is_content(char: str) -> bool:
    return unicodedata.category(char)[0] in "LN"


def _is_accent(char: str) -> bool:
    return unicodedata.category(char)[0] == "M" and any(low <= ord(char) < high for low, high in ACCENTS)


def _spaceless(char: str) -> bool:
    from filters.kernels import tables

    first, blocks = _tables()
    word = int(blocks[int(first[ord(char) >> 7]) * tables.BLOCK + (ord(char) & 127)])
    script = word >> tables.SCRIPT_SHIFT & 15
    return 0 < script <= tables.LAST_SPACELESS


@functools.lru_cache(maxsize=1)
def _tables() -> tuple[NDArray[np.uint16], NDArray[np.uint32]]:
    from filters.kernels import tables

    return tables.load()
