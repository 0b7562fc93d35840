"""What a model's forward pass takes and gives; made by the objectives, read by the loop.

Shapes: B sequences (rows), T positions, S positions of the decoder, V ids. A row holds several documents (packing);
`segment_ids` say which. A tensor that an objective doesn't use is None.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import torch
from torch import Tensor

from .flops import Work

IGNORED = -100
"""Target of a position that has no loss."""


class Teacher(NamedTuple):
    """A teacher's distribution at each position, of the positions that have a target.

    With `ids` None `log_probs` (B, T, V) is the whole distribution; else `ids` (B, T, K) int64 are its K likeliest ids
    and `log_probs` (B, T, K) theirs. `log_probs` are of the teacher's logits divided by `temperature`. The loss is
    (1 - weight) * cross-entropy + weight * divergence.
    """

    log_probs: Tensor
    ids: Tensor | None = None
    temperature: float = 1.0
    weight: float = 1.0


class Inputs(NamedTuple):
    """One micro-batch.

    Of an encoder-decoder `input_ids` and `segment_ids` are what the encoder reads, `targets` belong to `decoder_ids`
    (B, S), and a document has the same segment id on both sides. `pairs` (B, T) int64 marks the positions of
    contrastive pairs: p for the first text of pair p, P + p for the second, of P = `n_valid` pairs, -1 elsewhere.
    """

    input_ids: Tensor  # (B, T) int64
    segment_ids: Tensor | None = None  # (B, T) int32, -1: padding or removed; None: each row is one whole document
    targets: Tensor | None = None  # (B, T) or (B, S) int64, IGNORED: no loss
    decoder_ids: Tensor | None = None  # (B, S) int64
    decoder_segments: Tensor | None = None  # (B, S) int32
    teacher: Teacher | None = None
    pairs: Tensor | None = None  # (B, T) int64
    groups: Tensor | None = None  # (P,) int64; pairs of one group (the same title) are no negatives of each other
    n_valid: int = 0  # targets, or pairs, that count: what the loss is divided by

    def to(self, device: torch.device | str) -> Inputs:
        """The same on another device; copies from pinned memory don't wait."""

        def moved(value: Any) -> Any:
            if isinstance(value, Tensor):
                return value.to(device, non_blocking=True)
            return Teacher(*map(moved, value)) if isinstance(value, Teacher) else value

        return Inputs(*map(moved, self))

    def work(self) -> Work:
        """What the model computes of it, for its FLOPs; before it is moved to a device, which would be waited for."""

        def tokens(ids: Tensor, segments: Tensor | None) -> int:
            return ids.numel() if segments is None else int((segments >= 0).sum())

        found = Work(
            tokens(self.input_ids, self.segment_ids),
            self.input_ids.shape[1],
            0 if self.targets is None else self.n_valid,
        )
        if self.decoder_ids is None:
            return found
        mine = tokens(self.decoder_ids, self.decoder_segments)
        return found._replace(decoder_tokens=mine, decoder_length=self.decoder_ids.shape[1])


class Output(NamedTuple):
    """Sums over a micro-batch; the loss of a step is (loss_sum + z_loss * z_sum + aux) / valid, all of them summed
    over micro-batches and ranks."""

    loss_sum: Tensor  # () float32, nats over the valid targets (or pairs)
    z_sum: Tensor  # () float32, squared logarithm of the softmax denominator over the valid targets
    aux: Tensor  # () float32, router losses with their weights, times n_valid; 0 without experts
    hidden: Tensor | None = None  # (B, T, D) last normalised hidden states (the decoder's, if there is one), if asked
    parts: dict[str, Tensor] = {}  # what else is worth logging, detached; means over the micro-batch
    n_valid: int = 0  # the micro-batch's, set by `Parallel`: what the parts weigh in the step's means
