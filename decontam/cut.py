"""What stays of a text when matches are cut out of it, as GPT-3 has it (Brown et al. 2020, appendix C)."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True)
class Cutting:
    """A text's fate; all places are bytes of it. Cuts and pieces together are the whole text."""

    pieces: tuple[tuple[int, int], ...]
    """What stays, in order."""
    cuts: tuple[tuple[int, int], ...]
    """What went with the matches, and how much around them."""
    short: tuple[tuple[int, int], ...]
    """Pieces between cuts that are too short to stay."""
    fragments: int
    """Pieces before short ones went."""


def cutting(raw: NDArray[np.uint8], spans: list[tuple[int, int]], context: int, min_fragment: int) -> Cutting:
    """Cut `spans` (bytes, start before end) with `context` characters on both sides out of a text in UTF-8.

    Cuts that touch become one. Pieces of fewer than `min_fragment` characters do not stay. The time is linear in the
    text's length.
    """
    chars = np.flatnonzero((raw & 0xC0) != 0x80)
    at = np.append(chars, len(raw))
    edges = np.searchsorted(chars, np.array(sorted(spans), np.int64).reshape(-1, 2))
    lows = np.maximum(edges[:, 0] - context, 0)
    highs = np.maximum.accumulate(np.minimum(edges[:, 1] + context, len(chars)))
    first = np.ones(len(lows), bool)
    first[1:] = lows[1:] > highs[:-1]
    last = np.append(first[1:], True)
    low, high = lows[first], highs[last]
    begin, end = np.concatenate([[0], high]), np.concatenate([low, [len(chars)]])
    there = end > begin
    begin, end = begin[there], end[there]
    long = end - begin >= max(min_fragment, 1)

    def places(starts: NDArray[np.int64], ends: NDArray[np.int64]) -> tuple[tuple[int, int], ...]:
        return tuple(zip(at[starts].tolist(), at[ends].tolist(), strict=True))

    return Cutting(
        places(begin[long], end[long]), places(low, high), places(begin[~long], end[~long]), int(there.sum())
    )
