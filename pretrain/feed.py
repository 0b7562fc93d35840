"""The source of a run's batches, as its configuration says."""

from __future__ import annotations

from collections.abc import Callable

from pipeline.packreader import PackReader, open_packs

from .config import TrainConfig
from .parallel.base import Parallel
from .sources import PackSource, Phase, PhaseSource, ReplaySource, Source, extension


def make_source(
    config: TrainConfig, reader: PackReader, parallel: Parallel, on_phase: Callable[[Phase], None]
) -> tuple[list[PackReader], Source]:
    """(the pack sets that are read, what draws this rank's batches from them).

    `on_phase` is called when a phase of a context extension begins. Raises ConfigError for sets that don't fit.
    """
    rank, size = parallel.data_rank, parallel.data_size
    if config.replay is not None:
        old = open_packs(config.replay)
        return [reader, old], ReplaySource(
            reader, old, config.batch_size, config.seed, share=config.replay_share, rank=rank, world_size=size
        )
    if config.long_packs is not None:
        long = open_packs(config.long_packs)
        phases = extension(
            reader, long, steps=config.steps - config.long_steps, long_steps=config.long_steps,
            batch_size=config.batch_size, rope_scale=config.rope_scale,
        )  # fmt: skip
        return [reader, long], PhaseSource(phases, config.seed, on_phase=on_phase, rank=rank, world_size=size)
    return [reader], PackSource(reader, config.batch_size, config.seed, rank=rank, world_size=size)
