"""From a scanned page to the probability of each block that it is main content."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from .context import CONTEXT, surround
from .features import FEATURES, PLACES
from .measures import measure
from .page import Page
from .vocabulary import TEXT_WORDS, Vocabulary, score_text
from .words import KIND_COUNT, WordTable, paths


class Lexicon:
    """The learnt weights of words: in attributes, in the text of a block, in the heading above it."""

    def __init__(self, attributes: dict[str, float], own: dict[str, float], heading: dict[str, float]) -> None:
        self.attributes, self.own, self.heading = attributes, own, heading
        self.words = WordTable(attributes)
        self.vocabulary = Vocabulary(own, heading)


def first_features(page: Page, lexicon: Lexicon) -> tuple[NDArray[np.float32], NDArray[np.int32]]:
    """float32[features and context, blocks], the context still zero, and the places: see `measures.measure`."""
    words, vocabulary = lexicon.words, lexicon.vocabulary
    distance = np.empty((len(page.elements), KIND_COUNT), np.uint8)
    score = np.empty((len(page.elements), 4), np.float32)
    paths(page.source, page.elements, words.keys, words.kinds, words.weights, distance, score)
    matrix = np.zeros((len(FEATURES) + len(CONTEXT), len(page.blocks)), np.float32)
    places = np.zeros((len(PLACES), len(page.blocks)), np.int32)
    measure(page.source, page.elements, page.blocks, page.text, page.title, distance, score, matrix, places)
    score_text(
        page.text,
        page.elements,
        page.blocks,
        vocabulary.keys,
        vocabulary.weights,
        matrix,
        FEATURES.index(TEXT_WORDS[0]),
    )
    return matrix, places


def second_features(
    page: Page, matrix: NDArray[np.float32], places: NDArray[np.int32], first: NDArray[np.float32]
) -> None:
    """Fill the context rows of matrix from the first judge's probabilities."""
    surround(page.elements, page.blocks, places, first, matrix)
