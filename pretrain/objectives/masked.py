"""Masked language modelling (BERT, Devlin et al. 2018): predict tokens that were replaced, from both sides."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import torch

from pretrain.inputs import Inputs

from .base import Objective, word
from .kernels import mask_tokens
from .options import MaskedOptions

if TYPE_CHECKING:
    from pretrain.data import Batch


class Masked(Objective[MaskedOptions]):
    """Each token of text is a target with probability `rate`; of targets 80 % become the mask token, 10 % a random
    token of text, 10 % stay. The token that ends a document never is one, control tokens only if they are predicted.
    """

    name = "masked"

    def prepare(self, batch: Batch, seed: int) -> Inputs:
        """Corrupted sequences with the masked tokens as targets."""
        ids, segments = self.arrays(batch)
        vocabulary, options = self.vocabulary, self.options
        inputs, targets = np.empty_like(ids), np.empty_like(ids)
        count = mask_tokens(
            ids, segments, batch.indices, word(seed), word(batch.epoch), vocabulary.kinds, options.predict_controls,
            vocabulary.ordinary, vocabulary.mask_id, _bound(options.rate), _bound(options.mask_share),
            _bound(options.mask_share + options.random_share), inputs, targets,
        )  # fmt: skip
        return Inputs(torch.from_numpy(inputs), batch.segment_ids, torch.from_numpy(targets), n_valid=int(count))


def _bound(share: float) -> np.uint64:
    """The share of the 32-bit numbers that lie below it."""
    return np.uint64(round(min(share, 1.0) * 2**32))
