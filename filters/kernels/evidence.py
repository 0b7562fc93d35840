"""How many words and letters a span of text has: whether it tells enough to be judged by itself."""

# numba settles the types of the kernels' variables:
# mypy: disable-error-code="assignment"
from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from pipeline.kernels import plain_kernel

from .normalise import K_ALPHA, K_CJK, K_MARK, decode, size_of

MIN_WORDS, MIN_LETTERS = 4, 12
"""A sentence with less is not judged: "Where are the weights?" says nothing about its author."""


@plain_kernel
def count_evidence(data, starts, ends, kinds, out):
    """Twice the words and the letters of data[starts[i]:ends[i]] to out[2 * i] and out[2 * i + 1].

    Words are runs of letters. A letter of a script without spaces, and a Korean syllable, is half a word and
    two letters.
    """
    for i in range(len(starts)):
        at, stop = starts[i], ends[i]
        halves = letters = 0
        inside = False
        while at < stop:
            size = size_of(data[at])
            if at + size > stop:
                break
            point = decode(data, at, size)
            at += size
            kind = np.int64(kinds[point]) if point < len(kinds) else K_CJK if 0x20000 <= point < 0x40000 else 0
            if kind & K_CJK or 0xAC00 <= point < 0xD7A4:
                halves += 1
                letters += 2
                inside = False
            elif kind & K_ALPHA:
                halves += 0 if inside else 2
                letters += 1
                inside = True
            elif not kind & K_MARK:
                inside = False
        out[2 * i] = halves
        out[2 * i + 1] = letters


def evidence(data: NDArray[np.uint8], starts: NDArray[np.int64], ends: NDArray[np.int64]) -> NDArray[np.int64]:
    """int64[n, 2]: twice the words, and the letters, of data[starts[i]:ends[i]]."""
    from filters.classifier.normalisation import code_point_tables

    out = np.empty(2 * len(starts), np.int64)
    count_evidence(data, starts, ends, code_point_tables()[0], out)
    return out.reshape(-1, 2)


def enough(found: NDArray[np.int64]) -> NDArray[np.bool_]:
    """bool[n]: which have words and letters enough."""
    judged: NDArray[np.bool_] = (found[:, 0] >= 2 * MIN_WORDS) & (found[:, 1] >= MIN_LETTERS)
    return judged
