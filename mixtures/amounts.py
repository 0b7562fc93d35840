"""How many tokens of what: from the tokens that there are to targets for each phase. Plain numbers, no documents.

A *stratum* is the documents of one source, group (language or domain, where a temperature asks for it) and quality
bucket. Its target in a phase is its share of the source's target; none is drawn more than `max_epochs` times over all
phases, and what a stratum can't give goes to the others of its source (as in UniMax, Chung et al. 2023). A later
phase is served first.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from pipeline.errors import ConfigError

from .recipe import Mixture, PhaseSpec

R_STAR = 15.387756
"""Repeats after which further ones add little: R_D* of Muennighoff et al. 2023, appendix A (arXiv:2305.16264)."""
GOOD_EPOCHS = 4
"""Up to here repeated tokens are about as good as fresh ones (the same)."""
CHINCHILLA_TOKENS = 20
"""Tokens a parameter that Hoffmann et al. 2022 found best for training compute (arXiv:2203.15556), about."""
UNSCORED = -1


@dataclass(frozen=True)
class Stratum:
    """What there is of a stratum; `group` is empty without a temperature, `bucket` UNSCORED without a score."""

    source: str
    group: str
    bucket: int
    tokens: int
    documents: int


@dataclass(frozen=True)
class Targets:
    """`tokens[k][i]`: of stratum i in phase k. `wanted[k][source]`: what the recipe asks for, before caps."""

    tokens: list[list[int]]
    wanted: list[dict[str, int]]

    def of(self, stratum: int) -> list[int]:
        """A stratum's tokens by phase."""
        return [phase[stratum] for phase in self.tokens]


def effective_tokens(unique: float, drawn: float) -> float:
    """Fresh tokens that `drawn` tokens of `unique` ones are worth: U + U R* (1 - exp(-R / R*)), R = drawn / U - 1."""
    if drawn <= unique or unique <= 0:
        return float(min(unique, drawn))
    repeats = drawn / unique - 1
    return unique + unique * R_STAR * (1 - math.exp(-repeats / R_STAR))


def chinchilla(params: float, tokens: float) -> dict[str, float]:
    """Where a model of `params` parameters stands that is trained on `tokens`: C = 6 N D, tokens a parameter."""
    return {
        "model_params": params,
        "tokens": tokens,
        "compute_flops": 6 * params * tokens,
        "tokens_per_param": tokens / params,
        "chinchilla_tokens": CHINCHILLA_TOKENS * params,
        "share_of_chinchilla": tokens / (CHINCHILLA_TOKENS * params),
        "chinchilla_params_for_these_tokens": tokens / CHINCHILLA_TOKENS,
    }


def water_fill(total: float, weights: Sequence[float], caps: Sequence[float]) -> list[float]:
    """Shares of `total` by weight, none over its cap; what is over goes to the others by their weights.

    Sums to `total`, or to all caps of positive weight where these are less.
    """
    out = [0.0] * len(weights)
    order = sorted((i for i, w in enumerate(weights) if w > 0), key=lambda i: caps[i] / weights[i])
    behind = list(itertools.accumulate((weights[i] for i in reversed(order)), initial=0.0))[::-1]
    left = total
    for i, weight in zip(order, behind, strict=False):
        out[i] = min(caps[i], left * weights[i] / weight)
        left = max(0.0, left - out[i])
    return out


def whole(parts: Sequence[float], total: int, caps: Sequence[int]) -> list[int]:
    """Whole numbers near `parts`, none over its cap, that sum to `total` where the caps allow (largest remainders)."""
    out = [min(math.floor(part), cap) for part, cap in zip(parts, caps, strict=True)]
    left = total - sum(out)
    for i in sorted(range(len(parts)), key=lambda i: (math.floor(parts[i]) - parts[i], i)):
        if left <= 0:
            break
        if parts[i] > 0 and out[i] < caps[i]:
            out[i] += 1
            left -= 1
    return out


def repeats(mixture: Mixture, phase: PhaseSpec, bucket: int) -> float:
    """How often a bucket is drawn in a phase, relative to the others."""
    if mixture.quality is None:
        return 1.0
    if bucket == UNSCORED:
        return mixture.quality.unscored
    return (phase.repeat or mixture.quality.repeat)[bucket]


def source_targets(mixture: Mixture, available: dict[str, int]) -> dict[str, float]:
    """Tokens of each source over all phases. Raises ConfigError for a source without a usable token.

    Sources with `tokens` or `epochs` get those; the others share what is left of `total_tokens` by weight (without
    one: by what they have). Without `total_tokens` they get the most that repeats none of them.
    """
    for name in mixture.sources:
        if available.get(name, 0) < 1:
            raise ConfigError(
                f"mixture '{mixture.name}': source '{name}' has no token that may be drawn: it is empty, or all of it"
                " is held out, over a cap or in buckets of repeat 0"
            )
    out: dict[str, float] = {}
    weights: dict[str, float] = {}
    for name, spec in mixture.sources.items():
        if spec.tokens is not None:
            out[name] = spec.tokens
        elif spec.epochs is not None:
            out[name] = spec.epochs * available[name]
        else:
            weights[name] = available[name] if spec.weight is None else spec.weight
    if not weights:
        total = math.fsum(out.values())
        if mixture.total_tokens is not None and mixture.total_tokens != total:
            out = {name: tokens * mixture.total_tokens / total for name, tokens in out.items()}
        return out
    if mixture.total_tokens is None:
        rest = min(available[name] / weight for name, weight in weights.items()) * math.fsum(weights.values())
    else:
        rest = mixture.total_tokens - math.fsum(out.values())
        if rest <= 0:
            raise ConfigError(
                f"mixture '{mixture.name}': sources with tokens or epochs ask for {math.fsum(out.values()):,.0f} of"
                f" total_tokens {mixture.total_tokens:,}, so nothing is left for {', '.join(weights)}"
            )
    scale = rest / math.fsum(weights.values())
    return {name: out[name] if name in out else weights[name] * scale for name in mixture.sources}


def targets(mixture: Mixture, strata: Sequence[Stratum]) -> Targets:
    """Targets of all strata in all phases. Raises ConfigError as `source_targets` does."""
    usable = [any(repeats(mixture, phase, s.bucket) > 0 for phase in mixture.phases) for s in strata]
    available: dict[str, int] = {}
    for stratum, may in zip(strata, usable, strict=True):
        available[stratum.source] = available.get(stratum.source, 0) + (stratum.tokens if may else 0)
    of_source = source_targets(mixture, available)
    shares = math.fsum(phase.share for phase in mixture.phases)
    total = math.fsum(of_source.values())
    left = [int(s.tokens * (mixture.sources[s.source].max_epochs or mixture.max_epochs)) for s in strata]
    tokens: list[list[int]] = []
    wanted: list[dict[str, int]] = []
    for phase in reversed(mixture.phases):
        part = phase.share / shares
        if phase.weights is None:
            by_source = {name: value * part for name, value in of_source.items()}
        else:
            scale = total * part / math.fsum(phase.weights.values())
            by_source = {name: phase.weights.get(name, 0.0) * scale for name in of_source}
        row = [0] * len(strata)
        for name, want in by_source.items():
            own = [i for i, s in enumerate(strata) if s.source == name]
            caps = [left[i] for i in own]
            weights = _weights(mixture, phase, [strata[i] for i in own])
            got = water_fill(round(want), weights, caps)
            for i, value in zip(own, whole(got, round(want), caps), strict=True):
                row[i] = value
                left[i] -= value
        tokens.insert(0, row)
        wanted.insert(0, {name: round(value) for name, value in by_source.items()})
    return Targets(tokens, wanted)


def _weights(mixture: Mixture, phase: PhaseSpec, strata: Sequence[Stratum]) -> list[float]:
    """A source's strata: each group by its tokens to the power of the temperature's exponent, its buckets by repeat."""
    exponent = 1.0 if mixture.temperature is None else mixture.temperature.exponent
    repeated = [s.tokens * repeats(mixture, phase, s.bucket) for s in strata]
    in_group: dict[str, float] = {}
    size: dict[str, int] = {}
    for stratum, value in zip(strata, repeated, strict=True):
        in_group[stratum.group] = in_group.get(stratum.group, 0.0) + value
        size[stratum.group] = size.get(stratum.group, 0) + (stratum.tokens if value > 0 else 0)
    return [
        size[s.group] ** exponent * value / in_group[s.group] if value > 0 else 0.0
        for s, value in zip(strata, repeated, strict=True)
    ]


def epochs(stratum: Stratum, drawn: int) -> float:
    """How often a stratum is drawn."""
    return drawn / stratum.tokens if stratum.tokens else 0.0


def totals(strata: Sequence[Stratum], made: Targets, mixture: Mixture) -> list[dict[str, Any]]:
    """For each source: tokens available and drawn, epochs, the most of any stratum, effective tokens, shortfall."""
    rows = []
    for name in mixture.sources:
        own = [(s, sum(made.of(i))) for i, s in enumerate(strata) if s.source == name]
        available, drawn = sum(s.tokens for s, _ in own), sum(n for _, n in own)
        wanted = sum(phase[name] for phase in made.wanted)
        rows.append(
            {
                "source": name,
                "documents": sum(s.documents for s, _ in own),
                "available_tokens": available,
                "wanted_tokens": wanted,
                "target_tokens": drawn,
                "shortfall_tokens": max(0, wanted - drawn),
                "epochs": drawn / available if available else 0.0,
                "most_epochs": max((epochs(s, n) for s, n in own), default=0.0),
                "effective_tokens": round(math.fsum(effective_tokens(s.tokens, n) for s, n in own)),
                "never_drawn_tokens": sum(max(0, s.tokens - n) for s, n in own),
            }
        )
    return rows
