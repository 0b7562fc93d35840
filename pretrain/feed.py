"""What a run is made of, as its configuration says: objective, shape of the model, source of batches."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import torch

from pipeline.errors import ConfigError
from pipeline.packreader import PackReader, open_packs
from pipeline.packstep import find_packs

from .config import ModelConfig, TrainConfig
from .objectives import make_objective
from .objectives.base import Objective
from .parallel.base import Parallel
from .sizes import model_config
from .sources import PackSource, Phase, PhaseSource, ReplaySource, Source, extension


def make_source(
    config: TrainConfig, reader: PackReader, parallel: Parallel, on_phase: Callable[[Phase], None]
) -> tuple[list[PackReader], Source]:
    """(the pack sets that are read, what draws this rank's batches from them).

    `on_phase` is called when a phase of a context extension begins. Raises ConfigError for sets that don't fit.
    """
    rank, size = parallel.data_rank, parallel.data_size
    if config.replay is not None:
        old = _opened("replay", config.replay)
        return [reader, old], ReplaySource(
            reader, old, config.batch_size, config.seed, share=config.replay_share, rank=rank, world_size=size
        )
    if config.long_packs is not None:
        long = _opened("long_packs", config.long_packs)
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
    return objective, shape


def check_inputs(config: TrainConfig, reader: PackReader) -> None:
    """Raise ConfigError for what a run would be refused for before its first step; makes no weights."""
    from .checkpoint import take_weights
    from .model import Transformer

    _, shape = objective_and_shape(config, reader)
    make_source(config, reader, Parallel(torch.device("cpu")), lambda phase: None)
    if config.init_from is not None:
        with torch.device("meta"):
            model = Transformer(shape)
        take_weights(model, config.init_from, reader.manifest["tokenizer"]["fingerprint"])


def _opened(option: str, path: str) -> PackReader:
    """The pack set that an option names: its folder, or a run's."""
    try:
        return open_packs(find_packs(Path(path)))
    except ConfigError as error:
        raise ConfigError(f"{option}: {error}") from error
