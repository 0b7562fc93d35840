"""AI2's decon: overlap of question, answer and passage, weighted by how rare the n-grams are."""

from __future__ import annotations

import math
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from ..evidence import DIRTY, Evidence, Hits
from ..index import ANSWER, PASSAGE, QUESTION, Index, N
from .parts import long_enough, near

WEIGHTS = {
    (True, True): (0.7, 0.2, 0.1),
    (True, False): (0.75, 0.25, 0.0),
    (False, True): (0.85, 0.0, 0.15),
    (False, False): (1.0, 0.0, 0.0),
}
"""(has an answer, has a passage) -> weights of question, answer, passage."""
INFORMATIVE_GRAMS, INFORMATIVE_ANSWER = 20, 4
"""Distinct n-grams of a question, and tokens of an answer, from which on their weights are full."""


@dataclass(frozen=True, kw_only=True)
class Decon:
    """decon's published rules and constants on our tokens.

    A cluster is a stretch of text in which n-grams of a question follow each other with fewer than `max_misses`
    others between; its overlap is the sum of idf of the question's n-grams in it over that of all, idf = log(items /
    items that have the n-gram). Answer and passage are looked for around it. Known differences: decon's tokens are
    cl100k's, ours are words; decon asks for every tenth n-gram only; its answers and passages have n-grams of 3 and 4
    weighted by rarity, ours are the longest shared row (answers) and the share of 5-grams (passages).
    """

    name = "decon"
    sources = ("https://github.com/allenai/decon, doc/simple.md and the defaults of its options",)
    threshold: float = field(default=0.8, metadata={"help": "score from which on an item of 50 tokens is dirty"})
    perfect_until: int = field(default=20, metadata={"help": "items of so many tokens have to match perfectly"})
    full_from: int = field(
        default=50, metadata={"help": "items of so many need the threshold; in between it is interpolated"}
    )
    max_misses: int = field(default=11, metadata={"help": "n-grams in a row that end a cluster if none is an item's"})
    short_answer: int = field(default=3, metadata={"help": "answers of so many tokens have to stand whole"})
    short_window: int = field(default=50, metadata={"help": "tokens around the cluster in which a short one may stand"})
    long_window: int = field(default=100, metadata={"help": "for a longer one at least; twice its length if more"})
    passage_distance: int = field(default=100, metadata={"help": "tokens between passage and question"})
    min_tokens: int = field(default=20, metadata={"help": "items of fewer tokens are left out"})

    def decide(self, evidence: Evidence) -> Hits:
        """A hit for each cluster whose score reaches the threshold of the item's length."""
        index = evidence.index
        rows = []
        places = _by_pair(evidence)
        for pair in np.flatnonzero(evidence.pair_kind == QUESTION).tolist():
            part, item = int(evidence.pair_part[pair]), int(evidence.pair_item[pair])
            parts = [index.parts_of(item, kind) for kind in (ANSWER, PASSAGE)]
            total = sum(int(index.part_lengths[p]) for p in (part, *parts[0], *parts[1]))
            if total < self.min_tokens:
                continue
            needed = self.needed(total)
            clusters = self._clusters(evidence, pair)
            if not clusters:
                continue
            weights = self.weights(index, part, parts[0], parts[1])
            for start, end, overlap, matched in clusters:
                if overlap * weights[0] + weights[1] + weights[2] < needed:
                    continue
                document = int(evidence.pair_document[pair])
                answer = max((self._answer(evidence, document, start, end, p) for p in parts[0]), default=0.0)
                passage = max(
                    (self._passage(evidence, places.get((document, p)), start, end) for p in parts[1]), default=0.0
                )
                score = overlap * weights[0] + answer * weights[1] + passage * weights[2]
                shares = [overlap, *([answer] if parts[0] else []), *([passage] if parts[1] else [])]
                if min(shares) == 1:  # a perfect match, whatever the weights add up to
                    score = 1.0
                if score >= needed:
                    rows.append((document, item, QUESTION, DIRTY, score, start, end, matched))
        return Hits.of(rows)

    def able(self, index: Index) -> NDArray[np.bool_]:
        """[I] items of at least `min_tokens` tokens with a question of at least one n-gram."""
        kinds = np.isin(index.part_kind, (QUESTION, ANSWER, PASSAGE))
        tokens = np.bincount(index.part_item, weights=index.part_lengths * kinds, minlength=len(index))
        return long_enough(index, (QUESTION,), N) & (tokens >= self.min_tokens)

    def needed(self, tokens: int) -> float:
        """The score that an item of so many tokens has to reach."""
        share = (tokens - self.perfect_until) / (self.full_from - self.perfect_until)
        return 1 - (1 - self.threshold) * min(max(share, 0.0), 1.0)

    @staticmethod
    def weights(index: Index, question: int, answers: list[int], passages: list[int]) -> tuple[float, float, float]:
        """Weights of question, answer and passage; what a short question or answer loses the others get."""
        q, a, p = WEIGHTS[bool(answers), bool(passages)]
        sure = min(0.5 + 0.5 * len(set(_grams(index, question).tolist())) / INFORMATIVE_GRAMS, 1.0)
        lost = q * (1 - sure)
        if answers and passages:
            q, a, p = q - lost, a + lost / 2, p + lost / 2
            distinct = len(set(_tokens(index, answers[0]).tolist()))
            lost = a * (1 - min(0.5 + 0.5 * distinct / INFORMATIVE_ANSWER, 1.0))
            a, p = a - lost, p + lost
        elif answers:
            q, a = q - lost, a + lost
        elif passages:
            q, p = q - lost, p + lost
        return q, a, p

    def _clusters(self, evidence: Evidence, pair: int) -> list[tuple[int, int, float, int]]:
        """(first token, end, overlap, distinct n-grams) of each cluster."""
        index = evidence.index
        low, high = evidence.run_offsets[pair], evidence.run_offsets[pair + 1]
        at: list[tuple[int, int]] = []
        reached = 0
        for text, place, length in sorted(
            zip(
                evidence.run_text[low:high].tolist(), evidence.run_place[low:high].tolist(),
                evidence.run_length[low:high].tolist(), strict=True,
            )
        ):  # fmt: skip
            first, end = max(text, reached), text + length - N + 1  # what other runs have told already is left out
            if first < end:
                at += enumerate(index.part_gram[place + first - text : place + end - text].tolist(), first)
                reached = end
        grams = sorted(set(_grams(index, int(evidence.pair_part[pair])).tolist()))
        whole = dict(zip(grams, index.gram_idf[grams].tolist(), strict=True))
        weight = math.fsum(whole.values())
        clusters: list[tuple[int, int, set[int]]] = []
        for token, gram in at:
            if clusters and token - clusters[-1][1] <= self.max_misses:
                begin, _, seen = clusters[-1]
                clusters[-1] = begin, token, seen | {gram}
            else:
                clusters.append((token, token, {gram}))
        if not weight:
            return []
        return [
            (begin, last + N, 1.0 if len(seen) == len(whole) else math.fsum(whole[g] for g in seen) / weight, len(seen))
            for begin, last, seen in clusters
        ]

    def _answer(self, evidence: Evidence, document: int, start: int, end: int, part: int) -> float:
        length = int(evidence.index.part_lengths[part])
        window = self.short_window if length <= self.short_answer else max(self.long_window, 2 * length)
        where = (np.array([i]) for i in (document, start, end, part, window))
        share = float(near(evidence, *where).share[0])
        return share if length > self.short_answer or share == 1 else 0.0

    def _passage(self, evidence: Evidence, pair: int | None, start: int, end: int) -> float:
        if pair is None:
            return 0.0
        low, high = evidence.run_offsets[pair], evidence.run_offsets[pair + 1]
        text, length = evidence.run_text[low:high], evidence.run_length[low:high]
        part = int(evidence.pair_part[pair])
        reach = self.passage_distance + int(evidence.index.part_lengths[part])
        near = (text + length > start - reach) & (text < end + reach)
        grams = _grams(evidence.index, part)
        shared: set[int] = set()
        for place, size in zip(evidence.run_place[low:high][near].tolist(), length[near].tolist(), strict=True):
            shared.update(evidence.index.part_gram[place : place + size - N + 1].tolist())
        return len(shared) / max(len(set(grams.tolist())), 1)


def _by_pair(evidence: Evidence) -> dict[tuple[int, int], int]:
    """The pairs of passages, by document and part."""
    return {
        (int(evidence.pair_document[i]), int(evidence.pair_part[i])): int(i)
        for i in np.flatnonzero(evidence.pair_kind == PASSAGE)
    }


def _tokens(index: Index, part: int) -> NDArray[np.uint64]:
    made: NDArray[np.uint64] = index.tokens[index.part_offsets[part] : index.part_offsets[part + 1]]
    return made


def _grams(index: Index, part: int) -> NDArray[np.int32]:
    made: NDArray[np.int32] = index.part_gram[index.part_offsets[part] : index.part_offsets[part + 1]]
    return made[made >= 0]
