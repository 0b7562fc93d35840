"""What `gristmill extract train` does: from gold pages to a model file, and to texts that judge it fairly.

Reads the gold sets of a data folder (`evaluation.gold`). Writes `model.npz` and, if asked, `cross_validated.jsonl`
(each page by a model that saw nothing of its fold) and `left_out.jsonl` (each set by a model that saw only the
others): JSON lines with set, id, text and page_type, which `gristmill extract eval --texts` reads.
Same data, options and library versions: the same bytes in every file, whatever the number of threads.
"""

from __future__ import annotations

import functools
import importlib.metadata
import importlib.util
import json
import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from ...errors import ConfigError
from ...progress import Progress
from ...report import Section
from ...store import atomic_path
from ..engines import EngineOptions, Favor
from ..evaluation.evaluate import metadata_rows, read_texts, score_texts, summarise
from ..evaluation.folds import folds, groups
from ..evaluation.gold import GoldPage, load
from ..evaluation.tables import sections
from ..native.page_type import PAGE_TYPES
from ..page import clean_text
from .dataset import Example, examples
from .fit import FIRST_TREES, PARAMETERS, SECOND_TREES, TYPE_PARAMETERS, TYPE_ROUNDS, Trainer
from .predict import FOLDS, Predicted, apply, by_folds, without_set
from .silver import SILVER, silver_pages
from .silver import SOURCES as SILVER_SOURCES

MODEL = "model.npz"
CROSS_VALIDATED = "cross_validated.jsonl"
LEFT_OUT = "left_out.jsonl"

LIBRARIES = ("lightgbm", "numpy", "scipy")
"""Those whose release can change the model's bytes."""

SOURCES: dict[str, dict[str, str]] = {
    "wcxb": {
        "source": "Murrough-Foley/web-content-extraction-benchmark, development split",
        "licence": "CC-BY-4.0",
    },
    "daniel_waddle": {"source": "rundimeco/waddle, DAnIEL corpus", "licence": "GPL-3.0 (the repository)"},
    "trafilatura_segments": {"source": "adbar/trafilatura, tests/eval and tests/cache", "licence": "Apache-2.0"},
}
"""Where each gold set comes from and under which licence; stands in the model's card."""


@dataclass(frozen=True, slots=True)
class Prepared:
    """Gold pages with their group and fold (one number a page), and the examples made of those that have text.

    The examples hold the teacher's pages as well, grouped and folded together with the gold.
    """

    pages: tuple[GoldPage, ...]
    groups: list[int]
    folds: list[int]
    examples: list[Example]


@dataclass(frozen=True, slots=True)
class Trained:
    """The files written (`texts`: by name without ending), the model's card, and the tables that sum it up."""

    model: Path
    texts: dict[str, Path]
    card: dict[str, Any]
    tables: list[Section]


def prepare(
    data: str | Path,
    *,
    sets: Sequence[str] | None = None,
    silver: bool = True,
    every: int = 1,
    seed: int = 1,
    progress: Progress | None = None,
) -> Prepared:
    """Load, group, fold and scan the gold pages, with `silver` also the teacher's.

    Raises ConfigError for a folder without gold or too few pages.
    """
    shown = progress or Progress(quiet=True)
    pages = load(data, sets, every=every).pages
    if not pages:
        raise ConfigError(f"extract train: '{data}' has no page for the gold of these sets")
    others = silver_pages(data, every=every) if silver else []
    together = (*pages, *others)
    shown.say(f"grouping {len(together)} pages by domain and near-duplicates")
    grouped = groups(together)
    if len(set(grouped)) < FOLDS:
        raise ConfigError(
            f"extract train: {len(pages)} pages are of only {len(set(grouped))} sites; {FOLDS} folds need as many"
        )
    folded = folds(together, FOLDS, seed, group=grouped)
    with shown.bar("scan", total=len(together), unit="pages") as bar:
        found = examples(together, grouped, folded, tick=lambda: bar.advance(1, 1))
    return Prepared(pages, grouped[: len(pages)], folded[: len(pages)], found)


def cross_validate(prepared: Prepared, trainer: Trainer, favor: Favor = "balanced") -> list[Predicted]:
    """Each page by the model of the other folds, in the order of the pages."""
    return _in_order(prepared, by_folds(trainer, favor, prepared.pages, prepared.folds))


def leave_sets_out(
    prepared: Prepared,
    *,
    seed: int = 1,
    threads: int = 2,
    favor: Favor = "balanced",
    tick: Callable[[str], None] = lambda _: None,
) -> list[Predicted]:
    """Each set by a model of the others, without what shares a group with it; in the order of the pages.

    `page_type` is None where no page of the others has one to learn from. Raises ConfigError for a single set.
    """
    names = _sets(prepared.pages)
    if len(names) < 2:
        raise ConfigError(f"--leave-sets-out needs two sets or more, there is only {names[0]}")
    found: list[Predicted] = []
    for name in names:
        trainer = without_set(prepared.examples, name, seed, tick)
        trainer.threads = threads
        typed = any(e.gold.page_type in PAGE_TYPES for e in trainer.examples)
        for one in apply(trainer.model(), favor, [page for page in prepared.pages if page.set == name]):
            found.append(one if typed else replace(one, page_type=None))
    return _in_order(prepared, found)


def train(
    data: str | Path,
    output: Path,
    *,
    sets: Sequence[str] | None = None,
    silver: bool = True,
    every: int = 1,
    seed: int = 1,
    threads: int = 2,
    favor: Favor = "balanced",
    cross_validation: bool = False,
    left_out: bool = False,
    progress: Progress | None = None,
) -> Trained:
    """Train on all pages and write the model: into `output` if it ends in .npz, else into that folder.

    With `cross_validation` and `left_out` the texts are written first, beside the model, and their scores become
    part of its card. Raises ConfigError, also where the extra `train` is not installed.
    """
    check_libraries()
    EngineOptions(favor=favor).check()
    if threads < 1:
        raise ConfigError("threads must be at least 1")
    model = output if output.suffix == ".npz" else output / MODEL
    if model.is_dir():
        raise ConfigError(f"output '{model}' is a folder; a model is a file")
    shown = progress or Progress(quiet=True)
    prepared = prepare(data, sets=sets, silver=silver, every=every, seed=seed, progress=shown)
    if left_out and len(_sets(prepared.pages)) < 2:
        raise ConfigError("--leave-sets-out needs two sets or more; see --sets")
    _make_folder(model.parent)
    texts: dict[str, Path] = {}
    with shown.bar("train", total=_steps(prepared, cross_validation, left_out), unit="steps") as bar:

        def tick(done: str) -> None:
            bar.note(done)
            bar.advance(1, 1)

        trainer = Trainer(prepared.examples, seed=seed, threads=threads, tick=tick)
        if cross_validation:
            texts["cross_validated"] = _write(
                model.with_name(CROSS_VALIDATED), cross_validate(prepared, trainer, favor)
            )
        if left_out:
            texts["left_out"] = _write(
                model.with_name(LEFT_OUT),
                leave_sets_out(prepared, seed=seed, threads=threads, favor=favor, tick=tick),
            )
        trained = trainer.model()
    result = _judged(prepared, texts)
    trained = replace(trained, card=_card(prepared, seed, every, favor, result))
    with atomic_path(model) as path:
        trained.save(path)
    return Trained(model, texts, trained.card, [_overview(prepared), *(sections(result) if texts else ())])


def check_libraries() -> None:
    """Raise ConfigError with the way out if what only training needs is not installed."""
    lacking = [name for name in LIBRARIES if importlib.util.find_spec(name) is None]
    if lacking:
        raise ConfigError(
            f"extract train needs {' and '.join(lacking)}: pip install 'gristmill[train]' "
            "(using a trained model does not need it)"
        )


def _in_order(prepared: Prepared, found: Iterable[Predicted]) -> list[Predicted]:
    by_page = {(one.gold.set, one.gold.id): one for one in found}
    return [by_page[page.set, page.id] for page in prepared.pages]


def _sets(pages: Sequence[GoldPage]) -> list[str]:
    return list(dict.fromkeys(page.set for page in pages))


def _steps(prepared: Prepared, cross_validation: bool, left_out: bool) -> int:
    """How often the trainers call `tick`: each set of words and each judge once."""

    def alone(k: int) -> int:
        return (1 + k + math.comb(k, 2)) + (1 + k) + 2

    def crosswise(k: int) -> int:
        words = sum(math.comb(k, left) for left in range(4))
        return words + sum(math.comb(k, left) for left in range(3)) + 2 * (k + 1)

    count = len({e.fold for e in prepared.examples})
    total = crosswise(count) if cross_validation else alone(count)
    if left_out:
        for name in _sets(prepared.pages):
            others = without_set(prepared.examples, name, 0).examples
            typed = any(e.gold.page_type in PAGE_TYPES for e in others)
            total += alone(len({e.fold for e in others})) - (not typed)
    return total


def _make_folder(folder: Path) -> None:
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise ConfigError(f"output folder '{folder}' can't be made: {error.strerror}") from error


def _write(file: Path, found: Sequence[Predicted]) -> Path:
    """The texts as `read_texts` takes them, cleaned as the stage does it."""
    with atomic_path(file) as path, open(path, "w", encoding="utf-8") as lines:
        for one in found:
            row = {"set": one.gold.set, "id": one.gold.id, "page_type": one.page_type, "text": clean_text(one.text)}
            lines.write(json.dumps(row, ensure_ascii=False) + "\n")
    return file


def _judged(prepared: Prepared, texts: dict[str, Path]) -> dict[str, Any]:
    """The files as `report.evaluation` would judge them."""
    outputs = {name: read_texts(file) for name, file in texts.items()}
    ordered = {name: [found[p.set, p.id] for p in prepared.pages] for name, found in outputs.items()}
    scores = {name: score_texts(prepared.pages, [o.text for o in found]) for name, found in ordered.items()}
    return {
        "first": next(iter(texts), ""),
        "scores": summarise(prepared.pages, scores, prepared.groups) if scores else [],
        "speed": [],
        "metadata": metadata_rows(prepared.pages, ordered),
        "missing": {},
    }


def _card(prepared: Prepared, seed: int, every: int, favor: Favor, result: dict[str, Any]) -> dict[str, Any]:
    counts = {name: sum(page.set == name for page in prepared.pages) for name in _sets(prepared.pages)}
    card: dict[str, Any] = {
        "sets": {name: {"pages": count, **SOURCES[name]} for name, count in counts.items()},
        "silver": _silver(prepared),
        "groups": len(set(prepared.groups)),
        "folds": FOLDS,
        "seed": seed,
        "every": every,
        "trees": {"first": FIRST_TREES, "second": SECOND_TREES, "page_type_rounds": TYPE_ROUNDS},
        "parameters": {"judges": PARAMETERS, "page_type": TYPE_PARAMETERS},
        "versions": {name: importlib.metadata.version(name) for name in LIBRARIES},
    }
    if result["scores"]:
        card["favor"] = favor
        card["scores"] = [
            {key: row[key] for key in ("contender", "set", "slice", "measure", "pages")} | {"f1": round(row["f1"], 4)}
            for row in result["scores"]
        ]
        card["page_type"] = {
            row["contender"]: round(row["right"], 4) for row in result["metadata"] if row["field"] == "page_type"
        }
    return card


def _silver(prepared: Prepared) -> dict[str, Any]:
    """The teacher's part of the card."""
    mine = [e for e in prepared.examples if e.gold.set == SILVER and (e.labels >= 0).any()]
    if not mine:
        return {}
    version = importlib.metadata.version("trafilatura")
    teacher = f"trafilatura {version}, where its precise and its generous mode agree"
    return {"pages": len(mine), "teacher": teacher, "sources": SILVER_SOURCES}


def _overview(prepared: Prepared) -> Section:
    made = {(e.gold.set, e.gold.id): e for e in prepared.examples}
    rows: list[list[str | int | float | None]] = []
    for name in _sets(prepared.pages):
        mine = [e for e in (made.get((p.set, p.id)) for p in prepared.pages if p.set == name) if e is not None]
        blocks = sum(len(e.labels) for e in mine)
        known = sum(int((e.labels >= 0).sum()) for e in mine)
        kept = functools.reduce(lambda total, e: total + int((e.labels == 1).sum()), mine, 0)
        rows.append([name, sum(p.set == name for p in prepared.pages), len(mine), blocks, known, kept])
    columns = ("set", "pages", "with text", "blocks", "labelled", "main content")
    return Section("Trained on", columns, rows)
