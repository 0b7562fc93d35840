"""What the second judge sees: how the first one judged the blocks around.

The first judge scores each block by itself. A block that it is unsure of is better judged by the scores of its
neighbours, of the elements that it stands in, and of its look-alikes on the page.
"""

from __future__ import annotations

import numpy as np

from ...kernels import kernel
from . import scan as s
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
_N_PLACES = len(PLACES)


@kernel
def surround(elements, blocks, places, p, matrix):
    """Fill rows len(FEATURES) and on of matrix from the first judge's scores p: float32[blocks]."""
    nb = len(blocks)
    chars = np.zeros(nb + 1, np.float32)
    kept = np.zeros(nb + 1, np.float32)
    most = np.float32(0)
    for b in range(nb):
        n = np.float32(blocks[b, s.CHARS])
        chars[b + 1] = chars[b] + n
        kept[b + 1] = kept[b] + n * p[b]
        most = max(most, p[b])
    total = max(chars[nb], np.float32(1))
    slots = 1
    while slots < 4 * nb:
        slots *= 2
    like = np.zeros((slots, 2), np.float32)
    parent_like = np.zeros((slots, 2), np.float32)
    for b in range(nb):
        n = np.float32(blocks[b, s.CHARS])
        like[places[_N_PLACES - 2, b], 0] += n * p[b]
        like[places[_N_PLACES - 2, b], 1] += n
        parent_like[places[_N_PLACES - 1, b], 0] += n * p[b]
        parent_like[places[_N_PLACES - 1, b], 1] += n
    # how much text scores at least as high, in 64 steps
    above = np.zeros(65, np.float32)
    for b in range(nb):
        above[min(63, int(p[b] * 64))] += blocks[b, s.CHARS]
    for k in range(63, -1, -1):
        above[k] += above[k + 1]
    expected = best_threshold(p, blocks)
    gap = np.float32(60)
    for b in range(nb):
        matrix[_FIRST + 27, b] = gap
        gap = np.float32(0) if p[b] > 0.5 else min(gap + np.float32(1), np.float32(60))
    gap = np.float32(60)
    for b in range(nb - 1, -1, -1):
        matrix[_FIRST + 28, b] = gap
        gap = np.float32(0) if p[b] > 0.5 else min(gap + np.float32(1), np.float32(60))
    for b in range(nb):
        f = _FIRST
        matrix[f, b] = p[b]
        f += 1
        for k in range(6):
            other = b + (k - 3 if k < 3 else k - 2)
            matrix[f, b] = p[other] if 0 <= other < nb else np.float32(-0.1)
            f += 1
        for k in range(4):
            width = 6 if k < 2 else 20
            low = max(0, b - width) if k % 2 == 0 else b + 1
            high = b if k % 2 == 0 else min(nb, b + 1 + width)
            n = chars[high] - chars[low]
            matrix[f, b] = (kept[high] - kept[low]) / n if n > 0 else np.float32(-0.1)
            f += 1
        for k in range(_N_PLACES - 2):
            e = places[k, b]
            low = elements[e, s.FIRST_BLOCK]
            high = max(elements[e, s.END_BLOCK], low)
            n = chars[high] - chars[low]
            matrix[f, b] = (kept[high] - kept[low]) / n if n > 0 else p[b]
            f += 1
        slot = places[_N_PLACES - 2, b]
        matrix[f, b] = like[slot, 0] / like[slot, 1]
        slot = places[_N_PLACES - 1, b]
        matrix[f + 1, b] = parent_like[slot, 0] / parent_like[slot, 1]
        f += 2
        matrix[f, b] = kept[nb] / total
        matrix[f + 1, b] = most
        matrix[f + 2, b] = kept[b] / max(kept[nb], np.float32(1e-6))
        matrix[f + 3, b] = kept[nb] - kept[b + 1]
        matrix[f + 4, b] = np.log1p(kept[nb])
        # two rows filled above
        matrix[f + 7, b] = above[min(63, int(p[b] * 64))] / total
        matrix[f + 8, b] = expected


@kernel
def best_threshold(p, blocks):
    """The score above which keeping maximises the expected F1 of the page.

    With chars n and probabilities p the expected F1 of a kept set K is about
    2 sum_K(p n) / (sum_K(n) + sum(p n)); its best K are the blocks with p above half the F1 that they reach
    (Lipton, Elkan and Naryanaswamy 2014), found by one pass over the blocks by falling score.
    """
    order = np.argsort(-p, kind="mergesort")
    total = np.float32(0)
    for b in range(len(p)):
        total += p[b] * blocks[b, s.CHARS]
    got = np.float32(0)
    size = np.float32(0)
    best = np.float32(0)
    for b in order:
        got += p[b] * blocks[b, s.CHARS]
        size += blocks[b, s.CHARS]
        best = max(best, 2 * got / (size + total + np.float32(1e-6)))
    return best / 2


@kernel
def drop_copies(blocks, flags, min_chars, keep):
    """Unset keep where a text of at least min_chars was kept before; tables and code are left alone. In place."""
    slots = 1
    while slots < 4 * len(blocks):
        slots *= 2
    seen = np.zeros(slots, np.uint64)
    for b in range(len(blocks)):
        if not keep[b] or blocks[b, s.CHARS] < min_chars or flags[b] & (s.F_TABLE | s.F_PRE):
            continue
        # the hash and the length together: 32 bits alone would drop a text by chance once in some thousand pages
        key = np.uint64(blocks[b, s.TEXT_HASH]) << np.uint64(32) | np.uint64(blocks[b, s.CHARS])
        slot = np.int64((key ^ key >> np.uint64(32)) % np.uint64(slots))
        while seen[slot] != 0 and seen[slot] != key:
            slot = (slot + 1) % slots
        if seen[slot] == key:
            keep[b] = False
        seen[slot] = key
