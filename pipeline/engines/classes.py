"""Tables by code point: what the split patterns and NFC ask of a character.

The classes are those of the `tokenizers` library's own regular expressions, asked of it when a process loads
an engine (0.15 s): its Unicode version need not be Python's.
"""

from __future__ import annotations

import unicodedata
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

CODE_POINTS = 0x110000
LETTER_BIT, MARK_BIT, NUMBER_BIT, PUNCTUATION_BIT, SYMBOL_BIT, SPACE_BIT, UPPER_BIT, LOWER_BIT = (
    1 << i for i in range(8)
)
_CLASSES = {
    LETTER_BIT: r"\p{L}",
    MARK_BIT: r"\p{M}",
    NUMBER_BIT: r"\p{N}",
    PUNCTUATION_BIT: r"\p{P}",
    SYMBOL_BIT: r"\p{S}",
    SPACE_BIT: r"\s",
    UPPER_BIT: r"[\p{Lu}\p{Lt}]",
    LOWER_BIT: r"\p{Ll}",
}
_ATOMS = r"[\p{Lu}\p{Lt}]+|\p{Ll}+|[\p{Lm}\p{Lo}]+|\p{M}+|\p{N}+|\p{P}+|\p{S}+|\s+"
"""Classes that don't overlap, and into which the others fall."""
_ASSIGNED = (range(0xD800), range(0xE000, 0x40000), range(0xE0000, 0xE1000))
"""Elsewhere there are only unassigned and private characters (tested against the library on all)."""

NFC_UNSURE = 255
"""A character that NFC may change, or that may combine with the one before."""


@lru_cache(maxsize=1)
def unicode_classes() -> NDArray[np.uint8]:
    """uint8[0x110000]: the bits above for each code point, as the library's regular expressions see it."""
    from tokenizers import Regex, pre_tokenizers

    points = [point for block in _ASSIGNED for point in block]
    text = "".join(map(chr, points))
    # one pass over all characters finds the runs of one class; the classes of their first characters say which
    runs = pre_tokenizers.Split(Regex(_ATOMS), "isolated").pre_tokenize_str(text)
    starts = np.array([span[0] for _, span in runs])
    table = np.zeros(CODE_POINTS, np.uint8)
    values = np.zeros(len(starts), np.uint8)
    firsts = "".join(piece[0] for piece, _ in runs)
    for bit, pattern in _CLASSES.items():
        one = pre_tokenizers.Split(Regex(pattern), "removed").pre_tokenize_str(firsts)
        inside = np.ones(len(firsts), bool)
        for _, (begin, end) in one:
            inside[begin:end] = False
        values[inside] |= bit
    table[np.array(points)] = np.repeat(values, np.diff(np.append(starts, len(points))))
    return table


@lru_cache(maxsize=1)
def nfc_classes() -> NDArray[np.uint8]:
    """uint8[0x110000]: 0 for a character that NFC leaves alone wherever it stands, its combining class for a mark
    that only must stand in order, `NFC_UNSURE` for all others, those that Python's Unicode doesn't know included.

    NFC of known characters never changes (Unicode's stability policy), so that Python's version does for a check
    of "nothing to do" before the library's own normaliser. https://www.unicode.org/reports/tr15/ section 9.
    """
    table = np.full(CODE_POINTS, NFC_UNSURE, np.uint8)
    table[0xE000:0xF900] = table[0xF0000:0xFFFFE] = table[0x100000:0x10FFFE] = 0  # private use
    seconds = [*range(0x1161, 0x1176), *range(0x11A8, 0x11C3)]  # vowels and finals of Hangul syllables
    for block in _ASSIGNED:
        for point in block:
            char = chr(point)
            decomposed = unicodedata.decomposition(char)
            if unicodedata.category(char) == "Cn":
                continue
            if decomposed and not decomposed.startswith("<"):
                seconds += [int(code, 16) for code in decomposed.split()[1:]]
                if unicodedata.normalize("NFC", char) != char:
                    continue
            table[point] = unicodedata.combining(char)
    table[seconds] = NFC_UNSURE
    return table
