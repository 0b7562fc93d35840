"""Questions that many items share, such as `Which sentence has the correct adjective order`: only what follows tells
which item it is.

All n-grams of such a question are common, so that no pair comes of it alone. Where it stands whole in a text, the items
are looked up whose answer, or a choice of theirs, stands right behind it.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from .index import ANSWER, CHOICES, QUESTION, Index, N
from .seeds import Seeds

NEXT = 3
"""Tokens between a question and an answer that follows it at once: `Correct answer: B)`."""


MOST_ALIKE = 20
"""Items of the same question from which on its n-grams are common, by default."""


class _Question(NamedTuple):
    """A question of many items."""

    tokens: NDArray[np.uint64]
    followed: dict[int, list[tuple[int, NDArray[np.uint64]]]]
    """The items' question parts with an answer or a choice, by the first token of that."""


class SharedQuestions:
    """The questions of an index of which all n-grams are common."""

    def __init__(self, index: Index, common: NDArray[np.bool_]) -> None:
        """common: [G] which n-grams are no match alone."""
        self._begins = np.zeros(len(index.gram_hashes) + 1, bool)
        """[G + 1] n-grams that such a question begins with; the last place is for -1, no n-gram."""
        self._questions: dict[int, dict[bytes, _Question]] = {}
        for part in self._parts(index, common).tolist():
            low, high = index.part_offsets[part], index.part_offsets[part + 1]
            gram = int(index.part_gram[low])
            self._begins[gram] = True
            tokens = index.tokens[low:high]
            question = self._questions.setdefault(gram, {}).setdefault(tokens.tobytes(), _Question(tokens, {}))
            item = int(index.part_item[part])
            for other in (*index.parts_of(item, ANSWER), *index.parts_of(item, CHOICES)):
                answer = index.tokens[index.part_offsets[other] : index.part_offsets[other + 1]]
                if len(answer):
                    question.followed.setdefault(int(answer[0]), []).append((part, answer))

    @staticmethod
    def _parts(index: Index, common: NDArray[np.bool_]) -> NDArray[np.int64]:
        grams = index.part_gram
        own = np.where(grams < 0, False, ~common[np.maximum(grams, 0)]) if len(common) else np.zeros(len(grams), bool)
        owned = np.concatenate([[0], np.cumsum(own)])
        none = owned[index.part_offsets[1:]] == owned[index.part_offsets[:-1]]
        long = (index.part_kind == QUESTION) & (index.part_lengths >= N)
        parts = np.flatnonzero(none & long)
        made: NDArray[np.int64] = parts[grams[index.part_offsets[parts]] >= 0]
        return made

    def standing(self, seeds: Seeds) -> tuple[NDArray[np.int64], NDArray[np.int32]]:
        """(first token, question part) where one stands whole with an answer or a choice of the item next to it."""
        tokens, offsets = seeds.tokens.hashes, seeds.tokens.offsets
        found: list[tuple[int, int]] = []
        for at in seeds.at[self._begins[seeds.grams[seeds.at]]].tolist():
            last = int(offsets[np.searchsorted(offsets, at, side="right")])
            for question in self._questions[int(seeds.grams[at])].values():
                end = at + len(question.tokens)
                if end < last and np.array_equal(tokens[at:end], question.tokens):
                    parts = {
                        part
                        for begin in range(end, min(end + NEXT + 1, last))
                        for part, answer in question.followed.get(int(tokens[begin]), ())
                        if np.array_equal(tokens[begin : min(begin + len(answer), last)], answer)
                    }
                    found += [(at, part) for part in sorted(parts)]
        first, part = np.array(found, np.int64).reshape(-1, 2).T
        return first, part.astype(np.int32)


def indistinct(index: Index) -> NDArray[np.bool_]:
    """[I] items without any token but a question that over MOST_ALIKE items share: the rest of them is marks."""
    kept = index.part_lengths > 0
    alone = np.bincount(index.part_item[kept], minlength=len(index)) == 1
    alike: dict[bytes, list[int]] = {}
    for part in np.flatnonzero(kept & (index.part_kind == QUESTION) & alone[index.part_item]).tolist():
        tokens = index.tokens[index.part_offsets[part] : index.part_offsets[part + 1]]
        alike.setdefault(tokens.tobytes(), []).append(int(index.part_item[part]))
    found = np.zeros(len(index), bool)
    found[[item for items in alike.values() if len(items) > MOST_ALIKE for item in items]] = True
    return found
