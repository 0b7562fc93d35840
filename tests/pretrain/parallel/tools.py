"""A tiny model and fixed batches, trained by `Parallel` on some ranks, and by a plain loop to compare with."""

from __future__ import annotations

from typing import Any

import torch
import torch.nn.functional as F
from torch import nn

from pretrain.config import ModelConfig, OptimConfig
from pretrain.inputs import IGNORED, Inputs, Output
from pretrain.model import Transformer
from pretrain.objectives.contrastive import info_nce
from pretrain.optim import make_optimiser
from pretrain.parallel.base import Forward, Parallel

STEPS, BATCH, MICRO, LENGTH, VOCAB = 3, 5, 2, 16, 67
"""Neither batch nor vocabulary nor layers divide by two: one rank has a micro-batch more than the other."""
Z_WEIGHT = 1e-3


def small(**changes: Any) -> ModelConfig:
    sizes = dict(vocab_size=VOCAB, d_model=32, n_layers=3, n_heads=4, n_kv_heads=2, d_ff=48)
    return ModelConfig(**{**sizes, **changes})


def model_of(config: ModelConfig) -> Transformer:
    torch.manual_seed(7)
    model = Transformer(config)
    with torch.no_grad():  # norms away from 1, so that a mistake in them shows
        for parameter in model.parameters():
            parameter.add_(0.05 * torch.randn_like(parameter))
    return model


def batches(config: ModelConfig, steps: int = STEPS, rows: int = BATCH) -> list[Inputs]:
    """Rows of two documents and padding; a row's padding grows with its number, so micro-batches weigh differently."""
    generator = torch.Generator().manual_seed(3)
    made = []
    for _ in range(steps):
        ids = torch.randint(0, VOCAB, (rows, LENGTH), generator=generator)
        segments = torch.zeros((rows, LENGTH), dtype=torch.int32)
        for row in range(rows):
            segments[row, 5 + row % 3 :] = 1
            segments[row, LENGTH - 2 * row % 9 :] = -1
        targets = torch.full_like(ids, IGNORED)
        for row in range(rows):
            for i in range(LENGTH - 1):
                if segments[row, i] == segments[row, i + 1] >= 0:
                    targets[row, i] = ids[row, i + 1]
        if config.form == "encoder_decoder":
            made.append(Inputs(ids, segments, targets, ids.flip(1).contiguous(), segments))
        else:
            made.append(Inputs(ids, segments, targets))
    return made


def rows_of(inputs: Inputs, first: int, last: int) -> Inputs:
    cut = Inputs(*(v[first:last] if torch.is_tensor(v) else v for v in inputs))
    assert cut.targets is not None
    return cut._replace(n_valid=int((cut.targets != IGNORED).sum()))


def shares(inputs: Inputs, rank: int, size: int, micro: int = MICRO) -> list[Inputs]:
    """The micro-batches of a data rank: the loader's rule for its rows."""
    rows = len(inputs.input_ids)
    first, last = rows * rank // size, rows * (rank + 1) // size
    return [rows_of(inputs, i, min(i + micro, last)) for i in range(first, last, micro)]


def forward(model: nn.Module, inputs: Inputs) -> Output:
    return model(inputs)


def contrast(model: nn.Module, inputs: Inputs) -> Output:
    """A loss made outside the model, from hidden states: each sequence's first five positions are to find its next."""
    output = model(inputs._replace(targets=None), want_hidden=True)
    assert inputs.segment_ids is not None
    hidden = output.hidden[inputs.segment_ids[:, 0] >= 0].float()
    groups = torch.arange(len(hidden))
    firsts, seconds = (F.normalize(part.sum(1), dim=1) for part in (hidden[:, :5], hidden[:, 5:10]))
    loss, _ = info_nce(firsts, seconds, groups, 0.1)
    return Output(loss, output.z_sum, output.aux)


def optimiser_of(model: nn.Module) -> torch.optim.Optimizer:
    """The loop's; epsilon far above rounding, so that a gradient that is almost 0 doesn't become a whole step.

    Muon for models with an output layer of their own, so that both are run.
    """
    plain = getattr(model, "module", model)
    return make_optimiser(plain, OptimConfig(lr=1e-2, eps=1e-3, muon=not plain.config.tied))


def train(
    parallel: Parallel,
    model: nn.Module,
    optimiser: torch.optim.Optimizer,
    data: list[Inputs],
    max_norm: float = 1.0,
    micro: int = MICRO,
    forward: Forward = forward,
) -> list[dict[str, float]]:
    """What the loop does: losses and norms of each step."""
    events = []
    for inputs in data:
        micros = shares(inputs, parallel.data_rank, parallel.data_size, micro)
        total = parallel.reduce(torch.tensor(sum(m.n_valid for m in micros), device=parallel.device))

        def loss(output: Output, inputs: Inputs, total: torch.Tensor = total) -> torch.Tensor:
            return (output.loss_sum + Z_WEIGHT * output.z_sum + output.aux) / total

        outputs = parallel.accumulate(model, forward, micros, loss)
        sums = torch.tensor([sum((float(o[i]) for o in outputs), 0.0) for i in range(3)], device=parallel.device)
        sums = parallel.reduce(sums) / total
        norm = parallel.clip(model.parameters(), max_norm)
        optimiser.step()
        optimiser.zero_grad(set_to_none=True)
        events.append({"loss": sums[0].item(), "z": sums[1].item(), "aux": sums[2].item(), "norm": norm.item()})
    return events


def plain(
    config: ModelConfig, data: list[Inputs], max_norm: float = 1.0, micro: int = BATCH, forward: Forward = forward
) -> dict[str, Any]:
    """The same by a loop without `Parallel`: whole batches, torch's own clipping.

    Losses and norms; weights and moments after the last step.
    """
    model = model_of(config)
    optimiser = optimiser_of(model)
    events = []
    for inputs in data:
        total = int((inputs.targets != IGNORED).sum())  # type: ignore[operator]
        sums = torch.zeros(3)
        for cut in shares(inputs, 0, 1, micro):
            output = forward(model, cut)
            ((output.loss_sum + Z_WEIGHT * output.z_sum + output.aux) / total).backward()
            sums += torch.stack([output.loss_sum.detach(), output.z_sum.detach(), output.aux.detach()])
        norm = torch.nn.utils.clip_grad_norm_(model.parameters(), max_norm)
        optimiser.step()
        optimiser.zero_grad(set_to_none=True)
        sums /= total
        events.append({"loss": sums[0].item(), "z": sums[1].item(), "aux": sums[2].item(), "norm": norm.item()})
    moments = {name: dict(optimiser.state[p]) for name, p in model.named_parameters()}
    return {"events": events, "model": model.state_dict(), "optimiser": moments}
