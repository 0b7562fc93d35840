"""Loss and bits per byte of a model on held-out sets.

Bits per byte: the sum of -log2 p over the predicted tokens, divided by the UTF-8 bytes of the text that these tokens
stand for (`held_out` says which are predicted). The end-of-document tokens' bits are in the sum. It compares models
with different tokenizers, which loss a token does not.

Objectives that predict a document from left to right (causal, distill) are measured so. Of the others a set's loss is
measured on its own sequences, corrupted by the objective with a fixed seed; they have no bits per byte.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import torch
from torch import nn

from pipeline.packreader import PackReader

from .inputs import Inputs
from .parallel.base import Forward, Parallel

if TYPE_CHECKING:
    from .data import Batch
    from .held_out import HeldOut

LEFT_TO_RIGHT = ("causal", "distill")
"""Objectives whose model gives each token's probability after the tokens before it."""
EVALUATION_SEED = 0


def evaluate(
    model: nn.Module, sets: Mapping[str, HeldOut], *, batch_size: int = 8, parallel: Parallel | None = None
) -> dict[str, dict[str, Any]]:
    """`loss` (nats a predicted token), `bits_per_byte`, `tokens` (predicted), `bytes`, `documents` of each set.

    For a model that reads from left to right. Of several ranks each measures its share, and all return the same.
    """
    parallel = parallel or Parallel(torch.device("cpu"))
    found = {}
    for name, one in sets.items():
        batches = (
            Inputs(
                torch.from_numpy(rows.input_ids), torch.from_numpy(rows.segment_ids), torch.from_numpy(rows.targets),
                n_valid=rows.n_valid,
            )
            for rows in one.batches(batch_size, parallel.data_rank, parallel.data_size)
        )  # fmt: skip
        nats, targets = summed(model, batches, lambda m, inputs: m(inputs), parallel)
        found[name] = {
            "loss": nats / max(1, targets),
            "bits_per_byte": nats / math.log(2) / max(1.0, one.n_bytes),
            "tokens": targets,
            "bytes": round(one.n_bytes),
            "documents": one.documents,
        }
    return found


def evaluate_objective(
    model: nn.Module,
    objective: Any,
    sets: Mapping[str, Sequence[PackReader]],
    *,
    batch_size: int = 8,
    max_sequences: int | None = None,
    control: int | None = None,
    parallel: Parallel | None = None,
) -> dict[str, dict[str, Any]]:
    """`loss` (nats a target, or a pair) and `targets` of each set under any objective, always corrupted alike.

    The sequences come in the order of the sets, of each pack set about the first `max_sequences` (whole batches), and
    with `control` before every document that begins in them.
    """
    from .objectives.controls import conditioned

    parallel = parallel or Parallel(torch.device("cpu"))
    found = {}
    for name, readers in sets.items():
        batches = (
            objective.of(reader)
            .prepare(batch if control is None else conditioned(batch, reader, control), EVALUATION_SEED)
            ._replace(**({} if mine else {"n_valid": 0}))
            for reader in readers
            for batch, mine in _sequences(reader, batch_size, max_sequences, parallel.data_rank, parallel.data_size)
        )
        nats, targets = summed(model, batches, objective.loss, parallel)
        found[name] = {"loss": nats / max(1, targets), "targets": targets}
    return found


def summed(model: nn.Module, batches: Iterator[Inputs], forward: Forward, parallel: Parallel) -> tuple[float, int]:
    """(sum of the loss in nats, number of targets) over all ranks' batches, without gradients and dropout.

    The sum is kept in float64. A batch whose `n_valid` is 0 is run, for the sake of other ranks, and not counted. The
    model comes back in the mode that it was in.
    """
    total = torch.zeros(2, dtype=torch.float64, device=parallel.device)
    training = model.training
    model.eval()
    try:
        for inputs in batches:
            for output in parallel.evaluate(model, forward, [inputs]):
                if inputs.n_valid:
                    total[0] += output.loss_sum.double()
                    total[1] += inputs.n_valid
    finally:
        model.train(training)
    nats, targets = parallel.reduce(total).tolist()
    return nats, int(targets)


def _sequences(
    reader: PackReader, batch_size: int, limit: int | None, rank: int, world_size: int
) -> Iterator[tuple[Batch, bool]]:
    """This rank's batches of a set in its own order, and whether each counts: all ranks get equally many."""
    from .data import PackLoader

    loader = PackLoader(reader, batch_size, segments=True, shuffle=False)
    count = len(loader) if limit is None else min(len(loader), -(-limit // batch_size))
    for number, batch in zip(range(count), loader, strict=False):
        if number % world_size == rank:
            yield batch, True
    if 0 < count % world_size <= rank:
        yield batch, False
