"""Packs as training batches: a torch dataset over the memory map, and a fast shuffled loader."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
import torch
from torch.utils.data import Dataset

from pipeline.errors import ConfigError
from pipeline.packs import PackReader, open_packs

_ROUNDS = 4
_MIX = np.uint64(0x9E3779B97F4A7C15)


class PackDataset(Dataset[torch.Tensor]):
    """Sequences as (T,) tensors that share the mapped file's memory: uint16 or uint32, nothing copied."""

    def __init__(self, packs: Path | str | PackReader) -> None:
        self.packs = packs if isinstance(packs, PackReader) else open_packs(packs)

    def __len__(self) -> int:
        return len(self.packs)

    def __getitem__(self, index: int) -> torch.Tensor:
        return _share(self.packs[index].input_ids)


def _share(ids: npt.NDArray[np.uint16] | npt.NDArray[np.uint32]) -> torch.Tensor:
    """A tensor over a read-only array without a copy. torch can't mark it read-only: writing to it would crash."""
    flat = ids.view()
    flat.flags.writeable = False
    import warnings

    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="The given NumPy array is not writable")
        return torch.from_numpy(flat)


def _hash(values: npt.NDArray[np.uint64], key: np.uint64) -> npt.NDArray[np.uint64]:
    """SplitMix64's finaliser (Steele et al. 2014) of value + key."""
    with np.errstate(over="ignore"):
        z = values + key * _MIX
        z = (z ^ (z >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
        z = (z ^ (z >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
        return z ^ (z >> np.uint64(31))


def shuffled(start: int, stop: int, n: int, seed: int, epoch: int) -> npt.NDArray[np.int64]:
    """Places [start, stop) of a permutation of range(n) fixed by (seed, epoch); nothing else is computed.

    A balanced Feistel network over the smallest even number of bits that holds n, walked until the
    value falls inside the range (Black and Rogaway 2002): any place is known without the ones before.
    """
    half = max(1, ((n - 1).bit_length() + 1) // 2)
    mask = np.uint64((1 << half) - 1)
    key = _hash(np.array([seed], np.uint64), np.uint64(epoch + 1))[0]
    values = np.arange(start, stop, dtype=np.uint64)
    walking = np.ones(len(values), bool)
    while walking.any():
        left, right = values[walking] >> np.uint64(half), values[walking] & mask
        for number in range(_ROUNDS):
            left, right = right, left ^ (_hash(right ^ key, np.uint64(number + 1)) & mask)
        values[walking] = (left << np.uint64(half)) | right
        walking = values >= n
    return values.astype(np.int64)


@dataclass(frozen=True)
class Batch:
    """A batch: `input_ids` and, if asked for, `segments` (document number within the row, -1 for padding),
    both (batch, T) int64."""

    input_ids: torch.Tensor
    segments: torch.Tensor | None


class PackLoader:
    """Shuffled int64 batches of one epoch; the last, smaller batch is left out unless `keep_last`.

    The order hangs on (seed, epoch) alone. Rows are gathered from the mapped ids in one call into a
    buffer that is used again: a batch is valid until the next one is asked for.
    """

    def __init__(
        self,
        packs: Path | str | PackReader,
        batch_size: int,
        *,
        seed: int = 0,
        epoch: int = 0,
        segments: bool = False,
        keep_last: bool = False,
    ) -> None:
        self.packs = packs if isinstance(packs, PackReader) else open_packs(packs)
        if batch_size < 1:
            raise ConfigError(f"batch_size must be at least 1, not {batch_size}")
        if not len(self.packs):
            raise ConfigError(f"{self.packs.folder} holds no sequences")
        self.batch_size, self.seed, self.epoch, self.with_segments = batch_size, seed, epoch, segments
        self.keep_last = keep_last
        self._buffer = torch.empty((batch_size, self.packs.sequence_length), dtype=torch.int64)

    def __len__(self) -> int:
        n = len(self.packs)
        return -(-n // self.batch_size) if self.keep_last else n // self.batch_size

    def __iter__(self) -> Iterator[Batch]:
        n = len(self.packs)
        for start in range(0, len(self) * self.batch_size, self.batch_size):
            yield self.gather(shuffled(start, min(start + self.batch_size, n), n, self.seed, self.epoch))

    def gather(self, rows: npt.NDArray[np.int64]) -> Batch:
        """The sequences of these numbers, in this order."""
        buffer = self._buffer[: len(rows)]
        into = buffer.numpy()
        blocks = self.packs.blocks
        which = np.searchsorted(self.packs.block_starts, rows, side="right") - 1
        inside = rows - self.packs.block_starts[which]
        for at, (block, row) in enumerate(zip(which.tolist(), inside.tolist(), strict=True)):
            into[at] = blocks[block].input_ids[row]
        segments = torch.from_numpy(self._segments(which, inside)) if self.with_segments else None
        return Batch(buffer, segments)

    def _segments(self, which: npt.NDArray[np.int64], inside: npt.NDArray[np.int64]) -> npt.NDArray[np.int64]:
        length = self.packs.sequence_length
        marks = np.zeros((len(which), length), np.int64)
        ends = np.empty(len(which), np.int64)
        for at, (number, row) in enumerate(zip(which.tolist(), inside.tolist(), strict=True)):
            block = self.packs.blocks[number]
            starts = block.doc_starts[block.doc_offsets[row] : block.doc_offsets[row + 1]]
            marks[at, starts[1:]] = 1
            ends[at] = block.lengths[row]
        segments = marks.cumsum(axis=1)
        segments[np.arange(length) >= ends[:, None]] = -1
        return segments
