"""What methods share: the parts that they read, and whether an answer stands near a match."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from pipeline.errors import ConfigError

from ..evidence import Evidence
from ..index import PARTS, Index

ANSWER_TOKENS = 64
"""Of a longer answer or choice the first tokens are looked for."""


def kinds_of(parts: tuple[str, ...]) -> tuple[int, ...]:
    """The numbers of kinds of parts. Raises ConfigError for names that are none."""
    for name in parts:
        if name not in PARTS:
            raise ConfigError(f"parts has {name!r}; there are {', '.join(PARTS)}")
    return tuple(PARTS.index(name) for name in parts)


def long_enough(index: Index, kinds: tuple[int, ...], least: int) -> NDArray[np.bool_]:
    """[I] which items have a part of these kinds of at least `least` tokens."""
    return items_of(index, np.isin(index.part_kind, kinds) & (index.part_lengths >= least))


def items_of(index: Index, parts: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """[I] which items have one of these parts."""
    found = np.zeros(len(index), bool)
    found[index.part_item[parts]] = True
    return found


class Near(NamedTuple):
    """The longest row of a part's tokens around each match."""

    share: NDArray[np.float64]
    """Of the part's tokens."""
    start: NDArray[np.int64]
    """Its first token in the text, -1 for none."""
    tokens: NDArray[np.int64]


def near(
    evidence: Evidence, document: NDArray[np.int64], start: NDArray[np.int64], end: NDArray[np.int64],
    part: NDArray[np.int64], window: NDArray[np.int64],
) -> Near:  # fmt: skip
    """The longest row of tokens that each part shares with the text around a match.

    `window`: tokens before `start` and behind `end`; the match itself is not searched.
    """
    from ..kernels.align import nearest_sequence

    index = evidence.index
    first = index.part_offsets[part]
    last = np.minimum(index.part_offsets[part + 1], first + ANSWER_TOKENS)
    low = np.maximum(start - window, evidence.offsets[document])
    high = np.minimum(end + window, evidence.offsets[document + 1])
    longest, at = np.zeros(len(part), np.int64), np.full(len(part), -1, np.int64)
    nearest_sequence(evidence.tokens, low, start, index.tokens, first, last, longest, at)
    nearest_sequence(evidence.tokens, end, high, index.tokens, first, last, longest, at)
    return Near(longest / np.maximum(last - first, 1), at, longest)
