"""Counts of parameters against counted tensors, the dial's error; all without building large models."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from pipeline.errors import ConfigError
from pretrain.config import ModelConfig
from pretrain.sizes import SIZES, config_for, model_config, parameters, parse_count

VARIANTS: list[dict[str, Any]] = [
    {},
    {"tied": False},
    {"activation": "relu2"},
    {"qk_norm": False},
    {"n_kv_heads": 1},
    {"form": "encoder"},
    {"form": "encoder_decoder"},
    {"n_experts": 4},
    {"form": "encoder_decoder", "n_experts": 3, "activation": "relu2", "tied": False},
]


def counted(config: ModelConfig) -> int:
    torch = pytest.importorskip("torch")
    from pretrain.model import Transformer

    with torch.device("meta"):
        return sum(p.numel() for p in Transformer(config).parameters())


@pytest.mark.parametrize("changes", VARIANTS)
def test_parameters_are_those_of_the_model(changes: dict[str, Any]) -> None:
    config = model_config("tiny", 1000, **changes)
    assert parameters(config) == counted(config)


@pytest.mark.parametrize("size", [*SIZES, "0.5M", "20M", "124M", "1B"])
def test_parameters_of_every_size(size: str) -> None:
    config = model_config(size, 1000)
    assert parameters(config) == counted(config) and config.vocab_size == 1024


VOCABULARIES = (65, 1024, 8192, 32_000, 50_257)
COUNTS = (500_000, 1_000_000, 3_000_000, 10**7, 3 * 10**7, 124_000_000, 3 * 10**8, 10**9)


@pytest.mark.parametrize(("count", "vocab"), [(n, v) for n in COUNTS for v in VOCABULARIES if n > 64 * v])
def test_the_dial_meets_the_count(count: int, vocab: int) -> None:
    config = config_for(count, vocab)
    assert abs(parameters(config) / count - 1) < 0.016
    ratio = config.d_model / config.n_layers
    assert 8 <= ratio <= 150 and 1.8 < config.d_ff / config.d_model < 3.8
    assert config.d_model % config.n_heads == 0


def test_the_dial_gives_gpt2s_shape() -> None:
    config = config_for(124_000_000, 50_257)
    assert (config.d_model, config.n_layers, config.n_heads, config.d_ff) == (768, 12, 12, 2048)


def test_larger_counts_give_wider_and_deeper_models() -> None:
    made = [config_for(n, 8192) for n in (3 * 10**6, 3 * 10**7, 3 * 10**8, 3 * 10**9)]
    assert [c.d_model for c in made] == sorted({c.d_model for c in made})
    assert [c.n_layers for c in made] == sorted({c.n_layers for c in made})


def test_the_dial_keeps_what_else_is_asked() -> None:
    config = config_for(10**7, 4096, n_experts=8, top_k=1, tied=False, activation="relu2")
    assert (config.n_experts, config.top_k, config.tied, config.activation) == (8, 1, False, "relu2")
    assert abs(parameters(config) / 10**7 - 1) < 0.05


def test_counts_in_words() -> None:
    assert [parse_count(t) for t in ("20M", "0.5m", "1B", " 300k ", 7, "1.5 b", "2T", "2e9", "1.5E+6")] == [
        20_000_000, 500_000, 10**9, 300_000, 7, 1_500_000_000, 2 * 10**12, 2 * 10**9, 1_500_000,
    ]  # fmt: skip
    assert [parse_count(t) for t in ("tiny", "", "-3M", "1e-6", "1e400", "M", "5MB")] == [None] * 7


@pytest.mark.parametrize(
    ("size", "vocab", "message"),
    [
        ("tinny", 100, "did you mean 'tiny'"),
        ("5000", 100, "begins at 0.5M"),
        ("1M", 128_000, "train a smaller tokenizer"),
        ("90000B", 128_000, "no model of about"),
    ],
)
def test_sizes_that_cannot_be(size: str, vocab: int, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        model_config(size, vocab)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"d_model": 0}, "d_model must be a whole number"),
        ({"n_layers": 1.5}, "n_layers must be a whole number"),
        ({"n_heads": 3}, "n_heads 3 times an even"),
        ({"n_heads": 32}, "times an even"),
        ({"n_kv_heads": 3}, "multiple of n_kv_heads"),
        ({"n_experts": -1}, "n_experts must be"),
        ({"form": "decoder_"}, "did you mean 'decoder'"),
        ({"activation": "gelu"}, "one of swiglu, relu2"),
        ({"rope_scale": "yarn", "rope_factor": 2.0}, "needs rope_original"),
        ({"rope_factor": 0.5}, "rope_factor"),
        ({"rope_theta": 0.0}, "rope_theta must be above 0"),
        ({"dropout": 1.0}, "dropout"),
        ({"attention": "flex", "dropout": 0.1}, "flex attention has no dropout"),
        ({"n_experts": 2, "top_k": 3}, "top_k must be 1 to n_experts 2"),
    ],
)
def test_models_that_cannot_be(changes: dict[str, Any], message: str) -> None:
    base: dict[str, Any] = {"vocab_size": 64, "d_model": 32, "n_layers": 1, "n_heads": 4, "d_ff": 48}
    with pytest.raises(ConfigError, match=message):
        ModelConfig(**{**base, **changes})


def test_sizes_and_plans_need_no_torch() -> None:
    code = "import sys, pretrain.sizes, pretrain.plan, pretrain.plan_text; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], cwd=Path(__file__).parents[2]).returncode == 0
