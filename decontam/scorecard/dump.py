"""The cases with their verdicts as files, for reading and for counting again."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

from .cases import FORMS, Case
from .compare import Comparison
from .forms import VERDICTS
from .score import Verdict, verdict_on

SHOWN = 1200
"""Characters of a case that the list of mistakes shows."""


def write_cases(folder: Path, comparison: Comparison) -> None:
    """`cases.jsonl`: all cases, a line each, with text, what is true of it and each method's verdicts by item.
    `mistakes-METHOD.txt`: the cases of which a method says less than a plant deserves, or more than a negative does."""
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / "cases.jsonl").open("w", encoding="utf-8") as file:
        for at, case in enumerate(comparison.cases):
            said = {name: given[at] for name, given in comparison.verdicts.items()}
            file.write(json.dumps({**_told(case), "verdicts": said, "text": case.text}, ensure_ascii=False) + "\n")
    for name, given in comparison.verdicts.items():
        (folder / f"mistakes-{name}.txt").write_text(_mistakes(comparison.cases, given), encoding="utf-8")


def _told(case: Case) -> dict[str, object]:
    form = FORMS[case.form]
    return {
        "case": case.name,
        "form": case.form,
        "contaminated": form.contaminated,
        "expected": form.expected,
        "item": case.item,
        "near": case.near,
        "carries": list(case.carries),
        "host": case.host,
        "start": case.start,
        "end": case.end,
    }


def _mistakes(cases: Sequence[Case], given: Sequence[Verdict]) -> str:
    parts = []
    for case, verdict in zip(cases, given, strict=True):
        form = FORMS[case.form]
        rank, expected = VERDICTS.index(verdict_on(case, verdict)), VERDICTS.index(form.expected)
        if rank < expected if form.contaminated else rank > expected:
            said = "nothing" if not verdict else json.dumps(verdict)
            piece = case.text.encode()[case.start : case.end].decode()
            item = case.item or case.near or "no item"
            parts.append(f"== {case.name}: {item}, expected {form.expected}, said {said}\n{piece[:SHOWN]}\n")
    return "\n".join(parts)
