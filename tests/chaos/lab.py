"""The job that faults are put upon, in this process or as a command, and the comparison with an undisturbed run."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from pipeline.errors import GristmillError
from pipeline.recipe import Recipe, build
from pipeline.runner import InlineRunner, Runner
from pipeline.sources import sample_warc
from tests.runs import digests, run_recipe

STEPS: list[Any] = [
    "url",
    {"extract": {"engine": "resiliparse"}},
    "gopher_quality",
    {"exact_dedup": {"by": ["text"]}},
    {"minhash_dedup": {"preset": "fineweb"}},
    {"train_tokenizer": {"vocab_size": 512}},
    "tokenize",
    {"pack": {"sequence_length": 256}},
]
"""The main job with less to compute: a map step, its successor, two kinds of dedup, tokens and packs."""
SHARDS_BYTES = 24 << 10
NO_DATA = ("recipe.yaml",)
"""It names the input's place."""
INPUTS = ("sample-00001.warc.gz", "sample-00003.warc.wet.gz")
"""Of the sample crawl: some twenty shards."""


class Lab:
    """A folder for the runs, and what an undisturbed one makes."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.count = 0
        self.input = folder / "input"
        self.input.mkdir()
        for name in INPUTS:
            shutil.copy(sample_warc() / name, self.input)
        self.wanted = digests(run_recipe(self.recipe(), folder / "undisturbed"), NO_DATA)
        self.shards = shards_done(folder / "undisturbed")
        self.sizes = {name: (folder / "undisturbed" / name).stat().st_size for name in self.wanted}

    def recipe(self, inputs: Path | None = None) -> Recipe:
        """The job on the lab's input, or on another folder."""
        source = {"warc": {"inputs": [str(inputs or self.input)], "split_bytes": SHARDS_BYTES}}
        return build({"name": "chaos", "source": source, "steps": STEPS})

    def fresh(self, suffix: str = "") -> Path:
        """A folder that is not there yet."""
        self.count += 1
        return self.folder / f"run-{self.count}{suffix}"

    def run(self, output: Path, runner: Runner | None = None, inputs: Path | None = None) -> str:
        """Run the job here; "" or the error of ours that ended it."""
        try:
            run_recipe(self.recipe(inputs), output, runner or InlineRunner())
        except (GristmillError, OSError) as error:  # the command says both in a line
            return f"{type(error).__name__}: {error}"
        return ""

    def begun(self, steps: int, suffix: str = "") -> Path:
        """A copy of the undisturbed run of which only so many steps are done."""
        output = self.fresh(suffix)
        shutil.copytree(self.folder / "undisturbed", output)
        for path in sorted(output.glob("[0-9][0-9]-*"))[steps:]:
            shutil.rmtree(path)
        return output

    def command(self, output: Path | str, *words: str, **options: Any) -> subprocess.Popen[str]:
        """The job as a user's command, begun. `words`: `--workers 2`, or `--inline` by default."""
        recipe = self.folder / "chaos.yaml"
        if not recipe.exists():
            import yaml

            recipe.write_text(yaml.safe_dump(self.recipe().plain))
        command = [sys.executable, "-m", "pipeline.cli", "run", str(recipe), "--output", str(output), "--quiet"]
        options.setdefault("env", {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)})
        return subprocess.Popen(
            [*command, *(words or ("--inline",))], stderr=subprocess.PIPE, stdout=subprocess.DEVNULL, text=True,
            start_new_session=True, **options,
        )  # fmt: skip

    def lost(self, output: Path, wanted: dict[str, str] | None = None) -> int:
        """Bytes of data files that an undisturbed run has and this one lacks or has otherwise, and of those beyond."""
        found = digests(output, NO_DATA)
        wanted = self.wanted if wanted is None else wanted
        differ = [name for name in wanted if found.get(name) != wanted[name]]
        extra = [name for name in found if name not in wanted]
        return sum(self.sizes.get(name, 1) or 1 for name in differ) + sum(
            (output / name).stat().st_size or 1 for name in extra
        )


def shards_done(output: Path) -> int:
    """How many shards the first step has finished."""
    return len(list(output.glob("01-extract/done/*.json")))


def wait_for(ready: Callable[[], bool], process: subprocess.Popen[str] | None = None, limit_s: float = 240.0) -> bool:
    """Wait until something is so; False where the process ended before. Raises TimeoutError."""
    end = time.monotonic() + limit_s
    while not ready():
        if process is not None and process.poll() is not None:
            return False
        if time.monotonic() > end:
            raise TimeoutError("the run did not come so far in time")
        time.sleep(0.01)
    return True


def ended(process: subprocess.Popen[str], limit_s: float = 300.0) -> str:
    """Wait for a command's end; "" where it succeeded, else the last line that it said (all, where a traceback is)."""
    _, errors = process.communicate(timeout=limit_s)
    if process.returncode == 0:
        return ""
    if "Traceback" in errors:
        return errors
    return (errors.strip().splitlines() or [f"status {process.returncode}"])[-1]
