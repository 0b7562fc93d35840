"""Shingles of a column of texts: n words or n characters in a row, as hashes and as bytes.

A text is normalised, cut into units, and every n units in a row are a shingle. A text of fewer than n units has one
shingle of all it has; a text of none has none. All is done on Arrow's buffers, a few megabytes at a time.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, fields
from typing import Any

import numpy as np
from numpy.typing import NDArray

from filters.kernels.columns import Column, Text, text_of
from pipeline.errors import ConfigError

UNITS = ("words", "characters")
SPLITTERS = ("uax29", "whitespace", "alnum")
CHUNK_BYTES = 1 << 19
"""Text that is worked on at once; a longer document is a chunk of its own."""


@dataclass(frozen=True, kw_only=True)
class Shingling:
    """What two texts are compared by."""

    unit: str = field(default="words", metadata={"help": "words or characters"})
    n: int = field(default=5, metadata={"help": "units in a shingle"})
    splitter: str = field(
        default="uax29",
        metadata={
            "help": "words as UAX #29 has them, a character each in scripts without spaces (uax29), between white "
            "space (whitespace), or runs of letters, numbers and _ (alnum)"
        },
    )
    lowercase: bool = field(default=True, metadata={"help": "small letters, as Python's str.lower"})
    numbers_to_zero: bool = field(default=False, metadata={"help": "each number becomes one 0, as in datatrove"})
    strip_punctuation: bool = field(default=False, metadata={"help": "CCNet's signs and controls become spaces"})
    collapse_space: bool = field(default=False, metadata={"help": "one space for each run of white space"})
    strip_accents: bool = field(default=False, metadata={"help": "decomposed (NFD), without non-spacing marks"})

    def __post_init__(self) -> None:
        if self.unit not in UNITS:
            raise ConfigError(f"unit is {self.unit!r}; it must be one of {', '.join(UNITS)}")
        if self.splitter not in SPLITTERS:
            raise ConfigError(f"splitter is {self.splitter!r}; it must be one of {', '.join(SPLITTERS)}")
        if self.n < 1:
            raise ConfigError(f"n is {self.n}; a shingle has at least one unit")

    @property
    def normalises(self) -> bool:
        """Whether texts are changed before they are cut."""
        return any(getattr(self, one.name) is True for one in fields(self))

    @property
    def text(self) -> str:
        """Short, for reports: `word-5 (uax29, lowercase)`."""
        on = [one.name for one in fields(self) if getattr(self, one.name) is True]
        inner = ([self.splitter] if self.unit == "words" else []) + on
        return f"{'word' if self.unit == 'words' else 'char'}-{self.n} ({', '.join(inner) or 'as it is'})"


def shingle_hashes(column: Column, shingling: Shingling) -> tuple[NDArray[np.uint64], NDArray[np.int64]]:
    """(hashes, offsets): hashes[offsets[i]:offsets[i + 1]] is the set of text i, sorted, each 64-bit hash once.

    Two of a billion different shingles collide with a probability of .03. Raises SchemaError for a column of no text.
    """
    parts, counts = [], []
    for hashes, offsets in hash_chunks(column, shingling):
        for low, high in zip(offsets[:-1].tolist(), offsets[1:].tolist(), strict=True):
            hashes[low:high].sort()
        first = np.ones(len(hashes), bool)
        first[1:] = hashes[1:] != hashes[:-1]
        first[offsets[:-1][np.diff(offsets) > 0]] = True
        passed = np.concatenate([[0], np.cumsum(first)])
        parts.append(hashes[first])
        counts.append(np.diff(passed[offsets]))
    return _joined(parts, np.uint64), _offsets(_joined(counts, np.int64))


def jaccard(a: NDArray[np.uint64], b: NDArray[np.uint64]) -> float:
    """Jaccard similarity of two sets of `shingle_hashes`; 1 for two empty ones, as their texts have no unit at all."""
    shared = len(np.intersect1d(a, b, assume_unique=True))
    union = len(a) + len(b) - shared
    return shared / union if union else 1.0


def shingle_strings(column: Column, shingling: Shingling) -> list[list[str]]:
    """The shingles themselves, in order, words joined by a space: for reports, tests, and to look at."""
    out = []
    for data, starts, ends, offsets in byte_chunks(column, shingling):
        raw = data.tobytes()
        for low, high in zip(offsets[:-1].tolist(), offsets[1:].tolist(), strict=True):
            out.append([raw[starts[k] : ends[k]].decode("utf-8", "replace") for k in range(low, high)])
    return out


def hash_chunks(column: Column, shingling: Shingling) -> Iterator[tuple[NDArray[np.uint64], NDArray[np.int64]]]:
    """(hashes, offsets) of every shingle in order, repeated ones too, for one chunk of texts after the other."""
    from .kernels import shingling as kernels

    power = np.uint64(pow(int(kernels.BASE), shingling.n, 1 << 64))
    hashed = _unit_hasher(shingling)
    space, units = _Space(np.uint8), _Space(np.uint64)
    for text in _chunks(text_of(column)):
        cut = normalised(text, shingling, space)
        unit_offsets = np.zeros(len(cut) + 1, np.int64)
        hashed(cut, units.of(_size(cut) + 1), unit_offsets)
        offsets = _shingle_offsets(unit_offsets, shingling.n)
        hashes = np.empty(offsets[-1], np.uint64)
        kernels.roll(units.of(0), unit_offsets, shingling.n, power, offsets, hashes)
        yield hashes, offsets


def byte_chunks(
    column: Column, shingling: Shingling
) -> Iterator[tuple[NDArray[np.uint8], NDArray[np.int64], NDArray[np.int64], NDArray[np.int64]]]:
    """(data, starts, ends, offsets): the bytes of shingle k of a chunk are data[starts[k]:ends[k]]."""
    from .kernels import shingling as kernels

    for text in _chunks(text_of(column)):
        cut = normalised(text, shingling)
        if shingling.unit == "characters":
            data = cut.data
            room = _size(cut)
            starts, ends = np.empty(room, np.int64), np.empty(room, np.int64)
            unit_offsets = np.zeros(len(cut) + 1, np.int64)
            kernels.character_spans(data, cut.offsets, starts, ends, unit_offsets)
        else:
            at, to, unit_offsets = _words(cut, shingling.splitter)
            data = np.empty(int((to - at).sum()) + len(at), np.uint8)
            starts, ends = np.empty(len(at), np.int64), np.empty(len(at), np.int64)
            kernels.join_spans(cut.data, at, to, data, starts, ends)
        offsets = _shingle_offsets(unit_offsets, shingling.n)
        counts = np.diff(offsets)
        document = np.repeat(np.arange(len(counts)), counts)
        first = np.arange(offsets[-1]) - offsets[document] + unit_offsets[document]
        last = np.minimum(first + shingling.n, unit_offsets[document + 1]) - 1
        yield data, starts[first], ends[last], offsets


class _Space:
    """Room that is used again for one chunk after the other."""

    def __init__(self, kind: type[np.generic]) -> None:
        self._array: NDArray[Any] = np.empty(0, kind)

    def of(self, size: int) -> NDArray[Any]:
        """An array of at least `size`; what was in it may be gone if it was smaller."""
        if len(self._array) < size:
            self._array = np.empty(size, self._array.dtype)
        return self._array


def _unit_hasher(shingling: Shingling) -> Callable[[Text, NDArray[np.uint64], NDArray[np.int64]], None]:
    """What fills the units' hashes and their offsets by text."""
    from filters.kernels import tables

    from .kernels import words
    from .kernels.shingling import hash_characters

    if shingling.unit == "characters":
        return lambda text, out, offsets: hash_characters(text.data, text.offsets, out, offsets)
    first, blocks = tables.load()
    given = words.byte_classes(shingling.splitter)
    if shingling.splitter == "uax29":
        ascii = words.ascii_table(blocks)
        return lambda text, *out: words.hash_words(text.data, text.offsets, *given, ascii, first, blocks, *out)
    alnum = shingling.splitter == "alnum"
    flags = (tables.LETTER | tables.NUMBER if alnum else tables.SPACE), alnum
    return lambda text, *out: words.hash_runs(text.data, text.offsets, *given, *flags, first, blocks, *out)


def normalised(text: Text, shingling: Shingling, space: _Space | None = None) -> Text:
    """The texts as the shingling reads them; the same object where nothing is to be changed."""
    if not shingling.normalises:
        return text
    from .kernels import normalise as kernels
    from .kernels.foldings import folding

    table = folding(
        shingling.lowercase,
        shingling.numbers_to_zero,
        shingling.strip_punctuation,
        shingling.collapse_space,
        shingling.strip_accents,
    )
    out = (space or _Space(np.uint8)).of(_size(text) * kernels.LARGEST_GROWTH)
    offsets = np.zeros(len(text) + 1, np.int64)
    kernels.normalise(text.data, text.offsets, table.fast, table.entries, table.pool, table.simple, out, offsets)
    return Text(out, offsets, text.array)


def _chunks(text: Text) -> Iterator[Text]:
    low = 0
    while low < len(text):
        reach = int(text.offsets[low]) + CHUNK_BYTES
        high = max(low + 1, int(np.searchsorted(text.offsets, reach, side="right")) - 1)
        yield Text(text.data, text.offsets[low : high + 1], text.array)
        low = high


def _words(text: Text, splitter: str) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.int64]]:
    """(starts, ends, offsets by document) of words."""
    if splitter == "alnum":
        from filters.kernels import tables

        from .kernels.shingling import alnum_spans

        room = _size(text) // 2 + len(text) + 1
        starts, ends, offsets = np.empty(room, np.int64), np.empty(room, np.int64), np.zeros(len(text) + 1, np.int64)
        alnum_spans(text.data, text.offsets, *tables.load(), starts, ends, offsets)
        return starts[: offsets[-1]], ends[: offsets[-1]], offsets
    from filters.kernels import segments

    spans = segments.words(text) if splitter == "uax29" else segments.whitespace_words(text)
    return spans.starts, spans.ends, spans.offsets


def _shingle_offsets(unit_offsets: NDArray[np.int64], n: int) -> NDArray[np.int64]:
    units = np.diff(unit_offsets)
    return _offsets(np.where(units >= n, units - (n - 1), np.minimum(units, 1)))


def _offsets(counts: NDArray[np.int64]) -> NDArray[np.int64]:
    return np.concatenate([[0], np.cumsum(counts)]).astype(np.int64)


def _joined(parts: list[Any], kind: type[np.generic]) -> NDArray[Any]:
    return np.concatenate(parts) if parts else np.zeros(0, kind)


def _size(text: Text) -> int:
    return int(text.offsets[-1] - text.offsets[0]) if len(text) else 0
