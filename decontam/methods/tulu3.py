"""Tulu 3's share of tokens in shared 8-grams of one document."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from ..evidence import CLEAN, DIRTY, Evidence, Hits
from ..index import Index
from .parts import kinds_of


@dataclass(frozen=True, kw_only=True)
class Tulu3:
    """Lambert et al. 2024: more than half of an item's tokens lie in 8-grams that one training document has.

    Of several fields, such as passage and question, the mean of their shares counts, as in the published code.
    """

    name = "tulu3_8gram"
    sources = (
        "Lambert et al. 2024, section 3.2; https://arxiv.org/abs/2411.15124",
        "https://github.com/allenai/open-instruct, decontamination/search.py",
    )
    n: int = field(default=8, metadata={"help": "tokens in a row"})
    above: float = field(default=0.5, metadata={"help": "an item is dirty above this share"})
    parts: tuple[str, ...] = field(default=("question", "passage"), metadata={"help": "what of an item is looked for"})

    def decide(self, evidence: Evidence) -> Hits:
        """A hit for each item whose score, the mean of its fields' shares, is above the limit."""
        kinds = kinds_of(self.parts)
        index = evidence.index
        found = evidence.runs(self.n, kinds).covered()
        pairs, tokens, share = found.pairs, found.tokens, found.share
        item = evidence.pair_item[pairs]
        key = evidence.pair_document[pairs].astype(np.int64) << 32 | item
        _, first, group = np.unique(key, return_index=True, return_inverse=True)
        fields = index.part_counts(kinds)[item[first]]
        score = np.bincount(group, weights=share, minlength=len(first)) / np.maximum(fields, 1)
        matched = np.bincount(group, weights=tokens, minlength=len(first)).astype(np.int64)
        order = np.lexsort([-tokens, group])  # the field that shares most tells where
        best = order[np.searchsorted(group[order], np.arange(len(first)))]
        return evidence.hits(pairs[best], np.where(score > self.above, DIRTY, CLEAN), score, matched)

    def able(self, index: Index) -> NDArray[np.bool_]:
        """[I] items of which so many fields have `n` tokens that the mean of their shares can be above the limit."""
        kinds = kinds_of(self.parts)
        long = np.isin(index.part_kind, kinds) & (index.part_lengths >= self.n)
        most = np.bincount(index.part_item, weights=long, minlength=len(index))
        made: NDArray[np.bool_] = most / np.maximum(index.part_counts(kinds), 1) > self.above
        return made
