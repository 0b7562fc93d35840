"""What a chunk of texts and the items share, as flat arrays, and the hits that methods make of it."""

from __future__ import annotations

import functools
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from filters.kernels.columns import Text

from .index import QUESTION, Index

CLEAN, SUSPECT, DIRTY = 0, 1, 2
VERDICTS = ("clean", "suspect", "dirty")


@dataclass(frozen=True, eq=False)
class Hits:
    """One item an entry; tokens are numbers in the evidence's tokens."""

    document: NDArray[np.int64]
    """Of the chunk."""
    item: NDArray[np.int32]
    kind: NDArray[np.uint8]
    """The kind of the part that the score was read from."""
    verdict: NDArray[np.uint8]
    """SUSPECT or DIRTY."""
    score: NDArray[np.float64]
    start: NDArray[np.int64]
    """The first token of the match."""
    end: NDArray[np.int64]
    """The token behind its last."""
    matched: NDArray[np.int32]
    """How many of the item's tokens are in the text."""

    def __len__(self) -> int:
        return len(self.document)

    def where(self, mask: NDArray[np.bool_]) -> Hits:
        """Those for which the mask is true."""
        return Hits(*(getattr(self, name)[mask] for name in self.__dataclass_fields__))

    @staticmethod
    def of(rows: list[tuple[Any, ...]]) -> Hits:
        """From tuples in the order of the fields."""
        kinds = (np.int64, np.int32, np.uint8, np.uint8, np.float64, np.int64, np.int64, np.int32)
        columns = list(zip(*rows, strict=True)) if rows else [()] * len(kinds)
        return Hits(*(np.array(column, kind) for column, kind in zip(columns, kinds, strict=True)))


@dataclass(frozen=True, eq=False)
class Evidence:
    """A *pair* is a text (a document of the chunk) and a part of an item that share enough to be looked at.

    Documents ascend over the pairs; a pair's runs are numbers run_offsets[i] to run_offsets[i + 1], and so on.
    """

    index: Index
    row: int
    """The row of the column that is document 0."""
    text: Text
    tokens: NDArray[np.uint64]
    starts: NDArray[np.int64]
    """First byte of each token in text.data."""
    ends: NDArray[np.int64]
    offsets: NDArray[np.int64]
    """Tokens by document."""
    pair_document: NDArray[np.int32]
    pair_part: NDArray[np.int32]
    run_offsets: NDArray[np.int64]
    run_text: NDArray[np.int64]
    """First token of a run of equal tokens."""
    run_place: NDArray[np.int32]
    """Its place in the item."""
    run_length: NDArray[np.int32]
    """Its tokens; at least 5."""
    cluster_offsets: NDArray[np.int64]
    cluster_score: NDArray[np.float64]
    """Weight of the part's tokens that an alignment found in this stretch of text over the weight of all."""
    cluster_missing: NDArray[np.float64]
    """The same of the heaviest stretch of three or more tokens that is not there."""
    cluster_start: NDArray[np.int64]
    cluster_end: NDArray[np.int64]
    cluster_matched: NDArray[np.int32]
    short_document: NDArray[np.int64]
    """Parts too short for an n-gram that stand whole in a text: its document, its part, its first token."""
    short_part: NDArray[np.int32]
    short_text: NDArray[np.int64]
    shared_document: NDArray[np.int64]
    """Questions of many items that stand whole in a text, with an answer or a choice of the item behind them."""
    shared_part: NDArray[np.int32]
    shared_text: NDArray[np.int64]

    @functools.cached_property
    def pair_item(self) -> NDArray[np.int32]:
        """The item of each pair."""
        made: NDArray[np.int32] = self.index.part_item[self.pair_part]
        return made

    @functools.cached_property
    def pair_kind(self) -> NDArray[np.uint8]:
        """The kind of part of each pair."""
        made: NDArray[np.uint8] = self.index.part_kind[self.pair_part]
        return made

    def best_clusters(self, pairs: NDArray[np.int64]) -> NDArray[np.int64]:
        """The cluster of the highest score of each pair; the first of equals."""
        offsets = self.cluster_offsets
        return np.array(
            [
                int(a + np.argmax(self.cluster_score[a : offsets[i + 1]]))
                for i, a in zip(pairs.tolist(), offsets[pairs].tolist(), strict=True)
            ],
            np.int64,
        )

    def hits(
        self,
        pairs: NDArray[np.int64],
        verdict: NDArray[np.uint8],
        score: NDArray[np.float64],
        matched: NDArray[np.int64],
    ) -> Hits:
        """Hits of pairs, at the stretch of text that aligns best; those that are clean are left out."""
        best = self.best_clusters(pairs)
        hits = Hits(
            self.pair_document[pairs].astype(np.int64), self.pair_item[pairs], self.pair_kind[pairs],
            verdict.astype(np.uint8), score.astype(np.float64), self.cluster_start[best], self.cluster_end[best],
            matched.astype(np.int32),
        )  # fmt: skip
        return hits.where(hits.verdict > CLEAN)

    def runs(self, least: int, kinds: tuple[int, ...] = (QUESTION,)) -> Runs:
        """Runs of at least `least` tokens in parts of these kinds."""
        pair = np.repeat(np.arange(len(self.pair_part)), np.diff(self.run_offsets))
        keep = (self.run_length >= least) & np.isin(self.pair_kind, kinds)[pair]
        return Runs(self, pair[keep], self.run_text[keep], self.run_place[keep].astype(np.int64), self.run_length[keep])


@dataclass(frozen=True, eq=False)
class Runs:
    """A choice of an evidence's runs."""

    evidence: Evidence
    pair: NDArray[np.int64]
    text: NDArray[np.int64]
    place: NDArray[np.int64]
    length: NDArray[np.int32]

    def __len__(self) -> int:
        return len(self.pair)

    def grouped(self) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """(pairs, offsets): the runs of pairs[g] are numbers offsets[g] to offsets[g + 1]."""
        pairs, first = np.unique(self.pair, return_index=True)
        return pairs, np.append(first, len(self.pair)).astype(np.int64)

    def covered(self) -> Covered:
        """The tokens of parts that lie in any of the runs."""
        from .kernels.align import cover_runs

        pairs, offsets = self.grouped()
        made = Covered.none(self.evidence, pairs)
        low = self.evidence.index.part_offsets[made.part]
        cover_runs(offsets, self.place, self.length, low, made.offsets, made.marks, made.tokens)
        return made


@dataclass(frozen=True, eq=False)
class Covered:
    """The tokens of parts that texts cover, an entry for each pair of a text and a part."""

    evidence: Evidence
    pairs: NDArray[np.int64]
    """Numbers of the evidence's pairs."""
    part: NDArray[np.int32]
    tokens: NDArray[np.int64]
    """How many are covered."""
    offsets: NDArray[np.int64]
    marks: NDArray[np.uint8]
    """By token, those of entry i are numbers offsets[i] to offsets[i + 1]: 1 where it is covered."""

    @staticmethod
    def none(evidence: Evidence, pairs: NDArray[np.int64]) -> Covered:
        """Of these pairs, with no token covered: kernels fill in `tokens` and `marks`."""
        part = evidence.pair_part[pairs]
        offsets = np.concatenate([[0], np.cumsum(evidence.index.part_lengths[part])]).astype(np.int64)
        return Covered(
            evidence, pairs, part, np.zeros(len(pairs), np.int64), offsets, np.zeros(int(offsets[-1]), np.uint8)
        )

    @property
    def share(self) -> NDArray[np.float64]:
        """Of each part's tokens."""
        made: NDArray[np.float64] = self.tokens / np.diff(self.offsets)
        return made
