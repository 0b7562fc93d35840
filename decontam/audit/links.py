"""Which pieces of documents in packs go on where: found once, before the tasks read the documents.

Pieces are numbered through the sets of a corpus (one for each sequence length), in their order. A piece goes on in
the one of the same document that begins at the token where it ends, wherever that lies. Of a document that is there
several times any piece may go on in any other copy's, for they hold the same tokens.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from pipeline.packreader import Block, PackReader

Ints = NDArray[np.int64]
_MIX = np.uint64(0x9E3779B97F4A7C15)


@dataclass(frozen=True)
class Pieces:
    """The pieces of one block (one record batch of a pack file)."""

    block: Block
    control: tuple[int, int]
    """First control id, and the one after the last."""

    @cached_property
    def ends(self) -> Ints:
        """Where each piece ends in its row."""
        bounds, starts = self.block.doc_bounds, self.block.doc_starts
        ends = np.append(starts[1:], 0).astype(np.int64)
        held = bounds[1:] > bounds[:-1]
        ends[bounds[1:][held] - 1] = self.block.lengths[held]
        return ends

    @cached_property
    def tokens(self) -> Ints:
        """Tokens of each piece."""
        made: Ints = self.ends - self.block.doc_starts
        return made

    @cached_property
    def text(self) -> NDArray[np.bool_]:
        """Whether a piece is text: not removed, and more than the control token before a document."""
        single = np.flatnonzero(self.tokens == 1)
        text = np.ones(len(self.tokens), bool)
        text[single] = ~self.led(single)
        if self.block.removed is not None:
            text &= ~self.block.removed
        return text

    def rows(self, pieces: Ints) -> Ints:
        """The rows that some pieces lie in."""
        found: Ints = np.searchsorted(self.block.doc_bounds, pieces, side="right") - 1
        return found

    def led(self, pieces: Ints) -> NDArray[np.bool_]:
        """Whether some pieces begin with a control token, which is none of their document."""
        if not len(pieces):
            return np.zeros(0, bool)
        first = self.block.input_ids[self.rows(pieces), self.block.doc_starts[pieces]]
        return np.asarray((first >= self.control[0]) & (first < self.control[1]))


def control_of(reader: PackReader) -> tuple[int, int]:
    """A set's first control id, and the one after the last."""
    first, count = reader.manifest["reserved_ids"].get("control", (0, 0))
    return first, first + count


@dataclass(frozen=True)
class Links:
    """How pieces hang together: `begins[i]` goes on in `goes_on[i]`.

    `begins` ascends. `inner` has the numbers of `goes_on`, ascending: pieces that begin no document. `first` has the
    number of each block's first piece, and the total at the end. All int64, read by memory map.
    """

    begins: Ints
    goes_on: Ints
    inner: Ints
    first: Ints

    @classmethod
    def open(cls, path: str) -> Links:
        """What `link` wrote."""
        return cls(*(np.asarray(np.load(f"{path}.{name}.npy", mmap_mode="r")) for name in cls.__dataclass_fields__))

    def after(self, piece: int) -> int | None:
        """Where a piece goes on."""
        at = int(np.searchsorted(self.begins, piece))
        return int(self.goes_on[at]) if at < len(self.begins) and self.begins[at] == piece else None


def link(readers: Sequence[PackReader], path: Path) -> None:
    """Write `path`.begins.npy and the others of `Links`.

    Holds some 32 bytes for each place where a document is cut. Documents are told apart by 64 bits of a hash of id
    and token.
    """
    sizes = [int(block.doc_bounds[-1]) for reader in readers for block in reader.blocks]
    first = np.cumsum([0, *sizes]).astype(np.int64)
    keys: list[NDArray[np.uint64]] = []
    numbers: list[Ints] = []
    for pieces, base in zip(_all(readers), first.tolist(), strict=False):
        at = np.flatnonzero((pieces.block.doc_offsets > 0) & pieces.text)
        keys.append(_keys(pieces.block.doc_ids.take(pa.array(at)), pieces.block.doc_offsets[at]))
        numbers.append(at + base)
    begun, place = _sorted(keys, numbers)
    keys, numbers = [], []
    if len(begun):
        for pieces, base in zip(_all(readers), first.tolist(), strict=False):
            stops, ids = pieces.block.doc_offsets + pieces.tokens, _hashes(pieces.block.doc_ids)
            maybe = np.flatnonzero(_among(_mixed(ids, stops - 1), begun))
            stops[maybe] -= pieces.led(maybe)
            ends = _mixed(ids, stops)
            at = np.flatnonzero(_among(ends, begun) & pieces.text)
            keys.append(ends[at])
            numbers.append(at + base)
    ended, ends_at = _sorted(keys, numbers)
    left, right = _paired(ended, begun)
    order = np.argsort(ends_at[left], kind="stable")
    begins, goes_on = ends_at[left][order], place[right][order]
    for name, array in (("begins", begins), ("goes_on", goes_on), ("inner", np.sort(goes_on)), ("first", first)):
        np.save(f"{path}.{name}.npy", array)


def _all(readers: Sequence[PackReader]) -> Iterator[Pieces]:
    """The pieces of each block, of which none is held."""
    for reader in readers:
        control = control_of(reader)
        for block in reader.blocks:
            yield Pieces(block, control)


def _hashes(ids: pa.Array) -> NDArray[np.uint64]:
    import polars as pl

    series = pl.from_arrow(ids)
    assert isinstance(series, pl.Series)
    return series.hash(seed=1).to_numpy()


def _mixed(ids: NDArray[np.uint64], tokens: Ints) -> NDArray[np.uint64]:
    made: NDArray[np.uint64] = ids ^ (tokens.astype(np.uint64) * _MIX)
    return made


def _keys(ids: pa.Array, tokens: Ints) -> NDArray[np.uint64]:
    return _mixed(_hashes(ids), tokens)


def _among(keys: NDArray[np.uint64], known: NDArray[np.uint64]) -> NDArray[np.bool_]:
    """Whether each key is one of the known, which ascend and are not empty."""
    at = np.minimum(np.searchsorted(known, keys), len(known) - 1)
    return np.asarray(known[at] == keys)


def _sorted(keys: list[NDArray[np.uint64]], numbers: list[Ints]) -> tuple[NDArray[np.uint64], Ints]:
    """All keys, ascending, and their numbers, ascending among equals."""
    joined = np.concatenate([np.zeros(0, np.uint64), *keys])
    order = np.argsort(joined, kind="stable")
    return joined[order], np.concatenate([np.zeros(0, np.int64), *numbers])[order]


def _paired(left: NDArray[np.uint64], right: NDArray[np.uint64]) -> tuple[Ints, Ints]:
    """Places in both of equal keys: the first of one side with the first of the other, and so on."""
    rank = np.arange(len(left)) - np.searchsorted(left, left)
    other = np.searchsorted(right, left) + rank
    kept = np.flatnonzero(other < np.searchsorted(right, left, side="right"))
    return kept, other[kept]
