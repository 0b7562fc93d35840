"""Which blocks of a page belong to its gold text.

A block is aligned with the gold by its words (each ideograph or kana a word of its own): it belongs to it if half
of its words lie in 3-grams that the gold has. Shorter blocks belong to it if the gold has them and one of the
blocks around does. Then single decisions are changed as long as the F1 of the words rises; that settles
which of several places of the same words was meant. Copies of one text get one label.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from ..evaluation.scores import tokens

GRAM = 3
NEAR_BLOCKS = 6
"""So near must a block be that belongs to the gold for a block of one or two words to belong to it too."""

COPY_CHARS = 20
"""From this length on equal texts are copies."""


def block_labels(texts: Sequence[str], gold: str) -> NDArray[np.bool_]:
    """One label a block of the page, true for main content."""
    words = [tokens(text.lower(), characters=True) for text in texts]
    wanted = tokens(gold.lower(), characters=True)
    labels, possible = _by_grams(words, wanted)
    _climb(words, Counter(wanted), len(wanted), labels, possible)
    copies: dict[str, list[int]] = {}
    for number, text in enumerate(texts):
        if len(text) >= COPY_CHARS:
            copies.setdefault(text, []).append(number)
    for same in copies.values():
        labels[same] = labels[same].any()
    return labels


def segment_labels(texts: Sequence[str], wanted: Sequence[str], unwanted: Sequence[str]) -> NDArray[np.int8]:
    """1 for blocks with a wanted segment, 0 for those with an unwanted one, -1 where nothing is known."""
    labels = np.full(len(texts), -1, np.int8)
    flat = [" ".join(text.split()) for text in texts]
    for segments, value in ((unwanted, 0), (wanted, 1)):
        for segment in segments:
            needle = " ".join(segment.split())
            for number, text in enumerate(flat):
                if needle and needle in text:
                    labels[number] = value
    return labels


def _by_grams(words: list[list[str]], wanted: list[str]) -> tuple[NDArray[np.bool_], NDArray[np.bool_]]:
    """Labels by shared 3-grams, and for which blocks a label of true is possible at all."""
    grams = set(zip(*(wanted[i:] for i in range(GRAM)), strict=False))
    shorter = {(word,) for word in wanted} | set(zip(wanted, wanted[1:], strict=False))
    labels = np.zeros(len(words), np.bool_)
    possible = np.zeros(len(words), np.bool_)
    for number, block in enumerate(words):
        if not block:
            continue
        if len(block) < GRAM:
            possible[number] = tuple(block) in shorter
            continue
        covered = np.zeros(len(block), np.bool_)
        for i in range(len(block) - GRAM + 1):
            if tuple(block[i : i + GRAM]) in grams:
                covered[i : i + GRAM] = True
        possible[number] = covered.any()
        labels[number] = covered.mean() >= 0.5
    return labels, possible


def _climb(
    words: list[list[str]],
    gold: Counter[str],
    gold_size: int,
    labels: NDArray[np.bool_],
    possible: NDArray[np.bool_],
    rounds: int = 3,
) -> None:
    """Change single labels while that raises F1; in place."""
    have: Counter[str] = Counter()
    for number in np.flatnonzero(labels).tolist():
        have.update(words[number])
    shared = sum((have & gold).values())
    size = sum(have.values())

    def change(block: list[str], sign: int) -> int:
        return sum(
            min(have[word] + sign * n, gold[word]) - min(have[word], gold[word]) for word, n in Counter(block).items()
        )

    for _ in range(rounds):
        changed = False
        for number in np.flatnonzero(labels).tolist():
            block = words[number]
            delta = change(block, -1)
            if (shared + delta) * (size + gold_size) > shared * (size - len(block) + gold_size):
                labels[number] = False
                have.subtract(block)
                shared, size, changed = shared + delta, size - len(block), True
        kept = np.flatnonzero(labels)
        others = np.flatnonzero(possible & ~labels)
        far = np.array([np.abs(kept - k).min() if len(kept) else 0 for k in others])
        for number, distance in sorted(zip(others.tolist(), far.tolist(), strict=True), key=lambda pair: pair[::-1]):
            block = words[number]
            if len(block) < GRAM and distance > NEAR_BLOCKS:
                continue
            delta = change(block, 1)
            if 2 * delta > len(block) and (shared + delta) * (size + gold_size) > shared * (
                size + len(block) + gold_size
            ):
                labels[number] = True
                have.update(block)
                shared, size, changed = shared + delta, size + len(block), True
        if not changed:
            return
