"""The compute planner behind `gristmill pretrain plan`: from a budget to a model, tokens, batch, memory and hours.

One budget is given: parameters N, tokens D, compute C = 6 N D, or hours on so many accelerators; two of them (N and D,
N and C, D and C) leave nothing to the ratio of tokens to parameters. N counts the embeddings. Needs no torch.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field, fields
from typing import Any, ClassVar

from pipeline.errors import ConfigError, nearest

from .accelerators import ACCELERATORS, Accelerator, accelerator
from .config import ModelConfig
from .flops import flops_per_token
from .memory import OPTIMISERS, PARALLEL, PRECISIONS, Memory, memory
from .scaling import RULES, chinchilla_loss, choose_rule, compute, warmup_steps
from .sizes import config_for, nearest_config, parameters, parse_count

SHOWN = ("a100-80gb", "h100", "h200", "b200", "mi300x")
"""Accelerators whose hours every plan shows."""
RATIOS = (20, 50, 100, 200, 500)
"""Tokens a parameter of the rows that show over-training at equal compute."""
RATIO_ERROR = 0.1
"""How far from the asked tokens a parameter a plan may be without a note."""
HEADROOM = 0.9
"""Share of a device's memory that a plan fills."""
COUNTS = ("parameters", "tokens", "unique_tokens")


def _opt(default: Any, text: str) -> Any:
    return field(default=default, metadata={"help": text})


@dataclass(frozen=True, kw_only=True)
class PlanOptions:
    """What is given, and what is assumed."""

    name: ClassVar[str] = "plan"

    parameters: int | str = _opt(0, "budget: parameters with embeddings, such as 124M")
    tokens: int | str = _opt(0, "budget: training tokens, such as 2.5B")
    flops: float = _opt(0.0, "budget: training compute in FLOPs, such as 1e20")
    hours: float = _opt(0.0, "budget: hours on the accelerators")
    accelerator: str = _opt("h100", f"cpu (measured) or one of {', '.join(ACCELERATORS)}")
    devices: int = _opt(1, "accelerators")
    mfu: float = _opt(0.4, "share of the dense bf16 peak (of a cpu: of its measured fp32 products) that is reached")
    tokens_per_param: float = _opt(20.0, "tokens a parameter; 20: best for training compute (Hoffmann et al. 2022)")
    vocab_size: int = _opt(32_000, "ids of the tokenizer")
    sequence_length: int = _opt(2048, "tokens of a sequence")
    rule: str = _opt("auto", f"batch size and learning rate: auto or {', '.join(RULES)}")
    precision: str = _opt("bf16", "bf16 (with fp32 masters) or fp32")
    optimiser: str = _opt("adamw", f"one of {', '.join(OPTIMISERS)}")
    parallel: str = _opt("", f"one of {', '.join(PARALLEL)} (default: single, or ddp if it fits, else fsdp)")
    unique_tokens: int | str = _opt(0, "tokens that there are, for epochs (default: of the packs)")
    packs: str = _opt("", "pack set: gives unique_tokens, vocab_size and sequence_length")

    def check(self) -> None:
        """Raise ConfigError, naming the option, for what can't be planned."""
        given = [name for name in ("parameters", "tokens", "flops", "hours") if getattr(self, name)]
        allowed = (["parameters", "tokens"], ["parameters", "flops"], ["tokens", "flops"])
        if len(given) != 1 and given not in allowed:
            said = " and ".join(given) or "none"
            raise ConfigError(
                f"plan: give one of parameters, tokens, flops and hours, or two of the first three: {said}"
            )
        for name in COUNTS:
            value = getattr(self, name)
            if value and not parse_count(value):
                raise ConfigError(f"plan: {name} must be a number such as 20M or 1.5B, not {value!r}")
        for name in ("flops", "hours"):
            value = getattr(self, name)
            if type(value) not in (int, float) or not 0 <= value < math.inf:
                raise ConfigError(f"plan: {name} must be a number above 0, not {value!r}")
        for name in ("devices", "vocab_size", "sequence_length"):
            if type(getattr(self, name)) is not int or getattr(self, name) < 1:
                raise ConfigError(f"plan: {name} must be a whole number of at least 1, not {getattr(self, name)!r}")
        if not 0 < self.mfu <= 1:
            raise ConfigError(f"plan: mfu must lie between 0 and 1, not {self.mfu!r}")
        if not 0 < self.tokens_per_param < math.inf:
            raise ConfigError(f"plan: tokens_per_param must be above 0, not {self.tokens_per_param!r}")
        for name, known in (("rule", ("auto", *RULES)), ("precision", PRECISIONS), ("optimiser", OPTIMISERS),
                            ("parallel", ("", *PARALLEL))):  # fmt: skip
            if (value := getattr(self, name)) not in known:
                shown = ", ".join(filter(None, known))
                raise ConfigError(f"plan: {name} is one of {shown}, not {value!r}{nearest(str(value), known)}")
        if self.parallel == "single" and self.devices > 1:
            raise ConfigError("plan: parallel single uses one device; choose ddp, fsdp, tensor or pipeline")
        if self.accelerator != "cpu":
            accelerator(self.accelerator)


def plan(options: PlanOptions) -> dict[str, Any]:
    """The plan as plain values: `budget`, `model`, `training`, `memory`, `hours`, `data`, `ratios`, `notes`.

    Raises ConfigError.
    """
    options.check()
    options = _from_packs(options)
    device = _device(options)
    config, d = _solve(options, device)
    n = parameters(config)
    body = n - config.vocab_size * config.d_model * (1 if config.tied else 2)
    rule = choose_rule(options.rule, body, d)
    batch = max(1, round(rule.batch_tokens(body, d) / options.sequence_length))
    batch = max(options.devices, batch // options.devices * options.devices)
    steps = max(1, math.ceil(d / (batch * options.sequence_length)))
    flops = flops_per_token(config, options.sequence_length) * d
    notes = [] if rule.fitted(body, d) else [f"learning rate and batch lie outside what rule {rule.name} was fitted on"]
    notes += _off_ratio(options, n, d)
    per_device = batch // options.devices
    kind, micro, used = _fit(config, options, device, per_device)
    if used.total > HEADROOM * device.memory_gb * 1e9:
        notes.append(f"does not fit: {used.total / 1e9:.1f} GB of {device.memory_gb:g} on each {device.name}")
    out = {
        "budget": {
            "parameters": n, "tokens": round(d), "flops_6nd": compute(n, d), "tokens_per_param": d / n,
            "flops_with_attention": flops,
        },
        "model": {f.name: getattr(config, f.name) for f in fields(config)},
        "training": {
            "batch_sequences": batch, "batch_tokens": batch * options.sequence_length, "steps": steps,
            "lr": rule.lr(body, d), "warmup_steps": warmup_steps(steps),
            "schedule": "cosine to a tenth of the peak; or wsd, whose last fifth decays, to go on later",
            "optimiser": options.optimiser, "rule": rule.name, "source": rule.source,
            "other_rules": {r.name: {"lr": r.lr(body, d), "batch_tokens": round(r.batch_tokens(body, d))}
                            for r in RULES.values() if r is not rule},
        },
        "memory": {
            "parallel": kind, "devices": options.devices, "micro_batch": micro,
            "accumulation": math.ceil(per_device / micro), "precision": options.precision,
            **{f.name: getattr(used, f.name) for f in fields(used)}, "total": used.total,
            "device_bytes": device.memory_gb * 1e9,
        },
        "hours": {
            one.name: flops / (one.bf16_flops * options.mfu * options.devices) / 3600
            for one in dict.fromkeys((device, *(ACCELERATORS[name] for name in SHOWN)))
        },
        "assumptions": {
            "accelerator": device.name, "peak_flops": device.bf16_flops, "devices": options.devices,
            "mfu": options.mfu, "sequence_length": options.sequence_length,
        },
        "data": _data(options, d, notes),
        "ratios": _ratios(compute(n, d)),
    }  # fmt: skip
    return {**out, "notes": notes}


def _from_packs(options: PlanOptions) -> PlanOptions:
    """With the numbers of the pack set, where one is given."""
    if not options.packs:
        return options
    from dataclasses import replace

    from pipeline.packreader import open_packs

    reader = open_packs(options.packs)
    tokens = sum(int(block.lengths.sum()) for block in reader.blocks)
    return replace(
        options, vocab_size=reader.total_ids, sequence_length=reader.sequence_length,
        unique_tokens=options.unique_tokens or tokens,
    )  # fmt: skip


def _count(value: int | str) -> int:
    return parse_count(value) or 0


def _solve(options: PlanOptions, device: Accelerator) -> tuple[ModelConfig, float]:
    """(model, D) of the budget. D is what the budget leaves to the model, whose size the dial meets only about.

    A number of parameters that was asked for must be met; of one that follows from the budget the nearest is taken.
    """
    n, d, ratio = float(_count(options.parameters)), float(_count(options.tokens)), options.tokens_per_param
    if options.hours:
        return _solve_hours(options, device)
    if n:
        config = config_for(round(n), options.vocab_size)
    else:
        n = d / ratio if not options.flops else options.flops / (6 * d) if d else math.sqrt(options.flops / (6 * ratio))
        config = nearest_config(max(1, round(n)), options.vocab_size)
    if options.flops:
        return config, d or options.flops / (6 * parameters(config))
    return config, d or ratio * parameters(config)


def _solve_hours(options: PlanOptions, device: Accelerator) -> tuple[ModelConfig, float]:
    """The model whose training takes the hours: attention costs beyond 6 N D, the more the smaller the model is."""
    total = options.hours * 3600 * options.devices * device.bf16_flops * options.mfu
    n = math.sqrt(total / (6 * options.tokens_per_param))
    found: dict[ModelConfig, float] = {}
    for _ in range(8):
        config = nearest_config(max(1, round(n)), options.vocab_size)
        each = flops_per_token(config, options.sequence_length)
        found[config] = total / each
        n = math.sqrt(total * parameters(config) / (each * options.tokens_per_param))
    # where the dial has a gap it goes to and fro between its edges
    return min(found.items(), key=lambda one: abs(math.log(one[1] / parameters(one[0]) / options.tokens_per_param)))


def _off_ratio(options: PlanOptions, n: int, d: float) -> list[str]:
    """A note where a single budget has no model near it, as for a large vocabulary, and so another ratio came out."""
    given = [name for name in ("parameters", "tokens", "flops", "hours") if getattr(options, name)]
    ratio = d / n
    if len(given) > 1 or abs(ratio / options.tokens_per_param - 1) <= RATIO_ERROR:
        return []
    value = getattr(options, given[0])
    needed = (_count(value) if given[0] in COUNTS else value) * options.tokens_per_param / ratio
    wanted = f"{options.tokens_per_param:g} tokens a parameter"
    said = (
        f"no model with {options.vocab_size:,} ids is nearer to {wanted}: the nearest, of {n:,} parameters, gets"
        f" {ratio:.3g}; with {wanted} it takes --{given[0]} {needed:.3g}"
    )
    return [said + ("; a smaller tokenizer leaves more to the layers" if ratio < options.tokens_per_param else "")]


def _device(options: PlanOptions) -> Accelerator:
    return measured_cpu() if options.accelerator == "cpu" else accelerator(options.accelerator)


def measured_cpu() -> Accelerator:
    """This machine's processor: fp32 matrix products a second on the threads that numpy takes, and its memory."""
    import os
    import time

    import numpy as np

    size = 1024
    a = np.ones((size, size), np.float32)
    best = math.inf
    for _ in range(5):
        begun = time.perf_counter()
        a @ a
        best = min(best, time.perf_counter() - begun)
    memory_gb = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 1e9
    return Accelerator("cpu", 2 * size**3 / best, memory_gb)


def _fit(config: ModelConfig, options: PlanOptions, device: Accelerator, per_device: int) -> tuple[str, int, Memory]:
    """(parallel kind, sequences of a micro-batch, memory): the first kind that fits, its largest power of two."""
    kinds = [options.parallel] if options.parallel else ["single"] if options.devices == 1 else ["ddp", "fsdp"]
    found = None
    for kind in kinds:
        micro = 1 << max(0, per_device.bit_length() - 1)
        while True:
            used = memory(
                config, options.sequence_length, micro, precision=options.precision, optimiser=options.optimiser,
                parallel=kind, devices=options.devices,
            )  # fmt: skip
            found = kind, micro, used
            if used.total <= HEADROOM * device.memory_gb * 1e9:
                return found
            if micro == 1:
                break
            micro //= 2
    assert found is not None
    return found


def _data(options: PlanOptions, d: float, notes: list[str]) -> dict[str, float] | None:
    """Epochs over the tokens that there are, and what they are worth (Muennighoff et al. 2023)."""
    unique = _count(options.unique_tokens)
    if not unique:
        return None
    from mixtures.amounts import GOOD_EPOCHS, effective_tokens

    epochs = d / unique
    if epochs > GOOD_EPOCHS:
        notes.append(
            f"{epochs:.1f} epochs: past {GOOD_EPOCHS} repeated tokens are worth ever less; find more or stop earlier"
        )
    return {"unique_tokens": unique, "epochs": epochs, "effective_tokens": effective_tokens(unique, d)}


def _ratios(flops: float) -> list[dict[str, float]]:
    """Smaller models on more tokens at equal compute, with the loss that Hoffmann et al.'s fit gives."""
    rows = []
    for ratio in RATIOS:
        n = math.sqrt(flops / (6 * ratio))
        rows.append(
            {"tokens_per_param": ratio, "parameters": n, "tokens": ratio * n, "loss": chinchilla_loss(n, ratio * n)}
        )
    return rows
