"""The causal language-modelling objective over packed sequences."""

from __future__ import annotations

import torch
from torch import Tensor

from .inputs import IGNORED, Inputs
from .model import Transformer


def causal_loss(model: Transformer, input_ids: Tensor, segment_ids: Tensor) -> tuple[Tensor, int]:
    """(mean cross-entropy in nats over the predicted tokens, their number).

    A batch without any predicted token has loss 0.
    """
    targets = causal_targets(input_ids, segment_ids)
    count = int((targets != IGNORED).sum())
    output = model(Inputs(input_ids, segment_ids, targets, n_valid=count))
    return output.loss_sum / max(count, 1), count


def causal_targets(input_ids: Tensor, segment_ids: Tensor) -> Tensor:
    """What each position is to predict, (B, T) -> (B, T): the next id, or IGNORED.

    There is none where the next position is padding or belongs to another document: nothing that the
    position may see says which document comes next. The end-of-document id itself is predicted. The
    last position has none either, since its successor lies in another sequence.
    """
    targets = torch.full_like(input_ids, IGNORED)
    same = segment_ids[:, 1:] == segment_ids[:, :-1]
    targets[:, :-1] = torch.where(same & (segment_ids[:, 1:] >= 0), input_ids[:, 1:], IGNORED)
    return targets
