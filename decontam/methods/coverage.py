"""Our own method: how much of an item, weighted by how rare its tokens are, an alignment finds in a text."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from ..evidence import CLEAN, DIRTY, SUSPECT, Evidence, Hits
from ..index import ANSWER, CHOICES, PARTS, PASSAGE, QUESTION, SHORTEST, Index, N
from ..shared import NEXT, indistinct
from .parts import long_enough, near

OUTDONE = 0.75
"""Share of a match that has to be another question's, for that one to be the better match."""


class _Found(NamedTuple):
    """Questions found in texts, as flat arrays."""

    document: NDArray[np.int64]
    part: NDArray[np.int32]
    score: NDArray[np.float64]
    missing: NDArray[np.float64]
    start: NDArray[np.int64]
    end: NDArray[np.int64]
    matched: NDArray[np.int32]

    def where(self, keep: NDArray[np.bool_] | NDArray[np.int64]) -> _Found:
        """Those for which the mask is true, or of these numbers."""
        return _Found._make(one[keep] for one in self)

    def and_(self, other: _Found) -> _Found:
        """Both, one behind the other."""
        return _Found._make(np.concatenate([getattr(self, n), getattr(other, n)]) for n in self._fields)


@dataclass(frozen=True, kw_only=True)
class Coverage:
    """Weighted coverage of the question by an alignment that tolerates edits; answer, choices, passage as support.

    Seeds are shared 5-grams, as in decon. From each the alignment goes on token by token, over insertions, deletions
    and substitutions. The score is the weight (inverse document frequency over all items) of the tokens found, as a
    share of the question's. What is found has to be informative: a question of few or common words, such as a
    template's, needs its answer, choices or passage nearby. A question of which a whole piece is missing is suspect
    only: a quotation that the question is about. A piece is whole if it is a great share, or tells much by itself:
    one line asked of half a page. So is one of which few words are found and some are missing, or of very few words,
    unless answer, choices or passage are there: a statement of what it asks. Of two questions that match the same text
    the one that matches it better is dirty. A question without a seed is looked for around its choices or passage, one
    that many items share before its answer or a choice.
    """

    name = "coverage"
    sources = (
        "https://github.com/allenai/decon, doc/simple.md (seeds, weights by rarity, answers nearby)",
        "the alignment and the limits of information and of missing pieces are ours",
    )
    dirty: float = field(default=0.75, metadata={"help": "weighted share of the question from which on it is dirty"})
    suspect: float = field(default=0.6, metadata={"help": "share from which on it is suspect"})
    min_tokens: float = field(
        default=0.75,
        metadata={"help": "unweighted share of its tokens to find for it to be dirty: names are rare words"},
    )
    max_missing: float = field(
        default=0.15, metadata={"help": "share of the question that three or more tokens on end may lack, to be dirty"}
    )
    max_piece: float = field(
        default=20.0, metadata={"help": "information that such a piece may have, however small it is"}
    )
    min_information: float = field(
        default=20.0,
        metadata={"help": "information (natural units) of what is found, answer, choices and passage nearby counted"},
    )
    min_support: float = field(
        default=0.75, metadata={"help": "share of a part that has to stand in a row to count as support"}
    )
    whole_below: int = field(
        default=10,
        metadata={"help": "with fewer tokens of it found a question has to stand whole, or near its answer or choices"},
    )
    asked_below: int = field(
        default=6, metadata={"help": "with fewer tokens it has to stand near these, even if it stands whole"}
    )
    least_support: float = field(default=6.0, metadata={"help": "information of these, for such a question"})
    answered: float = field(
        default=8.0,
        metadata={"help": "information of an answer that follows the whole question at once, added to its own"},
    )
    margin: float = field(
        default=0.03,
        metadata={"help": "by how much another question has to match the same text better, for this one to be suspect"},
    )
    window: int = field(default=100, metadata={"help": "tokens around the question in which support is looked for"})

    def decide(self, evidence: Evidence) -> Hits:
        """A hit for each stretch of text that covers enough of a question."""
        index = evidence.index
        found = self._questions(evidence)
        found = found.and_(self._led(evidence, found))
        length = index.part_lengths[found.part]
        information = found.score * index.part_weights[found.part]
        piece = found.missing * index.part_weights[found.part]
        broken = ((found.missing > self.max_missing) | (piece >= self.max_piece)) & (found.score >= self.dirty)
        slight = (found.matched < length) & (found.matched < self.whole_below)
        slight |= found.matched < self.asked_below
        asked = broken | slight | (information < self.min_information)
        support = np.zeros(len(asked))
        if asked.any():
            support[asked] = self._support(evidence, found.where(asked))
        telling = information + support >= self.min_information
        sure = ~(broken & (support < self.min_information)) & ~(slight & (support < self.least_support))
        dirty = telling & sure & (found.score >= self.dirty) & (found.matched >= self.min_tokens * length)
        dirty[dirty] = ~outdone(found.where(dirty), self.margin)
        verdict = np.where(dirty, DIRTY, np.where(telling | (found.score == 1), SUSPECT, CLEAN)).astype(np.uint8)
        shared = self._shared(evidence)
        found = found.and_(shared)
        verdict = np.concatenate([verdict, np.full(len(shared.part), DIRTY, np.uint8)])
        hits = Hits(
            found.document, index.part_item[found.part], index.part_kind[found.part], verdict, found.score,
            found.start, found.end, found.matched,
        )  # fmt: skip
        return hits.where(verdict > CLEAN)

    def _shared(self, evidence: Evidence) -> _Found:
        """Questions of many items, where the answer or the choices tell enough without the question."""
        part, length = evidence.shared_part, evidence.index.part_lengths[evidence.shared_part]
        start = evidence.shared_text
        found = _Found(
            evidence.shared_document, part, np.ones(len(part)), np.zeros(len(part)), start, start + length,
            length.astype(np.int32),
        )  # fmt: skip
        return found.where(self._support(evidence, found) >= self.min_information) if len(part) else found

    def able(self, index: Index) -> NDArray[np.bool_]:
        """[I] items with a question of at least SHORTEST tokens, and a token that tells them from others."""
        return long_enough(index, (QUESTION,), SHORTEST) & ~indistinct(index)

    def _questions(self, evidence: Evidence) -> _Found:
        """Questions that alignments cover enough of, and those too short for one that stand whole."""
        index = evidence.index
        pairs = np.repeat(np.arange(len(evidence.pair_part)), np.diff(evidence.cluster_offsets))
        keep = (evidence.pair_kind[pairs] == QUESTION) & (evidence.cluster_score >= self.suspect)
        pairs = pairs[keep]
        short = index.part_lengths[evidence.short_part]
        return _Found(
            np.concatenate([evidence.pair_document[pairs], evidence.short_document]).astype(np.int64),
            np.concatenate([evidence.pair_part[pairs], evidence.short_part]),
            np.concatenate([evidence.cluster_score[keep], np.ones(len(short))]),
            np.concatenate([evidence.cluster_missing[keep], np.zeros(len(short))]),
            np.concatenate([evidence.cluster_start[keep], evidence.short_text]),
            np.concatenate([evidence.cluster_end[keep], evidence.short_text + short]),
            np.concatenate([evidence.cluster_matched[keep], short]).astype(np.int32),
        )

    def _led(self, evidence: Evidence, known: _Found) -> _Found:
        """Questions that stand around a choice, an answer or a passage of their item, but have no seed themselves."""
        index = evidence.index
        pairs = np.repeat(np.arange(len(evidence.pair_part)), np.diff(evidence.cluster_offsets))
        leads = (evidence.pair_kind[pairs] != QUESTION) & (evidence.cluster_score >= self.min_support)
        if not leads.any():
            return known.where(np.zeros(0, np.int64))
        cluster = np.flatnonzero(leads)
        pairs = pairs[leads]
        document = evidence.pair_document[pairs].astype(np.int64)
        item = evidence.pair_item[pairs]
        key = document << 32 | item
        keep = ~np.isin(key, known.document << 32 | index.part_item[known.part])
        lead = [
            (k, question) for k in np.flatnonzero(keep).tolist() for question in index.parts_of(int(item[k]), QUESTION)
        ]
        at, asked = np.array(lead, np.int64).reshape(-1, 2).T
        part = asked.astype(np.int32)
        lengths = index.part_lengths[asked]
        window = np.where(lengths < N, lengths + NEXT, self.window)  # a few words stand somewhere: next to it only
        start, end = evidence.cluster_start[cluster[at]], evidence.cluster_end[cluster[at]]
        share, begin, tokens = near(evidence, document[at], start, end, asked, window)
        found = _Found(
            document[at], part, share, np.zeros(len(at)), begin, begin + tokens, tokens.astype(np.int32)
        ).where(share >= self.min_support)
        _, first = np.unique(np.stack([found.document, found.part, found.start]), axis=1, return_index=True)
        return found.where(first)

    def _support(self, evidence: Evidence, found: _Found) -> NDArray[np.float64]:
        """The information of the answer or the choices, whichever tell more, and of the passage, near each question."""
        index = evidence.index
        item = index.part_item[found.part]
        worth = np.zeros((len(PARTS), len(item)))
        asked = [
            (i, part, kind)
            for i, one in enumerate(item.tolist())
            for kind in (ANSWER, CHOICES)
            for part in index.parts_of(one, kind)
        ]
        at, parts, kinds = np.array(asked, np.int64).reshape(-1, 3).T
        window = np.full(len(at), self.window)
        share = near(evidence, found.document[at], found.start[at], found.end[at], parts, window).share
        np.add.at(worth, (kinds, at), np.where(share >= self.min_support, share * index.part_weights[parts], 0.0))
        aligned = np.zeros_like(worth)
        pairs: dict[tuple[int, int], list[int]] = {}
        for pair in np.flatnonzero(evidence.pair_kind != QUESTION).tolist():
            pairs.setdefault((int(evidence.pair_document[pair]), int(evidence.pair_item[pair])), []).append(pair)
        for i, one in enumerate(zip(found.document.tolist(), item.tolist(), strict=True)):
            for pair in pairs.get(one, ()):
                information = self._aligned(evidence, pair, int(found.start[i]), int(found.end[i]))
                aligned[evidence.pair_kind[pair], i] += information
        worth = np.maximum(worth, aligned)
        answers = kinds == ANSWER
        answered = self._answered(evidence, found, at[answers], parts[answers])
        own: NDArray[np.float64] = np.maximum(worth[ANSWER], worth[CHOICES]) + worth[PASSAGE]
        return own + self.answered * answered

    @staticmethod
    def _answered(
        evidence: Evidence, found: _Found, at: NDArray[np.int64], answer: NDArray[np.int64]
    ) -> NDArray[np.bool_]:
        """Which questions stand whole, with their whole answer next to them. `answer`: of question `at`, by part."""
        index = evidence.index
        lengths = index.part_lengths[answer]
        share = near(evidence, found.document[at], found.start[at], found.end[at], answer, lengths + NEXT).share
        answered = np.zeros(len(found.part), bool)
        answered[at[(share == 1) & (lengths > 0)]] = True
        return answered & (found.matched >= index.part_lengths[found.part])

    def _aligned(self, evidence: Evidence, pair: int, start: int, end: int) -> float:
        """The information of the piece of a pair's part that stands near the tokens `start` to `end`."""
        low, high = evidence.cluster_offsets[pair], evidence.cluster_offsets[pair + 1]
        close = (evidence.cluster_start[low:high] <= end + self.window) & (
            evidence.cluster_end[low:high] >= start - self.window
        )
        score = float(evidence.cluster_score[low:high][close].max(initial=0.0))
        return score * float(evidence.index.part_weights[evidence.pair_part[pair]])


def outdone(found: _Found, margin: float) -> NDArray[np.bool_]:
    """Whether most of the text of a match is matched better, by more than `margin`, by another question's match."""
    made = np.zeros(len(found.score), bool)
    order = np.argsort(found.start, kind="stable")
    starts, ends, scores = found.start[order], found.end[order], found.score[order]
    reach = np.maximum.accumulate(ends)
    apart = np.flatnonzero(starts[1:] >= reach[:-1]) + 1  # groups of matches that overlap
    edges = [0, *apart.tolist(), len(order)]
    for low, high in zip(edges[:-1], edges[1:], strict=True):
        if high - low < 2 or np.ptp(scores[low:high]) <= margin:
            continue
        first = int(starts[low])
        best = np.zeros(int(reach[high - 1]) - first)
        spans = [slice(int(starts[k]) - first, int(ends[k]) - first) for k in range(low, high)]
        for k, span in enumerate(spans, low):
            np.maximum(best[span], scores[k], out=best[span])
        for k, span in enumerate(spans, low):
            made[order[k]] = np.mean(best[span] > scores[k] + margin) >= OUTDONE
    return made
