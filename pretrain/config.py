"""Configurations of pretraining: plain values, checked before anything runs; none needs torch."""

from __future__ import annotations

import dataclasses
import json
from dataclasses import dataclass, field
from typing import Any

from pipeline.errors import ConfigError, nearest
from pipeline.option_types import check_types, is_number

from .parallel.spec import parse as parse_parallel

FORMS = ("decoder", "encoder", "encoder_decoder")
ACTIVATIONS = ("swiglu", "relu2")
ROPE_SCALES = ("none", "linear", "ntk", "yarn")

MAX_LOGITS = 1 << 26
"""Logits held at a time (256 MB of float32): a vocabulary of 128 000 would else take gigabytes."""
SCHEDULES = ("cosine", "wsd", "linear", "constant")
PRECISIONS = ("fp32", "bf16")


def _opt(default: Any, text: str) -> Any:
    if isinstance(default, dict):
        return field(default_factory=dict, metadata={"help": text})
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
    balance_weight: float = _opt(0.01, "weight of the load-balance loss (Fedus et al. 2021), of each micro-batch")
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
        if self.attention == "flex" and self.dropout:
            raise ConfigError("model: flex attention has no dropout; set dropout to 0 or attention to dense")
        if self.n_experts and not 1 <= self.top_k <= self.n_experts:
            raise ConfigError(f"model: top_k must be 1 to n_experts {self.n_experts}, not {self.top_k}")


@dataclass(frozen=True, kw_only=True)
class OptimConfig:
    """The optimiser, the learning rate's schedule and what bounds a step."""

    lr: float = _opt(2e-3, "peak learning rate of AdamW, and of Muon, whose updates have AdamW's size")
    muon: bool = _opt(False, "Muon for the matrices of the layers; AdamW for embeddings, head and norms")
    momentum: float = _opt(0.95, "momentum of Muon (Nesterov's)")
    betas: tuple[float, ...] = _opt((0.9, 0.95), "decay rates of AdamW's two averages")
    eps: float = _opt(1e-8, "added to AdamW's denominator")
    weight_decay: float = _opt(0.1, "decoupled decay of matrices; norms are not decayed")
    max_grad_norm: float | None = _opt(1.0, "clip the gradient to this norm over all parameters; null: never")
    z_loss: float = _opt(0.0, "weight of log(Z)^2, which keeps logits from drifting (PaLM: 1e-4)")
    schedule: str = _opt("cosine", f"course of the learning rate: {', '.join(SCHEDULES)}")
    warmup: float = _opt(0.1, "steps of linear warm-up; below 1: share of all steps")
    decay: float = _opt(0.2, "steps of decay at the end of wsd; below 1: share of all steps")
    min_lr_share: float = _opt(0.1, "the schedule ends at this share of the peak (cosine, wsd)")

    def check(self) -> None:
        """Raise ConfigError for what can't work."""
        for name in ("lr", "eps"):
            _need(getattr(self, name) > 0, f"optim.{name} must be above 0, not {getattr(self, name)}")
        for name in ("weight_decay", "z_loss", "warmup", "decay"):
            _need(getattr(self, name) >= 0, f"optim.{name} must not be negative, is {getattr(self, name)}")
        _need(self.max_grad_norm is None or self.max_grad_norm > 0, "optim.max_grad_norm must be above 0 or null")
        pair = isinstance(self.betas, tuple) and len(self.betas) == 2 and all(is_number(b) for b in self.betas)
        _need(
            pair and all(0 <= b < 1 for b in self.betas), "optim.betas: two numbers from 0 below 1, as in [0.9, 0.95]"
        )
        _need(0 <= self.momentum < 1, f"optim.momentum must be from 0 to below 1, not {self.momentum}")
        _need(0 <= self.min_lr_share <= 1, "optim.min_lr_share must be from 0 to 1")
        _choice("optim.schedule", self.schedule, SCHEDULES)


@dataclass(frozen=True, kw_only=True)
class SpikeConfig:
    """When a step's update is left out because its loss or gradient norm stands out."""

    enabled: bool = _opt(True, "leave out updates whose loss or gradient norm spikes; not finite is always left out")
    window: int = _opt(128, "accepted steps that mean and deviation are taken over")
    min_history: int = _opt(64, "accepted steps before anything is judged")
    sigma: float = _opt(6.0, "a spike is above the mean by this many deviations")
    min_rise: float = _opt(0.02, "a spike is above the mean by this share of it, too")
    max_skips: int = _opt(8, "skips within `window` steps before the run rewinds to the last good checkpoint")
    max_nonfinite: int = _opt(8, "steps in a row with a loss or gradient that is not finite before the run rewinds")
    max_rewinds: int = _opt(3, "rewinds before the run stops")

    def check(self) -> None:
        """Raise ConfigError for what can't work."""
        _need(self.sigma > 0, f"spike.sigma must be above 0, not {self.sigma}")
        _need(self.min_rise >= 0, f"spike.min_rise must not be negative, is {self.min_rise}")
        _need(2 <= self.min_history <= self.window, "spike.min_history must be from 2 to spike.window")
        _need(self.max_skips >= 1 and self.max_nonfinite >= 1, "spike.max_skips and max_nonfinite must be at least 1")
        _need(self.max_skips < self.window, "spike.max_skips must be below spike.window, or it is never reached")
        _need(self.max_rewinds >= 0, f"spike.max_rewinds must not be negative, is {self.max_rewinds}")


@dataclass(frozen=True, kw_only=True)
class TrainConfig:
    """A training run. `batch_size` counts the sequences of a step over all ranks."""

    size: str = _opt("tiny", "size of the model")
    model: dict[str, Any] = _opt({}, "fields of the model that differ from the size's")
    objective: str = _opt("causal", "what is learned: causal, masked, spans, contrastive, distill")
    objective_options: dict[str, Any] = _opt({}, "options of the objective")
    optim: OptimConfig = OptimConfig()
    spike: SpikeConfig = SpikeConfig()
    replay: str | None = _opt(None, "pack set of earlier training, for a share of the sequences, against forgetting")
    replay_share: float = _opt(0.05, "share of the sequences that come from `replay`")
    long_packs: str | None = _opt(None, "pack set of longer sequences that the last `long_steps` steps train on")
    long_steps: int = _opt(0, "steps of the context extension, part of `steps`")
    rope_scale: str = _opt("yarn", f"rotary positions of the context extension: one of {', '.join(ROPE_SCALES)}")
    steps: int = _opt(40, "optimiser steps")
    batch_size: int = _opt(8, "sequences in a step, over all processes")
    micro_batch: int | None = _opt(
        None, "sequences in a forward pass of a process, and so contrastive's negatives; null: all of its share at once"
    )
    seed: int = _opt(0, "seed of weights, order and dropout")
    precision: str = _opt("fp32", "fp32, or bf16: autocast with weights, gradients and loss in fp32")
    compile: bool = _opt(False, "compile the model (torch.compile)")
    save_every: int | None = _opt(None, "steps between checkpoints; null: one at the end")
    keep: int = _opt(2, "newest checkpoints that are kept")
    keep_every: int | None = _opt(None, "also keep the checkpoint of every so many steps")
    eval_every: int | None = _opt(None, "steps between evaluations; null: at the end")
    held_out: dict[str, str] = _opt({}, "pack sets, by name, that bits per byte are measured on")
    held_out_bytes: int | None = _opt(1 << 22, "text of each held-out set that is measured, in bytes; null: all")
    eval_control: tuple[str, ...] = _opt((), "control tokens, by name: held-out sets are measured again given each")
    stats_every: int | None = _opt(None, "steps between gradient statistics; null: never")
    init_from: str | None = _opt(None, "checkpoint whose weights training begins with")
    eval_batch: int = _opt(8, "sequences in a forward pass of an evaluation")
    tensorboard: bool = _opt(True, "write files for TensorBoard, if it is installed")
    parallel: str = _opt("none", "how processes share the work: none, ddp, fsdp, tensor[=N], pipeline[=1f1b|gpipe]")
    threads: int | None = _opt(None, "torch's threads; null: as many as it takes by itself")

    def check(self) -> None:
        """Raise ConfigError for what can't work."""
        for name in ("steps", "batch_size", "keep", "eval_batch"):
            _need(getattr(self, name) >= 1, f"{name} must be at least 1, not {getattr(self, name)}")
        for name in (
            "micro_batch",
            "save_every",
            "keep_every",
            "eval_every",
            "stats_every",
            "threads",
            "held_out_bytes",
        ):
            value = getattr(self, name)
            _need(value is None or value >= 1, f"{name} must be at least 1 or null, not {value}")
        from .objectives import objective_options
        from .sizes import check_size

        check_size(self.size)
        known = [f.name for f in dataclasses.fields(ModelConfig) if f.name != "vocab_size"]
        for key in self.model:
            _need(key in known, f"model has no option '{key}'{nearest(str(key), known)}")
        check_types(ModelConfig, self.model, "model")
        for name, where in self.held_out.items():
            _need(isinstance(where, str), f"held_out: {name} must be the path of a pack set, not {where!r}")
        objective_options(self.objective, self.objective_options)
        if self.long_packs is not None and not 1 <= self.long_steps < self.steps:
            raise ConfigError(f"long_steps must be from 1 to below steps ({self.steps}), not {self.long_steps}")
        _need(not (self.replay and self.long_packs), "replay and long_packs can't be used together")
        _choice("rope_scale", self.rope_scale, ROPE_SCALES)
        _choice("precision", self.precision, PRECISIONS)
        parse_parallel(self.parallel)
        self.optim.check()
        self.spike.check()

    def to_json(self) -> dict[str, Any]:
        """Plain JSON values, nested as in a recipe."""
        plain: dict[str, Any] = json.loads(json.dumps(dataclasses.asdict(self)))  # tuples become lists, as when read
        return plain


_PARTS: dict[str, type] = {"optim": OptimConfig, "spike": SpikeConfig}


def train_config(values: dict[str, Any], where: str = "pretrain") -> TrainConfig:
    """A checked configuration from a recipe's mapping; an unknown key is an error that names the nearest one."""
    made = {}
    for key, value in values.items():
        if key in _PARTS and not isinstance(value, _PARTS[key]):
            if not isinstance(value, dict):
                raise ConfigError(f"{where}: {key} must be a mapping of options, not {value!r}")
            value = _filled(_PARTS[key], value, f"{where}: {key}")
        made[key] = value
    config = _filled(TrainConfig, made, where)
    try:
        config.check()
    except ConfigError as error:
        raise ConfigError(f"{where}: {error}") from error
    return config


def _filled(cls: type, values: dict[str, Any], where: str) -> Any:
    options = [f.name for f in dataclasses.fields(cls)]
    for key in values:
        if key not in options:
            raise ConfigError(f"{where} has no option '{key}'{nearest(str(key), options)}")
    values = {key: tuple(value) if isinstance(value, list) else value for key, value in values.items()}
    check_types(cls, values, where)
    return cls(**values)


def _need(holds: bool, message: str) -> None:
    if not holds:
        raise ConfigError(message)


def _choice(name: str, value: str, known: tuple[str, ...]) -> None:
    if value not in known:
        raise ConfigError(f"{name} must be one of {', '.join(known)}, not '{value}'{nearest(str(value), known)}")


def whole_steps(value: float, steps: int) -> int:
    """Steps that an option stands for which below 1 is a share of all `steps`."""
    return round(value * steps) if value < 1 else int(value)
