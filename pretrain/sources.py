"""What a loop draws batches from."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from pipeline.packreader import PackReader

from .data import Batch, PackLoader


class PackSource:
    """Batches of one pack set without end; a set smaller than a batch is one batch.

    `batch_size` counts the sequences over all ranks. The last, smaller batch of an epoch is left out unless
    it is the only one.
    """

    def __init__(
        self, reader: PackReader, batch_size: int, seed: int = 0, *, rank: int = 0, world_size: int = 1
    ) -> None:
        self.reader = reader
        self.loader = PackLoader(
            reader, max(1, min(batch_size, len(reader))), seed, epochs=None, segments=True, drop_last=True,
            rank=rank, world_size=world_size,
        )  # fmt: skip

    @property
    def fingerprint(self) -> str:
        """The pack set's."""
        return self.reader.fingerprint

    def __iter__(self) -> Iterator[Batch]:
        yield from self.loader

    def state(self) -> dict[str, Any]:
        """Where the next batch is, as plain JSON."""
        return self.loader.state()

    def restore(self, state: dict[str, Any]) -> None:
        """Go on from a state."""
        self.loader.restore(state)

    def documents(self, batch: Batch) -> list[tuple[int, list[str]]]:
        """(number of the sequence in its set, ids of its documents) for each sequence of a batch."""
        return [(i, self.reader[i].doc_ids) for i in batch.indices.tolist()]
