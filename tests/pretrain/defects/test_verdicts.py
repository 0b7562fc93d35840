"""The claims on made-up figures, held against scipy's own tests and by-hand corrections."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import stats

from pretrain.ablation.statistics import paired_t
from pretrain.defects.verdicts import CLAIMS, LEAKED, figure, judge, restored, tie_p

SEEDS = 6
SHIFTS = {
    "clean": (0.0, 0.0), "repeated": (0.10, 0.1), "deduplicated": (0.01, 0.01), "junk": (0.20, 0.2),
    "filtered": (0.05, 0.05), "random": (0.20, 0.2), "leaked": (0.02, -0.5), "decontaminated": (0.0, 0.0),
}  # fmt: skip
"""(bits per byte above clean on the other sets, on the leaked one)."""


def values(noise: float = 0.005, shifts: dict[str, tuple[float, float]] = SHIFTS) -> dict[str, dict[str, np.ndarray]]:
    rng = np.random.default_rng(0)
    seeds = rng.normal(0, 0.05, SEEDS)  # what arms share that share a seed
    return {
        arm: {
            name: 2 + seeds + (own if name == LEAKED else others) + rng.normal(0, noise, SEEDS)
            for name in ("a", "b", LEAKED)
        }
        for arm, (others, own) in shifts.items()
    }


def test_all_claims_hold_where_all_are_true() -> None:
    found = {one.claim.name: one for one in judge(values(), margin=0.02, alpha=0.05)}
    assert len(found) == len(CLAIMS) and all(one.held for one in found.values())


def test_p_values_are_scipys_and_holms() -> None:
    made = values(noise=0.1)
    found = judge(made, margin=0.02, alpha=0.05)
    raw = []
    for one in found:
        a, b = (
            np.mean([made[arm]["a"], made[arm]["b"]], axis=0)
            if one.claim.figure == "macro"
            else made[arm][LEAKED] - (made[arm]["a"] + made[arm]["b"]) / 2
            for arm in (one.claim.first, one.claim.second)
        )
        if one.claim.expected == "tie":
            beyond = (
                stats.ttest_1samp(a - b, -0.02, alternative="greater").pvalue,
                stats.ttest_1samp(a - b, 0.02, alternative="less").pvalue,
            )
            raw.append(max(beyond))
        else:
            raw.append(stats.ttest_rel(a, b).pvalue)
    assert [one.p for one in found] == pytest.approx(raw)
    for one, p in zip(found, raw, strict=True):  # Holm: as many as are not smaller, the largest so far
        ahead = [q for q in raw if q <= p]
        corrected = max(min(1.0, q * (len(raw) - sum(other < q for other in raw))) for q in ahead)
        assert one.corrected == pytest.approx(corrected)


@pytest.mark.parametrize(
    ("arm", "shift", "lost"),
    [
        ("repeated", (-0.02, 0.0), "repeated documents lose"),
        ("deduplicated", (0.12, 0.1), "deduplication restores"),
        ("junk", (-0.2, 0.0), "junk pages lose"),
        ("filtered", (0.3, 0.3), "filters restore"),
        ("leaked", (-0.5, -0.45), "a leaked held-out set drops its own loss"),
        ("decontaminated", (0.0, -0.55), "decontamination restores it"),
        ("random", (0.23, 0.23), "a random filter at equal yield ties"),
    ],
)
def test_a_claim_that_is_false_does_not_hold(arm: str, shift: tuple[float, float], lost: str) -> None:
    """Each with an effect of the wrong sign; a corpus that is better for all sets is no leak."""
    found = {one.claim.name: one.held for one in judge(values(shifts={**SHIFTS, arm: shift}), margin=0.02, alpha=0.05)}
    assert not found[lost]


def test_a_tie_needs_the_whole_interval_inside_the_margin() -> None:
    wide = values(noise=0.05)
    claim = next(one for one in judge(wide, margin=0.02, alpha=0.05) if one.claim.expected == "tie")
    assert claim.difference.low < -0.02 or claim.difference.high > 0.02
    assert not claim.held, "no difference was found, and that is no tie"
    assert next(one for one in judge(wide, margin=0.5, alpha=0.05) if one.claim.expected == "tie").held


def test_what_is_restored() -> None:
    found = restored(values(noise=0.0))
    assert found == pytest.approx({"deduplication": 0.9, "filters": 0.75, "decontamination": 1.0})


def test_one_seed_proves_no_tie() -> None:
    assert tie_p(paired_t([0.0]), 0.02) == 1.0
    assert tie_p(paired_t([0.001, 0.001]), 0.02) == 0.0
    assert figure(values(noise=0.0), "leaked", "own") == pytest.approx(np.full(SEEDS, -0.52))
