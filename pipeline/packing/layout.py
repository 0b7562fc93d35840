"""Which tokens of which draw go into which sequence: the plan of a pack file, without any token read.

`concatenate` cuts the stream of draws every T tokens. `fit` follows Ding et al. 2024
(https://arxiv.org/abs/2404.10830): only documents longer than T are cut, at multiples of T, and the pieces
are packed best-fit decreasing. With several lengths a document goes to the smallest that holds it whole; room
that the sequences of a longer length have left is filled with shorter documents before they make sequences
of their own.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from .bestfit import best_fit

Ints = npt.NDArray[np.int64]


@dataclass(frozen=True)
class Layout:
    """Pieces in the order of the sequences that they fill, of `length` tokens each.

    Piece i is tokens [offset[i], offset[i] + tokens[i]) of draw `draw[i]` and lies at `start[i]` of
    sequence `sequence[i]`.
    """

    length: int
    sequences: int
    draw: Ints
    offset: Ints
    tokens: Ints
    sequence: Ints
    start: Ints


def concatenate(counts: Ints, begin: int, end: int, length: int) -> Layout:
    """Tokens [begin, end) of the stream of draws with `counts` tokens, cut every `length`."""
    ends = np.cumsum(counts)
    starts = ends - counts
    edges = np.arange(begin, end, length)
    first, last = np.searchsorted(ends, begin, side="right"), np.searchsorted(starts, end, side="left")
    cuts = np.union1d(np.maximum(starts[first:last], begin), edges)
    draw = np.searchsorted(starts, cuts, side="right") - 1
    tokens = np.diff(np.append(cuts, end))
    sequence = (cuts - begin) // length
    return Layout(length, len(edges), draw, cuts - starts[draw], tokens, sequence, (cuts - begin) % length)


def fit(counts: Ints, lengths: tuple[int, ...]) -> list[Layout]:
    """Best-fit packing of draws with `counts` tokens into sequences of each of `lengths` (ascending)."""
    draw, offset, tokens = _chunks(counts, lengths[-1])
    by_size = np.argsort(-tokens, kind="stable")
    draw, offset, tokens = draw[by_size], offset[by_size], tokens[by_size]
    layouts = []
    for k in range(len(lengths) - 1, -1, -1):
        shorter = lengths[k - 1] if k else 0
        bins, count = best_fit(tokens, lengths[k], openers=int((tokens > shorter).sum()))
        placed = bins >= 0
        layouts.append(
            _ordered(lengths[k], count, draw[placed], offset[placed], tokens[placed], bins[placed], len(counts))
        )
        draw, offset, tokens = draw[~placed], offset[~placed], tokens[~placed]
    return layouts[::-1]


def _chunks(counts: Ints, longest: int) -> tuple[Ints, Ints, Ints]:
    """(draw, offset, tokens) of each piece: documents longer than `longest` are cut at its multiples."""
    pieces = -(-counts // longest)
    draw = np.repeat(np.arange(len(counts)), pieces)
    number = np.arange(len(draw)) - np.repeat(np.cumsum(pieces) - pieces, pieces)
    offset = number * longest
    return draw, offset, np.minimum(counts[draw] - offset, longest)


def _ordered(length: int, count: int, draw: Ints, offset: Ints, tokens: Ints, bins: Ints, draws: int) -> Layout:
    """The layout whose sequences stand in the order of their first draws, and the pieces within them too.

    As made, the sequences would come by falling length of their documents, and so would the documents in them.
    """
    first = np.full(count, draws, np.int64)
    np.minimum.at(first, bins, draw)
    tie = np.full(count, np.iinfo(np.int64).max)  # several sequences may begin with pieces of one draw
    own = draw == first[bins]
    np.minimum.at(tie, bins[own], offset[own])
    rank = np.empty(count, np.int64)
    rank[np.lexsort((tie, first))] = np.arange(count)
    sequence = rank[bins]
    order = np.lexsort((offset, draw, sequence))
    draw, offset, tokens, sequence = draw[order], offset[order], tokens[order], sequence[order]
    ends = np.cumsum(tokens)
    begins = np.searchsorted(sequence, np.arange(count))
    start = ends - tokens - (ends - tokens)[begins][sequence]
    return Layout(length, count, draw, offset, tokens, sequence, start)
