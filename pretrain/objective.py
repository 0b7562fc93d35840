"""The causal language-modelling objective over packed sequences."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor
from torch.utils.checkpoint import checkpoint

from .model import Transformer

IGNORED = -100
MAX_LOGITS = 1 << 25
"""Logits held at a time (128 MB of float32): a vocabulary of 128 000 would else take gigabytes."""


def causal_targets(input_ids: Tensor, segment_ids: Tensor) -> Tensor:
    """What each position is to predict, (B, T) -> (B, T): the next id, or -100 for no loss.

    There is none where the next position is padding or belongs to another document: nothing that the
    position may see says which document comes next. The end-of-document id itself is predicted. The
    last position has none either, since its successor lies in another sequence.
    """
    targets = torch.full_like(input_ids, IGNORED)
    same = segment_ids[:, 1:] == segment_ids[:, :-1]
    targets[:, :-1] = torch.where(same & (segment_ids[:, 1:] >= 0), input_ids[:, 1:], IGNORED)
    return targets


def causal_loss(model: Transformer, input_ids: Tensor, segment_ids: Tensor) -> tuple[Tensor, int]:
    """(mean cross-entropy in nats over the predicted tokens, their number).

    A batch without any predicted token has loss 0. Logits are made and remade in slices of at most
    `MAX_LOGITS`.
    """
    targets = causal_targets(input_ids, segment_ids).flatten()
    picked = (targets != IGNORED).nonzero().squeeze(1)
    hidden = model.hidden(input_ids, segment_ids).flatten(0, 1)[picked]
    targets, weight = targets[picked], model.embedding.weight
    size = max(1, MAX_LOGITS // weight.shape[0])
    if len(targets) <= size:
        total = _summed(hidden, weight, targets)
    else:
        parts = [
            checkpoint(_summed, hidden[i : i + size], weight, targets[i : i + size], use_reentrant=False)
            for i in range(0, len(targets), size)
        ]
        total = torch.stack(parts).sum()
    return total / max(len(targets), 1), len(targets)


def _summed(hidden: Tensor, weight: Tensor, targets: Tensor) -> Tensor:
    return F.cross_entropy(F.linear(hidden, weight).float(), targets, reduction="sum")
