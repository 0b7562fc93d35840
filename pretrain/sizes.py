"""Sizes of the model: named ones, and one dial from a parameter count to width, depth and heads; needs no torch.

The rule of the dial. Depth grows as the 0.6th power of width, 4 layers at 128: between the constant ratio of width and
depth that Kaplan et al. (2020) found harmless over a wide range and the depths in use (12 at 768, about 20 at 2048).
A head is 16 wide below a width of 96, then 32, from 256 on 64, from 2048 on 128. The feed-forward width is near 8/3 of
the width with a gate and near 4 times without. Depth and feed-forward width leave the rule, as little as possible, to
meet the count within 1 %.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterator
from typing import Any

from pipeline.errors import ConfigError, nearest

from .config import ModelConfig

SIZES: dict[str, dict[str, int]] = {
    "tiny": {"d_model": 128, "n_layers": 4, "n_heads": 4, "d_ff": 352},
    "small": {"d_model": 384, "n_layers": 6, "n_heads": 6, "d_ff": 1024},
    "base": {"d_model": 768, "n_layers": 12, "n_heads": 12, "d_ff": 2048},
}

MOST_ERROR = 0.05
"""How far from the asked count a configuration may be."""

_CLOSE = 0.01
_COUNT = re.compile(r"(\d+(?:\.\d+)?(?:e\+?\d{1,2})?)\s*([kmbt]?)", re.IGNORECASE)
_UNITS = {"": 1, "k": 10**3, "m": 10**6, "b": 10**9, "t": 10**12}


def padded(vocab_size: int) -> int:
    """Rows of the embedding for a number of ids: the next multiple of 64."""
    return -(-vocab_size // 64) * 64


def parse_count(text: str | int) -> int | None:
    """`20M`, `0.5m`, `1B`, `5000000`, `2e9` or a number as a count; None for anything else."""
    match = _COUNT.fullmatch(str(text).strip())
    return round(float(match[1]) * _UNITS[match[2].lower()]) if match else None


def check_size(size: str | int) -> None:
    """Raise ConfigError unless `size` is a named size or a parameter count."""
    if size in SIZES:
        return
    count = parse_count(size)
    if count is None:
        raise ConfigError(
            f"no model size is called '{size}'{nearest(str(size), SIZES)}; there are {', '.join(SIZES)},"
            " or a number of parameters such as 20M"
        )
    if count < 100_000:
        raise ConfigError(f"a model of {count:,} parameters is too small: the dial begins at 0.5M")


def model_config(size: str | int, vocab_size: int, **changes: Any) -> ModelConfig:
    """The configuration of a named size or a parameter count; `vocab_size` is rounded up to a multiple of 64.

    `changes` are other fields of the configuration. Raises ConfigError.
    """
    check_size(size)
    if size in SIZES:
        return ModelConfig(vocab_size=padded(vocab_size), **{**SIZES[str(size)], **changes})
    count = parse_count(size)
    assert count is not None
    return config_for(count, vocab_size, **changes)


def config_for(count: int, vocab_size: int, **changes: Any) -> ModelConfig:
    """The configuration whose parameters, embeddings included, come nearest to `count` by this module's rule.

    `changes` are fields other than the sizes (form, activation, tied, n_experts, ...); a feed-forward block is then
    sized by what they leave. Raises ConfigError if no configuration is within 5 %, as for a large vocabulary.
    """
    found = nearest_config(count, vocab_size, **changes)
    if abs(parameters(found) / count - 1) > MOST_ERROR:
        raise ConfigError(
            f"no model of about {count:,} parameters has a vocabulary of {vocab_size:,}: its embedding takes"
            f" {padded(vocab_size):,} a unit of width; ask for another number or train a smaller tokenizer"
        )
    return found


def nearest_config(count: int, vocab_size: int, **changes: Any) -> ModelConfig:
    """As `config_for`, however far the nearest configuration is from `count`."""
    best: tuple[tuple[float, float], ModelConfig] | None = None
    for config, penalty in _candidates(count, padded(vocab_size), changes):
        error = abs(parameters(config) / count - 1)
        rank = (0.0, penalty) if error <= _CLOSE else (error, penalty)
        if best is None or rank < best[0]:
            best = rank, config
    assert best is not None
    return best[1]


def _candidates(count: int, vocab_size: int, changes: dict[str, Any]) -> Iterator[tuple[ModelConfig, float]]:
    """Configurations near a count, of the least width at least, each with how far its shape is from the rule."""
    for number, width in enumerate(_widths()):
        if number and width * vocab_size > count:
            return
        head = 16 if width < 96 else 32 if width < 256 else 64 if width < 2048 else 128
        depth = 4 * (width / 128) ** 0.6
        for layers in range(max(1, round(depth / 2)), round(2 * depth) + 1):
            base = {"d_model": width, "n_layers": layers, "n_heads": width // head, "vocab_size": vocab_size, **changes}
            step = 8 if width < 256 else 32 if width < 1024 else 128
            none, one = (parameters(ModelConfig(**base, d_ff=step * k)) for k in (1, 2))
            usual = width * (8 / 3 if changes.get("activation", "swiglu") == "swiglu" else 4)
            least, most = math.ceil(0.7 * usual / step), math.floor(1.4 * usual / step)
            k = min(max(round((count - none) / (one - none)) + 1, least), most)
            yield (
                ModelConfig(**base, d_ff=k * step),
                abs(math.log(k * step / usual)) + abs(math.log(layers / depth)),
            )


def _widths() -> Iterator[int]:
    for first, last, step in ((32, 96, 16), (96, 256, 32), (256, 768, 64), (768, 4096, 128), (4096, 20481, 512)):
        yield from range(first, last, step)


def parameters(config: ModelConfig) -> int:
    """Trainable parameters, embeddings included; tied ones once."""
    embeddings = config.vocab_size * config.d_model * (1 if config.tied else 2)
    return embeddings + _stacks(config)


def layer_parameters(config: ModelConfig, *, cross: bool = False) -> int:
    """Parameters of one layer; `cross`: with attention to the encoder."""
    width = config.d_model
    attention = 2 * width * width + 2 * width * config.kv_heads * config.head_dim + width
    attention += 2 * config.head_dim if config.qk_norm else 0
    block = (3 if config.activation == "swiglu" else 2) * width * config.d_ff
    if config.n_experts:
        block = config.n_experts * (block + width)
    return (2 if cross else 1) * attention + block + width


def _stacks(config: ModelConfig) -> int:
    """Parameters of all layers and last norms."""
    stack = config.n_layers * layer_parameters(config) + config.d_model
    if config.form != "encoder_decoder":
        return stack
    return stack + config.n_layers * layer_parameters(config, cross=True) + config.d_model
