"""The learning rate's course: linear warm-up, then cosine, WSD, linear or constant."""

from __future__ import annotations

import math

from .config import OptimConfig, whole_steps


def lr_share(step: int, steps: int, config: OptimConfig) -> float:
    """Share of the peak learning rate at step `step` (from 0) of `steps`.

    After n steps of warm-up, in which step k has (k + 1) / n, and with m = `min_lr_share`:
    cosine   m + (1 - m) (1 + cos(pi x)) / 2, x from 0 to below 1 (Loshchilov and Hutter 2017)
    wsd      1, and over the last `decay` steps down a straight line to m (Hu et al. 2024)
    linear   1 - x, down to 0 behind the last step (Bergsma et al. 2025)
    constant 1
    """
    warmup = min(max(1, whole_steps(config.warmup, steps)), steps) if config.warmup else 0
    if step < warmup:
        return (step + 1) / warmup
    x, m = (step - warmup) / max(1, steps - warmup), config.min_lr_share
    if config.schedule == "cosine":
        return m + (1 - m) * 0.5 * (1 + math.cos(math.pi * x))
    if config.schedule == "linear":
        return 1 - x
    if config.schedule == "wsd":
        decay = min(max(1, whole_steps(config.decay, steps)), steps - warmup)
        return 1 - (1 - m) * max(0, step - (steps - decay) + 1) / decay
    return 1.0
