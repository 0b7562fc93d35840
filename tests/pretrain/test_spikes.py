"""The guard against the same rule written down plainly, over histories with spikes, jumps and NaN."""

from __future__ import annotations

import json
import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pretrain.config import SpikeConfig
from pretrain.spikes import SpikeGuard


def plain(losses: list[float], norms: list[float], how: SpikeConfig) -> list[tuple[str | None, bool]]:
    """Everything recomputed from the whole history at each step."""
    verdicts: list[tuple[str | None, bool]] = []
    for k in range(len(losses)):
        taken = [i for i in range(k) if verdicts[i][0] is None][-how.window :]

        def high(values: list[float], k: int = k, taken: list[int] = taken) -> bool:
            before = np.array([values[i] for i in taken])
            if len(before) < how.min_history:
                return False
            return bool(values[k] > before.mean() + max(how.sigma * before.std(), how.min_rise * abs(before.mean())))

        reason = None
        if not (math.isfinite(losses[k]) and math.isfinite(norms[k])):
            reason = "nonfinite"
        elif how.enabled and high(losses):
            reason = "loss"
        elif how.enabled and high(norms):
            reason = "grad_norm"
        skips = [verdict[0] is not None for verdict in verdicts] + [reason is not None]
        verdicts.append((reason, sum(skips[-how.window :]) > how.max_skips))
    return verdicts


@given(st.integers(0, 10**6), st.integers(2, 12), st.floats(1.0, 6.0), st.booleans())
@settings(max_examples=80, deadline=None)
def test_the_guard_is_the_plain_rule(seed: int, window: int, sigma: float, enabled: bool) -> None:
    rng = np.random.default_rng(seed)
    losses, norms = rng.normal(3, 0.1, 90), rng.lognormal(0, 0.3, 90)
    losses[rng.integers(0, 90, 9)] += rng.exponential(1, 9)
    norms[rng.integers(0, 90, 5)] *= 30
    losses[60:] += rng.choice([0.0, 3.0])  # a new level
    losses[rng.integers(0, 90)], norms[rng.integers(0, 90)] = math.nan, math.inf
    how = SpikeConfig(
        window=window, min_history=max(2, window // 2), sigma=sigma, max_skips=3, enabled=enabled, min_rise=0.01
    )
    guard = SpikeGuard(how)
    found = []
    for k, (loss, norm) in enumerate(zip(losses.tolist(), norms.tolist(), strict=True)):
        if k == 45:  # through its state, as a checkpoint keeps it
            state = json.loads(json.dumps(guard.state()))
            guard = SpikeGuard(how)
            guard.restore(state)
        verdict = guard.judge(loss, norm)
        found.append((verdict.skip, verdict.too_many))
    assert found == plain(losses.tolist(), norms.tolist(), how)


def test_a_spike_does_not_raise_the_bar() -> None:
    guard = SpikeGuard(SpikeConfig(window=20, min_history=10))
    for k in range(20):
        assert guard.judge(2.0 + 0.01 * (k % 3), 1.0 + 0.01 * (k % 2)).skip is None
    limit = guard.judge(9.0, 1.0).loss_limit
    assert guard.judge(9.0, 1.0) == ("loss", False, limit, guard.judge(2.0, 50.0).grad_norm_limit)
    assert guard.judge(2.0, 50.0).skip == "grad_norm" and not guard.calm
    for _ in range(20):
        assert guard.judge(2.0, 1.0).skip is None
    assert guard.calm


def test_nothing_is_judged_before_there_is_a_history() -> None:
    guard = SpikeGuard(SpikeConfig(window=20, min_history=10))
    assert [guard.judge(1.0, 1.0).skip for _ in range(9)] == [None] * 9
    assert guard.judge(1e9, 1e9) == (None, False, None, None)
    assert guard.judge(math.nan, 1.0).skip == "nonfinite"


@pytest.mark.parametrize(("rise", "skip"), [(0.0, "loss"), (0.02, None)])
def test_a_flat_loss_is_no_trap(rise: float, skip: str | None) -> None:
    guard = SpikeGuard(SpikeConfig(window=8, min_history=4, min_rise=rise))
    for _ in range(8):
        guard.judge(1.0, 1.0)
    assert guard.judge(1.001, 1.0).skip == skip


@given(st.integers(0, 10**6), st.floats(-0.02, 0.02), st.integers(4, 40))
@settings(max_examples=60, deadline=None)
def test_a_rising_loss_is_not_calm(seed: int, slope: float, window: int) -> None:
    """By the difference of two means against its standard error, written down plainly."""
    losses = 3 + 0.05 * np.random.default_rng(seed).normal(size=60) + slope * np.arange(60)
    guard = SpikeGuard(SpikeConfig(window=window, min_history=4, max_skips=1, min_rise=10.0))
    for k, loss in enumerate(losses.tolist()):
        assert guard.judge(loss, 1.0).skip is None  # a slow rise is no spike
        seen = losses[max(0, k + 1 - window) : k + 1]
        quarter = math.ceil(window / 4)
        if len(seen) < max(4, 2 * quarter):
            assert guard.calm
            continue
        error = seen.std() * math.sqrt(1 / quarter + 1 / (len(seen) - quarter))
        score = (seen[-quarter:].mean() - seen[:-quarter].mean()) / error
        assert abs(score - 3) < 1e-9 or guard.calm == (score < 3)


def test_noise_is_calm_and_a_slow_rise_is_seen_within_the_lag() -> None:
    rng = np.random.default_rng(0)
    guard = SpikeGuard(SpikeConfig())
    calm = []
    for k in range(4000):
        guard.judge(3 - 1e-5 * k + 0.05 * rng.normal(), 1.0)
        calm.append(guard.calm)
    assert np.mean(calm) > 0.99
    for k in range(guard.lag):  # the deviation of the noise in so many steps
        guard.judge(2.96 + 0.1 * k / guard.lag + 0.05 * rng.normal(), 1.0)
    assert not guard.calm
