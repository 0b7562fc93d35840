"""Which items a case's text truly carries beside the planted one: benchmarks repeat each other's questions.

Independent of the methods: words as `wording` has them. A text carries an item whose stem is word for word that of an
item known to be in it, however that one was edited, or whose stem of SHORT_QUESTION words or more stands in it whole.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from dataclasses import replace

from .cases import Case
from .pool import SHORT_QUESTION, Item, Pool
from .score import Verdict
from .wording import words


class Carried:
    """Answers whether texts carry items of a pool."""

    def __init__(self, pool: Pool) -> None:
        self._items = {item.name: item for item in pool.items}
        self._stems: dict[str, str] = {}

    def of(self, case: Case, named: Collection[str]) -> tuple[str, ...]:
        """The case's own items and those of `named` that its text carries too, in order. Names that the pool does not
        know are not carried."""
        others = sorted(set(named).difference(case.carries))
        if not others:
            return case.carries
        own = {self._stem(name) for name in case.carries}
        text = _joined(words(case.text))
        found = []
        for name in others:
            stem = self._stem(name)
            if stem and (stem in own or (stem.count(" ") > SHORT_QUESTION and stem in text)):
                found.append(name)
        return (*case.carries, *found)

    def _stem(self, name: str) -> str:
        """The words of an item's stem, each between blanks; empty for an item without words."""
        if name not in self._stems:
            item: Item | None = self._items.get(name)
            self._stems[name] = _joined(words(item.stem)) if item else ""
        return self._stems[name]


def _joined(tokens: Sequence[str]) -> str:
    return f" {' '.join(tokens)} " if tokens else ""


def with_carried(cases: Sequence[Case], verdicts: Sequence[Sequence[Verdict]], pool: Pool) -> list[Case]:
    """The cases with all items that methods named and that the texts truly carry in `carries`.

    verdicts: of each method, one a case, by item."""
    carried = Carried(pool)
    return [
        replace(case, carries=carried.of(case, _named(given[at] for given in verdicts)))
        for at, case in enumerate(cases)
    ]


def _named(verdicts: Iterable[Verdict]) -> set[str]:
    return {name for verdict in verdicts if not isinstance(verdict, str) for name in verdict}
