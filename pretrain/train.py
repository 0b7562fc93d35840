"""A training run with its files: metrics and summary, which hold nothing that differs between two runs on the same
machine and number of threads, and `timing/run.json` with what does.
"""

from __future__ import annotations

import json
import math
import os
import time
from collections.abc import Callable
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pipeline.packreader import open_packs
from pipeline.store import atomic_path, write_json

from .config import TrainConfig

if TYPE_CHECKING:
    from .loop import Event


def torch_available() -> bool:
    """Whether torch is installed; does not import it."""
    return find_spec("torch") is not None


def train(
    config: TrainConfig,
    pack_dir: str | Path,
    out_dir: str | Path,
    *,
    log: Callable[[Event], None] | None = None,
) -> dict[str, Any]:
    """Train a model on the pack set and return the summary; `log` gets each step's event.

    The summary has `first_loss, last_loss, untrained_loss` (ln of the number of ids: a uniform guess), `parameters,
    tokens`, and, outside `summary.json`, `seconds` and `tokens_per_s`. A pack set that is smaller than the steps need
    is gone through again in another order. Raises ConfigError for a bad size or an empty pack set.
    """
    # Threads that spin at barriers stall each other where cores are shared: a step took 1.5 s with
    # spinning and 0.7 s without on two busy cores. Read once, when torch loads its OpenMP.
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
    import torch

    from .loop import optimise
    from .model import Transformer
    from .objectives import make_objective
    from .parallel import plan
    from .sizes import model_config
    from .sources import PackSource

    config.check()
    reader = open_packs(pack_dir)
    if config.threads is not None:
        torch.set_num_threads(config.threads)
    parallel = plan(config)
    objective = make_objective(config.objective, config.objective_options, reader)
    source = PackSource(
        reader, config.batch_size, config.seed, rank=parallel.data_rank, world_size=parallel.data_size
    )  # fmt: skip
    sizes = model_config(config.size, reader.total_ids + objective.extra_ids)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(config.seed)
        model = Transformer(sizes)

    out_dir = Path(out_dir)
    events: list[dict[str, Any]] = []
    started = time.perf_counter()
    for event in optimise(model, objective, source, config, parallel=parallel):
        events.append(event.to_json())
        if log is not None:
            log(event)
    seconds = time.perf_counter() - started

    tokens = sum(event["tokens"] for event in events)
    summary = {
        "size": config.size,
        "parameters": sum(p.numel() for p in model.parameters()),
        "steps": config.steps,
        "batch_size": config.batch_size,
        "sequence_length": reader.sequence_length,
        "tokens": tokens,
        "epochs": events[-1]["epoch"] + 1,
        "seed": config.seed,
        "lr": config.optim.lr,
        "first_loss": events[0]["loss"],
        "last_loss": events[-1]["loss"],
        "untrained_loss": math.log(sizes.vocab_size),
    }
    timing = {"seconds": seconds, "tokens_per_s": tokens / seconds}
    with atomic_path(out_dir / "metrics.jsonl") as temporary:
        temporary.write_text("".join(json.dumps(event) + "\n" for event in events), encoding="utf-8")
    write_json(out_dir / "summary.json", summary)
    write_json(
        out_dir / "timing" / "run.json",
        {**timing, "threads": torch.get_num_threads(), "torch": str(torch.__version__)},
    )
    return {**summary, **timing}
