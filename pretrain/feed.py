"""What a run is made of, as its configuration says: objective, shape of the model, source of batches."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import torch

from pipeline.errors import ConfigError
from pipeline.packreader import PackReader

from .config import ModelConfig, TrainConfig
from .memory import memory
from .objectives import make_objective
from .objectives.base import Objective
from .parallel import parse, plan
from .parallel.base import Parallel
from .report import opened
from .sizes import model_config, parameters
from .sources import PackSource, Phase, PhaseSource, ReplaySource, Source, extension


def make_source(
    config: TrainConfig, reader: PackReader, parallel: Parallel, on_phase: Callable[[Phase], None]
) -> tuple[list[PackReader], Source]:
    """(the pack sets that are read, what draws this rank's batches from them).

    `on_phase` is called when a phase of a context extension begins. Raises ConfigError for sets that don't fit.
    """
    rank, size = parallel.data_rank, parallel.data_size
    if config.replay is not None:
        old = opened("replay", config.replay)
        return [reader, old], ReplaySource(
            reader, old, config.batch_size, config.seed, share=config.replay_share, rank=rank, world_size=size
        )
    if config.long_packs is not None:
        long = opened("long_packs", config.long_packs)
        phases = extension(
            reader, long, steps=config.steps - config.long_steps, long_steps=config.long_steps,
            batch_size=config.batch_size, rope_scale=config.rope_scale,
        )  # fmt: skip
        return [reader, long], PhaseSource(phases, config.seed, on_phase=on_phase, rank=rank, world_size=size)
    return [reader], PackSource(reader, config.batch_size, config.seed, rank=rank, world_size=size)


def objective_and_shape(config: TrainConfig, reader: PackReader) -> tuple[Objective, ModelConfig]:
    """The objective, and the model with the ids and the form that it needs. Raises ConfigError."""
    objective = make_objective(config.objective, config.objective_options, reader)
    chosen = {"form": objective.forms[0], **config.model}
    shape = model_config(config.size, reader.total_ids + objective.extra_ids, **chosen)
    objective.check_form(shape.form)
    check_memory(config, shape)
    return objective, shape


def check_run(config: TrainConfig, reader: PackReader, folder: Path) -> ModelConfig:
    """The model that a run into `folder` would train; makes no weights and writes nothing.

    Raises ConfigError for what the run would be refused for before its first step. Joins the process group where
    torchrun started several processes.
    """
    from .checkpoint import Checkpoints, take_weights
    from .model import Transformer
    from .train import check_same_run
    from .validation import Validation

    with plan(config) as parallel:
        objective, shape = objective_and_shape(config, reader)
        parallel.check_model(shape)
        make_source(config, reader, parallel, lambda phase: None)
        Validation(config, reader, objective)
        begun = Checkpoints(folder, say=lambda message: None).newest()
        if begun is None and config.init_from is not None:
            with torch.device("meta"):
                model = Transformer(shape)
            take_weights(model, config.init_from, reader.manifest["tokenizer"]["fingerprint"], config.model.keys())
    if begun is not None:
        check_same_run(folder, begun, config, shape)
    return shape


def check_memory(config: TrainConfig, shape: ModelConfig) -> None:
    """Raise ConfigError where weights, gradients and optimiser state alone take more memory than there is.

    Of a CPU and its processes together; of GPUs, on each of them, and the host, where each process first makes the
    whole model's weights.
    """
    processes = int(os.environ.get("WORLD_SIZE", "1"))
    here = int(os.environ.get("LOCAL_WORLD_SIZE", "1"))
    kind = parse(config.parallel).kind
    used = memory(
        shape, 0, 0, precision="fp32", optimiser="muon" if config.optim.muon else "adamw",
        parallel="single" if kind == "none" else kind, devices=processes,
    )  # fmt: skip
    each, made = used.weights + used.gradients + used.optimiser, 4 * parameters(shape) * here
    host = host_memory()
    if torch.cuda.is_available():
        _check_room(shape, each, torch.cuda.get_device_properties(0).total_memory, "the GPU")
        _check_room(shape, made, host, "the machine")
    else:
        _check_room(shape, max(each * here, made), host, "the machine")


def host_memory() -> int:
    """Bytes of memory that the machine has."""
    return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")


def _check_room(shape: ModelConfig, needed: int, there: int, where: str) -> None:
    if needed > there:
        raise ConfigError(
            f"a model of {parameters(shape):,} parameters needs {needed / 1e9:.1f} GB for weights, gradients and"
            f" optimiser state alone, {where} has {there / 1e9:.1f} GB: choose a smaller size, or share it among more"
            " devices (--parallel fsdp); `gristmill pretrain plan` says what fits"
        )
