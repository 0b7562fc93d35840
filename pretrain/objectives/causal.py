"""Causal language modelling: predict the next token of the same document."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch import Tensor

from pretrain.inputs import IGNORED, Inputs

from .base import O, Objective

if TYPE_CHECKING:
    from pretrain.data import Batch


class Causal(Objective[O]):
    """Targets are the next ids within each document; its first token has no position that predicts it.

    So a document's control token, which comes first, is read and not predicted; with `predict_controls` the last
    position of the document before predicts it.
    """

    name = "causal"

    def prepare(self, batch: Batch, seed: int) -> Inputs:
        """The sequences as they are; nothing is drawn."""
        self.arrays(batch)
        ids, segments = batch.input_ids, batch.segment_ids
        assert segments is not None
        targets = causal_targets(ids, segments)
        if self.options.predict_controls:
            following, control = ids[:, 1:], self.vocabulary.control
            begins = (segments[:, 1:] != segments[:, :-1]) & (segments[:, 1:] >= 0) & (segments[:, :-1] >= 0)
            begins &= (following >= control.start) & (following < control.stop)
            targets[:, :-1][begins] = following[begins]
        return Inputs(ids, segments, targets, n_valid=int((targets != IGNORED).sum()))


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
