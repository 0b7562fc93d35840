"""Llama 3's share of tokens in shared 8-grams."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from ..evidence import CLEAN, DIRTY, SUSPECT, Covered, Evidence, Hits
from ..index import Index
from .parts import kinds_of, long_enough


@dataclass(frozen=True, kw_only=True)
class Llama3:
    """Grattafiori et al. 2024, section 5.1.4: the share of an example's tokens that lie in a shared 8-gram.

    The paper chooses a threshold for each benchmark and publishes no common one; ours is .8, suspect from .5 on. The
    paper takes the share over the whole corpus, as `aggregate` does; a hit here is one text's.
    """

    name = "llama3_8gram"
    sources = ("Grattafiori et al. 2024, section 5.1.4; https://arxiv.org/abs/2407.21783",)
    n: int = field(default=8, metadata={"help": "tokens in a row"})
    dirty: float = field(default=0.8, metadata={"help": "share of tokens from which on an item is dirty"})
    suspect: float = field(default=0.5, metadata={"help": "share from which on it is suspect"})
    parts: tuple[str, ...] = field(default=("question",), metadata={"help": "what of an item is looked for"})

    def decide(self, evidence: Evidence) -> Hits:
        """A hit for each part of which enough tokens are in shared n-grams of one text; its score is their share."""
        found = self.covered(evidence)
        return evidence.hits(found.pairs, self.verdicts(found.share), found.share, found.tokens)

    def covered(self, evidence: Evidence) -> Covered:
        """The tokens of parts in n-grams that a text has: `aggregate` takes them together over a corpus."""
        return evidence.runs(self.n, kinds_of(self.parts)).covered()

    def verdicts(self, share: NDArray[np.float64]) -> NDArray[np.uint8]:
        """What shares of tokens say."""
        made = np.where(share >= self.dirty, DIRTY, np.where(share >= self.suspect, SUSPECT, CLEAN))
        return made.astype(np.uint8)

    def able(self, index: Index) -> NDArray[np.bool_]:
        """[I] items with a part of at least `n` tokens."""
        return long_enough(index, kinds_of(self.parts), self.n)
