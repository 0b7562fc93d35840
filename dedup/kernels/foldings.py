"""Tables for the kernel `normalise`, made from Python's own Unicode tables for one set of options.

What Python's Unicode does not know yet stays as it is.
"""

from __future__ import annotations

import functools
import unicodedata
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from filters.kernels.tables import CCNET_PUNCTUATION

from . import normalise as k

PUNCTUATION = frozenset(CCNET_PUNCTUATION) | {chr(i) for i in range(160) if (i < 32 or i > 126) and i not in (9, 10)}
"""CCNet's signs and the control characters but tab and newline, as datatrove 0.10.1 has it (utils/text.py)."""
DIGIT_SEPARATORS = ".,\u060c\u066b\u2396\u2397\u2398"
"""Signs that may part the digits of one number (datatrove 0.10.1, utils/text.py NUMBERS_PATTERN)."""
CAPITAL_SIGMA = "\u03a3"
SLOW = 0xFFFF


@dataclass(frozen=True, eq=False)
class Folding:
    """What the kernel `normalise` reads beside the texts."""

    fast: NDArray[np.uint16]
    entries: NDArray[np.uint32]
    pool: NDArray[np.uint8]
    simple: bool


@functools.lru_cache(maxsize=8)
def folding(
    lowercase: bool, numbers_to_zero: bool, strip_punctuation: bool, collapse_space: bool, strip_accents: bool
) -> Folding:
    """The tables for these options; some 0.1 s the first time."""
    numbers = [*range(k.PLAIN_POINTS), *range(k.IDEOGRAPHS, k.IDEOGRAPHS_END), *range(k.SELECTORS, k.SELECTORS_END)]
    chars = [" " if i == 10 or 0xD800 <= i < 0xE000 else chr(i) for i in numbers]  # a line break parts them below
    entries = np.zeros(k.ENTRIES, np.uint32)
    pool = bytearray()

    def flag(where: list[int], bits: int) -> None:
        entries[where] |= np.uint32(bits)

    spelled = _spelled(chars, lowercase, strip_accents)
    for i, (char, new) in enumerate(zip(chars, spelled, strict=True)):
        if char != new:
            raw = new.encode()
            entries[i] = k.CHANGED | len(raw) << k.LENGTH_SHIFT | len(pool) << k.POOL_SHIFT
            pool += raw + ("\u03c2".encode() if lowercase and char == CAPITAL_SIGMA else b"")
    if lowercase:
        _flag_case(chars, entries)
        flag([ord(CAPITAL_SIGMA)], k.SIGMA)
    if numbers_to_zero:
        flag([i for i, char in enumerate(chars) if char.isdecimal()], k.DIGIT)
        flag([ord(char) for char in DIGIT_SEPARATORS], k.SEPARATOR)
    if strip_punctuation:
        signs = sorted(map(ord, PUNCTUATION))
        if collapse_space:
            flag(signs, k.SPACE)
        else:
            flag(signs, k.CHANGED | 1 << k.LENGTH_SHIFT | len(pool) << k.POOL_SHIFT)
            pool += b" "
    if collapse_space:
        flag([10, *(i for i, char in enumerate(chars) if char.isspace() and numbers[i] == ord(char))], k.SPACE)
    simple = lowercase and not (numbers_to_zero or strip_punctuation or collapse_space)
    return Folding(_fast(entries, pool), entries, np.frombuffer(bytes(pool) or b"\0", np.uint8), simple)


def _spelled(chars: list[str], lowercase: bool, strip_accents: bool) -> list[str]:
    joined = "\n".join(chars)
    if lowercase:
        joined = joined.lower()
    if strip_accents:
        marks = {ord(char): None for char in chars if unicodedata.category(char) == "Mn"}
        joined = unicodedata.normalize("NFD", joined).translate(marks)
    return joined.split("\n")


def _flag_case(chars: list[str], entries: NDArray[np.uint32]) -> None:
    """CASED and IGNORABLE, as Python's `lower` shows them by what it makes of a sigma behind a character."""
    after = "\n".join(char + CAPITAL_SIGMA for char in chars).lower().split("\n")
    behind = "\n".join("A" + char + CAPITAL_SIGMA for char in chars).lower().split("\n")
    for i, (one, other) in enumerate(zip(after, behind, strict=True)):
        if one[-1] == "\u03c2":
            entries[i] |= np.uint32(k.CASED)
        elif other[-1] == "\u03c2":
            entries[i] |= np.uint32(k.IGNORABLE)


def _fast(entries: NDArray[np.uint32], pool: bytearray) -> NDArray[np.uint16]:
    fast = np.full(256, SLOW, np.uint16)
    for byte in range(128):
        entry = int(entries[byte])
        if entry & k.SPACE:
            fast[byte] = 32 | k.SPACE << 8
        elif not entry & k.DIGIT:
            fast[byte] = pool[entry >> k.POOL_SHIFT] if entry & k.CHANGED else byte
    return fast
