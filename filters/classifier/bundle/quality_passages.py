"""Passages of equal lengths for the quality models, so that neither length nor a source's share can be learnt."""

from __future__ import annotations

import hashlib
import math
from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from .quality_sources import MIN_WORDS, Document

SHORTEST, LONGEST = 30, 1000
PER_DOCUMENT = 3
BOILERPLATE_SHARE = 0.25
"""Boilerplate passages for each raw-web passage: too easy to be given more room."""


@dataclass(frozen=True)
class Passage:
    """Whole lines (the last may be cut) of a document."""

    document: Document
    number: int
    text: str
    words: int

    @property
    def stratum(self) -> int:
        """Half-octave of the length."""
        return int(2 * math.log2(self.words))


def draw(*key: object) -> float:
    """A number in [0, 1) that depends on the key alone."""
    raw = hashlib.blake2b("\0".join(map(str, key)).encode(), digest_size=8).digest()
    return int.from_bytes(raw, "big") / 2**64


def passages(documents: Iterable[Document], *, seed: int = 0) -> list[Passage]:
    """Up to three passages a document, of log-uniform lengths from 30 to 1000 words."""
    found = []
    for document in documents:
        lines = document.text.split("\n")
        at = number = 0
        while at < len(lines) and number < PER_DOCUMENT:
            wanted = SHORTEST * (LONGEST / SHORTEST) ** draw(seed, document.source.name, document.part,
                                                             document.group, len(lines), number)  # fmt: skip
            stop, words = at, 0
            while stop < len(lines) and words < wanted:
                words += len(lines[stop].split())
                stop += 1
            taken = lines[at:stop]
            if words > 1.3 * wanted:
                cut = taken[-1].split()
                taken[-1] = " ".join(cut[: max(1, len(cut) - int(words - wanted))])
                words = sum(len(line.split()) for line in taken)
            if words >= MIN_WORDS:
                found.append(Passage(document, number, "\n".join(taken), words))
                number += 1
            at = stop
    return found


def balanced(found: Sequence[Passage], *, seed: int = 0) -> list[Passage]:
    """As many good as bad passages in each stratum of length, good ones drawn from all sources in turn; shuffled."""
    order = sorted(found, key=lambda p: _key(seed, p))
    strata: dict[int, list[Passage]] = defaultdict(list)
    for passage in order:
        strata[passage.stratum].append(passage)
    chosen = []
    for _, here in sorted(strata.items()):
        good = [p for p in here if p.document.good]
        raw = [p for p in here if not p.document.good and not p.document.boilerplate]
        left_over = [p for p in here if p.document.boilerplate][: int(BOILERPLATE_SHARE * len(raw))]
        bad = (raw + left_over)[: len(good)]
        chosen += bad + _in_turn(good, len(bad))
    return sorted(chosen, key=lambda p: _key(seed + 1, p))


def _in_turn(found: Sequence[Passage], n: int) -> list[Passage]:
    """The first n when each source gives one in turn."""
    queues: dict[str, list[Passage]] = defaultdict(list)
    for passage in found:
        queues[passage.document.source.name].append(passage)
    ranked = [(rank, name, passage) for name, queue in queues.items() for rank, passage in enumerate(queue)]
    ranked.sort(key=lambda item: item[:2])
    return [passage for _, _, passage in ranked[:n]]


def _key(seed: int, passage: Passage) -> tuple[float, str]:
    d = passage.document
    return draw(seed, d.source.name, d.part, d.group, passage.number, passage.text[:80]), passage.text
