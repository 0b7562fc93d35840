"""The kernel behind `measures.token_sums`."""

from __future__ import annotations

from pipeline.kernels import plain_kernel

from . import tables as t
from .word_breaks import HAS_WORD


@plain_kernel
def sum_tokens(chars, holds, kinds, offsets, weights, out):  # type: ignore[no-untyped-def]
    """out[4 * d ...] (float64): words, proper words, their characters, words with a letter; each word by its weight."""
    for d in range(len(offsets) - 1):
        words = 0.0
        proper = 0.0
        proper_chars = 0
        lettered = 0.0
        for k in range(offsets[d], offsets[d + 1]):
            weight = weights[kinds[k]]
            words += weight
            if holds[k] & HAS_WORD:
                proper += weight
                proper_chars += chars[k]
            if holds[k] & t.LETTER:
                lettered += weight
        out[4 * d] = words
        out[4 * d + 1] = proper
        out[4 * d + 2] = proper_chars
        out[4 * d + 3] = lettered
