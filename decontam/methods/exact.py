"""Items that stand in a text whole, however short they are."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from ..evidence import DIRTY, SUSPECT, Evidence, Hits
from ..index import ANSWER, QUESTION, SHORTEST, Index
from .parts import long_enough, near


@dataclass(frozen=True, kw_only=True)
class Exact:
    """The whole question, token by token: for items that are too short for any n-gram.

    A question of few tokens tells little alone: it is dirty only with its answer nearby, else suspect.
    """

    name = "exact"
    sources = ("Dodge et al. 2021, section 4.2 (exact match, case and punctuation aside); "
               "https://arxiv.org/abs/2104.08758",)  # fmt: skip
    alone: int = field(default=8, metadata={"help": "a question of so many tokens is dirty without its answer"})
    window: int = field(default=50, metadata={"help": "tokens around the question in which the answer is looked for"})

    def decide(self, evidence: Evidence) -> Hits:
        """A hit for each place where a whole question stands; its score is 1."""
        index = evidence.index
        runs = evidence.runs(1)
        whole = runs.length == index.part_lengths[evidence.pair_part[runs.pair]]
        document = np.concatenate([evidence.pair_document[runs.pair[whole]], evidence.short_document]).astype(np.int64)
        part = np.concatenate([evidence.pair_part[runs.pair[whole]], evidence.short_part])
        start = np.concatenate([runs.text[whole], evidence.short_text])
        keep = index.part_kind[part] == QUESTION
        document, part, start = document[keep], part[keep], start[keep]
        length = index.part_lengths[part]
        item = index.part_item[part]
        answered = np.zeros(len(part), bool)
        asked = [(i, p) for i in range(len(part)) for p in index.parts_of(int(item[i]), ANSWER)]
        if asked:
            i, answer = (np.array(one) for one in zip(*asked, strict=True))
            window = np.full(len(i), self.window)
            share = near(evidence, document[i], start[i], start[i] + length[i], answer, window).share
            answered[i[share == 1]] = True
        verdict = np.where(answered | (length >= self.alone), DIRTY, SUSPECT).astype(np.uint8)
        ones = np.ones(len(part))
        kind = index.part_kind[part]
        return Hits(document, item, kind, verdict, ones, start, start + length, length.astype(np.int32))

    def able(self, index: Index) -> NDArray[np.bool_]:
        """[I] items with a question of at least SHORTEST tokens."""
        return long_enough(index, (QUESTION,), SHORTEST)
