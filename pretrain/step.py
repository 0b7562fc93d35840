"""The run step that trains for a few dozen steps on the packs, to show that they train."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, ClassVar

from pipeline.progress import Progress
from pipeline.steps import Step, StepContext, register_step
from pipeline.storage import StorePath
from pipeline.storage.mirror import fetched, mirrored
from pipeline.store import file_digest

from .checkpoint import FOLDER
from .config import TrainConfig, train_config
from .report import KEPT


@register_step
@dataclass(frozen=True, kw_only=True)
class Pretrain(Step):
    """Trains a small model on the packs and measures it on the held-out sets; left out where torch is not installed."""

    name: ClassVar[str] = "pretrain"
    needs: ClassVar[tuple[str, ...]] = ("packs",)
    makes: ClassVar[str] = "model"
    optional: ClassVar[bool] = True

    steps: int = field(default=40, metadata={"help": "optimiser steps"})
    batch_size: int = field(default=4, metadata={"help": "sequences in a step"})
    size: str = field(default="tiny", metadata={"help": "size of the model"})
    lr: float = field(default=2e-3, metadata={"help": "peak learning rate"})
    seed: int = field(default=0, metadata={"help": "seed of weights and order"})

    train: dict[str, Any] = field(default_factory=dict, metadata={"help": "further options of the training run"})

    def check(self) -> None:
        self.training()

    def training(self) -> TrainConfig:
        """The whole configuration; raises ConfigError."""
        further = dict(self.train)
        optim = {"lr": self.lr, **further.pop("optim", {})}
        own = {"steps": self.steps, "batch_size": self.batch_size, "size": self.size, "seed": self.seed}
        return train_config({**own, **further, "optim": optim}, "pretrain")

    def why_skipped(self) -> str | None:
        from .train import torch_available

        if torch_available():
            return None
        return "torch is not installed (make setup installs it; elsewhere: pip install 'gristmill[pretrain]')"

    def train_on(
        self, packs: Path, output: Path, progress: Progress, log: Callable[[Any], None] | None = None
    ) -> dict[str, Any]:
        """Train, showing the loss on a progress bar; returns the summary. `log` gets each step's event."""
        from .train import train

        summary = train(with_held_out(self.training(), packs), packs, output, progress=progress, log=log)
        first, last = ("none" if x is None else f"{x:.3f}" for x in (summary["first_loss"], summary["last_loss"]))
        progress.say(f"pretrain: loss {first} -> {last} in {self.steps} steps")
        return summary

    def run(self, context: StepContext) -> dict[str, Any]:
        packs = context.inputs["packs"]
        folder = context.folder.path
        if isinstance(folder, StorePath):
            return self._run_mirrored(context, folder)
        return _made(self.train_on(packs.path / packs.files[0], folder, context.progress), folder)

    def _run_mirrored(self, context: StepContext, folder: StorePath) -> dict[str, Any]:
        """Train in a local folder; what it holds goes to the store with each checkpoint and at the end."""
        packs = context.inputs["packs"]
        with fetched(packs.path) as copy, mirrored(folder) as mirror:
            known: set[str] = set()

            def look(event: Any) -> None:
                there = {path.name for path in (mirror.path / FOLDER).glob("step-*")}
                if there != known:
                    known.clear()
                    known.update(there)
                    mirror.send_soon()

            summary = self.train_on(copy / packs.files[0], mirror.path, context.progress, look)
            return _made(summary, mirror.path)


def _made(summary: dict[str, Any], folder: Path) -> dict[str, Any]:
    """The manifest of a training run in a folder."""
    files = [
        {"file": path.name, "rows": 0, "bytes": path.stat().st_size, "blake2b": file_digest(path)}
        for path in sorted(folder.glob("*.json*"))
        if path.name != "plan.json"
    ]
    shown = {key: summary[key] for key in KEPT if key in summary}
    return {"artefact": [], "files": files, "summary": {"pretrain": shown}}


def with_held_out(config: TrainConfig, packs: Path) -> TrainConfig:
    """The configuration with the sets that a mixture held out beside the packs, unless it names some."""
    from .held_out import held_out_sets

    if config.held_out:
        return config
    return dataclasses.replace(config, held_out={name: str(path) for name, path in held_out_sets(packs).items()})
