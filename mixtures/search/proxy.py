"""One proxy run: a small model trained on a mixture, and its bits per byte on each held-out domain.

The same (weights, options, packs) give the same numbers on the same kind of CPU: training takes a fixed number of
threads, and every proxy begins with the same parameters and sees a source's sequences in the same order.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from pipeline.packreader import open_packs

from .batches import mixture_batches


@dataclass(frozen=True)
class Training:
    """How proxies are trained: sizes of `pretrain`, `steps` of `batch_size` sequences."""

    steps: int
    batch_size: int
    size: str
    lr: float
    seed: int
    threads: int


@dataclass(frozen=True)
class Domain:
    """A held-out set and its packs."""

    name: str
    packs: str


@dataclass(frozen=True)
class Proxy:
    """A proxy run's task: plain values, for a worker."""

    name: str
    weights: tuple[float, ...]
    packs: tuple[str, ...]
    domains: tuple[Domain, ...]
    training: Training


def run_proxy(proxy: Proxy) -> dict[str, Any]:
    """Train and measure: `weights, bits_per_byte` by domain, `loss`, `tokens`. The function that workers run."""
    import torch

    from pretrain.config import OptimConfig, TrainConfig
    from pretrain.evaluate import evaluate
    from pretrain.held_out import held_out
    from pretrain.loop import optimise
    from pretrain.model import Transformer
    from pretrain.objectives import make_objective
    from pretrain.sizes import model_config

    how = proxy.training
    readers = [open_packs(path) for path in proxy.packs]
    before = torch.get_num_threads()
    torch.set_num_threads(how.threads)
    try:
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(how.seed)
            model = Transformer(model_config(how.size, readers[0].total_ids))
        weights = np.array(proxy.weights)
        batches = mixture_batches(readers, weights, steps=how.steps, batch_size=how.batch_size, seed=how.seed)
        config = TrainConfig(
            steps=how.steps, batch_size=how.batch_size, size=how.size, seed=how.seed, optim=OptimConfig(lr=how.lr)
        )
        objective = make_objective(config.objective, {}, readers[0])
        events = list(optimise(model, objective, batches, config))
        sets = {one.name: held_out(one.name, [open_packs(one.packs)]) for one in proxy.domains}
        found = {name: one["bits_per_byte"] for name, one in evaluate(model, sets).items()}
    finally:
        torch.set_num_threads(before)
    return {
        "files": [],
        "n_in": 1,
        "name": proxy.name,
        "weights": list(proxy.weights),
        "bits_per_byte": found,
        "loss": events[-1].loss,
        "tokens": sum(event.tokens for event in events),
    }
