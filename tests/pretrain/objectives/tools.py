"""What the objectives' tests share: batches by hand, and plain-Python references of the corruptions."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import torch

from pretrain.data import Batch

WORD = (1 << 64) - 1
GOLDEN = 0x9E3779B97F4A7C15


def batch_of(ids: Any, segments: Any, indices: Any = None, epoch: int = 0) -> Batch:
    """A batch of rows given as lists."""
    made = torch.tensor(ids, dtype=torch.int64), torch.tensor(segments, dtype=torch.int32)
    return Batch(*made, np.arange(len(ids)) if indices is None else np.asarray(indices, np.int64), epoch)


def random_rows(seed: int, rows: int, length: int, *, top: int = 256, mean: int = 40) -> tuple[Any, Any]:
    """Random ordinary ids in documents of random lengths, some removed, with padding at the end."""
    rng = np.random.default_rng(seed)
    ids = rng.integers(0, top, (rows, length))
    starts = rng.random((rows, length)) < 1 / mean
    starts[:, 0] = False
    segments = np.cumsum(starts, axis=1)
    gone = rng.random((rows, segments.max() + 1)) < 0.1
    segments[np.take_along_axis(gone, segments, 1)] = -1
    for b, valid in enumerate(rng.integers(length // 2, length + 1, rows)):
        segments[b, valid:] = -1
    return ids.tolist(), segments.tolist()


def mixed(x: int) -> int:
    """splitmix64's finaliser in Python's whole numbers."""
    x = (x ^ x >> 30) * 0xBF58476D1CE4E5B9 & WORD
    x = (x ^ x >> 27) * 0x94D049BB133111EB & WORD
    return x ^ x >> 31


def key_of(seed: int, epoch: int, index: int) -> int:
    key = mixed(((seed & WORD) ^ 0x5851F42D4C957F2D) + GOLDEN & WORD)
    for part in (epoch, index):
        key = mixed((key ^ part) + GOLDEN & WORD)
    return key


def bits(key: int, counter: int) -> int:
    return mixed(key + GOLDEN * (counter + 1) & WORD)


def masked_row(row: list[int], segments: list[int], key: int, rate: float, kinds: Any, ordinary: Any, mask: int) -> Any:
    """(inputs, targets) of BERT's masking at 80/10/10."""
    inputs, targets = [], []
    for t, (token, segment) in enumerate(zip(row, segments, strict=True)):
        out, target = token, -100
        if segment >= 0 and kinds[token] == 1 and (bits(key, 2 * t) >> 32) / 2**32 < rate:
            target = token
            more = bits(key, 2 * t + 1)
            share = (more >> 32) / 2**32
            if share < 0.8:
                out = mask
            elif share < 0.9:
                out = int(ordinary[(more % 2**32) * len(ordinary) >> 32])
        inputs.append(out)
        targets.append(target)
    return inputs, targets


def pieces(segments: list[int]) -> Iterator[tuple[int, int, int]]:
    """(segment, start, stop) of each document of a row that may be learned from."""
    start = 0
    for t in range(1, len(segments) + 1):
        if t == len(segments) or segments[t] != segments[start]:
            if segments[start] >= 0:
                yield segments[start], start, t
            start = t


def span_lengths(n: int, key: int, density: float, mean: float) -> tuple[list[int], list[int]]:
    """(tokens before each span and after the last, tokens of each span) of a document of n tokens."""
    unit = (bits(key, counter) / 2**64 // 2**-53 * 2**-53 for counter in range(10 * n + 10))
    noise = min(int(n * density + next(unit)), n - 1)
    count = max(1, min(noise, n - noise + 1, int(noise / mean + next(unit))))
    if noise < 1:
        return [n], []
    gaps, spans = [], []
    bars, slots, cuts, left = count, n - noise + 1, count - 1, noise
    for k in range(count):
        gap = 0 if k == 0 else 1
        while next(unit) * slots >= bars:
            gap, slots = gap + 1, slots - 1
        gaps.append(gap)
        bars, slots = bars - 1, slots - 1
        span, left = 1, left - 1
        while left and not next(unit) * left < cuts:
            span, left = span + 1, left - 1
        cuts -= 1
        spans.append(span)
    return [*gaps, n - sum(gaps) - sum(spans)], spans
