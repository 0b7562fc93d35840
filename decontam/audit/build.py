"""The audit: a corpus scanned for benchmarks, in pieces, resumable, and its result."""

from __future__ import annotations

import dataclasses
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pyarrow as pa

from pipeline.errors import ConfigError
from pipeline.progress import Progress
from pipeline.runner import Runner, Task
from pipeline.steps import StepContext
from pipeline.store import StepFolder, digest

from ..index import Index
from ..methods import Method, default_methods
from ..scan import ScanOptions
from .corpus import Corpus
from .gate import Limit, judge
from .gather import Gathered
from .mixture import Mixture
from .result import AuditResult
from .scanning import AuditTask, IndexPlace, scan_piece

VERSION = 3
"""Of what tasks write; another one does not go on from an earlier folder."""


@dataclass(frozen=True, kw_only=True)
class AuditOptions:
    """What an audit looks for and keeps."""

    methods: tuple[Method, ...] = field(default_factory=lambda: tuple(default_methods()))
    guard: ScanOptions = field(default_factory=ScanOptions)
    matches: int = 5
    """Matches of the default method to show of an item."""
    level: str = "dirty"
    """The verdict from which on an item is not clean: dirty or suspect."""
    limits: tuple[Limit, ...] = ()
    mixture: Mixture | None = None

    @property
    def default(self) -> str:
        """The method that decides: ours, or the first one if it is not among them."""
        names = [method.name for method in self.methods]
        ours = default_methods()[0].name
        return ours if ours in names else names[0]


def audit(
    corpus: Corpus,
    items: pa.Table,
    index: Index,
    options: AuditOptions,
    *,
    work: Path,
    runner: Runner,
    progress: Progress,
    place: IndexPlace | None = None,
) -> AuditResult:
    """Scan a corpus (`corpus.open_corpus`) for items (`decontam.items.ITEM`) with their index.

    `work` is a folder for what the tasks find; an audit that was killed goes on from there. `place` says where workers
    find the index; without it it is saved in `work`. The same corpus, items and
    options give the same result, whatever the workers. Raises ConfigError for a corpus without a document and for an
    index of other items.
    """
    if index.item_names.to_pylist() != items["item"].to_pylist():
        raise ConfigError("the index is of other items than those of the report: build it anew")
    if options.matches < 1:
        raise ConfigError(f"matches is {options.matches}; it must be at least 1")
    methods = {method.name: dataclasses.asdict(method) for method in options.methods}  # type: ignore[call-overload]
    guard = dataclasses.asdict(options.guard)
    plan = [VERSION, index.fingerprint, methods, guard, options.matches, corpus.sources]
    fingerprint = digest(*plan)
    folder = StepFolder(work / "scan")
    folder.begin(fingerprint, {"inputs": corpus.inputs})
    if place is None:
        place = IndexPlace(str(work / "index"))
        index.save(place.folder)
    tasks = [
        AuditTask(
            f"{n:05d}", piece, str(folder.path), place, options.methods, options.guard, options.matches
        )
        for n, piece in enumerate(corpus.pieces)
    ]  # fmt: skip
    context = StepContext("audit", folder, {}, runner, progress)
    results = context.map(scan_piece, [Task(task.name, task) for task in tasks])
    skipped: Counter[str] = Counter()
    for result in results:
        skipped.update(result["skipped"])
    totals = {name: sum(result.get(name, 0) for result in results) for name in ("documents", "bytes", "fragments")}
    if not totals["documents"]:
        why = ", ".join(f"{kind} ({n:,})" for kind, n in skipped.most_common(3))
        hint = "; name the text column with --text-field" if "no_text" in skipped else ""
        raise ConfigError(
            f"the corpus {' '.join(corpus.inputs)} holds no document"
            + (f": {why}{hint}" if why else "; is it the right one?")
        )
    gathered = Gathered(
        folder.path, [task.name for task in tasks], items, index, options.methods, options.default,
        most=options.matches, mixture=options.mixture, packs=corpus.packs,
    )  # fmt: skip
    benchmarks = gathered.benchmarks()
    return AuditResult(
        corpus={
            "inputs": corpus.inputs,
            "kind": corpus.kind,
            **totals,
            "tokens": corpus.tokens,
            "skipped": dict(sorted(skipped.items())),
        },
        settings={
            "methods": methods,
            "default": options.default,
            "guard": guard,
            "normalisation": dataclasses.asdict(index.normalisation),
            "index": _index(index),
            "level": options.level,
            "mixture": options.mixture.plain() if options.mixture else None,
            "versions": _versions(),
        },
        benchmarks=benchmarks,
        items=gathered.found_items(),
        matches=gathered.matches(),
        corpus_wide=gathered.corpus_wide(),
        unmatchable=index.unmatchable,
        gate=judge(benchmarks, options.default, options.limits, options.level),
    )


def _index(index: Index) -> dict[str, Any]:
    names = index.items["benchmark"].unique()
    found = {"items": len(index), "benchmarks": len(names), "fingerprint": index.fingerprint}
    return found | {"background": index.documents}


def _versions() -> dict[str, str]:
    import platform
    from importlib import metadata

    found = {"python": platform.python_version()}
    for name in ("gristmill", "numpy", "numba", "pyarrow", "polars", "tokenizers"):
        try:
            found[name] = metadata.version(name)
        except metadata.PackageNotFoundError:
            continue
    return found


def clean_ids(result: AuditResult, items: pa.Table) -> list[str]:
    """The items that are clean by the default method and the level of the settings, in their order."""
    bad = {"dirty"} if result.settings["level"] == "dirty" else {"dirty", "suspect"}
    found = result.items.select(["item", "verdict"]).to_pylist()
    gone = {row["item"] for row in found if row["verdict"] in bad}
    return [item for item in items["item"].to_pylist() if item not in gone]
