"""Contrastive text pairs: an embedding model that finds a page's text by its title, and its title by its text."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from pipeline.errors import ConfigError
from pipeline.packreader import PackReader
from pretrain.inputs import Inputs, Output

from .base import Objective
from .options import ContrastiveOptions
from .titles import Titles, lay_out
from .vocabulary import CONTROL

if TYPE_CHECKING:
    from pretrain.data import Batch
    from pretrain.model import Transformer


class Contrastive(Objective[ContrastiveOptions]):
    """InfoNCE (van den Oord et al. 2018) of titles against bodies and of bodies against titles.

    A pair is a document's title and what a sequence holds of its text, without the token that ends it, a control token
    and the title, should the text begin with it. All other pairs of a micro-batch are negatives but for those whose
    title is the same (another copy, or another part, of a document among them). An embedding is the mean of a text's
    last hidden states, of length 1. Documents without a title are left out: `titles` counts them. Of a micro-batch
    whose pairs all have the same title none counts.
    """

    name = "contrastive"

    def __init__(self, reader: PackReader, options: ContrastiveOptions) -> None:
        super().__init__(reader, options)
        self.titles = Titles(reader)

    def prepare(self, batch: Batch, seed: int) -> Inputs:
        """Titles, then bodies, laid out in rows of the sequence's length; nothing is drawn."""
        ids, segments = self.arrays(batch)
        bodies, numbers = self._bodies(ids, segments, batch.indices)
        kept_titles, kept_bodies, kept = [], [], []
        for k, title in enumerate(self.titles.tokens(numbers)):
            if not len(title):
                continue
            body = self.titles.behind(title, bodies[k])
            if len(body) >= self.options.min_body:
                kept_titles.append(title[: self.options.max_title])
                kept_bodies.append(body[: self.options.max_body] if self.options.max_body else body)
                kept.append(k)
        texts = [*kept_titles, *kept_bodies]
        groups = self.titles.groups(numbers[kept])
        laid, laid_segments, pairs = lay_out(texts, ids.shape[1], self.vocabulary.pad_id)
        return Inputs(
            input_ids=torch.from_numpy(laid),
            segment_ids=torch.from_numpy(laid_segments),
            pairs=torch.from_numpy(pairs),
            groups=torch.from_numpy(groups),
            n_valid=len(kept) if len(set(groups.tolist())) > 1 else 0,  # alone, a pair has nothing to be told from
        )

    def loss(self, model: nn.Module, inputs: Inputs) -> Output:
        """Cross-entropy of finding the other half, in nats, half of it each way; `accuracy`: how often nearest."""
        output: Output = model(inputs, want_hidden=True)
        assert output.hidden is not None and inputs.pairs is not None and inputs.groups is not None
        with torch.autocast(output.hidden.device.type, enabled=False):
            count = len(inputs.groups)
            vectors = pooled(output.hidden, inputs.pairs, 2 * count)
            loss, accuracy = info_nce(vectors[:count], vectors[count:], inputs.groups, self.options.temperature)
        return Output(loss, output.z_sum, output.aux, None, {**output.parts, "accuracy": accuracy.detach()})

    def _bodies(
        self, ids: npt.NDArray[np.int64], segments: npt.NDArray[np.int32], indices: npt.NDArray[np.int64]
    ) -> tuple[list[npt.NDArray[np.int64]], npt.NDArray[np.int64]]:
        """Ids of each body that has a title, and the titles' numbers."""
        bodies, numbers = [], []
        for b, index in enumerate(indices.tolist()):
            if not self._holds(index, ids[b]):
                raise ConfigError(
                    f"contrastive: a batch is not of {self.reader.store.where}, whose titles were read;"
                    " text pairs are trained on one pack set, without replay or phases"
                )
            for begin, end, number in self.titles.pieces(index):
                if number < 0 or segments[b, begin if begin < end else end - 1] < 0:
                    continue
                first = begin + int(begin < end and self.vocabulary.kinds[ids[b, begin]] == CONTROL)
                last = end - int(first < end and ids[b, end - 1] == self.vocabulary.eos_id)
                bodies.append(ids[b, first:last])
                numbers.append(number)
        return bodies, np.array(numbers, np.int64)

    def _holds(self, index: int, ids: npt.NDArray[np.int64]) -> bool:
        """Whether sequence `index` of the set has these ids."""
        if index >= len(self.reader):
            return False
        block, row = self.reader.locate(index)
        return np.array_equal(block.ids(row), ids)


def pooled(hidden: Tensor, numbers: Tensor, count: int) -> Tensor:
    """(count, D) float32 means, of length 1, of each text's hidden states (B, T, D); `numbers` (B, T), -1: none."""
    flat = numbers.flatten()
    at = (flat >= 0).nonzero().squeeze(1)
    states = hidden.flatten(0, 1)[at].float()
    sums = states.new_zeros(count, states.shape[1]).index_add(0, flat[at], states)
    return F.normalize(sums, dim=1)  # of the sum as of the mean


def info_nce(titles: Tensor, bodies: Tensor, groups: Tensor, temperature: float) -> tuple[Tensor, Tensor]:
    """(sum over pairs of the mean of both directions' cross-entropy in nats, accuracy@1) of unit vectors (P, D)."""
    similar = titles @ bodies.T / temperature
    same = (groups[:, None] == groups[None, :]).fill_diagonal_(False)
    similar = similar.masked_fill(same, -torch.inf)
    wanted = torch.arange(len(groups), device=similar.device)
    loss = (F.cross_entropy(similar, wanted, reduction="sum") + F.cross_entropy(similar.T, wanted, reduction="sum")) / 2
    if not len(groups):
        return loss, loss
    found = (similar.argmax(1) == wanted).float().mean() + (similar.argmax(0) == wanted).float().mean()
    return loss, found / 2


def embed(model: Transformer, texts: list[list[int]], length: int, pad_id: int) -> Tensor:
    """(N, D) unit vectors of token lists, each cut to `length`; texts without a token give zeros."""
    ids, segments, numbers = lay_out([np.array(text, np.int64) for text in texts], length, pad_id)
    inputs = Inputs(torch.from_numpy(ids), torch.from_numpy(segments))
    device = model.embedding.weight.device
    with torch.no_grad():
        return pooled(model.hidden(inputs.to(device)), torch.from_numpy(numbers).to(device), len(texts))
