"""GPT-3's 13-grams: any that text and item share makes both dirty."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from ..evidence import DIRTY, Evidence, Hits
from ..index import Index
from .parts import kinds_of, long_enough


@dataclass(frozen=True, kw_only=True)
class Gpt3:
    """Brown et al. 2020, appendix C: 13 words in a row, unless more than 10 documents of the corpus have them.

    The documents are those that the index has counted (`Index.with_background`, over the corpus or a sample of it);
    without them no n-gram is ignored. `fragments` makes the cuts.
    """

    name = "gpt3_13gram"
    sources = ("Brown et al. 2020, appendix C; https://arxiv.org/abs/2005.14165",)
    n: int = field(default=13, metadata={"help": "words in a row"})
    max_documents: int = field(default=10, metadata={"help": "an n-gram of more documents is ignored"})
    parts: tuple[str, ...] = field(
        default=("question", "choices", "answer", "passage"), metadata={"help": "what of an item is looked for"}
    )

    def decide(self, evidence: Evidence) -> Hits:
        """A hit for each stretch of shared n-grams; its score is 1."""
        runs = evidence.runs(self.n, kinds_of(self.parts))
        counts = evidence.index.place_documents
        rows = []
        for pair, text, place, length in zip(runs.pair, runs.text, runs.place, runs.length, strict=True):
            rare = counts[place : place + length - self.n + 1] <= self.max_documents
            edges = np.flatnonzero(np.diff(np.concatenate([[False], rare, [False]])))
            for first, last in edges.reshape(-1, 2).tolist():
                tokens = last - first + self.n - 1
                begin = int(text) + first
                rows.append(
                    (
                        evidence.pair_document[pair], evidence.pair_item[pair], evidence.pair_kind[pair], DIRTY, 1.0,
                        begin, begin + tokens, tokens,
                    )
                )  # fmt: skip
        return Hits.of(rows)

    def able(self, index: Index) -> NDArray[np.bool_]:
        """[I] items with a part of at least `n` tokens."""
        return long_enough(index, kinds_of(self.parts), self.n)


def fragments(
    text: str, spans: list[tuple[int, int]], window: int = 200, shortest: int = 200, most: int = 10
) -> list[tuple[int, int]]:
    """What stays of a text when `spans` are cut out with `window` characters on both sides: (start, end) in bytes.

    Pieces of fewer than `shortest` characters are dropped; a text in more than `most` pieces is dropped whole. With
    no span the text stays as it is. `spans` are in bytes of its UTF-8. Source: Brown et al. 2020, appendix C.
    """
    raw = text.encode()
    if not spans:
        return [(0, len(raw))]
    cuts: list[list[int]] = []
    for start, end in sorted((len(raw[:a].decode()), len(raw[:b].decode())) for a, b in spans):
        low, high = max(start - window, 0), min(end + window, len(text))
        if cuts and low <= cuts[-1][1]:
            cuts[-1][1] = max(cuts[-1][1], high)
        else:
            cuts.append([low, high])
    edges = [0, *(edge for cut in cuts for edge in cut), len(text)]
    pieces = [(a, b) for a, b in zip(edges[::2], edges[1::2], strict=True) if b > a]
    if len(pieces) > most:
        return []
    kept = [(a, b) for a, b in pieces if b - a >= shortest]
    return [(len(text[:a].encode()), len(text[:b].encode())) for a, b in kept]
