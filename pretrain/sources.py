"""What a training loop draws its batches from: one pack set, one with a replayed share of another, or sets in phases.

A source yields batches without end and has a state of plain JSON: a source that is
restored to it goes on with the very batches that would have come, on any number of ranks.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from fractions import Fraction
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np
import numpy.typing as npt
import torch

from pipeline.errors import ConfigError
from pipeline.loader import fill_segments, phased
from pipeline.packreader import PackReader
from pipeline.store import digest

from .data import Batch, PackLoader

if TYPE_CHECKING:
    from .model import Transformer

Documents = list[tuple[int, list[str]]]
"""For each sequence of a batch its number in its own pack set, and the ids of its documents."""


class Source(Protocol):
    """What the loop needs of a source."""

    @property
    def fingerprint(self) -> str:
        """Of the pack sets and of how they are drawn from."""

    def __iter__(self) -> Iterator[Batch]: ...

    def state(self) -> dict[str, Any]:
        """Where the next batch is."""

    def restore(self, state: dict[str, Any]) -> None:
        """Go on from a state. Raises ConfigError for one of another source."""

    def documents(self, batch: Batch) -> Documents:
        """What is in a batch."""


class PackSource:
    """Batches of one pack set without end, each epoch in another order; a set smaller than a batch is one batch.

    `batch_size` counts the sequences over all ranks. The last, smaller batch of an epoch is left out unless it is the
    only one. Raises ConfigError for an empty set and for a batch that gives a rank nothing.
    """

    def __init__(
        self, reader: PackReader, batch_size: int, seed: int = 0, *, rank: int = 0, world_size: int = 1
    ) -> None:
        self.reader = reader
        self._loader = PackLoader(
            reader, max(1, min(batch_size, len(reader))), seed, epochs=None, segments=True, drop_last=True,
            rank=rank, world_size=world_size,
        )  # fmt: skip

    @property
    def fingerprint(self) -> str:
        return self.reader.fingerprint

    def __iter__(self) -> Iterator[Batch]:
        yield from self._loader

    def state(self) -> dict[str, Any]:
        return self._loader.state()

    def restore(self, state: dict[str, Any]) -> None:
        self._loader.restore(state)

    def documents(self, batch: Batch) -> Documents:
        return [(i, self.reader[i].doc_ids) for i in batch.indices.tolist()]


class ReplaySource:
    """Continued pretraining: a new pack set with a share of sequences from an old one, against forgetting.

    Of the first n sequences floor(n * share) are old ones, spread evenly; `share` is taken as written (0.05 is 1/20).
    Each set comes in the order of its own loader's epochs, and is gone through again when it is used up. A batch's
    `epoch` is that of the new set at its first sequence; a batch's `indices` are i + epoch * (n + m) for sequence i of
    the new set's n and n + i + epoch * (n + m) for the old one's, with the set's own epoch: other corruption
    each time that a sequence comes.

    Raises ConfigError for sets with different tokenizers or sequence lengths and for a share outside [0, 1).
    """

    def __init__(
        self,
        new: PackReader,
        old: PackReader,
        batch_size: int,
        seed: int = 0,
        *,
        share: float = 0.05,
        rank: int = 0,
        world_size: int = 1,
    ) -> None:
        if not 0 <= share < 1:
            raise ConfigError(f"replay: share must be from 0 to below 1, not {share}")
        check_alike(new, old, "replay")
        check_batch(batch_size, rank, world_size)
        for reader in (new, old):
            if not len(reader):
                raise ConfigError(f"pack set {reader.store.where} is empty: there is nothing to train on")
        if new.sequence_length != old.sequence_length:
            raise ConfigError(
                f"replay: {new.store.where} has sequences of {new.sequence_length} tokens, {old.store.where} of"
                f" {old.sequence_length}; pack them alike"
            )
        self.readers = (new, old)
        self.batch_size, self.seed, self.share = batch_size, seed, Fraction(str(share))
        self._rank, self._world_size, self._step = rank, world_size, 0

    @property
    def fingerprint(self) -> str:
        return digest({"replay": [reader.fingerprint for reader in self.readers], "share": str(self.share)})

    def __iter__(self) -> Iterator[Batch]:
        while True:
            batch = self.batch(self._step)
            self._step += 1
            yield batch

    def batch(self, step: int) -> Batch:
        """Batch number `step`, this rank's part."""
        size = self.batch_size
        numbers = np.arange(step * size, (step + 1) * size, dtype=np.int64)
        up, down = self.share.numerator, self.share.denominator
        before = numbers * up // down  # old sequences among those that came before
        is_old = (numbers + 1) * up // down > before
        indices = np.empty(size, np.int64)
        total = sum(len(reader) for reader in self.readers)
        for which, (reader, mine) in enumerate(zip(self.readers, (~is_old, is_old), strict=True)):
            drawn = before[mine] if which else (numbers - before)[mine]
            epochs, places = np.divmod(drawn, len(reader))
            for epoch in np.unique(epochs).tolist():
                here = epochs == epoch
                found = phased(places[here], reader.phases, self.seed, epoch)
                indices[np.flatnonzero(mine)[here]] = found + which * len(self.readers[0]) + epoch * total
        first, last = (size * r // self._world_size for r in (self._rank, self._rank + 1))
        epoch = int((numbers - before)[0]) // len(self.readers[0])
        return self._filled(indices[first:last], epoch)

    def _filled(self, indices: npt.NDArray[np.int64], epoch: int) -> Batch:
        places = [self._place(i) for i in indices.tolist()]
        rows = [reader.locate(i) for reader, i in places]
        ids = np.empty((len(rows), self.readers[0].sequence_length), np.int64)
        for out, (block, row) in zip(ids, rows, strict=True):
            out[:] = block.ids(row)
        segments = np.empty(ids.shape, np.int32)
        fill_segments(rows, segments)
        return Batch(torch.from_numpy(ids), torch.from_numpy(segments), indices, epoch)

    def _place(self, index: int) -> tuple[PackReader, int]:
        """(set, number in it) of one of a batch's indices."""
        new, old = self.readers
        index %= len(new) + len(old)
        return (new, index) if index < len(new) else (old, index - len(new))

    def state(self) -> dict[str, Any]:
        return {
            "step": self._step,
            "seed": self.seed,
            "batch_size": self.batch_size,
            "share": str(self.share),
            "fingerprints": [reader.fingerprint for reader in self.readers],
        }

    def restore(self, state: dict[str, Any]) -> None:
        own = self.state()
        _check_state("replay", state, own)
        for reader, fingerprint in zip(self.readers, state["fingerprints"], strict=True):
            if not reader.descends_from(fingerprint):
                raise ConfigError(f"replay: the state is of pack set {fingerprint}, not of {reader.store.where}")
        for key in ("seed", "batch_size", "share"):
            if state[key] != own[key]:
                raise ConfigError(f"replay: the state has {key} {state[key]}, the source {own[key]}")
        self._step = state["step"]

    def documents(self, batch: Batch) -> Documents:
        places = [self._place(i) for i in batch.indices.tolist()]
        return [(i, reader[i].doc_ids) for reader, i in places]


@dataclass(frozen=True, kw_only=True)
class Phase:
    """A part of training on one pack set. `model` are the fields of the model's configuration that it changes."""

    reader: PackReader
    steps: int
    batch_size: int
    model: dict[str, Any]


def extension(
    short: PackReader, long: PackReader, *, steps: int, long_steps: int, batch_size: int, rope_scale: str = "yarn"
) -> tuple[Phase, Phase]:
    """The two phases of a context extension: the short set, then the longer bucket with rescaled rotary positions.

    The second phase's batches have as many tokens as the first's, as far as whole sequences do, and its model
    `rope_scale` with the factor by which sequences grow. Raises ConfigError where the second set's are not longer.
    """
    if long.sequence_length <= short.sequence_length:
        raise ConfigError(
            f"context extension: sequences of {long.store.where} ({long.sequence_length} tokens) must be longer than"
            f" those of {short.store.where} ({short.sequence_length})"
        )
    factor = long.sequence_length / short.sequence_length
    scaled = {"rope_scale": rope_scale, "rope_factor": factor, "rope_original": short.sequence_length}
    return (
        Phase(reader=short, steps=steps, batch_size=batch_size, model={}),
        Phase(reader=long, steps=long_steps, batch_size=max(1, round(batch_size / factor)), model=scaled),
    )


class PhaseSource:
    """Pack sets one after the other. The last goes on without end: a run that went back draws more than its steps.

    `phase` is the number of the phase that the batch drawn last (or restored to) belongs to. `on_phase` is called with
    a phase before its first batch is drawn, and after a restoring; `rescale` is what it may do to the model.

    Raises ConfigError for sets with different tokenizers and for phases without steps.
    """

    def __init__(
        self,
        phases: Sequence[Phase],
        seed: int = 0,
        *,
        on_phase: Callable[[Phase], None] | None = None,
        rank: int = 0,
        world_size: int = 1,
    ) -> None:
        if not phases or any(phase.steps < 1 for phase in phases):
            raise ConfigError("phases: each needs at least one step")
        for phase in phases[1:]:
            check_alike(phases[0].reader, phase.reader, "phases")
        self.phases, self.on_phase = tuple(phases), on_phase
        self._sources = [
            PackSource(phase.reader, phase.batch_size, seed, rank=rank, world_size=world_size) for phase in phases
        ]
        self.phase, self._step = 0, 0

    @property
    def fingerprint(self) -> str:
        return digest({"phases": [[p.reader.fingerprint, p.steps, p.batch_size, p.model] for p in self.phases]})

    def __iter__(self) -> Iterator[Batch]:
        while True:
            phase, left = self._next()
            if self.on_phase is not None:
                self.on_phase(self.phases[phase])
            for batch in self._sources[phase]:
                self.phase, self._step = phase, self._step + 1
                yield batch
                left -= 1
                if not left:
                    break

    def _next(self) -> tuple[int, int]:
        """(phase of the next batch, steps left in it; -1: it is the last, which has no end)."""
        done = self._step
        for number, phase in enumerate(self.phases[:-1]):
            if done < phase.steps:
                return number, phase.steps - done
            done -= phase.steps
        return len(self.phases) - 1, -1

    def state(self) -> dict[str, Any]:
        return {"step": self._step, "phases": [source.state() for source in self._sources]}

    def restore(self, state: dict[str, Any]) -> None:
        _check_state("phases", state, self.state())
        if len(state["phases"]) != len(self.phases):
            raise ConfigError(f"phases: the state has {len(state['phases'])}, the source {len(self.phases)}")
        for source, one in zip(self._sources, state["phases"], strict=True):
            source.restore(one)
        self._step = state["step"]
        self.phase = self._next()[0]

    def documents(self, batch: Batch) -> Documents:
        """Of a batch of the phase that its sequences' length says."""
        length = batch.input_ids.shape[1]
        candidates = [self.phase, *range(len(self.phases))]
        which = next(k for k in candidates if self.phases[k].reader.sequence_length == length)
        return self._sources[which].documents(batch)


def rescale(model: Transformer, phase: Phase) -> None:
    """Give a model the fields of its configuration that a phase changes; rotary angles are computed from them anew."""
    model.config = replace(model.config, **phase.model)


def check_alike(one: PackReader, other: PackReader, where: str) -> None:
    """Raise ConfigError unless two pack sets were made with the same tokenizer."""
    prints = [reader.manifest["tokenizer"]["fingerprint"] for reader in (one, other)]
    if prints[0] != prints[1] or one.total_ids != other.total_ids:
        raise ConfigError(
            f"{where}: {one.store.where} and {other.store.where} were made with different tokenizers"
            f" ({prints[0]}, {prints[1]}): their ids don't mean the same; pack one with the tokenizer of the other"
        )


def check_batch(batch_size: int, rank: int, world_size: int) -> None:
    """Raise ConfigError unless every rank gets a sequence of each batch."""
    if not 1 <= world_size <= batch_size or not 0 <= rank < world_size:
        raise ConfigError(
            f"batch_size {batch_size} must be at least world_size {world_size}, with rank {rank} below it"
        )


def _check_state(where: str, state: dict[str, Any], own: dict[str, Any]) -> None:
    missing = [key for key in own if key not in state]
    if missing:
        raise ConfigError(f"{where}: a source's state lacks {missing}; it has {sorted(state)}")
    if type(state["step"]) is not int or state["step"] < 0:
        raise ConfigError(f"{where}: a source's state has step {state['step']!r}: it must be a whole number from 0 on")
