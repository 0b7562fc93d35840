"""Gold pages as examples: scanned, labelled, with the words of each block's path."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from ..charset import decode
from ..evaluation.gold import GoldPage
from ..evaluation.scores import words as score_words
from ..native import scan as s
from ..native.judge import Lexicon, first_features
from ..native.page import Page, scan_page
from ..native.vocabulary import first_words, heading_above
from ..native.words import split_words
from .labels import block_labels, segment_labels
from .silver import SILVER, agreed_labels

Bag = tuple[tuple[str, int], ...]
"""Words with how often each occurs."""


@dataclass(frozen=True, slots=True)
class Bags:
    """A bag of words for each block; blocks with the same words share one.

    `of_block` int32[blocks] numbers `bags`.
    """

    bags: list[Bag]
    of_block: NDArray[np.int32]

    @classmethod
    def of(cls, bags: Iterable[Bag]) -> Bags:
        """One bag a block."""
        numbers: dict[Bag, int] = {}
        of_block = [numbers.setdefault(bag, len(numbers)) for bag in bags]
        return cls(list(numbers), np.array(of_block, np.int32))


def attribute_words(page: Page) -> Bags:
    """The words in the attributes of the elements around each block."""
    source = page.source.tobytes()
    of_element: list[Bag] = []
    for row in page.elements:
        own: Counter[str] = Counter()
        for column in (s.CLASS0, s.ID0, s.ROLE0, s.PROP0):
            start, stop = int(row[column]), int(row[column + 1])
            if stop > start:
                own.update(split_words(source[start:stop]))
        above = of_element[row[s.PARENT]] if row[s.PARENT] >= 0 else ()
        of_element.append(tuple(sorted((Counter(dict(above)) + own).items())) if own else above)
    return Bags.of(of_element[e] for e in page.blocks[:, s.ELEMENT])


def text_words(page: Page) -> tuple[Bags, Bags]:
    """The first words of each block, and those of the nearest heading above it."""
    text = page.text.tobytes()
    own: list[Bag] = []
    for row in page.blocks:
        own.append(tuple(sorted(Counter(first_words(text[row[s.TEXT0] : row[s.TEXT1]])).items())))
    above = np.zeros(len(page.blocks), np.int32)
    heading_above(page.elements, page.blocks, above)
    return Bags.of(own), Bags.of(own[at] if at >= 0 else () for at in above)


@dataclass(slots=True)
class Example:
    """One gold page. `labels` int8[blocks]: 1 main content, 0 not, -1 unknown."""

    gold: GoldPage
    group: int
    fold: int
    page: Page
    texts: list[str]
    labels: NDArray[np.int8]
    bags: dict[str, Bags]
    """`attributes`, `own` and `heading`: see `attribute_words` and `text_words`."""

    matrix: NDArray[np.float32] = field(default_factory=lambda: np.zeros((0, 0), np.float32))
    places: NDArray[np.int32] = field(default_factory=lambda: np.zeros((0, 0), np.int32))
    first: NDArray[np.float32] = field(default_factory=lambda: np.zeros(0, np.float32))
    """The first judge's probabilities, by a model that has not seen the page's fold."""

    second: NDArray[np.float32] = field(default_factory=lambda: np.zeros(0, np.float32))

    @property
    def weights(self) -> NDArray[np.float32]:
        """What a mistake in each block counts: the root of its length."""
        return np.sqrt(self.page.blocks[:, s.CHARS].astype(np.float32))

    def measure(self, lexicon: Lexicon) -> None:
        """Fill `matrix` and `places` with the features under these word weights."""
        self.matrix, self.places = first_features(self.page, lexicon)


def examples(
    pages: Sequence[GoldPage],
    groups: Sequence[int],
    folds: Sequence[int],
    tick: Callable[[], None] = lambda: None,
) -> list[Example]:
    """Scan and label the pages; those without any text are left out."""
    found = []
    for gold, group, fold in zip(pages, groups, folds, strict=True):
        html = decode(gold.payload, gold.content_type).text
        page = scan_page(html.encode("utf-8", "replace"))
        tick()
        if not len(page.blocks):
            continue
        texts = [page.block_text(number) for number in range(len(page.blocks))]
        if gold.set == SILVER:
            labels = agreed_labels(html, texts)
        elif gold.text is None:
            labels = segment_labels(texts, gold.with_segments, gold.without_segments)
        else:
            labels = block_labels(texts, gold.text).astype(np.int8)
        own, heading = text_words(page)
        bags = {"attributes": attribute_words(page), "own": own, "heading": heading}
        found.append(Example(gold, group, fold, page, texts, labels, bags))
    return found


@dataclass(frozen=True, slots=True)
class WordCounts:
    """The words of a page's blocks and gold as counts, so that a choice of blocks is scored in microseconds."""

    blocks: list[NDArray[np.int32]]
    gold: NDArray[np.int64]

    @classmethod
    def of(cls, example: Example) -> WordCounts:
        """Raises AssertionError for a page without whole gold text."""
        assert example.gold.text is not None
        known: dict[str, int] = {}
        blocks = [np.array([known.setdefault(w, len(known)) for w in score_words(t)], np.int32) for t in example.texts]
        gold = np.array([known.setdefault(w, len(known)) for w in score_words(example.gold.text)], np.int64)
        return cls(blocks, np.bincount(gold, minlength=max(1, len(known))))

    def f1(self, keep: NDArray[np.bool_]) -> float:
        """Word F1 of the kept blocks."""
        kept = [block for block, keeps in zip(self.blocks, keep, strict=True) if keeps and len(block)]
        size, wanted = sum(map(len, kept)), int(self.gold.sum())
        if not size or not wanted:
            return 1.0 if size == wanted else 0.0
        counts = np.bincount(np.concatenate(kept), minlength=len(self.gold))
        return 2 * int(np.minimum(counts, self.gold).sum()) / (size + wanted)
