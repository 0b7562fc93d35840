"""Llama 2's contaminated tokens, by skip-grams."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from ..evidence import CLEAN, DIRTY, SUSPECT, Covered, Evidence, Hits
from ..index import Index
from .parts import kinds_of, long_enough


@dataclass(frozen=True, kw_only=True)
class Llama2:
    """Touvron et al. 2023, appendix A.6: a token is contaminated in a shared row of more than 10 tokens.

    The rows may differ in up to 4 tokens, but not in the first 10 nor at the end; tokens that differ are not counted.
    A sample is clean under 20 % of contaminated tokens and dirty from 80 % on; in between it is suspect.
    """

    name = "llama2_skipgram"
    sources = ("Touvron et al. 2023, appendix A.6; https://arxiv.org/abs/2307.09288",)
    exact: int = field(default=10, metadata={"help": "equal tokens at the beginning; a row is longer than this"})
    budget: int = field(default=4, metadata={"help": "tokens of a row that may differ"})
    suspect: float = field(default=0.2, metadata={"help": "share of contaminated tokens from which on it is not clean"})
    dirty: float = field(default=0.8, metadata={"help": "share from which on it is dirty"})
    parts: tuple[str, ...] = field(default=("question",), metadata={"help": "what of an item is looked for"})

    def decide(self, evidence: Evidence) -> Hits:
        """A hit for each part of which enough tokens are contaminated by one text; its score is their share."""
        found = self.covered(evidence)
        return evidence.hits(found.pairs, self.verdicts(found.share), found.share, found.tokens)

    def covered(self, evidence: Evidence) -> Covered:
        """The tokens of parts that a text contaminates: `aggregate` takes them together over a corpus."""
        from ..kernels.align import cover_skipgrams

        runs = evidence.runs(self.exact, kinds_of(self.parts))
        pairs, offsets = runs.grouped()
        index = evidence.index
        made = Covered.none(evidence, pairs)
        cover_skipgrams(
            evidence.tokens, index.tokens, offsets, index.part_offsets[made.part], index.part_offsets[made.part + 1],
            evidence.offsets[evidence.pair_document[pairs] + 1], runs.text, runs.place, runs.length, self.exact,
            self.budget, made.offsets, made.marks, made.tokens,
        )  # fmt: skip
        return made

    def verdicts(self, share: NDArray[np.float64]) -> NDArray[np.uint8]:
        """What shares of contaminated tokens say."""
        made = np.where(share >= self.dirty, DIRTY, np.where(share >= self.suspect, SUSPECT, CLEAN))
        return made.astype(np.uint8)

    def able(self, index: Index) -> NDArray[np.bool_]:
        """[I] items with a part of more than `exact` tokens."""
        return long_enough(index, kinds_of(self.parts), self.exact + 1)
