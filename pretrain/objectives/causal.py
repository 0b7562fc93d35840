"""Causal language modelling: predict the next token of the same document."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import torch

from pretrain.inputs import Inputs

from .base import O, Objective
from .kernels import next_tokens

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
        ids, segments = self.arrays(batch)
        targets = np.empty_like(ids)
        count = next_tokens(ids, segments, self.vocabulary.kinds, self.options.predict_controls, targets)
        return Inputs(batch.input_ids, batch.segment_ids, torch.from_numpy(targets), n_valid=int(count))
