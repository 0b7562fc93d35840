"""One run of an ablation: a model trained on an arm with a seed, and what it makes of everything that is measured."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pipeline.store import atomic_path, read_json

from .gold import GoldItem

CURVE_SHARE = 8
"""Points of a curve before the end are measured on every so many-th row of the held-out sets."""


@dataclass(frozen=True)
class RunTask:
    """All that a worker needs: plain values. `training` is a `TrainConfig` as JSON."""

    name: str
    arm: str
    packs: str
    training: dict[str, Any]
    held_out: tuple[tuple[str, str], ...]  # (name, pack folder)
    gold: str  # file of items, empty without any
    points: tuple[int, ...]  # steps after which the curve has a point, the last step among them
    folder: str


def train_and_measure(task: RunTask) -> dict[str, Any]:
    """Train and measure; the nats go to `NAME.npy`. The function that workers run.

    The file holds one row of float64: the nats of each document of each held-out set, then of each item of each
    benchmark, in the order in which they are listed. Returned: `curve`, points of {step, tokens, bits a predicted
    token by set}, `loss` (nats a token at the last step), `tokens`, `predicted` (tokens by held-out set).
    """
    import os

    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")  # see pretrain.train
    import numpy as np
    import torch

    from pipeline.packreader import open_packs
    from pretrain.config import train_config
    from pretrain.held_out import held_out
    from pretrain.loop import optimise
    from pretrain.model import Transformer
    from pretrain.objectives import make_objective
    from pretrain.parallel import plan
    from pretrain.sizes import model_config
    from pretrain.sources import PackSource

    from .measure import answer_nats, document_nats

    config = train_config(task.training)
    reader = open_packs(task.packs)
    sets = {name: held_out(name, [open_packs(path)]) for name, path in task.held_out}
    items = read_items(task.gold)
    before = torch.get_num_threads()
    torch.set_num_threads(config.threads or before)
    curve: list[dict[str, Any]] = []
    tokens = 0
    try:
        parallel = plan(config)
        objective = make_objective(config.objective, config.objective_options, reader)
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(config.seed)
            model = Transformer(model_config(config.size, reader.total_ids + objective.extra_ids, **config.model))
        source = PackSource(reader, config.batch_size, config.seed)
        for event in optimise(model, objective, source, config, parallel=parallel):
            tokens += event.tokens
            if event.step in task.points:
                few = {name: document_nats(model, one, CURVE_SHARE) for name, one in sets.items()}
                bits = {name: bits_a_token(*found) for name, found in few.items()}
                curve.append({"step": event.step, "tokens": tokens, "loss": event.loss, "bits_per_token": bits})
        whole = {name: document_nats(model, one) for name, one in sets.items()}
        rows = [*(nats for nats, _ in whole.values()), *(answer_nats(model, some) for some in items.values())]
    finally:
        torch.set_num_threads(before)
    target = Path(task.folder) / f"{task.name}.npy"
    with atomic_path(target) as temporary, open(temporary, "wb") as handle:
        np.save(handle, np.concatenate(rows))
    return {
        "files": [{"file": target.name, "bytes": target.stat().st_size}],
        "n_in": tokens,
        "curve": curve,
        "loss": event.loss,
        "tokens": tokens,
        "predicted": {name: one.n_targets for name, one in sets.items()},
    }


def bits_a_token(nats: Any, tokens: Any) -> float:
    """Bits of a predicted token."""
    import math

    return float(nats.sum() / max(1, tokens.sum()) / math.log(2))


def read_items(path: str) -> dict[str, list[GoldItem]]:
    """The gold items in a file of `write_items`."""
    if not path:
        return {}
    return {
        name: [GoldItem(one[0], tuple(one[1]), tuple(one[2]), one[3]) for one in rows]
        for name, rows in read_json(Path(path)).items()
    }


def items_json(items: Mapping[str, list[GoldItem]]) -> dict[str, Any]:
    """What `read_items` reads."""
    return {
        name: [[one.name, list(one.prompt), list(one.answer), one.answer_bytes] for one in rows]
        for name, rows in items.items()
    }
