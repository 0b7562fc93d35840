"""Batches of a pack set for training, as numpy arrays: shuffled, resumable, shared among ranks.

The order of an epoch is a permutation computed from (seed, epoch) and the position alone, so it is
the same on any number of ranks and can be entered at any batch without walking there. `pretrain.data`
gives the same batches as torch tensors.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from .errors import ConfigError
from .packreader import Block, PackReader, open_packs
from .permutation import permute

PADDING = -1
"""Segment id of positions that nothing is learned from: padding, and what was removed."""

_AHEAD = 8192
_READS = 16
"""Sequences of a remote set that are fetched at once."""


class Arrays(NamedTuple):
    """B sequences of a batch."""

    input_ids: npt.NDArray[np.int64]  # (B, T); the pad id from each sequence's length on
    segment_ids: npt.NDArray[np.int32] | None  # (B, T) number of the document in its sequence, or `PADDING`
    indices: npt.NDArray[np.int64]  # (B,) numbers of the sequences in the pack set
    epoch: int = 0  # how often the set was gone through before

    @property
    def loss_mask(self) -> npt.NDArray[np.bool_] | None:
        """(B, T) whether the token at a position may be a target; None without `segment_ids`."""
        return None if self.segment_ids is None else self.segment_ids >= 0


class Loader:
    """Batches of a pack set; every sequence once an epoch, each of the set's phases shuffled by itself.

    `batch_size` counts the sequences of a batch over all ranks; rank r of `world_size` gets its r-th part
    (parts differ by one sequence where it can't be divided). Iterating goes on from `state()`: at first from
    batch `start` of epoch `epoch`, for `epochs` epochs, or without end if that is None. After `restore`, or a stop on
    the way, it is for what is left of them; when they are done, for as many again. The last, smaller batch of an
    epoch comes unless `drop_last`; it must have a sequence for each rank, since the mean loss of an empty part is no
    number. `segments` asks for `segment_ids` and the loss mask. With `reuse` two buffers take
    turns: a batch is overwritten when the next but one is drawn.

    Raises ConfigError for an empty pack set and for sizes that don't fit together, such as a last batch of fewer
    sequences than ranks.
    """

    def __init__(
        self,
        packs: PackReader | str | Path,
        batch_size: int,
        seed: int = 0,
        epoch: int = 0,
        *,
        epochs: int | None = 1,
        segments: bool = False,
        rank: int = 0,
        world_size: int = 1,
        start: int = 0,
        drop_last: bool = False,
        shuffle: bool = True,
        reuse: bool = False,
    ) -> None:
        self.reader = packs if isinstance(packs, PackReader) else open_packs(packs)
        if not len(self.reader):
            raise ConfigError(f"pack set {self.reader.store.where} is empty: there is nothing to train on")
        if not 1 <= world_size <= batch_size or not 0 <= rank < world_size or start < 0 or epoch < 0:
            raise ConfigError(
                f"batch_size {batch_size} must be at least world_size {world_size},"
                f" with rank {rank} below that, and neither start {start} nor epoch {epoch} negative"
            )
        self.batch_size, self.seed, self.rank, self.world_size = batch_size, seed, rank, world_size
        self.segments, self.drop_last, self.shuffle, self.reuse = segments, drop_last, shuffle, reuse
        self.epochs = epochs
        self._pool = None if self.reader.store.local else ThreadPoolExecutor(_READS)
        self._first, self._epoch, self._step = epoch, epoch, start
        rest = len(self.reader) % batch_size
        if 0 < rest < world_size and not drop_last:
            raise ConfigError(
                f"the last batch of an epoch has {rest} of {batch_size} sequences, too few for {world_size} ranks;"
                " take drop_last=True, or another batch_size"
            )
        if not len(self) and epochs is None:
            raise ConfigError(f"{len(self.reader)} sequences don't make one batch of {batch_size}; take a smaller one")

    def __len__(self) -> int:
        """Batches in a whole epoch."""
        n = len(self.reader)
        return n // self.batch_size if self.drop_last else -(-n // self.batch_size)

    def state(self) -> dict[str, Any]:
        """Where the next batch is: plain JSON. It holds for any rank and world size.

        {"epoch", "step" (batches of that epoch that are done), "seed", "shuffle", "batch_size", "fingerprint" (of the
        set)}
        """
        return {
            "epoch": self._epoch,
            "step": self._step,
            "seed": self.seed,
            "shuffle": self.shuffle,
            "batch_size": self.batch_size,
            "fingerprint": self.reader.fingerprint,
        }

    def restore(self, state: dict[str, Any]) -> None:
        """Go on from a state: the batches are those that would have come.

        The set may be a descendant of the state's, with documents removed. Raises ConfigError for another set, seed,
        shuffle or batch size, which would give other batches. A state from before it held `shuffle` is taken as it is.
        """
        missing = [key for key in ("epoch", "step", "seed", "batch_size", "fingerprint") if key not in state]
        if missing:
            raise ConfigError(f"a loader's state lacks {missing}; it has {sorted(state)}")
        if not self.reader.descends_from(state["fingerprint"]):
            raise ConfigError(
                f"the state is of pack set {state['fingerprint']}, {self.reader.store.where} is"
                f" {self.reader.fingerprint} and no descendant of it; open the set that training began with"
            )
        for key, own in (("seed", self.seed), ("shuffle", self.shuffle), ("batch_size", self.batch_size)):
            if state.get(key, own) != own:
                raise ConfigError(f"the state has {key} {state[key]}, the loader {own}; give it the state's")
        for key in ("epoch", "step"):
            if type(state[key]) is not int or state[key] < 0:
                raise ConfigError(f"a loader's state has {key} {state[key]!r}: it must be a whole number from 0 on")
        if state["step"] > max(1, len(self)):
            raise ConfigError(f"the state is at step {state['step']} of an epoch that has {len(self)}")
        self._epoch, self._step = state["epoch"], state["step"]

    def __iter__(self) -> Iterator[Any]:
        yield from self.arrays()

    def arrays(self) -> Iterator[Arrays]:
        """The batches, from the state on; the state moves on as each is drawn."""
        length, part = self.reader.sequence_length, -(-self.batch_size // self.world_size)
        buffers = [np.empty((part, length), np.int64) for _ in range(2)] if self.reuse else []
        last = None
        if self.epochs is not None:
            last = self._epoch + self.epochs - (self._epoch - self._first) % max(1, self.epochs)
        while last is None or self._epoch < last:
            for number, indices in self._order(self._epoch, self._step):
                ids = (buffers[number % 2] if buffers else np.empty((part, length), np.int64))[: len(indices)]
                made = self._fill(ids, indices)._replace(epoch=self._epoch)
                self._step = number + 1
                if self._step == len(self):
                    self._epoch, self._step = self._epoch + 1, 0
                yield made
            if self._step:  # entered behind the last batch
                self._epoch, self._step = self._epoch + 1, 0
            elif not len(self):
                self._epoch += 1

    def _order(self, epoch: int, start: int) -> Iterator[tuple[int, npt.NDArray[np.int64]]]:
        """(number of the batch, this rank's sequences of it), permuted `_AHEAD` positions at a time:
        batch by batch the permutation took 71 of a batch's 113 microseconds (32 sequences of 2 048)."""
        n, size = len(self.reader), self.batch_size
        ahead = max(1, _AHEAD // size)
        for begin in range(start, len(self), ahead):
            end = min(begin + ahead, len(self))
            positions = np.arange(begin * size, min(end * size, n), dtype=np.int64)
            order = phased(positions, self.reader.phases, self.seed, epoch) if self.shuffle else positions
            for number in range(begin, end):
                batch = order[(number - begin) * size : (number - begin + 1) * size]
                first, last = (len(batch) * r // self.world_size for r in (self.rank, self.rank + 1))
                yield number, batch[first:last]

    def _fill(self, out: npt.NDArray[np.int64], indices: npt.NDArray[np.int64]) -> Arrays:
        reader = self.reader
        numbers = np.searchsorted(reader.block_starts, indices, side="right") - 1
        blocks = [reader.blocks[b] for b in numbers.tolist()]
        rows = (indices - reader.block_starts[numbers]).tolist()
        if self._pool is None:
            for i, (block, row) in enumerate(zip(blocks, rows, strict=True)):
                out[i] = block.ids(row)  # widens straight from the map: one pass over the data
        else:
            for i, ids in enumerate(self._pool.map(Block.ids, blocks, rows)):
                out[i] = ids
        if not self.segments:
            return Arrays(out, None, indices)
        segments = np.empty(out.shape, np.int32)
        fill_segments(list(zip(blocks, rows, strict=True)), segments)
        return Arrays(out, segments, indices)


def phased(positions: npt.NDArray[np.int64], phases: Sequence[int], seed: int, epoch: int) -> npt.NDArray[np.int64]:
    """Which sequence stands at each of `positions` in an epoch: each phase of `phases` sequences permuted by itself."""
    if len(phases) == 1:
        return permute(positions, phases[0], seed, epoch)
    out = np.empty_like(positions)
    first = 0
    for number, size in enumerate(phases):
        mine = (positions >= first) & (positions < first + size)
        if mine.any():
            out[mine] = first + permute(positions[mine] - first, size, seed, epoch + (number << 32))
        first += size
    return out


def fill_segments(rows: list[tuple[Block, int]], out: npt.NDArray[np.int32]) -> None:
    """Fill `out` (B, T) with the document's number at each position, `PADDING` on padding and removed pieces."""
    out[:] = 0
    for i, (block, row) in enumerate(rows):
        out[i, block.doc_starts[block.doc_bounds[row] + 1 : block.doc_bounds[row + 1]]] = 1
    np.cumsum(out, axis=1, out=out)
    for i, (block, row) in enumerate(rows):
        out[i, block.lengths[row] :] = PADDING
        if block.removed is not None and block.removed[block.doc_bounds[row] : block.doc_bounds[row + 1]].any():
            out[i, ~block.sequence(row).loss_mask()] = PADDING
