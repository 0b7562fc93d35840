"""Texts for gold pages by models that have seen nothing of them: by folds, or by whole sets."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

from ..charset import decode
from ..engines import EngineOptions, Favor
from ..evaluation.gold import GoldPage
from ..native.engine import Gristmill
from ..native.model import Model
from .dataset import Example
from .fit import Trainer

FOLDS = 5


@dataclass(frozen=True, slots=True)
class Predicted:
    """What an engine made of a page that its model was not trained on."""

    gold: GoldPage
    text: str
    page_type: str | None


def by_folds(trainer: Trainer, favor: Favor, pages: Sequence[GoldPage], folds: Sequence[int]) -> Iterator[Predicted]:
    """Each page by the model of the other folds."""
    for fold in sorted(set(folds)):
        model = trainer.model({fold})
        yield from apply(model, favor, [page for page, its in zip(pages, folds, strict=True) if its == fold])


def without_set(
    examples: Sequence[Example], name: str, seed: int, tick: Callable[[str], None] = lambda _: None
) -> Trainer:
    """A trainer on the other sets, without pages of a site, text or template that the set has too."""
    shared = {e.group for e in examples if e.gold.set == name}
    return Trainer([e for e in examples if e.gold.set != name and e.group not in shared], seed=seed, tick=tick)


def apply(model: Model, favor: Favor, pages: Sequence[GoldPage]) -> Iterator[Predicted]:
    """The engine with this model on these pages."""
    engine = Gristmill(EngineOptions(favor=favor), model)
    for page in pages:
        found = engine.extract(decode(page.payload, page.content_type).text, page.real_url)
        yield Predicted(page, found.text, found.page_type)
