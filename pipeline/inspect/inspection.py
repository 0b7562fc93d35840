"""The whole inspection as one plain JSON value; the tables, the page and `--json` show nothing else."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from pipeline.errors import ConfigError, nearest

from .editors import describe_spans
from .examples import fetch, pick
from .facts import Facts, has_spans, make_facts
from .files import find_files
from .measures import describe_measures
from .rates import Cube, TermCounts
from .runs import Found, StageRun, find_run, is_run
from .terms import read_terms


def inspect_run(
    paths: Sequence[Path],
    *,
    only: str | None = None,
    examples: int = 3,
    lang: str | None = None,
    seed: int = 0,
    terms: bool = True,
    terms_file: Path | None = None,
) -> dict[str, Any]:
    """Inspect a run's folder, or files that `gristmill filter` wrote.

    `only` names one stage, `examples` is the number of documents on each side of a threshold, `lang` looks only at
    documents of this language, `terms` counts identity terms (reads all text). Raises ConfigError where there is
    nothing to inspect.
    """
    if examples < 0:
        raise ConfigError(f"--examples must be 0 or more, not {examples}")
    with tempfile.TemporaryDirectory(prefix="gristmill-inspect-") as work:
        found = _find(paths, Path(work))
        _check_names(found, only)
        words = read_terms(terms_file) if terms else None
        stages: list[dict[str, Any]] = []
        notes = list(found.notes)
        total: int | None = found.n_input
        chars: int | None = None
        for step in found.steps:
            if only is not None and all(s.name != only for s in step.stages) and chars is not None:
                continue
            facts = make_facts(step, Path(work), seed=seed, terms=words, lang=lang)
            if facts is None:
                notes.append(f"{step.step} has no language column, so that --lang can't be applied: not shown")
                continue
            cube = Cube(facts)
            counted = TermCounts(facts, words, cube) if words and "terms" in facts.columns else None
            if lang is not None or total is None:
                total = cube.totals(0)["n_in"] if not stages else total
            if facts.has_text and chars is None:
                chars = cube.totals(0)["chars_in"]
            for number, stage in enumerate(step.stages):
                if only is None or stage.name == only:
                    stages.append(_stage(facts, number, cube, counted, total, chars, examples, seed, lang))
            shutil.rmtree(facts.path)
    return {
        "where": found.where,
        "lang": lang,
        "seed": seed,
        "documents": total,
        "chars": chars,
        "notes": notes,
        "stages": stages,
    }


def _find(paths: Sequence[Path], work: Path) -> Found:
    if len(paths) == 1 and is_run(paths[0]):
        return find_run(paths[0])
    for path in paths:
        if not path.exists():
            raise ConfigError(f"'{path}' does not exist")
        if is_run(path):
            raise ConfigError("give one run, or files; not several runs")
    if (
        len(paths) == 1
        and paths[0].is_dir()
        and not any(paths[0].rglob("*.parquet"))
        and not any(paths[0].rglob("*.json*"))
    ):
        raise ConfigError(f"'{paths[0]}' is no run: it has no step with a plan.json, and no files of documents")
    return find_files(paths, work)


def _check_names(found: Found, only: str | None) -> None:
    names = [stage.name for step in found.steps for stage in step.stages]
    if only is not None and only not in names:
        raise ConfigError(
            f"no stage of {found.where} is called '{only}'{nearest(only, names)}; "
            f"it has {', '.join(dict.fromkeys(names))}"
        )


def _stage(
    facts: Facts,
    number: int,
    cube: Cube,
    counted: TermCounts | None,
    total: int | None,
    chars: int | None,
    n_examples: int,
    seed: int,
    lang: str | None,
) -> dict[str, Any]:
    stage = facts.step.stages[number]
    numbers = cube.totals(number)
    if stage.counts is not None and lang is None:  # exact where an editor split documents, too
        numbers["n_in"] = stage.counts["n_in"]
        numbers["n_dropped"] = sum(stage.counts["dropped"].values())
    picks = pick(facts, number, n_examples)
    docs = fetch(facts.step.kept, facts.step.dropped, [p.place for p in picks])
    spans = stage.kind == "editor" and has_spans(facts)
    return {
        "step": facts.step.step,
        "stage": stage.name,
        "kind": stage.kind,
        "version": stage.version,
        "installed_version": getattr(stage.cls, "version", None),
        "config": stage.config,
        **_shares(numbers, total, chars),
        "reasons": cube.reasons(number),
        "rules_without_score": _unscored(facts, number, stage),
        "measures": describe_measures(facts, number),
        "spans": describe_spans(facts, number, n_examples, seed, lang) if spans else None,
        "examples": [{"about": p.about, "side": p.side, "value": p.value, **docs[p.place]} for p in picks],
        "lang_column": facts.lang_column,
        "by_language": cube.by("lang", number) if facts.lang_column else [],
        "by_page_type": cube.by("page_type", number) if facts.has_page_type else [],
        "by_identity_term": counted.rates(number) if counted is not None and numbers["texts_dropped"] else [],
    }


def _unscored(facts: Facts, number: int, stage: StageRun) -> list[str]:
    measured = {m.name for m in facts.measures if m.stage == number}
    return [rule.option for rule in stage.rules if rule.measure not in measured]


def _shares(numbers: dict[str, int], total: int | None, chars: int | None) -> dict[str, Any]:
    """Counts and shares; characters only where the dropped documents had a text (before extraction they have none)."""

    def share(part: int, whole: int | None) -> float | None:
        return part / whole if whole else None

    texts = numbers["chars_in"] > 0 and (numbers["texts_dropped"] > 0 or numbers["n_dropped"] == 0)
    return {
        "n_in": numbers["n_in"],
        "n_dropped": numbers["n_dropped"],
        "share_of_reached": share(numbers["n_dropped"], numbers["n_in"]),
        "share_of_input": share(numbers["n_dropped"], total),
        "chars_in": numbers["chars_in"] if texts else None,
        "chars_dropped": numbers["chars_dropped"] if texts else None,
        "chars_share_of_reached": share(numbers["chars_dropped"], numbers["chars_in"]) if texts else None,
        "chars_share_of_input": share(numbers["chars_dropped"], chars) if texts else None,
    }
