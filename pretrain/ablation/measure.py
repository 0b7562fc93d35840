"""What a model makes of held-out texts and gold answers: nats for each document or item."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor

from pipeline.loader import fill_segments
from pipeline.packreader import PackReader
from pretrain.inputs import IGNORED, Inputs
from pretrain.losses import MAX_LOGITS

from .gold import GoldItem

if TYPE_CHECKING:
    from pretrain.model import Transformer

MAX_BATCH_TOKENS = 1 << 13
"""Positions that are evaluated at once."""


class Pieces:
    """Which document each position of a held-out pack set belongs to."""

    def __init__(self, reader: PackReader) -> None:
        import pyarrow.parquet as pq

        self.reader = reader
        self.ids: list[str] = []
        self.text_bytes: list[int] = []
        for path in reader.document_files():
            rows = pq.read_table(path, columns=["id", "n_tokens", "text_bytes"]).to_pylist()
            self.ids += [row["id"] for row in rows if row["n_tokens"]]
            self.text_bytes += [row["text_bytes"] for row in rows if row["n_tokens"]]
        self._number = {name: number for number, name in enumerate(self.ids)}

    def batch(self, indices: Sequence[int]) -> tuple[NDArray[np.int64], NDArray[np.int32], NDArray[np.int64]]:
        """(ids, segments, numbers of the documents), each (B, T), of some sequences."""
        length = self.reader.sequence_length
        rows = [self.reader.locate(index) for index in indices]
        ids = np.stack([block.ids(row) for block, row in rows]).astype(np.int64)
        segments = np.empty((len(rows), length), np.int32)
        fill_segments(rows, segments)
        documents = np.zeros((len(rows), length), np.int64)
        for i, (block, row) in enumerate(rows):
            sequence = block.sequence(row)
            counts = np.diff(sequence.doc_starts, append=length)
            documents[i] = np.repeat([self._number[name] for name in sequence.doc_ids], counts)
        return ids, segments, documents


def document_nats(model: Transformer, pieces: Pieces, every: int = 1) -> tuple[NDArray[np.float64], NDArray[np.int64]]:
    """(nats, predicted tokens) of each document, (D,), over every `every`-th sequence.

    A document's first token, and the first one of a piece that goes on in another sequence, is not predicted; its end
    is. So a document's bits per byte leave a token out, the same one for all models.
    """
    nats = np.zeros(len(pieces.ids))
    tokens = np.zeros(len(pieces.ids), np.int64)
    chosen = range(0, len(pieces.reader), every)
    size = max(1, MAX_BATCH_TOKENS // pieces.reader.sequence_length)
    for first in range(0, len(chosen), size):
        ids, segments, documents = pieces.batch(chosen[first : first + size])
        targets = np.full_like(ids, IGNORED)
        same = (segments[:, 1:] == segments[:, :-1]) & (segments[:, 1:] >= 0)
        targets[:, :-1][same] = ids[:, 1:][same]
        of_document = documents[targets != IGNORED]
        found = token_nats(model, Inputs(*map(torch.from_numpy, (ids, segments, targets))))
        nats += np.bincount(of_document, found, len(nats))
        tokens += np.bincount(of_document, minlength=len(nats))
    return nats, tokens


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
        found = token_nats(model, Inputs(*map(torch.from_numpy, (ids, segments, targets))))
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
