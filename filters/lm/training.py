"""A small trainer of n-gram models: interpolated modified Kneser-Ney, written as ARPA.

Chen and Goodman 1998 (three discounts an order), as Heafield et al. 2013 lay it out for lmplz: lower orders count
distinct left neighbours, unigrams are interpolated with the uniform distribution, whose share of <unk> goes to unseen
tokens. Rare n-grams may be pruned; their mass goes to the backoff, so that probabilities still sum to 1. For models of
up to some million tokens (all counts lie in memory); larger ones are lmplz's work.
"""

from __future__ import annotations

import gzip
import io
import math
from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TypeAlias

from pipeline.errors import ConfigError
from pipeline.store import atomic_path

BEGIN, END, UNKNOWN = "<s>", "</s>", "<unk>"
FALLBACK = (0.5, 1.0, 1.5)
"""lmplz's --discount_fallback, for counts too few to estimate discounts from."""

Gram: TypeAlias = tuple[str, ...]


@dataclass(frozen=True)
class NgramModel:
    """Probabilities and backoffs (not logarithms) of each n-gram that is kept; `grams[k]` has those of order k + 1."""

    grams: tuple[dict[Gram, tuple[float, float]], ...]

    def arpa(self, digits: int = 6) -> str:
        """The model as ARPA: log10 values with so many decimals, n-grams in order of their characters."""
        out = ["\\data\\", *(f"ngram {k}={len(found)}" for k, found in enumerate(self.grams, 1))]
        for k, found in enumerate(self.grams, 1):
            out += ["", f"\\{k}-grams:"]
            for gram in sorted(found):
                probability, backoff = found[gram]
                line = f"{_log(probability, digits)}\t{' '.join(gram)}"
                out.append(line if k == len(self.grams) or gram[-1] == END else f"{line}\t{_log(backoff, digits)}")
        return "\n".join([*out, "", "\\end\\", ""])

    def write(self, path: Path, digits: int = 6) -> None:
        """As ARPA, gzipped where the name ends in .gz: the same bytes from the same counts."""
        content = self.arpa(digits).encode()
        with atomic_path(path) as temporary:
            if path.suffix == ".gz":
                packed = io.BytesIO()
                with gzip.GzipFile("", "wb", compresslevel=9, fileobj=packed, mtime=0) as handle:
                    handle.write(content)
                content = packed.getvalue()
            temporary.write_bytes(content)


def _log(value: float, digits: int) -> str:
    if value <= 0:  # the begin of a sentence is never predicted
        return "-99"
    return f"{math.log10(value):.{digits}f}".rstrip("0").rstrip(".").replace("-0.", "-.") or "0"


def train(sentences: Iterable[Sequence[str]], order: int, min_counts: Sequence[int] = ()) -> NgramModel:
    """A model of sentences (sequences of tokens without white space).

    `min_counts[k]`: n-grams of order k + 1 that occur less often are pruned; the first must be 1, none may be below
    the one before. Raises ConfigError.
    """
    least = [*min_counts, *[min_counts[-1] if min_counts else 1] * (order - len(min_counts))]
    if order < 2 or len(least) != order or least[0] != 1 or sorted(least) != least:
        raise ConfigError(
            f"n-gram model: order must be at least 2, min_counts start at 1 and not fall; got {order} and {least}"
        )
    counts = _counts(sentences, order)
    adjusted = [_adjusted(counts, k) for k in range(order)]
    vocabulary = len(adjusted[0]) + 1  # and <unk>
    lower: dict[Gram, float] = {}
    made: list[dict[Gram, tuple[float, float]]] = []
    for k in range(order):
        discounts = _discounts(adjusted[k])
        total: dict[Gram, int] = defaultdict(int)
        left: dict[Gram, float] = defaultdict(float)  # mass for the lower order, before it is divided
        kept = []
        for gram, count in adjusted[k].items():
            context = gram[:-1]
            total[context] += count
            if counts[k][gram] >= least[k]:
                kept.append(gram)
                left[context] += discounts[min(count, 3) - 1]
            else:
                left[context] += count
        found = {}
        for gram in kept:
            context, count = gram[:-1], adjusted[k][gram]
            below = lower[gram[1:]] if k else 1 / vocabulary
            share = count - discounts[min(count, 3) - 1] + left[context] * below
            found[gram] = share / total[context]
        if k == 0:
            found[(UNKNOWN,)] = left[()] / total[()] / vocabulary
        else:
            made[-1] = {g: (p, left[g] / total[g] if g in total else 1.0) for g, (p, _) in made[-1].items()}
        made.append({gram: (p, 1.0) for gram, p in found.items()})
        if k == 0:
            made[0][(BEGIN,)] = (0.0, 1.0)
        lower = found
    return NgramModel(tuple(made))


def _counts(sentences: Iterable[Sequence[str]], order: int) -> list[Counter[Gram]]:
    """How often each n-gram occurs, by order; <s> counts as a context only."""
    counts: list[Counter[Gram]] = [Counter() for _ in range(order)]
    for sentence in sentences:
        tokens = (BEGIN, *sentence, END)
        for k in range(order):
            counts[k].update(zip(*(tokens[i:] for i in range(k + 1)), strict=False))
    if not counts[0]:
        raise ConfigError("n-gram model: there is no sentence to learn from")
    del counts[0][(BEGIN,)]
    return counts


def _adjusted(counts: list[Counter[Gram]], k: int) -> dict[Gram, int]:
    """The highest order's counts; of a lower one's n-grams the distinct left neighbours, but where <s> begins it."""
    if k == len(counts) - 1:
        return dict(counts[k])
    neighbours = Counter(gram[1:] for gram in counts[k + 1])
    return {gram: count if gram[0] == BEGIN else neighbours[gram] for gram, count in counts[k].items()}


def _discounts(adjusted: dict[Gram, int]) -> tuple[float, ...]:
    """What is taken from counts of 1, 2 and more (Chen and Goodman 1998, eq. 26)."""
    n = Counter(count for count in adjusted.values() if count <= 4)
    if not all(n[i] for i in (1, 2, 3, 4)):
        return FALLBACK
    y = n[1] / (n[1] + 2 * n[2])
    found = tuple(i - (i + 1) * y * n[i + 1] / n[i] for i in (1, 2, 3))
    return found if all(0 < d <= i for i, d in enumerate(found, 1)) else FALLBACK
