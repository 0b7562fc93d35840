"""Reading packs for training with torch: a map-style `Dataset`, and the loader's batches as tensors."""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
import torch
from torch.utils.data import Dataset

from pipeline.loader import Loader, fill_segments
from pipeline.packreader import PackReader, open_packs


class PackDataset(Dataset[dict[str, Any]]):
    """The sequences of a pack set as tensors over the mapped file: nothing is copied (of a remote set: one row).

    An item has `input_ids` (T,) uint16 or uint32 (a view: don't write to it), `length`, `segment_ids` (T,)
    int32, the number of the document within the sequence, and `loss_mask` (T,) bool, false on padding and
    on what was removed, where the segment is -1. Picklable, so that the workers of a `DataLoader` map the
    files themselves.
    """

    def __init__(self, packs: PackReader | str | Path) -> None:
        self.reader = packs if isinstance(packs, PackReader) else open_packs(packs)
        with warnings.catch_warnings():  # torch has no read-only tensors and warns of every such view
            warnings.filterwarnings("ignore", message="The given NumPy array is not writable")
            self._tensors = {id(b): torch.from_numpy(b.input_ids) for b in self.reader.blocks if b.mapped}

    def __len__(self) -> int:
        return len(self.reader)

    def __getitem__(self, index: int) -> dict[str, Any]:
        block, row = self.reader.locate(index)
        segments = np.empty((1, self.reader.sequence_length), np.int32)
        fill_segments([(block, row)], segments)
        return {
            "input_ids": self.ids(index),
            "length": int(block.lengths[row]),
            "segment_ids": torch.from_numpy(segments[0]),
            "loss_mask": torch.from_numpy(segments[0] >= 0),
        }

    def ids(self, index: int) -> torch.Tensor:
        """`input_ids` of an item alone."""
        block, row = self.reader.locate(index)
        mapped = self._tensors.get(id(block))
        return torch.from_numpy(block.ids(row).copy()) if mapped is None else mapped[row]

    def __reduce__(self) -> tuple[Any, ...]:
        return PackDataset, (self.reader.store.where,)


class Batch(NamedTuple):
    """B sequences. `segment_ids` only if the loader was asked for them."""

    input_ids: torch.Tensor  # (B, T) int64; the pad id from each sequence's length on
    segment_ids: torch.Tensor | None  # (B, T) int32; number of the document in its sequence, -1 on padding, removals
    indices: npt.NDArray[np.int64]  # (B,) numbers of the sequences in the pack set
    epoch: int = 0  # how often the set was gone through before: with the index it says how a sequence is corrupted

    def rows(self, first: int, last: int) -> Batch:
        """Its sequences from `first` to before `last`, as views."""
        segments = None if self.segment_ids is None else self.segment_ids[first:last]
        return Batch(self.input_ids[first:last], segments, self.indices[first:last], self.epoch)

    @property
    def loss_mask(self) -> torch.Tensor | None:
        """(B, T) bool: whether the token at a position may be a target; None without `segment_ids`."""
        return None if self.segment_ids is None else self.segment_ids >= 0


class PackLoader(Loader):
    """`pipeline.loader.Loader` whose batches are tensors."""

    def __iter__(self) -> Iterator[Batch]:
        for ids, segments, indices, epoch in self.arrays():
            yield Batch(torch.from_numpy(ids), None if segments is None else torch.from_numpy(segments), indices, epoch)
