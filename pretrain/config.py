"""Configurations of pretraining: plain values, checked before anything runs; none needs torch."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from pipeline.errors import ConfigError, nearest

FORMS = ("decoder", "encoder", "encoder_decoder")
ACTIVATIONS = ("swiglu", "relu2")
ROPE_SCALES = ("none", "linear", "ntk", "yarn")


def _opt(default: Any, text: str) -> Any:
    return field(default=default, metadata={"help": text})


@dataclass(frozen=True, kw_only=True)
class ModelConfig:
    """Sizes and choices of the model. Raises ConfigError (on `check`, which making one calls) for what can't be."""

    vocab_size: int = field(metadata={"help": "rows of the embedding: ids of the packs and of the objective"})
    d_model: int = field(metadata={"help": "width of the residual stream"})
    n_layers: int = field(metadata={"help": "layers; of an encoder-decoder, of each side"})
    n_heads: int = field(metadata={"help": "attention heads"})
    d_ff: int = field(metadata={"help": "hidden width of the feed-forward block, or of each expert"})
    n_kv_heads: int = _opt(0, "key and value heads, shared by groups of query heads; 0: as many as heads")
    form: str = _opt("decoder", f"one of {', '.join(FORMS)}")
    activation: str = _opt("swiglu", "feed-forward block: swiglu (Shazeer 2020) or relu2 (So et al. 2021)")
    qk_norm: bool = _opt(True, "normalise queries and keys of each head (Henry et al. 2020; Dehghani et al. 2023)")
    tied: bool = _opt(True, "the output layer is the embedding")
    rope_theta: float = _opt(10_000.0, "base of the rotary position embedding")
    rope_scale: str = _opt("none", f"context extension: one of {', '.join(ROPE_SCALES)}")
    rope_factor: float = _opt(1.0, "how many times longer the context becomes")
    rope_original: int = _opt(0, "context length before the extension; yarn needs it")
    dropout: float = _opt(0.0, "share dropped from the embedding, attention weights and each block's output")
    norm_eps: float = _opt(1e-5, "added under the root of RMSNorm")
    n_experts: int = _opt(0, "experts of each feed-forward block; 0: dense")
    top_k: int = _opt(2, "experts that each token goes to")
    balance_weight: float = _opt(0.01, "weight of the load-balance loss (Fedus et al. 2021)")
    router_z_weight: float = _opt(0.001, "weight of the router z-loss (Zoph et al. 2022)")
    attention: str = _opt("auto", "auto (flex on a GPU, dense elsewhere), dense or flex")

    def __post_init__(self) -> None:
        self.check()

    @property
    def head_dim(self) -> int:
        return self.d_model // self.n_heads

    @property
    def kv_heads(self) -> int:
        return self.n_kv_heads or self.n_heads

    @property
    def causal(self) -> bool:
        """Whether the side that has the targets sees earlier positions only."""
        return self.form != "encoder"

    def check(self) -> None:
        """Raise ConfigError, naming the field, for a model that can't be built."""
        for name in ("vocab_size", "d_model", "n_layers", "n_heads", "d_ff"):
            if type(value := getattr(self, name)) is not int or value < 1:
                raise ConfigError(f"model: {name} must be a whole number of at least 1, not {value!r}")
        for name in ("n_kv_heads", "n_experts", "rope_original"):
            if type(value := getattr(self, name)) is not int or value < 0:
                raise ConfigError(f"model: {name} must be a whole number from 0 on, not {value!r}")
        if self.d_model % self.n_heads or self.head_dim % 2:
            raise ConfigError(
                f"model: d_model {self.d_model} must be n_heads {self.n_heads} times an even number, for rotary angles"
            )
        if self.n_heads % self.kv_heads:
            raise ConfigError(f"model: n_heads {self.n_heads} must be a multiple of n_kv_heads {self.n_kv_heads}")
        for name, known in (
            ("form", FORMS),
            ("activation", ACTIVATIONS),
            ("rope_scale", ROPE_SCALES),
            ("attention", ("auto", "dense", "flex")),
        ):
            if (value := getattr(self, name)) not in known:
                raise ConfigError(
                    f"model: {name} is one of {', '.join(known)}, not {value!r}{nearest(str(value), known)}"
                )
        for name in ("rope_theta", "norm_eps"):
            if not (value := getattr(self, name)) > 0:
                raise ConfigError(f"model: {name} must be above 0, not {value!r}")
        if not 0 <= self.dropout < 1:
            raise ConfigError(f"model: dropout must be at least 0 and below 1, not {self.dropout}")
        if not self.rope_factor >= 1:
            raise ConfigError(f"model: rope_factor must be at least 1, not {self.rope_factor}")
        if self.rope_scale == "yarn" and not self.rope_original:
            raise ConfigError("model: rope_scale yarn needs rope_original, the context length before the extension")
        if self.n_experts and not 1 <= self.top_k <= self.n_experts:
            raise ConfigError(f"model: top_k must be 1 to n_experts {self.n_experts}, not {self.top_k}")
