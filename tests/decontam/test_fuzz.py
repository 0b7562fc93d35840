"""A few cases of `fuzzing`, with the kernels as they are; `make fuzz-decontam` runs many, with checks of indices."""

from __future__ import annotations

import random

import numpy as np
import pytest

from .fuzzing import case, guarded, options_of


def test_random_cases_against_plain_python() -> None:
    hits = 0
    for number in (0, 2, 9, 255):
        known: dict[str, int] = {}
        seen: dict[int, str] = {}
        hits += sum(case(seed, options_of(number), known, seen) for seed in range(12))
    assert hits > 100


def test_options_are_all_combinations() -> None:
    assert len({options_of(number) for number in range(256)}) == 256


def test_the_guard_sees_what_is_written_behind_an_array() -> None:
    with pytest.raises(AssertionError, match="behind an array of 24 bytes"), guarded(random.Random(1)) as guard:
        made = guard.empty(3, np.int64)
        np.lib.stride_tricks.as_strided(made, (4,))[3] = 7
