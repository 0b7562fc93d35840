"""One run of an ablation: a model trained on an arm with a seed, and what it makes of everything that is measured."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pipeline.storage import place
from pipeline.store import atomic_path, read_json

from .gold import GoldItem


@dataclass(frozen=True)
class RunTask:
    """All that a worker needs: plain values. `training` is a `TrainConfig` as JSON; its held-out sets are the small
    ones that the curve is measured on."""

    name: str
    packs: str
    training: dict[str, Any]
    held_out: tuple[tuple[str, str], ...]  # (name, pack folder), measured at the end
    gold: str  # file of items, empty without any
    folder: str


def train_and_measure(task: RunTask) -> dict[str, Any]:
    """Train and measure; the nats go to `NAME.npy`. The function that workers run.

    The file holds one row of float64: the nats of each document of each held-out set, then of each item of each
    benchmark, in the order in which they are listed. Training writes what `pretrain.train` writes to the folder `NAME`
    and goes on from a checkpoint there; checkpoints go when the run is measured. Returned: `curve`, points of
    {step, tokens, bits_per_byte by set}, `loss` (nats a token at the last step), `tokens`, `skipped` (updates).
    """
    import shutil

    import numpy as np
    import torch

    from pipeline.packreader import open_packs
    from pretrain.checkpoint import FOLDER, load_model
    from pretrain.config import train_config
    from pretrain.held_out import held_out
    from pretrain.parallel import plan
    from pretrain.train import train

    from .measure import answer_nats, document_nats

    config = train_config(task.training)
    folder = place(task.folder) / task.name
    sets = [held_out(name, [open_packs(path)]) for name, path in task.held_out]
    before = torch.get_num_threads()
    try:
        summary = train(config, task.packs, folder)
        with plan(config) as parallel:
            model = load_model(folder).to(parallel.device)
            rows = [document_nats(model, one) for one in sets]
            rows += [answer_nats(model, some) for some in read_items(task.gold).values()]
    finally:
        torch.set_num_threads(before)
    target = folder.with_name(f"{task.name}.npy")
    with atomic_path(target) as temporary, open(temporary, "wb") as handle:
        np.save(handle, np.concatenate(rows))
    shutil.rmtree(folder / FOLDER)
    return {
        "files": [{"file": target.name, "bytes": target.stat().st_size}],
        "n_in": summary["tokens"],
        "curve": _curve(folder),
        "loss": summary["last_loss"],
        "tokens": summary["tokens"],
        "skipped": sum(summary["skipped"].values()),
    }


def _curve(folder: Path) -> list[dict[str, Any]]:
    """The points at which a run was measured on the way."""
    from pretrain.metrics import HELD_OUT, METRICS, read_lines

    points: dict[int, dict[str, Any]] = {}
    if not (folder / HELD_OUT).is_file():
        return []
    for line in read_lines(folder / HELD_OUT):
        point = points.setdefault(line["step"], {"step": line["step"], "tokens": 0, "bits_per_byte": {}})
        point["bits_per_byte"][line["set"]] = line["bits_per_byte"]
    tokens = 0
    for line in read_lines(folder / METRICS):
        tokens += line["tokens"]
        if line["step"] in points:
            points[line["step"]]["tokens"] = tokens
    return [points[step] for step in sorted(points)]


def read_items(path: str) -> dict[str, list[GoldItem]]:
    """The gold items in a file of `items_json`, none without a file."""
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
