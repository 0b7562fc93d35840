"""Losses on hidden states, made inside the model's forward pass: logits in slices, in float32."""

from __future__ import annotations

from collections.abc import Callable

import torch
import torch.nn.functional as F
from torch import Tensor
from torch.utils.checkpoint import checkpoint

from .inputs import IGNORED

MAX_LOGITS = 1 << 25
"""Logits held at a time (128 MB of float32): a vocabulary of 128 000 would else take gigabytes."""


def in_slices(function: Callable[..., Tensor], weight: Tensor, *rows: Tensor) -> Tensor:
    """Sum of `function(weight, *slices)`, a tensor of sums, over slices of the rows; logits are remade in backward.

    `weight` (V, D) is the output layer's; each of `rows` has N entries; a slice's N x V logits number at most
    `MAX_LOGITS`.
    """
    count, size = rows[0].shape[0], max(1, MAX_LOGITS // weight.shape[0])
    if count <= size:
        return function(weight, *rows)
    parts = [
        checkpoint(function, weight, *(row[i : i + size] for row in rows), use_reentrant=False)
        for i in range(0, count, size)
    ]
    return torch.stack(parts).sum(0)


def cross_entropy(hidden: Tensor, weight: Tensor, targets: Tensor) -> tuple[Tensor, Tensor]:
    """(sum of the cross-entropy, sum of log(Z)^2) over the targets that count, float32.

    `hidden` (B, T, D), `targets` (B, T). Z is the softmax denominator (Chowdhery et al. 2022).
    """
    flat = targets.flatten()
    picked = (flat != IGNORED).nonzero().squeeze(1)
    sums = in_slices(_summed, weight, hidden.flatten(0, 1)[picked], flat[picked])
    return sums[0].clone(), sums[1].clone()  # no views: FSDP2 hooks a backward to what a module returns


def _summed(weight: Tensor, hidden: Tensor, targets: Tensor) -> Tensor:
    logits = F.linear(hidden, weight).float()
    log_z = logits.logsumexp(-1)
    picked = logits.gather(1, targets[:, None]).squeeze(1)
    return torch.stack(((log_z - picked).sum(), log_z.square().sum()))
