"""Rotary position embedding (Su et al. 2021) and its rescaling for longer contexts."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from .config import ModelConfig

_FAST, _SLOW = 32.0, 1.0
"""YaRN's beta and alpha for Llama: turns within the old context from which, and up to which, a pair is interpolated."""


def frequencies(config: ModelConfig) -> tuple[Tensor, float]:
    """(angles per position (head_dim / 2,) float64, factor on cos and sin) of a configuration.

    `linear`: position interpolation, all angles divided by the factor (Chen et al. 2023). `ntk`: a larger base, so that
    only the slowest pair is divided by the whole factor (bloc97 2023; eq. 16 of Peng et al. 2023). `yarn` (Peng et al.
    2023): pairs that turn less than once in the old context are divided, those that turn 32 times and more are kept,
    a ramp between; and logits grow by (0.1 ln factor + 1)^2.
    """
    half = torch.arange(0, config.head_dim, 2, dtype=torch.float64) / config.head_dim
    theta, factor = config.rope_theta, config.rope_factor
    if config.rope_scale == "ntk" and config.head_dim > 2:
        theta *= factor ** (config.head_dim / (config.head_dim - 2))
    rates = theta**-half
    if config.rope_scale == "linear":
        return rates / factor, 1.0
    if config.rope_scale != "yarn":
        return rates, 1.0
    turns = config.rope_original * rates / (2 * math.pi)
    kept = ((turns - _SLOW) / (_FAST - _SLOW)).clamp(0, 1)
    return rates * (kept + (1 - kept) / factor), 0.1 * math.log(factor) + 1


def rotary_table(config: ModelConfig, length: int, device: torch.device) -> tuple[Tensor, Tensor]:
    """cos and sin, each (T, head_dim / 2) float32."""
    rates, scale = frequencies(config)
    angles = torch.outer(torch.arange(length, dtype=torch.float64), rates)
    return (angles.cos() * scale).float().to(device), (angles.sin() * scale).float().to(device)


def rotate(x: Tensor, cos: Tensor, sin: Tensor) -> Tensor:
    """Turn the pairs (i, i + head_dim / 2) of x (B, H, T, head_dim) by their position's angles."""
    a, b = x.float().chunk(2, dim=-1)
    return torch.cat((a * cos - b * sin, a * sin + b * cos), dim=-1).to(x.dtype)
