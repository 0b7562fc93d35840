"""Batches of a mixture, drawn from a pack set for each source: no packs are made for a set of weights.

After n sequences source i has given its weight's share of n, but for less than one for each source: the source that is
furthest behind comes next. Within a source the sequences come in the order of a permutation by (seed, epoch), the same
for all weights, so that two mixtures differ by their weights and not by chance.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from pipeline.errors import ConfigError
from pipeline.loader import fill_segments
from pipeline.packreader import PackReader
from pipeline.permutation import permute

if TYPE_CHECKING:
    from pretrain.data import Batch


def check_alike(readers: Sequence[PackReader]) -> None:
    """Raise ConfigError unless pack sets have one sequence length and one vocabulary."""
    for reader in readers[1:]:
        for name in ("sequence_length", "total_ids", "dtype"):
            if getattr(reader, name) != getattr(readers[0], name):
                raise ConfigError(
                    f"pack sets {readers[0].store.where} and {reader.store.where} differ in {name}: pack them alike"
                )


def schedule(weights: NDArray[np.float64], count: int) -> NDArray[np.int64]:
    """int64[count]: which source gives each sequence."""
    given = np.zeros(len(weights))
    out = np.empty(count, np.int64)
    for n in range(count):
        out[n] = np.argmax(weights * (n + 1) - given)
        given[out[n]] += 1
    return out


def mixture_batches(
    readers: Sequence[PackReader], weights: NDArray[np.float64], *, steps: int, batch_size: int, seed: int
) -> Iterator[Batch]:
    """`steps` batches of `batch_size` sequences; `indices` are numbers within the sequence's own source."""
    import torch

    from pretrain.data import Batch

    check_alike(readers)
    length = readers[0].sequence_length
    sources = schedule(weights, steps * batch_size)
    drawn = [0] * len(readers)
    for step in range(steps):
        rows, indices = [], np.empty(batch_size, np.int64)
        ids = np.empty((batch_size, length), np.int64)
        for i, source in enumerate(sources[step * batch_size : (step + 1) * batch_size].tolist()):
            reader = readers[source]
            epoch, position = divmod(drawn[source], len(reader))
            drawn[source] += 1
            indices[i] = permute(np.array([position]), len(reader), seed + source, epoch)[0]
            block, row = reader.locate(int(indices[i]))
            ids[i] = block.ids(row)
            rows.append((block, row))
        segments = np.empty(ids.shape, np.int32)
        fill_segments(rows, segments)
        yield Batch(torch.from_numpy(ids), torch.from_numpy(segments), indices)
