"""The kernels behind `measures.token_sums` and `origins.word_kinds`."""

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


@plain_kernel
def count_kinds(kinds, offsets, out):  # type: ignore[no-untyped-def]
    """out[d, kind] (int64, zeros): words of each kind."""
    for d in range(len(offsets) - 1):
        for k in range(offsets[d], offsets[d + 1]):
            out[d, kinds[k]] += 1


@plain_kernel
def cut_kinds(starts, ends, kinds, offsets, text_offsets, cut_starts, cut_ends, inline, cut_offsets, anew, out):  # type: ignore[no-untyped-def]
    """Take the words in spans that were cut from a text off its counts, `out` of `count_kinds`.

    anew[d] is true where that does not give the words of what is left: a span is `inline`, or a word is partly in it.
    """
    for d in range(len(offsets) - 1):
        k = offsets[d]
        last = offsets[d + 1]
        for c in range(cut_offsets[d], cut_offsets[d + 1]):
            start = text_offsets[d] + cut_starts[c]
            end = text_offsets[d] + cut_ends[c]
            while k < last and ends[k] <= start:
                k += 1
            if inline[c] or (k < last and starts[k] < start):
                anew[d] = True
                break
            while k < last and ends[k] <= end:
                out[d, kinds[k]] -= 1
                k += 1
            if k < last and starts[k] < end:
                anew[d] = True
                break
