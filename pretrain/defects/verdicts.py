"""The tests of planted defects: what must be worse, what must be restored, what must tie; p values corrected together.

Every test is of differences between two arms that share a seed. `macro` is the mean bits per byte over the held-out
sets without the leaked one; `own` is the leaked set's bits per byte less the macro, so that a corpus that is better
or worse for everything does not count as a leak or as its repair.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from pretrain.ablation.statistics import Interval, holm, paired_t

LEAKED = "leaked"
"""The held-out set that is leaked."""

Values = Mapping[str, Mapping[str, NDArray[np.float64]]]
"""Bits per byte by arm and held-out set, (seeds,)."""


@dataclass(frozen=True)
class Claim:
    """First arm less second must be `above` 0, `below` 0, or a `tie`, on the figure `macro` or `own`."""

    name: str
    first: str
    second: str
    expected: str
    figure: str = "macro"


CLAIMS = (
    Claim("repeated documents lose", "repeated", "clean", "above"),
    Claim("deduplication restores", "deduplicated", "repeated", "below"),
    Claim("junk pages lose", "junk", "clean", "above"),
    Claim("filters restore", "filtered", "junk", "below"),
    Claim("a leaked held-out set drops its own loss", "leaked", "clean", "below", "own"),
    Claim("decontamination restores it", "decontaminated", "leaked", "above", "own"),
    Claim("a random filter at equal yield ties", "random", "junk", "tie"),
)
REPAIRS = (
    ("deduplication", "clean", "repeated", "deduplicated", "macro"),
    ("filters", "clean", "junk", "filtered", "macro"),
    ("decontamination", "clean", "leaked", "decontaminated", "own"),
)
"""(name, clean arm, defective arm, mended arm, figure)."""


@dataclass(frozen=True)
class Finding:
    """A claim, what was measured, and whether it held. `corrected`: p by Holm over all claims."""

    claim: Claim
    difference: Interval
    p: float
    corrected: float
    held: bool


def figure(values: Values, arm: str, name: str) -> NDArray[np.float64]:
    """`macro` or `own` of an arm, (seeds,)."""
    sets = values[arm]
    macro = np.mean([value for one, value in sets.items() if one != LEAKED], axis=0)
    return np.asarray(macro if name == "macro" else sets[LEAKED] - macro, np.float64)


def tie_p(difference: Interval, margin: float) -> float:
    """p of the two one-sided tests (Schuirmann 1987) of a difference beyond +-margin: the larger of the two."""
    from scipy.stats import t

    if difference.n < 2:
        return 1.0
    room = margin - abs(difference.mean)
    error = difference.deviation / difference.n**0.5
    if error == 0.0:
        return 0.0 if room > 0 else 1.0
    return float(t.sf(room / error, difference.n - 1))


def judge(values: Values, margin: float, alpha: float) -> list[Finding]:
    """All claims tested.

    A difference holds if it has the expected sign and its corrected p is below alpha. A tie holds if the 95 % interval
    lies inside the margin and the corrected p of the two one-sided tests is below alpha.
    """
    differences = [
        paired_t(figure(values, one.first, one.figure) - figure(values, one.second, one.figure)) for one in CLAIMS
    ]
    p = [
        tie_p(found, margin) if one.expected == "tie" else found.p
        for one, found in zip(CLAIMS, differences, strict=True)
    ]
    findings = []
    for claim, found, raw, corrected in zip(CLAIMS, differences, p, holm(p), strict=True):
        side = {
            "above": found.mean > 0,
            "below": found.mean < 0,
            "tie": -margin < found.low and found.high < margin,
        }[claim.expected]
        findings.append(Finding(claim, found, raw, corrected, side and corrected < alpha))
    return findings


def restored(values: Values) -> dict[str, float]:
    """Share of each defect's mean effect that its repair takes back; 1: as if there had been no defect."""
    shares = {}
    for name, clean, defective, mended, what in REPAIRS:
        whole, fine, repaired = (figure(values, arm, what).mean() for arm in (defective, clean, mended))
        shares[name] = float((whole - repaired) / (whole - fine))
    return shares
