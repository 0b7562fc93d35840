"""Llama 3's share of tokens in shared 8-grams."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from ..evidence import CLEAN, DIRTY, SUSPECT, Evidence, Hits
from ..index import Index
from .parts import kinds_of, long_enough


@dataclass(frozen=True, kw_only=True)
class Llama3:
    """Grattafiori et al. 2024, section 5.1.4: the share of an example's tokens that lie in a shared 8-gram.

    The paper chooses a threshold for each benchmark and publishes no common one; ours is .8, suspect from .5 on. The
    paper takes the share over the whole corpus; a hit here is one text's.
    """

    name = "llama3_8gram"
    sources = ("Grattafiori et al. 2024, section 5.1.4; https://arxiv.org/abs/2407.21783",)
    n: int = field(default=8, metadata={"help": "tokens in a row"})
    dirty: float = field(default=0.8, metadata={"help": "share of tokens from which on an item is dirty"})
    suspect: float = field(default=0.5, metadata={"help": "share from which on it is suspect"})
    parts: tuple[str, ...] = field(default=("question",), metadata={"help": "what of an item is looked for"})

    def decide(self, evidence: Evidence) -> Hits:
        """A hit for each part of which enough tokens are in shared n-grams of one text; its score is their share."""
        pairs, tokens = evidence.runs(self.n, kinds_of(self.parts)).coverage()
        share = tokens / evidence.index.part_lengths[evidence.pair_part[pairs]]
        verdict = np.where(share >= self.dirty, DIRTY, np.where(share >= self.suspect, SUSPECT, CLEAN))
        return evidence.hits(pairs, verdict, share, tokens)

    def able(self, index: Index) -> NDArray[np.bool_]:
        """[I] items with a part of at least `n` tokens."""
        return long_enough(index, kinds_of(self.parts), self.n)
