"""Paragraphs that text and item share, as Dolma and Paloma look for them."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from ..evidence import DIRTY, Evidence, Hits
from ..index import Index
from .parts import items_of, kinds_of

FEED = 10


@dataclass(frozen=True, kw_only=True)
class Paragraph:
    """Soldaini et al. 2024 and Magnusson et al. 2023: a paragraph of at least 13 tokens that is an item's too.

    A paragraph is what stands between line breaks. Ours are tokens after normalisation; theirs are UAX #29 words.
    """

    name = "paragraph"
    sources = (
        "Soldaini et al. 2024 (Dolma), decontamination; https://arxiv.org/abs/2402.00159",
        "Magnusson et al. 2023 (Paloma), decontamination; https://arxiv.org/abs/2312.10523",
    )
    least: int = field(default=13, metadata={"help": "tokens of the shortest paragraph that counts"})
    parts: tuple[str, ...] = field(
        default=("question", "choices", "answer", "passage"), metadata={"help": "what of an item is looked for"}
    )

    def decide(self, evidence: Evidence) -> Hits:
        """A hit for each paragraph that is the same; its score is 1."""
        index = evidence.index
        runs = evidence.runs(self.least, kinds_of(self.parts))
        rows = []
        for pair, text, place, length in zip(
            runs.pair.tolist(), runs.text.tolist(), runs.place.tolist(), runs.length.tolist(), strict=True
        ):
            end = place + length
            starts = (place + np.flatnonzero(index.breaks[place:end])).tolist()
            closed = end == index.part_offsets[evidence.pair_part[pair] + 1] or bool(index.breaks[end])
            for low, high in zip(starts, [*starts[1:], *([end] if closed else [])], strict=False):
                first, last = text + low - place, text + high - place
                if high - low >= self.least and self._whole(evidence, evidence.pair_document[pair], first, last):
                    found = evidence.pair_document[pair], evidence.pair_item[pair], evidence.pair_kind[pair]
                    rows.append((*found, DIRTY, 1.0, first, last, high - low))
        return Hits.of(rows)

    def able(self, index: Index) -> NDArray[np.bool_]:
        """[I] items with a line of at least `least` tokens."""
        cuts = index.breaks.copy()
        cuts[index.part_offsets[:-1]] = True
        starts = np.flatnonzero(cuts)
        long = np.diff(np.append(starts, len(cuts))) >= self.least
        parts = np.zeros(len(index.part_kind), bool)
        parts[index.part_of[starts[long]]] = True
        return items_of(index, parts & np.isin(index.part_kind, kinds_of(self.parts)))

    @staticmethod
    def _whole(evidence: Evidence, document: int, first: int, last: int) -> bool:
        """Whether the tokens `first` to `last` are a line of the text: with breaks around, and none between."""
        data, starts, ends = evidence.text.data, evidence.starts, evidence.ends
        if np.any(data[starts[first] : ends[last - 1]] == FEED):
            return False
        begins = first == evidence.offsets[document] or np.any(data[ends[first - 1] : starts[first]] == FEED)
        closes = last == evidence.offsets[document + 1] or np.any(data[ends[last - 1] : starts[last]] == FEED)
        return bool(begins and closes)
