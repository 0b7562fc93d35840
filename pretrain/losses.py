"""Losses on hidden states, made inside the model's forward pass: logits in slices, in float32."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor
from torch.utils.checkpoint import checkpoint

from .config import MAX_LOGITS
from .inputs import IGNORED, Teacher


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
    rows, flat = hidden.flatten(0, 1), targets.flatten()
    picked = (flat != IGNORED).nonzero().squeeze(1)
    if len(picked) < len(flat):
        rows, flat = rows.index_select(0, picked), flat[picked]
    sums = in_slices(_summed, weight, rows, flat)
    return sums[0].clone(), sums[1].clone()  # no views: FSDP2 hooks a backward to what a module returns


def _summed(weight: Tensor, hidden: Tensor, targets: Tensor) -> Tensor:
    device = hidden.device.type
    if torch.is_autocast_enabled(device):  # here, since nothing is cast in the backward pass of a function of one's own
        precision = torch.get_autocast_dtype(device)
        hidden, weight = hidden.to(precision), weight.to(precision)
    return torch.stack(_CrossEntropy.apply(hidden, weight, targets))


class _CrossEntropy(torch.autograd.Function):
    """Sums of the cross-entropy and of log(Z)^2 of hidden states (N, D) under the output layer (V, D).

    The probabilities p take the logits' place, and nothing else of N x V is made: with s = 1 + 2 log(Z) dz/dloss the
    gradient s p - onehot of the logits goes into both matrix products as p, scaled on the N x D side, and as rows.
    """

    @staticmethod
    def forward(ctx: Any, hidden: Tensor, weight: Tensor, targets: Tensor) -> tuple[Tensor, Tensor]:
        logits = F.linear(hidden, weight).float()
        chosen, top = logits.gather(1, targets[:, None]), logits.amax(-1, keepdim=True)
        p = torch.softmax(logits, -1, out=None if torch.compiler.is_compiling() else logits)
        log_z = top - p.amax(-1, keepdim=True).log()
        ctx.save_for_backward(hidden, weight, targets, p, log_z)
        return (log_z - chosen).sum(), log_z.square().sum()

    @staticmethod
    def backward(ctx: Any, grad: Tensor, grad_z: Tensor) -> tuple[Tensor, Tensor, None]:
        hidden, weight, targets, p, log_z = ctx.saved_tensors
        p, scale = p.to(hidden.dtype), grad + 2 * grad_z * log_z
        grad_hidden = (p @ weight).float().mul_(scale).sub_(weight[targets].float().mul_(grad))
        grad_weight = (p.mT @ (hidden * scale).to(p.dtype)).float()
        rows = hidden.float() * -grad
        grad_weight.index_put_((targets,), rows, accumulate=True)  # unlike index_add_ always in order on a GPU
        return grad_hidden.to(hidden.dtype), grad_weight.to(weight.dtype), None


def distillation(
    hidden: Tensor, weight: Tensor, targets: Tensor, teacher: Teacher
) -> tuple[Tensor, Tensor, dict[str, Tensor]]:
    """(sum of the mixed loss, sum of log(Z)^2, its two parts a target) of a student (Hinton et al. 2015), float32.

    The loss of a target is (1 - w) * cross-entropy + w * t^2 * KL(teacher || student), the divergence between both
    models' distributions at temperature t over the ids that the teacher has. Of a teacher's K likeliest ids only, it
    is that between the distributions over these and one outcome for all others, which is never above the whole one.
    """
    flat = targets.flatten()
    picked = (flat != IGNORED).nonzero().squeeze(1)
    rows = [hidden.flatten(0, 1)[picked], flat[picked], teacher.log_probs.flatten(0, 1)[picked]]
    if teacher.ids is not None:
        rows.append(teacher.ids.flatten(0, 1)[picked])
    sums = in_slices(partial(_distilled, teacher.temperature), weight, *rows)
    mixed = (1 - teacher.weight) * sums[0] + teacher.weight * teacher.temperature**2 * sums[2]
    means = sums.detach() / max(1, len(picked))
    return mixed, sums[1], {"cross_entropy": means[0], "divergence": means[2]}


def _distilled(
    temperature: float, weight: Tensor, hidden: Tensor, targets: Tensor, log_probs: Tensor, ids: Tensor | None = None
) -> Tensor:
    logits = F.linear(hidden, weight).float()
    log_z = logits.logsumexp(-1)
    cross = (log_z - logits.gather(1, targets[:, None]).squeeze(1)).sum()
    wanted = log_probs.float()
    if ids is None:
        student = (logits[:, : wanted.shape[1]] / temperature).log_softmax(-1)
    else:
        student = (logits / temperature).log_softmax(-1).gather(1, ids)
        wanted, student = (torch.cat((one, _rest(one)), 1) for one in (wanted, student))
    divergence = F.kl_div(student, wanted, reduction="sum", log_target=True)
    return torch.stack((cross, log_z.square().sum(), divergence))


def _rest(log_probs: Tensor) -> Tensor:
    """Logarithm of what probabilities (N, K) leave to others, (N, 1); at least that of 1e-7."""
    return torch.log((1 - log_probs.exp().sum(1, keepdim=True)).clamp(min=1e-7))
