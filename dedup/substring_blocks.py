"""Classes of equal windows within a block of documents, by a suffix array (libdivsufsort).

A block holds the tokens of those windows of a shard that may be repeats. The suffix array of its text, thinned out to
the suffixes that begin with a token, brings equal windows next to each other; the bytes that neighbours share
(Kasai et al. 2001) tell whether they are equal. Both take time linear in the block, but for the sort.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .substring_windows import Windows, weights

BLOCK_BYTES = 12 << 20
BLOCK_TOKENS = 2_000_000
"""A block ends with the document with which it reaches either: about 500 MB of arrays."""


@dataclass(frozen=True, eq=False)
class Region:
    """Tokens of wanted windows of some documents: see `kernels.substrings.regions`."""

    text: NDArray[np.uint8]
    at: NDArray[np.signedinteger[Any]]
    rows: NDArray[np.int64]
    from_bytes: NDArray[np.int64]
    to_bytes: NDArray[np.int64]
    lengths: NDArray[np.int32]
    tails: NDArray[np.int32]


@dataclass(frozen=True, eq=False)
class Classes:
    """Windows of a block and what is known of the classes that they fall into."""

    rows: NDArray[np.int64]
    """Per window: its document's row in the shard."""
    starts: NDArray[np.int64]
    """Per window: its first byte in the document."""
    ends: NDArray[np.int64]
    classes: NDArray[np.int32]
    firsts: NDArray[np.int64]
    """Per class: the number of its window that is first by rank and place."""
    counts: NDArray[np.int64]
    """Per class: its windows."""
    hashes: tuple[NDArray[np.uint64], NDArray[np.uint64]]
    """Per class: 122 bits of hash of its windows' bytes."""


def regions_of(windows: Windows, wanted: NDArray[np.bool_], row: int, unit: str) -> Region:
    """The tokens of the wanted windows (bool per window); `row` is the first document's."""
    from .kernels import substrings as kernels

    tokens, text = windows.tokens, windows.text
    wanted_tokens = np.zeros(len(tokens), np.bool_)
    wanted_tokens[windows.has_window] = wanted
    n = len(tokens) if wanted.any() else 0
    size = int(text.offsets[-1] - text.offsets[0]) + 2 * n if n else 0
    out = Region(
        np.empty(size, np.uint8), np.empty(n, np.int32), np.empty(n, np.int64), np.empty(n, np.int64),
        np.empty(n, np.int64), np.empty(n, np.int32), np.empty(n, np.int32),
    )  # fmt: skip
    sizes = np.zeros(2, np.int64)
    if n:
        kernels.regions(
            text.data, tokens.starts, tokens.ends, tokens.kinds, tokens.offsets, text.offsets, weights(unit),
            windows.window_ends, wanted_tokens, unit == "words", row, sizes, out.text, out.at, out.rows, out.from_bytes,
            out.to_bytes, out.lengths, out.tails,
        )  # fmt: skip
    m = int(sizes[1])
    return Region(
        out.text[: int(sizes[0])].copy(), out.at[:m].copy(), out.rows[:m].copy(), out.from_bytes[:m].copy(),
        out.to_bytes[:m].copy(), out.lengths[:m].copy(), out.tails[:m].copy(),
    )  # fmt: skip


@dataclass
class Block:
    """Collects regions until there are enough."""

    regions: list[Region] = field(default_factory=list)
    bytes: int = 0
    tokens: int = 0

    def add(self, region: Region) -> bool:
        """Whether the block is full now."""
        if len(region.at):
            self.regions.append(region)
            self.bytes += len(region.text)
            self.tokens += len(region.at)
        return self.bytes >= BLOCK_BYTES or self.tokens >= BLOCK_TOKENS

    def joined(self) -> Region:
        """All in one; the next regions begin another block. There must be one."""
        shifts = np.cumsum([0, *(len(one.text) for one in self.regions)])
        at = np.concatenate([one.at + shift for one, shift in zip(self.regions, shifts, strict=False)])
        at = np.append(at, shifts[-1])
        if shifts[-1] < 1 << 31:
            at = at.astype(np.int32)
        regions = self.regions
        self.regions, self.bytes, self.tokens = [], 0, 0
        return Region(
            np.concatenate([one.text for one in regions]),
            at,
            np.concatenate([one.rows for one in regions]),
            np.concatenate([one.from_bytes for one in regions]),
            np.concatenate([one.to_bytes for one in regions]),
            np.concatenate([one.lengths for one in regions]),
            np.concatenate([one.tails for one in regions]),
        )


def blocks_of(found: Iterator[Region]) -> Iterator[Region]:
    """Regions put together to blocks."""
    block = Block()
    for region in found:
        if block.add(region):
            yield block.joined()
    if block.tokens:
        yield block.joined()


def classes_of(block: Region, ranks: NDArray[np.int64]) -> Classes:
    """Number equal windows of a block alike. ranks: of the shard's documents by row."""
    from pydivsufsort import divsufsort

    from .kernels import substrings as kernels

    n = len(block.rows)
    order, before, common = np.empty(n, np.int32), np.empty(n, np.int32), np.empty(n, np.int64)
    token_at = np.full(len(block.text), -1, np.int32)
    token_at[block.at[:n]] = np.arange(n, dtype=np.int32)
    suffixes = divsufsort(block.text)
    kernels.sparse_order(suffixes, token_at, order, before)
    del suffixes, token_at
    kernels.sparse_common(block.text, block.at, before, common)
    del before
    common = common[order]
    sums = np.empty(n + 1, np.uint64), np.empty(n + 1, np.uint64)
    kernels.prefix_sums(block.text, block.at, *kernels.BASES, *sums)
    whole = _Sorted(block, ranks, sums)
    parts = []
    for tail in range(int(block.tails.max(initial=0)) + 1):
        wanted = (block.lengths > 0) & (block.tails >= tail)
        order, common = _thinned(order, common, wanted)
        parts.append(whole.windows(block.lengths + np.int32(tail), order, common))
    class_shifts = np.cumsum([0, *(len(one.counts) for one in parts)])
    window_shifts = np.cumsum([0, *(len(one.rows) for one in parts)])
    return Classes(
        np.concatenate([one.rows for one in parts]),
        np.concatenate([one.starts for one in parts]),
        np.concatenate([one.ends for one in parts]),
        np.concatenate([one.classes + np.int32(shift) for one, shift in zip(parts, class_shifts, strict=False)]),
        np.concatenate([one.firsts + shift for one, shift in zip(parts, window_shifts, strict=False)]),
        np.concatenate([one.counts for one in parts]),
        (np.concatenate([one.hashes[0] for one in parts]), np.concatenate([one.hashes[1] for one in parts])),
    )


def _thinned(
    order: NDArray[np.int32], common: NDArray[np.int64], wanted: NDArray[np.bool_]
) -> tuple[NDArray[np.int32], NDArray[np.int64]]:
    """The wanted tokens in order, and what each shares with the one that is now before it: the least on the way."""
    left = np.flatnonzero(wanted[order])
    if not len(left):
        return order[:0], common[:0]
    return order[left], np.minimum.reduceat(common[: left[-1] + 1], np.append(0, left[:-1] + 1))


@dataclass(frozen=True, eq=False)
class _Sorted:
    """A block and the sums for hashes of its windows."""

    block: Region
    ranks: NDArray[np.int64]
    sums: tuple[NDArray[np.uint64], NDArray[np.uint64]]

    def windows(self, lengths: NDArray[np.int32], order: NDArray[np.int32], common: NDArray[np.int64]) -> Classes:
        """The classes of the windows of these lengths that begin with the tokens of `order`.

        Of two such windows neither may be the other's beginning.
        """
        from .kernels import substrings as kernels

        block, n = self.block, len(self.block.rows)
        begins = np.sort(order)
        last = begins + lengths[begins] - 1
        after = block.at[last + 1]
        sizes = np.zeros(n, np.int32)
        sizes[begins] = after - (block.text[after - 1] == kernels.SEPARATOR) - block.at[begins]
        classes, firsts = np.empty(n, np.int32), np.empty(len(begins), np.int64)
        counts = np.empty(len(begins), np.int64)
        found = kernels.window_classes(order, common, sizes, block.rows, self.ranks, classes, counts, firsts)
        counts, firsts = counts[:found].copy(), firsts[:found].copy()
        hashes = []
        for base, sums in zip(kernels.BASES, self.sums, strict=True):
            one, powers = np.empty(found, np.uint64), np.empty(int(sizes.max(initial=0)) + 1, np.uint64)
            kernels.powers(base, powers)
            kernels.window_hashes(begins, lengths, sizes, classes, firsts, sums, powers, one)
            hashes.append(one)
        place = np.zeros(n, np.int64)
        place[begins] = np.arange(len(begins))
        return Classes(
            block.rows[begins], block.from_bytes[begins], block.to_bytes[last], classes[begins], place[firsts], counts,
            (hashes[0], hashes[1]),
        )  # fmt: skip
