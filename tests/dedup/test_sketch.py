"""The counting Bloom filter: order and merging play no part, errors are as stated."""

from __future__ import annotations

import math
from collections import Counter

import numpy as np
import pytest

from dedup.sketch import Sketch, SketchSize


def hashes(seed: int, n: int) -> np.ndarray:
    return np.random.Generator(np.random.PCG64(seed)).integers(0, 1 << 64, n, np.uint64)


@pytest.mark.parametrize(("largest", "top"), [(2, 3), (3, 3), (4, 255), (255, 255)])
def test_never_too_small_and_the_same_in_any_order_and_parts(tmp_path, largest, top):
    drawn = hashes(1, 300)
    added = np.concatenate([np.repeat(drawn[:150], 5), drawn[150:250], np.repeat(drawn[:1], 300)])
    size = SketchSize.wanted(400, 0.01, largest)
    one = Sketch(size)
    one.add(added)
    one.add(np.zeros(0, np.uint64))
    one.write(tmp_path / "one")
    other, part = Sketch(size), Sketch(size)
    mixed = np.random.Generator(np.random.PCG64(2)).permutation(added)
    other.add(mixed[:500])
    part.add(mixed[500:])
    part.write(tmp_path / "part")
    other.merge(tmp_path / "part")
    assert np.array_equal(one.cells, other.cells)
    true = Counter(added.tolist())
    got = Sketch.open(size, tmp_path / "one").estimates(drawn).tolist()
    assert all(value >= min(true[h], top) for h, value in zip(drawn.tolist(), got, strict=True))
    assert sum(value > min(true[h], top) for h, value in zip(drawn.tolist(), got, strict=True)) < 20


def test_error_rate_is_as_stated(tmp_path):
    n, rate = 50_000, 0.01
    size = SketchSize.wanted(n, rate, 2)
    assert size.counters == math.ceil(-n * math.log(rate) / math.log(2) ** 2) and size.bits == 2
    assert size.bytes == -(-size.counters // 4) and size.probes == 7
    sketch = Sketch(size)
    known = hashes(3, n)
    sketch.add(known)
    sketch.write(tmp_path / "f")
    read = Sketch.open(size, tmp_path / "f")
    wrong = float((read.estimates(hashes(4, n)) > 0).mean())
    spread = math.sqrt(rate * (1 - rate) / n)
    assert wrong < rate + 4 * spread
    assert abs(size.error_rate(sketch.filled()) - wrong) < 5 * spread
    assert float((read.estimates(known) > 1).mean()) < rate + 4 * spread  # once added, taken for repeated
