"""Span corruption (T5, Raffel et al. 2020): each document's spans are replaced by sentinels and rebuilt from them."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np
import torch

from pipeline.packreader import PackReader
from pretrain.inputs import IGNORED, Inputs

from .base import Objective, word
from .kernels import corrupt_spans, join_targets
from .options import SpansOptions

if TYPE_CHECKING:
    from pretrain.data import Batch

_UNLIMITED = 1 << 30


class Spans(Objective[SpansOptions]):
    """A document's spans hold `density` of its tokens, `mean_length` each on average; they never touch.

    The number of tokens and of spans is rounded up or down by chance, so that short documents have the same density
    (T5 rounds to the nearest). The token that ends a document is in no span, nor is a control token unless it is
    predicted. For an encoder-decoder, the encoder reads the documents with the k-th span of each replaced by the k-th
    sentinel, and the decoder gives the sentinels with their spans and the end of document; it begins with the padding
    id. With `prefix` a decoder reads each document's input and then its targets, which alone have a loss.

    `SpansOptions.decoder_length` positions are kept for targets: a document that they don't hold is left whole. So
    sequences of very short documents have a lower density: .143 for .15 at 8 tokens a document, .149 at 20.
    """

    name = "spans"

    def __init__(self, reader: PackReader, options: SpansOptions) -> None:
        length = reader.sequence_length
        most = math.floor((length * options.density + 1) / options.mean_length) + 1
        super().__init__(reader, options, sentinels=most)

    @property
    def forms(self) -> tuple[str, ...]:
        return ("decoder",) if self.options.prefix else ("encoder_decoder",)

    def prepare(self, batch: Batch, seed: int) -> Inputs:
        """The inputs of the model's form."""
        ids, segments = self.arrays(batch)
        vocabulary, options = self.vocabulary, self.options
        rows, length = ids.shape
        room = options.decoder_length(length)
        width = 2 * length if options.prefix else room
        inputs, targets = (np.full((rows, n), vocabulary.pad_id, np.int64) for n in (length, width))
        input_segments, target_segments = (np.full((rows, n), -1, np.int32) for n in (length, width))
        count = corrupt_spans(
            ids, segments, batch.indices, word(seed), word(batch.epoch), vocabulary.kinds, options.predict_controls,
            options.density, options.mean_length, vocabulary.sentinels, vocabulary.eos_id, width,
            room // 2 if options.prefix else _UNLIMITED, inputs, input_segments, targets, target_segments,
        )  # fmt: skip
        if options.prefix:
            joined = np.full((rows, length + room), vocabulary.pad_id, np.int64)
            wanted = np.full_like(joined, IGNORED)
            joined_segments = np.full(joined.shape, -1, np.int32)
            join_targets(inputs, input_segments, targets, target_segments, joined, joined_segments, wanted)
            return Inputs(
                torch.from_numpy(joined),
                torch.from_numpy(joined_segments),
                torch.from_numpy(wanted),
                n_valid=int(count),
            )
        begins = np.ones(targets.shape, bool)
        begins[:, 1:] = target_segments[:, 1:] != target_segments[:, :-1]
        decoder_ids = np.where(begins, vocabulary.pad_id, np.roll(targets, 1, 1))
        wanted = np.where(target_segments >= 0, targets, IGNORED)
        return Inputs(
            input_ids=torch.from_numpy(inputs),
            segment_ids=torch.from_numpy(input_segments),
            targets=torch.from_numpy(wanted),
            decoder_ids=torch.from_numpy(decoder_ids),
            decoder_segments=torch.from_numpy(target_segments),
            n_valid=int(count),
        )

    def rebuild(self, inputs: Inputs) -> list[list[list[int]]]:
        """For each row the documents that were corrupted, whole again: each sentinel replaced by its span."""
        assert inputs.segment_ids is not None and inputs.targets is not None
        ids, segments, targets = inputs.input_ids.numpy(), inputs.segment_ids.numpy(), inputs.targets.numpy()
        decoder_segments = segments if inputs.decoder_segments is None else inputs.decoder_segments.numpy()
        sentinels = set(self.vocabulary.sentinels.tolist())
        out = []
        for b in range(len(ids)):
            row = []
            for segment in dict.fromkeys(segments[b][segments[b] >= 0].tolist()):
                mine = targets[b][decoder_segments[b] == segment]
                wanted = mine[mine != IGNORED].tolist()
                given = ids[b][segments[b] == segment].tolist()
                if self.options.prefix and wanted:
                    given = given[: len(given) - len(wanted) + 1]
                row.append(_fill(given, _spans(wanted, sentinels)))
            out.append(row)
        return out


def _spans(wanted: list[int], sentinels: set[int]) -> dict[int, list[int]]:
    """The span behind each sentinel of a document's targets, without the end of document."""
    spans: dict[int, list[int]] = {}
    for token in wanted[:-1]:
        if token in sentinels:
            spans[token] = []
            behind = spans[token]
        else:
            behind.append(token)
    return spans


def _fill(given: list[int], spans: dict[int, list[int]]) -> list[int]:
    return [token for one in given for token in spans.get(one, [one])]
