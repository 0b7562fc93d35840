r"""How near an extracted text is to the gold, by three published measures.

- `word_f1`: WCXB's (Foley 2026, its `evaluate.py`): words are `\w+` of the lower-cased text, matched as
  multisets, whatever their order. A set's figure is the mean of its pages' F1.
- `shingle_f1`: that of Scrapinghub's article extraction benchmark (2020): 4-grams of `\w+`, case kept, matched as
  multisets; a text of fewer than four words is one gram. There each page's counts are divided by their sum and F1 is
  taken of the mean precision and the mean recall; here a set's figure is the mean of its pages' F1, which
  is what paired intervals need (`benchmark_f1` gives the other from the same scores). Python's `\w+` takes a
  Chinese clause between two punctuation marks as one word; `characters=True` counts each ideograph and kana as
  a word instead. The evaluation reports the first, as published, and adds the second for DANIEL.
- `snippet_counts`: trafilatura's own test: of the snippets that must be in the text those found are true
  positives and those not found false negatives; of those that must not be, those found are false positives and
  those not found true negatives. A snippet counts if it occurs as it is, case and spaces included.
  F1 of the summed counts (`snippet_f1`).

Both text measures give 1 if text and gold are both empty, and 0 if only one is.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

GRAM = 4
"""Words of a shingle."""

_WORD = re.compile(r"\w+")
_IDEOGRAPHS = "\u3040-\u30ff\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff\U00020000-\U0003134f"
_WORD_OR_IDEOGRAPH = re.compile(rf"[{_IDEOGRAPHS}]|[^\W{_IDEOGRAPHS}]+")


class Score(NamedTuple):
    """Precision, recall and F1 of a page, each in [0, 1]."""

    precision: float
    recall: float
    f1: float


class SnippetCounts(NamedTuple):
    """What became of a page's snippets (whole numbers); counts of several pages add up."""

    found: int
    """Must be in the text, and is (true positive)."""
    lost: int
    """Must be in the text, and is not (false negative)."""
    leaked: int
    """Must not be in the text, and is (false positive)."""
    kept_out: int
    """Must not be in the text, and is not (true negative)."""


def words(text: str) -> list[str]:
    """The words that `word_f1` counts."""
    return _WORD.findall(text.lower())


def tokens(text: str, *, characters: bool = False) -> list[str]:
    """Words of a text, case kept; with `characters` each ideograph and kana is a word of its own."""
    return (_WORD_OR_IDEOGRAPH if characters else _WORD).findall(text)


def shingles(text: str, *, characters: bool = False) -> list[tuple[str, ...]]:
    """The 4-grams that `shingle_f1` counts, in order."""
    found = tokens(text, characters=characters)
    if len(found) < GRAM:
        return [tuple(found)] if found else []
    return list(zip(*(found[i:] for i in range(GRAM)), strict=False))


@dataclass(frozen=True)
class Reference:
    """A gold text cut into counted units once, to score many texts against it."""

    counts: Counter[Any]
    size: int
    units: Callable[[str], Sequence[Any]]

    @classmethod
    def of(cls, gold: str, units: Callable[[str], Sequence[Any]]) -> Reference:
        """`units` is `words` or `shingles` (or a partial of it)."""
        found = units(gold)
        return cls(Counter(found), len(found), units)

    def score(self, text: str) -> Score:
        """Precision, recall and F1 of a text against this gold."""
        found = self.units(text)
        if not found or not self.size:
            same = 1.0 if not found and not self.size else 0.0
            return Score(same, same, same)
        mine = Counter(found)
        few, many = (mine, self.counts) if len(mine) < len(self.counts) else (self.counts, mine)
        other = many.get
        overlap = sum(min(n, other(unit, 0)) for unit, n in few.items())
        return Score(overlap / len(found), overlap / self.size, 2 * overlap / (len(found) + self.size))


def word_f1(text: str, gold: str) -> Score:
    """WCXB's measure of one page: multisets of lower-cased words."""
    return Reference.of(gold, words).score(text)


def shingle_f1(text: str, gold: str, *, characters: bool = False) -> Score:
    """The measure of Scrapinghub's benchmark for one page: multisets of 4-grams."""
    return Reference.of(gold, lambda t: shingles(t, characters=characters)).score(text)


def benchmark_f1(scores: Iterable[Score], *, empty: Sequence[bool] | None = None) -> float:
    """F1 of mean precision and mean recall, as Scrapinghub's benchmark sums up a set.

    There a page without extracted text has no precision, so it counts for recall only: `empty` marks those pages.
    """
    found = list(scores)
    silent = empty if empty is not None else [False] * len(found)
    precisions = [s.precision for s, nothing in zip(found, silent, strict=True) if not nothing]
    if not precisions:
        return 0.0
    precision, recall = sum(precisions) / len(precisions), sum(s.recall for s in found) / len(found)
    return 2 * precision * recall / (precision + recall) if precision + recall else 0.0


def snippet_counts(text: str, wanted: Iterable[str], unwanted: Iterable[str]) -> SnippetCounts:
    """trafilatura's measure of one page."""
    found, lost = _occur(text, wanted)
    leaked, kept_out = _occur(text, unwanted)
    return SnippetCounts(found, lost, leaked, kept_out)


def _occur(text: str, snippets: Iterable[str]) -> tuple[int, int]:
    hits = [snippet in text for snippet in snippets]
    return sum(hits), len(hits) - sum(hits)


def snippet_f1(counts: Iterable[SnippetCounts]) -> Score:
    """Precision, recall and F1 of the summed counts; 0 where nothing that matters was found."""
    found = lost = leaked = 0
    for page in counts:
        found, lost, leaked = found + page.found, lost + page.lost, leaked + page.leaked
    if not found:
        return Score(0.0, 0.0, 0.0)
    return Score(found / (found + leaked), found / (found + lost), 2 * found / (2 * found + leaked + lost))
