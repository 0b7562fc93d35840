"""Words of a text for making and checking cases: plain Python, apart from the methods that the cases judge.

A word is a run of letters and digits of the NFKC-normalised, case-folded text; accents stay, zero-width characters
and soft hyphens go, and a character of a script without spaces (Han, kana, Thai, Lao, Khmer) is a word of its own.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable, Sequence

import numpy as np

ZERO_WIDTH = "\u00ad\u200b\u200c\u200d\u2060\ufeff"
_DROP_ZERO_WIDTH = dict.fromkeys(map(ord, ZERO_WIDTH))
_UNSPACED = "\u0e00-\u0eff\u1780-\u17ff\u3040-\u30ff\u3400-\u9fff\uf900-\ufaff"
_WORD = re.compile(f"[{_UNSPACED}]|[^\\W_{_UNSPACED}]+")
_SINGLE = re.compile(f"[{_UNSPACED}]")
CHARACTERS_PER_WORD = 3
"""Between Chinese, of nearly two, and Thai, of over four."""
_BASE = np.uint64(0x9E3779B97F4A7C15)
"""Odd base of the rolling hash: 2**64 over the golden ratio (Knuth 1998, section 6.4)."""


def words(text: str) -> list[str]:
    """The normalised words of a text, in order."""
    return _WORD.findall(unicodedata.normalize("NFKC", text.translate(_DROP_ZERO_WIDTH)).casefold())


def size(text: str) -> int:
    """How many words a text has, CHARACTERS_PER_WORD characters of a script without spaces counted as one."""
    tokens = words(text)
    single = sum(1 for token in tokens if _SINGLE.match(token))
    return len(tokens) - single + single // CHARACTERS_PER_WORD


def runs(tokens: Sequence[str], length: int) -> set[tuple[str, ...]]:
    """Every run of `length` consecutive words."""
    return {tuple(tokens[at : at + length]) for at in range(len(tokens) - length + 1)}


def share_run(left: Sequence[str], right: Sequence[str], length: int) -> bool:
    """Whether both word lists hold one run of `length` words."""
    return not runs(left, length).isdisjoint(runs(right, length))


class Vocabulary:
    """Numbers of words, from 1; 0 stands for an unknown word and for the gap between two texts."""

    def __init__(self) -> None:
        self._numbers: dict[str, int] = {}

    def learn(self, tokens: Iterable[str]) -> list[int]:
        """The words' numbers; new words get the next ones."""
        known = self._numbers
        return [known.setdefault(token, len(known) + 1) for token in tokens]

    def look_up(self, tokens: Iterable[str]) -> list[int]:
        """The words' numbers, 0 for unknown ones."""
        known = self._numbers
        return [known.get(token, 0) for token in tokens]


class Stream:
    """Texts as one array of word numbers with a 0 after each, and for each place the text that it belongs to."""

    def __init__(self, texts: Iterable[Sequence[int]]) -> None:
        flat: list[int] = []
        lengths: list[int] = []
        for numbers in texts:
            flat.extend(numbers)
            flat.append(0)
            lengths.append(len(numbers) + 1)
        self.numbers = np.array(flat, dtype=np.uint64)
        self.lengths = np.array(lengths, dtype=np.int64)
        self.owners = np.repeat(np.arange(len(lengths)), self.lengths)

    def grams(self, length: int) -> tuple[np.ndarray, np.ndarray]:
        """Hashes (uint64) of all runs of `length` known words that lie within one text, and their texts (int64)."""
        count = max(0, len(self.numbers) - length + 1)
        hashes = np.zeros(count, dtype=np.uint64)
        for at in range(length):
            hashes = hashes * _BASE + self.numbers[at : at + count]
        gaps = np.concatenate(([0], np.cumsum(self.numbers == 0)))
        whole = gaps[length : length + count] == gaps[:count]
        return hashes[whole], self.owners[:count][whole]


def member(values: np.ndarray, ordered: np.ndarray) -> np.ndarray:
    """Which values occur in an ascending array (bool, one per value)."""
    if not len(ordered):
        return np.zeros(len(values), dtype=bool)
    places = np.minimum(np.searchsorted(ordered, values), len(ordered) - 1)
    return ordered[places] == values
