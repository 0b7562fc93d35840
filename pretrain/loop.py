"""The training loop without files: batches in, weights changed, an event out for each step."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn

from .config import TrainConfig
from .optim import make_optimiser
from .parallel.base import Parallel
from .schedule import lr_share

if TYPE_CHECKING:
    from .data import Batch
    from .inputs import Inputs, Output


@dataclass(frozen=True, kw_only=True)
class Event:
    """One step: what it measured and what it saw."""

    step: int  # from 1
    epoch: int
    loss: float  # nats a target over all micro-batches and ranks, before the step
    lr: float
    grad_norm: float  # before clipping
    tokens: int  # in the batch over all ranks, padding not counted
    targets: int  # that were predicted
    parts: dict[str, float] = field(default_factory=dict)
    batch: Batch  # this rank's share; not logged

    def to_json(self) -> dict[str, Any]:
        """The line of the log."""
        names = ("step", "epoch", "loss", "lr", "grad_norm", "tokens", "targets")
        return {**{name: getattr(self, name) for name in names}, **self.parts}


Hook = Callable[[Event], None]


def optimise(
    model: nn.Module,
    objective: Any,
    source: Any,
    config: TrainConfig,
    *,
    parallel: Parallel | None = None,
    hooks: Sequence[Hook] = (),
) -> Iterator[Event]:
    """Take `config.steps` steps on batches of `source`; yields an `Event` after each.

    The loss is the sum over the valid targets of all micro-batches and ranks divided by their number, in fp32, so
    that neither micro-batches nor ranks change the gradient.
    """
    parallel = parallel or Parallel(torch.device("cpu"), config.precision)
    model = parallel.wrap(model, compile=config.compile)
    optimiser = make_optimiser(model, config.optim)
    batches = iter(source)
    for step in range(config.steps):
        batch = next(batches)
        rate = config.optim.lr * lr_share(step, config.steps, config.optim)
        for group in optimiser.param_groups:
            group["lr"] = rate
        parts = [objective.prepare(part, config.seed) for part in micro_batches(batch, config.micro_batch)]
        tokens = int((batch.segment_ids >= 0).sum())
        counts = parallel.reduce(torch.tensor([sum(p.n_valid for p in parts), tokens], device=parallel.device))
        n_valid, tokens = counts.tolist()
        loss = _accumulate(model, objective, parts, max(1, n_valid), config, parallel)
        norm = parallel.clip(model.parameters(), config.optim.max_grad_norm or math.inf)
        optimiser.step()
        optimiser.zero_grad(set_to_none=True)
        event = Event(
            step=step + 1, epoch=batch.epoch, loss=loss, lr=rate, grad_norm=norm.item(), tokens=tokens, targets=n_valid,
            batch=batch,
        )  # fmt: skip
        for hook in hooks:
            hook(event)
        yield event


def micro_batches(batch: Batch, size: int | None) -> list[Batch]:
    """The batch in parts of at most `size` sequences."""
    n = len(batch.indices)
    if size is None or size >= n:
        return [batch]
    return [batch.rows(first, min(first + size, n)) for first in range(0, n, size)]


def _accumulate(
    model: nn.Module, objective: Any, parts: list[Inputs], n_valid: int, config: TrainConfig, parallel: Parallel
) -> float:
    """Forward and backward of the micro-batches; the step's loss in nats a target."""

    def share(output: Output, inputs: Inputs) -> Tensor:
        return (output.loss_sum + config.optim.z_loss * output.z_sum + output.aux) / n_valid

    outputs = parallel.accumulate(model, objective.loss, parts, share)
    total = torch.zeros((), device=parallel.device)
    for output in outputs:
        total += output.loss_sum
    return float(parallel.reduce(total)) / n_valid
