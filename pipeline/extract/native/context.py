"""What the second judge sees: how the first one judged the blocks around.

The first judge scores each block by itself. A block that it is unsure of is better judged by the scores of its
neighbours, of the elements that it stands in, and of its look-alikes on the page.
"""

# numba settles the types of the kernels' variables:
# mypy: disable-error-code="assignment"
from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from ...kernels import kernel, kernel_part
from . import columns as y
from .features import FEATURES, PLACES

_NEIGHBOURS = (-3, -2, -1, 1, 2, 3)
_WINDOWS = (6, 20)
CONTEXT: tuple[str, ...] = (
    "p",
    *(f"p{n:+d}" for n in _NEIGHBOURS),
    *(f"p_window{w}{side}" for w in _WINDOWS for side in ("-", "+")),
    *(f"p_{place}" for place in PLACES),
    "p_page",
    "p_most",
    "kept_before",
    "kept_after",
    "kept_log_chars",
    "since_kept",
    "until_kept",
    "p_rank",
    "p_least_expected",
)
"""Names of the features that `surround` adds after those of `features`."""

_FIRST = len(FEATURES)
_LIKE, _PARENT_LIKE = len(PLACES) - 2, len(PLACES) - 1
_LEAST_EXPECTED = CONTEXT.index("p_least_expected")
_STEPS = 64  # of the score, for how much text scores at least as high


def surround(
    elements: NDArray[np.int32],
    blocks: NDArray[np.int32],
    places: NDArray[np.int32],
    p: NDArray[np.float32],
    matrix: NDArray[np.float32],
) -> None:
    """Fill rows len(FEATURES) and on of matrix from the first judge's scores p: float32[blocks]."""
    nb = len(blocks)
    sums = np.zeros(2 * (nb + 1), np.float32)
    shares = np.zeros(2 * table_size(nb), np.float32)
    parent_shares = np.zeros(2 * table_size(nb), np.float32)
    above = np.zeros(65, np.float32)
    rows = matrix[_FIRST:]
    tables = (elements.reshape(-1), blocks.reshape(-1), places.reshape(-1))
    _surround(*tables, p, rows.reshape(-1), sums, shares, parent_shares, above)
    rows[_LEAST_EXPECTED] = best_threshold(p, blocks)


def table_size(blocks: int) -> int:
    """Slots of an open-addressing table for so many keys: the power of 2 from four times as many on."""
    return 1 << (4 * blocks - 1).bit_length() if blocks else 1


@kernel_part
def _add_up(blocks, places, p, sums, shares, parent_shares, above):
    """Text and kept text: before each block, by group of look-alikes, and of what scores as high; returns the most."""
    nb = len(p)
    most = np.float32(0)
    for b in range(nb):
        n = np.float32(blocks[b * y.BLOCK_COLUMNS + y.CHARS])
        kept = n * p[b]
        sums[2 * b + 2] = sums[2 * b] + n
        sums[2 * b + 3] = sums[2 * b + 1] + kept
        most = max(most, p[b])
        slot = 2 * places[_LIKE * nb + b]
        shares[slot] += kept
        shares[slot + 1] += n
        slot = 2 * places[_PARENT_LIKE * nb + b]
        parent_shares[slot] += kept
        parent_shares[slot + 1] += n
        above[min(_STEPS - 1, int(p[b] * _STEPS))] += n
    for k in range(_STEPS - 1, -1, -1):
        above[k] += above[k + 1]
    return most


@kernel_part
def _distances(p, rows, first, step):
    """Blocks since the last one kept, by going over them forwards or (step -1) backwards."""
    gap = np.float32(60)
    b = 0 if step > 0 else len(p) - 1
    for _ in range(len(p)):
        rows[first + b] = gap
        gap = np.float32(0) if p[b] > 0.5 else min(gap + np.float32(1), np.float32(60))
        b += step


@kernel_part
def _kept_share(sums, low, high, otherwise):
    """Share of the text of blocks low to high that is kept."""
    n = sums[2 * high] - sums[2 * low]
    return (sums[2 * high + 1] - sums[2 * low + 1]) / n if n > 0 else otherwise


@kernel
def _surround(elements, blocks, places, p, rows, sums, shares, parent_shares, above):
    nb = len(p)
    most = _add_up(blocks, places, p, sums, shares, parent_shares, above)
    for way in range(2):
        _distances(p, rows, (27 + way) * nb, 1 - 2 * way)
    none = np.float32(-0.1)
    all_kept = sums[2 * nb + 1]
    total = max(sums[2 * nb], np.float32(1))
    log_kept = math.log1p(all_kept)
    for b in range(nb):
        rows[b] = p[b]
        at = nb + b
        for k in range(-3, 4):
            if k != 0:
                rows[at] = p[b + k] if 0 <= b + k < nb else none
                at += nb
        for k in range(4):
            width = 6 if k < 2 else 20
            low = max(0, b - width) if k % 2 == 0 else b + 1
            high = b if k % 2 == 0 else min(nb, b + 1 + width)
            rows[at] = _kept_share(sums, low, high, none)
            at += nb
        for k in range(_LIKE):
            e = places[k * nb + b] * y.ELEMENT_COLUMNS
            low = np.int64(elements[e + y.FIRST_BLOCK])
            high = max(np.int64(elements[e + y.END_BLOCK]), low)
            rows[at] = _kept_share(sums, low, high, p[b])
            at += nb
        slot = 2 * places[_LIKE * nb + b]
        rows[at] = shares[slot] / shares[slot + 1]
        slot = 2 * places[_PARENT_LIKE * nb + b]
        rows[at + nb] = parent_shares[slot] / parent_shares[slot + 1]
        at += 2 * nb
        rows[at] = all_kept / total
        rows[at + nb] = most
        rows[at + 2 * nb] = sums[2 * b + 1] / max(all_kept, np.float32(1e-6))
        rows[at + 3 * nb] = all_kept - sums[2 * b + 3]
        rows[at + 4 * nb] = log_kept
        # two rows filled above
        rows[at + 7 * nb] = above[min(_STEPS - 1, int(p[b] * _STEPS))] / total


def best_threshold(p: NDArray[np.float32], blocks: NDArray[np.int32]) -> float:
    """The score above which keeping maximises the expected F1 of the page.

    With chars n and probabilities p the expected F1 of a kept set K is about
    2 sum_K(p n) / (sum_K(n) + sum(p n)); its best K are the blocks with p above half the F1 that they reach
    (Lipton, Elkan and Naryanaswamy 2014), found by one pass over the blocks by falling score.
    """
    if not len(p):
        return 0.0
    chars = blocks[:, y.CHARS].astype(np.float64)
    expected = p * chars
    order = np.argsort(-p, kind="stable")
    total = np.cumsum(expected)[-1]  # unlike `sum`, one after the other: the same on every machine
    reached = 2 * np.cumsum(expected[order]) / (np.cumsum(chars[order]) + total + np.float64(np.float32(1e-6)))
    return max(float(reached.max()), 0.0) / 2


def drop_copies(blocks: NDArray[np.int32], flags: NDArray[np.int32], min_chars: int, keep: NDArray[np.bool_]) -> None:
    """Unset keep where a text of at least min_chars was kept before; tables and code are left alone. In place."""
    # the hash and the length together: 32 bits alone would drop a text by chance once in some thousand pages
    long = np.flatnonzero(keep & (blocks[:, y.CHARS] >= min_chars) & (flags & (y.F_TABLE | y.F_PRE) == 0))
    keys = blocks[long, y.TEXT_HASH].astype(np.int64) << 32 | blocks[long, y.CHARS]
    _, first = np.unique(keys, return_index=True)
    keep[long] = False
    keep[long[first]] = True
