"""Words of the text itself that tell what a block is: `share`, `cookie`, `related`, `rights reserved`.

Two learnt weights a word (log-odds of main content): one for the blocks that have it among their first words,
one for the blocks under a heading that has it. Only words that many sites use have one, so a block in a language
that the training pages don't speak has the weight 0 and is judged by everything else.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from ...kernels import kernel
from . import columns as y
from . import tables as t

FIRST_WORDS = 24
"""So many words of a block count."""

MAX_HEADING_BLOCKS = 400
"""So far down a heading reaches, if no other comes."""

TEXT_WORDS = ("text_words", "text_words_mean", "text_words_least", "heading_words", "heading_distance", "heading_level")
"""Names of the features that `score_text` fills."""

_HEADINGS = np.zeros(len(t.TAGS), np.int32)
for _level in range(1, 7):
    _HEADINGS[t.TAG[f"h{_level}"]] = _level


class Vocabulary:
    """Hash table from words to their two weights."""

    def __init__(self, own: dict[str, float], heading: dict[str, float]) -> None:
        names = sorted(set(own) | set(heading))
        slots = 1024
        while slots < 3 * len(names):
            slots *= 2
        self.keys: NDArray[np.uint32] = np.zeros(slots, np.uint32)
        self.weights: NDArray[np.float32] = np.zeros((slots, 2), np.float32)
        for name in names:
            key = t.name_hash(name.encode())
            slot = key % slots
            while self.keys[slot] and self.keys[slot] != key:
                slot = (slot + 1) % slots
            self.keys[slot] = key
            self.weights[slot, 0] += own.get(name, 0.0)
            self.weights[slot, 1] += heading.get(name, 0.0)


def first_words(text: bytes) -> list[str]:
    """The words of a text that count, as `score_text` cuts them: runs of ASCII letters, digits and other characters."""
    lowered = bytes(c if c >= 128 or 48 <= c <= 57 or 97 <= c <= 122 else 32 for c in text.lower())
    return [word.decode("utf-8", "replace") for word in lowered.split()[:FIRST_WORDS]]


@kernel
def heading_above(elements, blocks, above):
    """For each block the number of the nearest heading block before it, -1 if none. above: int32[blocks]."""
    last = -1
    for b in range(len(blocks)):
        if last >= 0 and b - last > MAX_HEADING_BLOCKS:
            last = -1
        above[b] = last
        e = blocks[b, y.ELEMENT]
        if elements[e, y.FLAGS] & y.F_HEADING:
            last = b


def score_text(
    text: NDArray[np.uint8],
    elements: NDArray[np.int32],
    blocks: NDArray[np.int32],
    keys: NDArray[np.uint32],
    weights: NDArray[np.float32],
    matrix: NDArray[np.float32],
    f: int,
) -> None:
    """Fill the rows f.. of matrix with the features TEXT_WORDS."""
    nb = len(blocks)
    above = np.empty(nb, np.int32)
    heading_above(elements, blocks, above)
    rows = matrix[f : f + len(TEXT_WORDS)].reshape(-1)
    tables = (elements.reshape(-1), blocks.reshape(-1), keys, weights.reshape(-1))
    _score_text(text, *tables, rows, above, np.empty(nb, np.float32))


@kernel
def _score_text(text, elements, blocks, keys, weights, matrix, above, heading_score):
    nb = len(above)
    slots = len(keys)
    for b in range(nb):
        row = b * y.BLOCK_COLUMNS
        start = blocks[row + y.TEXT0]
        stop = blocks[row + y.TEXT1]
        n = 0
        total = np.float32(0)
        heading = np.float32(0)
        least = np.float32(0)
        key = np.uint32(0x811C9DC5)
        length = 0
        for i in range(start, stop + 1):
            c = text[i] if i < stop else np.uint8(32)
            if 65 <= c <= 90:
                c = np.uint8(c + 32)
            if c >= 128 or 97 <= c <= 122 or 48 <= c <= 57:
                key = np.uint32((key ^ c) * np.uint32(0x01000193))
                length += 1
            elif length > 0:
                slot = key % slots
                while keys[slot] != 0:
                    if keys[slot] == key:
                        weight = weights[2 * slot]
                        total += weight
                        heading += weights[2 * slot + 1]
                        least = min(least, weight)
                        break
                    slot = (slot + 1) % slots
                key = np.uint32(0x811C9DC5)
                length = 0
                n += 1
                if n >= FIRST_WORDS:
                    break
        heading_score[b] = heading
        matrix[b] = total
        matrix[nb + b] = total / max(n, 1)
        matrix[2 * nb + b] = least
        at = above[b]
        if at >= 0:
            matrix[3 * nb + b] = heading_score[at]
            matrix[4 * nb + b] = b - at
            e = blocks[at * y.BLOCK_COLUMNS + y.ELEMENT]
            while e > 0 and _HEADINGS[elements[e * y.ELEMENT_COLUMNS + y.TAG]] == 0:
                e = elements[e * y.ELEMENT_COLUMNS + y.PARENT]
            matrix[5 * nb + b] = _HEADINGS[elements[e * y.ELEMENT_COLUMNS + y.TAG]]
        else:
            matrix[4 * nb + b] = -1
