"""Predict the next token of the same document."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch import Tensor

from pipeline.packreader import PackReader

from ..inputs import IGNORED, Inputs, Output

if TYPE_CHECKING:
    from ..data import Batch
    from ..model import Transformer


class Causal:
    """Causal language modelling."""

    extra_ids = 0

    def __init__(self, reader: PackReader | None = None) -> None:
        self.reader = reader

    def prepare(self, batch: Batch, seed: int) -> Inputs:
        """Targets are the next ids within each document."""
        assert batch.segment_ids is not None
        targets = causal_targets(batch.input_ids, batch.segment_ids)
        return Inputs(batch.input_ids, batch.segment_ids, targets, n_valid=int((targets != IGNORED).sum()))

    def loss(self, model: Transformer, inputs: Inputs) -> Output:
        """Cross-entropy summed over the targets."""
        return model(inputs)


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
