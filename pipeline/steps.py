"""The step contract: what a run is a chain of.

A `Step` reads what earlier steps made and makes something of its own in its folder. There are five
kinds of things ("artefacts"): `documents` (a folder of Parquet shards), `tokenizer` (a file), `tokens`
(a folder of token shards), `packs` (a pack folder) and `model`. Per-shard stages are fused into the
step `MapStep` (`pipeline/mapstep.py`); global steps such as dedup subclass `Step` and run map ->
partition -> reduce through `context.map`.
"""

from __future__ import annotations

import dataclasses
import json
import zlib
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any, ClassVar, TypeVar, overload

from .errors import ConfigError, StepFailed
from .progress import Progress
from .runner import Resources, Runner, Task
from .stage import configured
from .status.observer import TaskCost, Unwatched, Watch
from .status.recorded import recorded, say_again
from .store import StepFolder, digest


@dataclass(frozen=True)
class Artefact:
    """Something that a finished step made: where it lies and the fingerprint of what made it."""

    kind: str
    path: Path
    fingerprint: str
    files: tuple[str, ...] = ()  # data files relative to `path`, in order
    rows: int = 0


def made_by(manifest: dict[str, Any]) -> str:
    """The fingerprint of what a finished step made: its own, and all bytes of local input files where it read some."""
    own: str = manifest["fingerprint"]
    return digest(own, manifest["content"]) if manifest.get("content") else own


@dataclass
class StepContext:
    """What a step works with: its folder, its inputs by kind, and the runner."""

    step: str
    folder: StepFolder
    inputs: dict[str, Artefact]
    runner: Runner
    progress: Progress
    notes: list[str] = field(default_factory=list)
    seconds: Counter[str] = field(default_factory=Counter)  # busy time by part, summed over workers
    resources: Resources = field(default_factory=Resources)  # what each task asks of a machine
    watch: Watch = field(default_factory=Unwatched)  # is told what becomes of tasks

    def map(
        self,
        function: Callable[[Any], dict[str, Any]],
        tasks: Sequence[Task],
        *,
        unit: str = "documents",
        label: str | None = None,
    ) -> Sequence[dict[str, Any]]:
        """Run the tasks that aren't done yet, mark each as it ends, and return all results in task order.

        `function(task.payload)` must write its files atomically and return a small JSON value whose
        `files` lists them; where it has `n_in`, that is what the progress bar counts; `seconds` (busy time
        by part), what the task cost and the worker go to `timings/`, which nothing compares, and not into the mark.
        """
        results = Results([task.name for task in tasks])
        todo = []
        for task in tasks:
            done = self.folder.marked(task.name)
            if done is None:
                todo.append(task)
            else:
                results.put(task.name, done)
        name = label or self.step
        with (
            self.progress.bar(name, total=len(tasks), done=results.there, unit=unit) as bar,
            self.watch.phase(self.step, name, unit, tasks, results.there) as phase,
        ):

            def finished(task: Task, result: dict[str, Any]) -> None:
                cost, warnings = result.pop("cost"), result.pop("warnings")
                timing = {
                    "worker": result.pop("worker"),
                    "node": result.pop("node", ""),
                    "seconds": result.pop("seconds", {}),
                    **cost,
                }
                self.folder.note_timing(task.name, timing)
                self.seconds.update(timing["seconds"])
                self.folder.mark(task.name, result)
                results.put(task.name, result)
                bar.advance(1, result.get("n_in", 0))
                phase.done(task, TaskCost(timing["worker"], **cost), result)
                say_again(warnings, self.step, task.name, timing["worker"])

            self.runner.map(
                partial(recorded, self.step, function),
                todo,
                step=self.step,
                on_result=finished,
                resources=self.resources,
                observer=phase,
            )
        return results


class Results(Sequence[dict[str, Any]]):
    """Results in the order of their tasks, each packed until it is asked for.

    The driver of 100 000 shards holds all of them: a result took 4 kB as a dict and 700 bytes as JSON. Here it is what
    differs from the first one (zlib with that as its dictionary); `bench-scheduling` has what a shard leaves in all.
    """

    def __init__(self, names: Sequence[str]) -> None:
        self._places = {name: place for place, name in enumerate(names)}
        self._packed: list[bytes] = [b""] * len(names)
        self._first = b""
        self.there = 0

    def put(self, name: str, result: dict[str, Any]) -> None:
        """The result of the task of this name."""
        text = json.dumps(result, separators=(",", ":")).encode()
        self._first = self._first or text
        packer = zlib.compressobj(1, zlib.DEFLATED, -15, zdict=self._first)
        self._packed[self._places[name]] = packer.compress(text) + packer.flush()
        self.there += 1

    def _result(self, packed: bytes) -> dict[str, Any]:
        found: dict[str, Any] = json.loads(zlib.decompressobj(-15, zdict=self._first).decompress(packed))
        return found

    def __len__(self) -> int:
        return len(self._packed)

    @overload
    def __getitem__(self, at: int) -> dict[str, Any]: ...

    @overload
    def __getitem__(self, at: slice) -> list[dict[str, Any]]: ...

    def __getitem__(self, at: int | slice) -> dict[str, Any] | list[dict[str, Any]]:
        if isinstance(at, slice):
            return [self._result(one) for one in self._packed[at]]
        return self._result(self._packed[at])


@dataclass(frozen=True, kw_only=True)
class Step:
    """A link in the chain. Subclasses are frozen keyword-only dataclasses; fields are configuration."""

    name: ClassVar[str]
    version: ClassVar[int] = 1
    needs: ClassVar[tuple[str, ...]] = ()
    makes: ClassVar[str] = "documents"
    passes_over: ClassVar[tuple[str, ...]] = ()  # what an earlier step must not have made, for it would have no effect
    edits: ClassVar[bool] = False  # True: writes new text and `cut_spans`, as an `Editor` does (`inspect` shows them)
    memory_bytes: ClassVar[int] = 512 << 20
    """What a task reserves of a machine's memory. A worker with a map step took 280 to 380 MB (results/memory.json)."""
    cpus: ClassVar[float] = 1.0
    optional: ClassVar[bool] = False  # True: may be skipped with a message (see `why_skipped`)

    def check(self) -> None:
        """Raise ConfigError if the configuration can't work. Called before anything runs."""

    def beside(self, later: Sequence[Step]) -> Step:
        """The step as it stands in a chain before the steps `later`: options that follow from theirs are filled in.

        Raises ConfigError where they don't go together. Called before anything runs.
        """
        return self

    def columns(self, have: set[str]) -> set[str]:
        """The document columns that stand after this step, given those before it; raises SchemaError."""
        return have

    def keys(self, have: set[str]) -> tuple[str, ...]:
        """Keys of JSON lines that the step reads (`rank.best` within one), where the columns `have` don't hold them."""
        return ()

    def why_skipped(self) -> str | None:
        """A message if the step can't run on this machine and is to be left out (optional steps only)."""
        return None

    def config(self) -> dict[str, Any]:
        """The configuration as plain JSON values; files that it names enter by their content."""
        return {f.name: getattr(self, f.name) for f in dataclasses.fields(self)}

    def fingerprint(self, inputs: Sequence[Artefact]) -> str:
        """Hash of name, version, configuration and the inputs' fingerprints."""
        return digest(self.name, self.version, self.config(), [a.fingerprint for a in inputs])

    def forget_changed(self, context: StepContext, fingerprint: str) -> None:
        """Empty the step's folder if input files have changed where the fingerprint doesn't tell (`inputs.py`)."""

    def folder_name(self) -> str:
        """The step's part of its folder's name."""
        return self.name

    def run(self, context: StepContext) -> dict[str, Any]:
        """Do the work; returns the manifest: `files` (the artefact's data files), `counts`, `rows`, ..."""
        raise NotImplementedError


@dataclass
class StageCounts:
    """What one stage did to the rows that reached it."""

    stage: str
    n_in: int = 0
    n_split: int = 0
    n_kept: int = 0
    dropped: Counter[str] = field(default_factory=Counter)

    def check(self) -> None:
        """Raise StepFailed unless `n_in + n_split == n_kept + n_dropped`."""
        if self.n_in + self.n_split != self.n_kept + sum(self.dropped.values()):
            raise StepFailed(
                f"stage '{self.stage}' lost count: {self.n_in} in + {self.n_split} split != "
                f"{self.n_kept} kept + {sum(self.dropped.values())} dropped; this is a bug in the stage"
            )

    def to_json(self) -> dict[str, Any]:
        return {
            "stage": self.stage,
            "n_in": self.n_in,
            "n_split": self.n_split,
            "n_kept": self.n_kept,
            "dropped": dict(sorted(self.dropped.items())),
        }


def shard_results(results: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """A manifest's part that comes of all shards: `artefact` (kept files), `rows`, `files`, `documents_read`, `counts`.

    `results` has for each shard its `files`, the kept one first, `n_in` and `counts`.
    """
    kept = [result["files"][0] for result in results]
    return {
        "artefact": [entry["file"] for entry in kept],
        "rows": sum(entry["rows"] for entry in kept),
        "files": [entry for result in results for entry in result["files"]],
        "documents_read": sum(result["n_in"] for result in results),
        "counts": add_counts(results),
    }


def add_counts(results: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    """Sum the `counts` lists of many shards, stage by stage, and check that they add up."""
    total: list[StageCounts] = []
    for result in results:
        for index, counts in enumerate(result["counts"]):
            if index == len(total):
                total.append(StageCounts(counts["stage"]))
            into = total[index]
            into.n_in += counts["n_in"]
            into.n_split += counts["n_split"]
            into.n_kept += counts["n_kept"]
            into.dropped.update(counts["dropped"])
    for counts in total:
        counts.check()
    return [counts.to_json() for counts in total]


_STEPS: dict[str, type[Step]] = {}
T = TypeVar("T", bound=type[Step])


def register_step(cls: T) -> T:
    """Class decorator: makes a global step known to recipes under its `name`."""
    if cls.name in _STEPS and _STEPS[cls.name].__qualname__ != cls.__qualname__:
        raise ConfigError(f"two steps are named '{cls.name}'")
    _STEPS[cls.name] = cls
    return cls


def registered_steps() -> dict[str, type[Step]]:
    """All known global steps by name (imports the bundled ones first)."""
    from . import builtin  # noqa: F401  registers on import

    return dict(sorted(_STEPS.items()))


def make_step(name: str, config: dict[str, Any], where: str) -> Step:
    """A global step from its name and configuration; a typo is an error naming the nearest option."""
    return configured(registered_steps()[name], config, f"{where}: step '{name}'")
