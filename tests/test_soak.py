"""The soak's slope and its interval, on growth that is known; and what must not grow with the number of maps."""

from __future__ import annotations

import os

import numpy as np

from benchmarks.soak import memory, processes, slope, theil_sen
from pipeline.runner import Resources
from pipeline.runner.flight import _remote, _run_batch


def test_slopes() -> None:
    rng = np.random.default_rng(3)
    hours = np.linspace(0, 0.5, 60)
    noise = rng.normal(0, 2, 60)
    noise[7] += 300  # one round with a large table does not count
    for grown in (0.0, 40.0, -15.0):
        at, low, high = slope(hours, 600 + grown * hours + noise, draws=400)
        assert low < grown < high and low < at < high and high - low < 20
    assert theil_sen(np.array([0.0, 1.0, 2.0]), np.array([1.0, 3.0, 5.0])) == 2.0


def test_memory_of_this_process() -> None:
    found = memory(os.getpid())
    assert found is not None and 10 < found[1] <= found[0] < 1e5
    assert memory(2**22 + 5) is None
    assert processes()[os.getpid()] == "driver"


def test_one_ray_function_a_process() -> None:
    """A new `ray.remote` a step stays in the head and in every worker for good: 60 kB a round, once."""
    first, second = _remote("a", Resources(), False), _remote("b", Resources(1 << 20), True)
    assert _run_batch() is _run_batch() and first is _remote("a", Resources(), False) and first is not second
