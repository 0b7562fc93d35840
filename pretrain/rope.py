"""Rotary position embedding (Su et al. 2021) and its rescaling for longer contexts."""

from __future__ import annotations

import math
from functools import lru_cache

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
    half = torch.arange(0, config.head_dim, 2, dtype=torch.float64, device="cpu") / config.head_dim
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


def rotary_table(config: ModelConfig, length: int, device: torch.device) -> Tensor:
    """cos and sin of each position's angles, (T, 1, head_dim / 2, 2) float32; on a CPU made once."""
    if device.type == "cpu" and not torch.compiler.is_compiling():
        return _kept_table(config, length)
    return _table(config, length).to(device)


@lru_cache(maxsize=8)
def _kept_table(config: ModelConfig, length: int) -> Tensor:
    with torch.inference_mode(False):  # else a table made in inference could not be used in training
        return _table(config, length)


def _table(config: ModelConfig, length: int) -> Tensor:
    rates, scale = frequencies(config)
    angles = torch.outer(torch.arange(length, dtype=torch.float64, device="cpu"), rates)
    return (torch.stack((angles.cos(), angles.sin()), dim=-1) * scale).float().unsqueeze(1)


def rotate(x: Tensor, table: Tensor) -> Tensor:
    """Turn the pairs (2 i, 2 i + 1) of x (B, T, H, head_dim) by their position's angles.

    On a CPU as one complex product, 4 to 9 times as fast there; compilers and GPUs fuse the real form.
    """
    pairs = x.float().unflatten(-1, (-1, 2))
    if x.device.type == "cpu" and not torch.compiler.is_compiling():
        turned = torch.view_as_real(torch.view_as_complex(pairs) * torch.view_as_complex(table))
    else:
        (a, b), (cos, sin) = pairs.unbind(-1), table.unbind(-1)
        turned = torch.stack((a * cos - b * sin, a * sin + b * cos), dim=-1)
    return turned.flatten(-2).to(x.dtype)
