"""The named sizes of the model; kept apart from it so that they can be checked without torch."""

from __future__ import annotations

from typing import Any

from pipeline.errors import ConfigError, nearest

from .config import ModelConfig

SIZES: dict[str, dict[str, int]] = {
    "tiny": {"d_model": 128, "n_layers": 4, "n_heads": 4, "d_ff": 352},
    "small": {"d_model": 384, "n_layers": 6, "n_heads": 6, "d_ff": 1024},
    "base": {"d_model": 768, "n_layers": 12, "n_heads": 12, "d_ff": 2048},
}


def padded(vocab_size: int) -> int:
    """Rows of the embedding for a number of ids: the next multiple of 64."""
    return -(-vocab_size // 64) * 64


def model_config(size: str, vocab_size: int, **changes: Any) -> ModelConfig:
    """The configuration of a named size; `vocab_size` is rounded up to a multiple of 64."""
    if size not in SIZES:
        raise ConfigError(f"no model size is called '{size}'{nearest(size, SIZES)}; there are {', '.join(SIZES)}")
    return ModelConfig(vocab_size=padded(vocab_size), **{**SIZES[size], **changes})
