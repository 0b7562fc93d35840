"""One proxy run: a small model trained on a mixture, and its bits per byte on each held-out domain.

The same (weights, options, packs) give the same numbers on the same kind of CPU: training takes a fixed number of
threads, and every proxy begins with the same parameters and sees a source's sequences in the same order.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from pipeline.packreader import PackReader, open_packs

from .batches import mixture_batches

if TYPE_CHECKING:
    from pretrain.model import Transformer

MAX_EVAL_BATCH = 8


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
    """A held-out set: its packs, and how many tokens a byte of its text has."""

    name: str
    packs: str
    tokens_per_byte: float


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
        found = {one.name: bits_per_byte(model, one) for one in proxy.domains}
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


def bits_per_byte(model: Transformer, domain: Domain) -> float:
    """Mean bits of a predicted token times the tokens of a byte of text.

    A document's first token is not predicted, as in training; the mean stands for it too.
    """
    nats, tokens = held_out_loss(model, open_packs(domain.packs))
    return nats / max(1, tokens) / math.log(2) * domain.tokens_per_byte


def held_out_loss(model: Transformer, reader: PackReader) -> tuple[float, int]:
    """(sum of the cross-entropy in nats over all predicted tokens, their number) of a pack set."""
    import torch

    from pretrain.data import PackLoader
    from pretrain.objectives import make_objective

    objective = make_objective("causal", {}, reader)
    nats, tokens = 0.0, 0
    with torch.no_grad():
        for batch in PackLoader(reader, min(MAX_EVAL_BATCH, len(reader)), segments=True, shuffle=False):
            inputs = objective.prepare(batch, 0)
            nats += objective.loss(model, inputs).loss_sum.item()
            tokens += inputs.n_valid
    return nats, tokens
