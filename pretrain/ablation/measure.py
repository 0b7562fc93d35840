"""What a model makes of held-out texts and gold answers: nats for each document or item."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor

from pretrain.inputs import IGNORED, Inputs
from pretrain.losses import MAX_LOGITS

from .gold import GoldItem

if TYPE_CHECKING:
    from pretrain.held_out import HeldOut
    from pretrain.model import Transformer

MAX_BATCH_TOKENS = 1 << 13
"""Positions that are evaluated at once."""


def document_nats(model: Transformer, held: HeldOut) -> NDArray[np.float64]:
    """Nats of each document of a set, (documents,), over all its tokens that are predicted (see `held_out`)."""
    nats = np.zeros(held.documents)
    size = max(1, MAX_BATCH_TOKENS // held.length)
    for first in range(0, len(held), size):
        numbers = range(first, min(first + size, len(held)))
        rows = held.batch(numbers)
        found = token_nats(model, _inputs(rows.input_ids, rows.segment_ids, rows.targets))
        nats += np.bincount(held.documents_of(numbers), found, held.documents)
    return nats


def answer_nats(model: Transformer, items: Sequence[GoldItem]) -> NDArray[np.float64]:
    """Nats of each item's answer after its prompt."""
    nats = np.zeros(len(items))
    for numbers in _batches(items):
        longest = max(len(items[i].prompt) + len(items[i].answer) for i in numbers)
        ids = np.zeros((len(numbers), longest), np.int64)
        segments = np.full((len(numbers), longest), -1, np.int32)
        targets = np.full((len(numbers), longest), IGNORED, np.int64)
        for row, i in enumerate(numbers):
            whole, begin = items[i].prompt + items[i].answer, len(items[i].prompt)
            ids[row, : len(whole)] = whole
            segments[row, : len(whole)] = 0
            targets[row, begin - 1 : len(whole) - 1] = items[i].answer
        found = token_nats(model, _inputs(ids, segments, targets))
        of_item = np.repeat(numbers, [len(items[i].answer) for i in numbers])
        nats += np.bincount(of_item, found, len(nats))
    return nats


def _batches(items: Sequence[GoldItem]) -> Iterator[list[int]]:
    """Numbers of items of like length."""
    lengths = [len(one.prompt) + len(one.answer) for one in items]
    order = sorted(range(len(items)), key=lambda i: lengths[i])
    batch: list[int] = []
    for i in order:
        if batch and lengths[i] * (len(batch) + 1) > MAX_BATCH_TOKENS:
            yield batch
            batch = []
        batch.append(i)
    if batch:
        yield batch


def _inputs(ids: NDArray[np.int64], segments: NDArray[np.int32], targets: NDArray[np.int64]) -> Inputs:
    return Inputs(torch.from_numpy(ids), torch.from_numpy(segments), torch.from_numpy(targets))


@torch.no_grad()
def token_nats(model: Transformer, inputs: Inputs) -> NDArray[np.float64]:
    """Cross-entropy in nats of each target that counts, row by row, in float64 of float32 logits."""
    training = model.training
    model.eval()
    inputs = inputs.to(model.output_weight.device)
    assert inputs.targets is not None
    targets = inputs.targets.flatten()
    picked = (targets != IGNORED).nonzero().squeeze(1)
    hidden, targets = model.hidden(inputs).flatten(0, 1)[picked], targets[picked]
    size = max(1, MAX_LOGITS // model.output_weight.shape[0])
    parts: list[Tensor] = []
    for first in range(0, len(targets), size):
        logits = F.linear(hidden[first : first + size], model.output_weight).float()
        parts.append(F.cross_entropy(logits, targets[first : first + size], reduction="none"))
    model.train(training)
    found: NDArray[np.float64] = torch.cat(parts).double().cpu().numpy() if parts else np.zeros(0)
    return found
