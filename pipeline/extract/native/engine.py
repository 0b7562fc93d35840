"""The engine `gristmill`: scan, judge twice, choose, write.

Text blocks come from one pass over the bytes (`scan`), are measured (`features`), judged by trees (`trees`) and
judged again in the light of their surroundings (`context`). Kept are those whose probability is above a threshold
that maximises the page's expected F1 within bounds, and near enough to that of the page's surest text; `favor`
shifts both. A long text that stands on the page twice, as for small and for large screens, is written once.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from ...errors import ConfigError
from ..engines import EngineOptions, Extracted

if TYPE_CHECKING:
    from .model import Model
    from .page import Page

VERSION = 1
"""Raised whenever the same page and model give another text."""

BUNDLED = "model.npz"
"""The model that comes with Gristmill, beside this file."""

BOUNDS = {"balanced": (0.25, 0.5), "precision": (0.6, 0.75), "recall": (0.05, 0.15)}
"""Least and greatest threshold by `favor`."""

RELATIVE = {"balanced": 0.6, "precision": 0.85, "recall": 0.0}
"""A block must also reach this share of the mean probability of the page's surest text, by `favor`.

On a kind of page that it has not learnt from, the judges are less sure of everything, but still surer of the main
content than of the teasers around it: without this, F1 on DANIEL (by a model that saw none of it) is .05 lower.
"""

COMMENT_LEVELS = 12
"""So many levels above a comment's text may the element stand that is called so."""

COMMENT_CHARS = 25
"""Shorter texts in there are names, dates and buttons."""

COPY_CHARS = 40
"""A text of so many characters is written once, if it stands on the page again in running text."""


@dataclass(frozen=True, slots=True)
class Judged:
    """A page with its features and the probability of each block by either judge (float32[blocks])."""

    page: Page
    matrix: NDArray[np.float32]
    first: NDArray[np.float32]
    second: NDArray[np.float32]


class Gristmill:
    """Our own engine. The model is the bundled one unless another is given."""

    name = "gristmill"

    def __init__(self, options: EngineOptions, model: Model | None = None) -> None:
        if options.metadata != "page":
            raise ConfigError("extract: gristmill finds no metadata of its own; use metadata='page'")
        self._options = options
        self._model = model

    def version(self) -> str:
        """The reading's version and a hash of the model's file."""
        model = (Path(__file__).parent / BUNDLED).read_bytes()
        return f"gristmill engine {VERSION} model {hashlib.blake2b(model, digest_size=8).hexdigest()}"

    def extract(self, html: str, url: str | None, crawled: str | None = None) -> Extracted:
        """As `Engine.extract`."""
        judged = self.judge(html)
        if judged is None:
            return Extracted("")
        return self.write(judged, url)

    def judge(self, html: str) -> Judged | None:
        """The page's blocks with their probabilities; None for a page without text."""
        from .judge import first_features, second_features
        from .page import scan_page

        model = self._load()
        page = scan_page(html.encode("utf-8", "replace"))
        if not len(page.blocks):
            return None
        matrix, places = first_features(page, model.lexicon)
        first = model.first.probability(matrix)
        second_features(page, matrix, places, first)
        return Judged(page, matrix, first, model.second.probability(matrix))

    def write(self, judged: Judged, url: str | None) -> Extracted:
        """The text of the blocks worth keeping, and the page's type."""
        from .page_type import PAGE_TYPES, describe
        from .render import render

        keep = choose(judged.page, judged.second, self._options.favor)
        if self._options.comments:
            keep |= comments(judged)
        text = render(judged.page, keep, markdown=self._options.markdown, tables=self._options.tables)
        vector = describe(judged.page, judged.matrix, judged.first, url)
        odds = [float(forest.log_odds(vector)[0]) for forest in self._load().types]
        return Extracted(text, page_type=PAGE_TYPES[int(np.argmax(odds))])

    def _load(self) -> Model:
        if self._model is None:
            from .model import bundled

            self._model = bundled()
        return self._model


def comments(judged: Judged) -> NDArray[np.bool_]:
    """Blocks of running text inside what the page's author calls comments (the judges leave readers' comments out)."""
    from .features import FEATURES

    row = {
        name: judged.matrix[FEATURES.index(name)] for name in ("near_comment", "log_chars", "link_density", "in_form")
    }
    inside = row["near_comment"] <= COMMENT_LEVELS
    text = (row["log_chars"] >= np.log1p(COMMENT_CHARS)) & (row["link_density"] < 0.5) & (row["in_form"] == 0)
    return np.asarray(inside & text)


def surest(p: NDArray[np.float32], chars: NDArray[np.int32]) -> float:
    """Mean probability, weighted by length, of the surest blocks that make up half of the expected main content."""
    order = np.argsort(-p, kind="stable")
    expected = np.cumsum(p[order] * chars[order], dtype=np.float64)
    half = int(np.searchsorted(expected, expected[-1] / 2))
    return float(expected[half] / chars[order][: half + 1].sum())


def choose(page: Page, p: NDArray[np.float32], favor: str = "balanced") -> NDArray[np.bool_]:
    """Which blocks to keep, from their probabilities."""
    from . import scan as s
    from .context import best_threshold, drop_copies

    low, high = BOUNDS[favor]
    threshold = min(max(best_threshold(p, page.blocks), low), high)
    keep = p > max(threshold, RELATIVE[favor] * surest(p, page.blocks[:, s.CHARS]))
    drop_copies(page.blocks, page.elements[page.blocks[:, s.ELEMENT], s.FLAGS], COPY_CHARS, keep)
    return keep
