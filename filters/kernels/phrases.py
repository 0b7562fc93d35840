"""Phrases of a list found in text without regard to case: a table by the first four bytes, then a comparison.

Characters are compared by their lower case where that is one character; kinds of apostrophes, dashes and white space
are one each, and white space of the text, line breaks too, counts as one space. A phrase begins and ends at the edge
of a word, but for scripts that part no words by spaces.
"""

# mypy: disable-error-code="no-untyped-def"
from __future__ import annotations

import functools
from dataclasses import dataclass
from importlib import resources

import numpy as np
from numpy.typing import NDArray

from pipeline.kernels import kernel_part, plain_kernel, smaller

from . import tables as t
from .reading import char_bytes, properties

KEYS = 1 << 16
_SPREAD = np.uint64(2654435761)
_1, _2, _3, _8, _16, _24 = (np.uint64(i) for i in (1, 2, 3, 8, 16, 24))
_SPACE, _SPACES, _TOPS, _LAST = (np.uint64(i) for i in (32, 0x20202020, 0x80808080, KEYS - 1))
_KATAKANA = t.SCRIPTS.index("Katakana")  # the last of the scripts without spaces
_SAME = {c: "'" for c in "\u2018\u2019\u02bc`"} | {c: "-" for c in "\u2010\u2011\u2013\u2014"}


@functools.lru_cache(maxsize=1)
def folds() -> NDArray[np.uint16]:
    """uint16[65536]: the character that stands for each one of the first plane when phrases are compared."""
    out = np.arange(0x10000, dtype=np.uint16)
    for point in range(0x10000):
        character = chr(point)
        if character.isspace():
            out[point] = 32
        elif 0xD800 <= point < 0xE000:
            continue
        else:
            lower = _SAME.get(character, character.lower())
            if len(lower) == 1:
                out[point] = ord(lower)
    return out


def folded(text: str) -> str:
    """A phrase as it is stored."""
    table = folds()
    flat = "".join(chr(table[ord(c)]) if ord(c) < 0x10000 else c for c in text)
    return " ".join(flat.split(" ")).strip()


@dataclass(frozen=True, eq=False)
class Phrases:
    """Phrases with a kind each; see `find_phrase`."""

    points: NDArray[np.uint16]
    """The characters of all phrases, folded."""
    starts: NDArray[np.int64]
    kinds: NDArray[np.int64]
    keys: NDArray[np.int32]
    """Where in `entries` the phrases with these first bytes are, -1 for none."""
    entries: NDArray[np.int32]
    """Numbers of phrases, longest first, -1 after the last of a key."""

    @property
    def tables(self) -> tuple[NDArray, ...]:
        """What the kernels take."""
        return folds(), self.points, self.starts, self.keys, self.entries


def phrase_table(phrases: list[tuple[str, int]]) -> Phrases:
    """A table of (phrase, kind). Raises ValueError for a phrase under four bytes or with rare characters."""
    stored = sorted({(folded(text), kind) for text, kind in phrases}, key=lambda p: (-len(p[0]), p))
    found: dict[int, list[int]] = {}
    for number, (text, _) in enumerate(stored):
        if len(text.encode()) < 4 or max(text) > "\uffff":
            raise ValueError(f"a phrase needs four bytes and characters of the first plane: {text!r}")
        for case in (text, text.upper(), text.capitalize(), text.title()):
            for seen in (case, case.replace(" ", "\xa0"), case.replace("'", "\u2019")):
                numbers = found.setdefault(_key(seen.encode()[:4]), [])
                if number not in numbers:
                    numbers.append(number)
    keys = np.full(KEYS, -1, np.int32)
    entries: list[int] = []
    for key, numbers in sorted(found.items()):
        keys[key] = len(entries)
        entries += [*numbers, -1]
    points = np.array([ord(c) for text, _ in stored for c in text], np.uint16)
    starts = np.concatenate([[0], np.cumsum([len(text) for text, _ in stored])]).astype(np.int64)
    return Phrases(points, starts, np.array([kind for _, kind in stored], np.int64), keys, np.array(entries, np.int32))


def _key(head: bytes) -> int:
    value = sum((32 if b < 32 else b | 32) << 8 * k for k, b in enumerate(head))
    return value * int(_SPREAD) >> 16 & (KEYS - 1)


def read_phrases(name: str, kinds: tuple[str, ...]) -> list[tuple[str, int]]:
    """The phrases of a file in filters/data: `[kind]` heads the phrases of that kind, one a line; # is a comment."""
    out, kind = [], 0
    for line in (resources.files("filters") / "data" / name).read_text("utf-8").splitlines():
        if line.startswith("["):
            kind = kinds.index(line.strip("[] "))
        elif line.strip() and not line.startswith("#"):
            out.append((line, kind))
    return out


@kernel_part
def entry_at(data, i, end, keys):
    """Where in `entries` the phrases that may begin at i are, -1 for none."""
    if i + 4 > end:
        return -1
    k = np.uint64(i)
    value = np.uint64(data[k]) | np.uint64(data[k + _1]) << _8
    value |= np.uint64(data[k + _2]) << _16 | np.uint64(data[k + _3]) << _24
    if (value - _SPACES) & ~value & _TOPS:  # control characters, line breaks too, count as spaces
        value = np.uint64(0)
        for back in range(3, -1, -1):
            b = data[i + back]
            value = value << _8 | (b if b >= 32 else _SPACE)
    value |= _SPACES
    return keys[(value * _SPREAD >> _16) & _LAST] + 0


@kernel_part
def folded_at(data, i, end, fold, step):
    """The folded character at i, 0 at the end; step[0]: its bytes. White space takes all that follows it."""
    if i >= end:
        step[0] = 0
        return 0
    b = data[i] + 0
    size = 1
    if b < 128:
        b = fold[b] + 0
    else:
        size = char_bytes(data, i, end)
        if size == 2:
            b = fold[(b & 31) << 6 | (data[i + 1] & 63)] + 0
        elif size == 3:
            b = fold[(b & 15) << 12 | (data[i + 1] & 63) << 6 | (data[i + 2] & 63)] + 0
        else:
            b = 0xFFFF
    if b == 32:
        j = i + size
        while j < end and (data[j] <= 32 or data[j] == 0xC2 or data[j] == 0xE2 or data[j] == 0xE3):
            width = char_bytes(data, j, end)
            if width == 1:
                other = fold[data[j]] + 0
            elif width == 2:
                other = fold[(data[j] & 31) << 6 | (data[j + 1] & 63)] + 0
            else:
                other = fold[(data[j] & 15) << 12 | (data[j + 1] & 63) << 6 | (data[j + 2] & 63)] + 0
            if other != 32:
                break
            j += width
        size = j - i
    step[0] = size
    return b


@kernel_part
def inside_word(data, i, start, end, first, blocks):
    """Whether the edge at i parts two characters of one word: letters, numbers and marks of scripts with spaces."""
    if i <= start or i >= end:
        return False
    j = i - 1
    while j > start and data[j] & 0xC0 == 0x80 and i - j < 4:
        j -= 1
    for side in range(2):
        at = j if side == 0 else i
        word = properties(data, at, char_bytes(data, at, end), first, blocks)
        script = word >> t.SCRIPT_SHIFT & 15
        if not word & (t.LETTER | t.NUMBER | t.MARK) or (script >= 1 and script <= _KATAKANA):
            return False
    return True


@kernel_part
def find_phrase(data, i, start, end, fold, points, starts, entries, entry, first, blocks, found, step):
    """The longest phrase at i in data[start:end]: its number, or -1; found[0] is where it ends.

    entry: of `entry_at`. step: int64[1], room.
    """
    if inside_word(data, i, start, end, first, blocks):
        return -1
    while entries[entry] >= 0:
        number = entries[entry]
        entry += 1
        j = i
        k = starts[number]
        last = starts[number + 1]
        while k < last and folded_at(data, j, end, fold, step) == points[k]:
            j += step[0]
            k += 1
        if k == last and not inside_word(data, j, start, end, first, blocks):
            found[0] = j
            return number
    return -1


HEADS = np.zeros(256, np.uint8)
"""1: an ASCII letter or digit, in a word of which the first can begin a phrase; 2: begins a character beyond ASCII."""
HEADS[[b for b in range(128) if chr(b).isalnum()]] = 1
HEADS[0xC0:] = 2


@plain_kernel
def covered(data, offsets, fold, points, starts, keys, entries, kinds, first, blocks, found, step, places, out):
    """out: int64[n, kinds]: bytes that phrases of each kind cover. places: int64[...], room.

    Where phrases may begin is collected without a branch first: the ends of words can't be guessed.
    """
    room = len(places)
    for d in range(len(offsets) - 1):
        low = offsets[d]
        end = offsets[d + 1]
        before = 0
        read = low
        while low < end:
            high = smaller(low + room, end)
            count = 0
            for i in range(low, high):
                head = HEADS[data[i]] + 0
                places[count] = i
                count += (head & ~before & 1) | head >> 1
                before = head
            low = high
            for c in range(count):
                i = places[c] + 0
                entry = entry_at(data, i, end, keys) if i >= read else -1
                if entry >= 0:
                    number = find_phrase(
                        data, i, offsets[d], end, fold, points, starts, entries, entry, first, blocks, found, step
                    )
                    if number >= 0:
                        out[d, kinds[number]] += found[0] - i
                        read = found[0]
