"""Small runs for the tests of their status: a step whose tasks wait, fail or warn as they are told."""

from __future__ import annotations

import logging
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

from pipeline.progress import Progress
from pipeline.recipe import Recipe
from pipeline.run import RunResult, execute
from pipeline.runner import InlineRunner, Runner, Task
from pipeline.steps import Step, StepContext
from pipeline.storage import place
from pipeline.store import atomic_path

LIMIT_S = 60


def wait_for(condition: Any, what: str) -> None:
    """Until the condition holds."""
    end = time.monotonic() + LIMIT_S
    while not condition():
        assert time.monotonic() < end, f"waited in vain for {what}"
        time.sleep(0.01)


def work(payload: tuple[str, int, str]) -> dict[str, Any]:
    """Write a file of `10 + index` bytes for `3 + index` documents; before that do what `act` says."""
    folder, index, act = payload
    kind, _, text = act.partition(" ")
    if kind == "wait":
        wait_for(Path(text).exists, text)
    elif kind == "fail":
        raise OSError(text)
    elif kind == "warn":
        logging.getLogger("gristmill").warning("record %s is odd", text)
    name = f"{index:05d}.bin"
    with atomic_path(place(folder) / "kept" / name) as temporary:
        temporary.write_bytes(b"x" * (10 + index))
    return {"files": [{"file": f"kept/{name}", "rows": 3 + index, "bytes": 10 + index}], "n_in": 3 + index}


@dataclass(frozen=True, kw_only=True)
class Acting(Step):
    """One task for each of `acts`."""

    name: ClassVar[str] = "acting"
    acts: tuple[str, ...] = ()

    def run(self, context: StepContext) -> dict[str, Any]:
        tasks = [Task(f"{i:05d}", (str(context.folder.path), i, act)) for i, act in enumerate(self.acts)]
        results = context.map(work, tasks)
        return {"files": [entry for result in results for entry in result["files"]], "rows": 1}


def recipe(*acts: str) -> Recipe:
    """One step with these acts."""
    return Recipe("small", (Acting(acts=acts),), None, {"name": "small", "steps": []})


def run(output: Path, *acts: str, runner: Runner | None = None, **options: Any) -> RunResult:
    """Run it, inline unless told otherwise."""
    with runner or InlineRunner() as active:
        return execute(recipe(*acts), output, active, Progress(quiet=True), **options)
