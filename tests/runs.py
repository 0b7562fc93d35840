"""Runs recipes in tests and compares their outputs."""

from __future__ import annotations

import hashlib
from pathlib import Path

from pipeline.progress import Progress
from pipeline.recipe import Recipe
from pipeline.report import write_report
from pipeline.run import execute
from pipeline.runner import InlineRunner, Runner

NOT_COMPARED = (
    "run.json",
    "report.json",
    "report.html",
    "timings",
    "inputs.json",
    "timing",
    "tensorboard",
    ".lock",
    "progress.json",
    "logs",
)
"""What holds times, hosts or places, by file or folder name."""


def run_recipe(recipe: Recipe, output: Path, runner: Runner | None = None) -> Path:
    """Run a recipe, inline unless told otherwise, and write its report; returns the output folder."""
    with runner or InlineRunner() as active:
        write_report(execute(recipe, output, active, Progress(quiet=True)), None)
    return output


def digests(output: Path, skip: tuple[str, ...] = ()) -> dict[str, str]:
    """BLAKE2b of every file that must be the same in every run, by its path in the run."""
    found = {}
    for path in sorted(output.rglob("*")):
        parts = path.relative_to(output).parts
        if path.is_file() and not set(parts) & {*NOT_COMPARED, *skip}:
            found["/".join(parts)] = hashlib.blake2b(path.read_bytes()).hexdigest()
    return found
