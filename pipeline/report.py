"""The run report: one list of sections, shown on the terminal, as JSON and as one self-contained page.

Every later HTML report builds on `Section`, `html_page` and `print_sections`. Values are escaped and
the page carries a content security policy that allows no script, for titles and URLs are hostile.
"""

from __future__ import annotations

import html
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TextIO

from .run import RunResult, StepResult
from .store import atomic_path, read_json, write_json
from .terminal import plain

Cell = str | int | float | None

_NAMED = 6


class Share(float):
    """A share of 1, shown in percent."""


class Measure(float):
    """A number of unknown size, shown with six digits."""


@dataclass
class Section:
    """A titled table (or only a text).

    `figures` is markup that goes into the page as it is: only what our own code made, with all values in it escaped.
    """

    title: str
    columns: Sequence[str] = ()
    rows: Sequence[Sequence[Cell]] = field(default_factory=list)
    text: str = ""
    level: int = 2
    figures: Sequence[str] = ()


def show(value: Cell) -> str:
    """A cell as a person reads it: thousands separated, control characters made visible."""
    if value is None:
        return ""
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, int):
        return f"{value:,}"
    if isinstance(value, Share):
        return f"{100 * value:.2f} %"
    if isinstance(value, Measure):
        return f"{value:.6g}"
    if isinstance(value, float):
        return f"{value:,.2f}"
    return plain(value, keep="")


_STYLE = (
    "body{font:15px/1.5 system-ui,sans-serif;max-width:60rem;margin:2rem auto;padding:0 1rem;color:#222}"
    "table{border-collapse:collapse;margin:.5rem 0 1.5rem;display:block;overflow-x:auto}"
    "th,td{padding:.25rem .8rem;border-bottom:1px solid #ddd;"
    "text-align:left;vertical-align:top;overflow-wrap:anywhere}th{overflow-wrap:normal}td{min-width:5rem}"
    "td.n{text-align:right;font-variant-numeric:tabular-nums;white-space:nowrap;min-width:0}"
    "h2{margin-top:2rem}h3{margin:1.5rem 0 .5rem}td,p{unicode-bidi:isolate}svg{display:block;max-width:100%}"
)


def html_page(title: str, sections: Sequence[Section]) -> str:
    """One self-contained HTML page; everything in it is escaped and no script can run."""
    parts = [
        "<!doctype html><html lang=en><head><meta charset=utf-8>",
        "<meta http-equiv=Content-Security-Policy content=\"default-src 'none'; style-src 'unsafe-inline'\">",
        f"<title>{html.escape(title)}</title><style>{_STYLE}</style></head><body><h1>{html.escape(title)}</h1>",
    ]
    for section in sections:
        parts.append(f"<h{section.level}>{html.escape(show(section.title))}</h{section.level}>")
        if section.text:
            parts.append(f"<p>{html.escape(show(section.text))}</p>")
        parts.extend(section.figures)
        if section.columns:
            parts.append("<table><tr>" + "".join(f"<th>{html.escape(c)}</th>" for c in section.columns) + "</tr>")
            for row in section.rows:
                cells = "".join(
                    f"<td{' class=n' if isinstance(v, (int, float)) else ''}>{html.escape(show(v))}</td>" for v in row
                )
                parts.append(f"<tr>{cells}</tr>")
            parts.append("</table>")
    parts.append("</body></html>\n")
    return "".join(parts)


def print_sections(sections: Sequence[Section], stream: TextIO) -> None:
    """Show sections on a terminal with rich."""
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    console = Console(file=stream, highlight=False, width=None if stream.isatty() else 120)
    for section in sections:
        if section.text:
            console.print(Text(f"{show(section.title)}: {show(section.text)}"))
        if not section.columns:
            continue
        table = Table(title=Text(show(section.title), style="bold"), title_justify="left")
        numeric = [
            all(isinstance(r[i], (int, float)) or r[i] is None for r in section.rows)
            for i in range(len(section.columns))
        ]
        for name, right in zip(section.columns, numeric, strict=True):
            table.add_column(name, justify="right" if right else "left", overflow="fold")
        for row in section.rows:
            table.add_row(*(Text(show(v)) for v in row))
        console.print(table)


def _fates(step: StepResult) -> list[dict[str, Any]]:
    """The pages at which a time, memory or crash guard fired."""
    import json

    lines = []
    for path in sorted((step.folder / "fates").glob("*.jsonl")):
        lines += [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines() if line.strip()]
    return lines


def _benchmark_items(result: RunResult) -> list[dict[str, Any]] | None:
    """What steps found of benchmarks, by benchmark; None where none looked for any."""
    from decontam.acts import FOLDER, counted, read_acts

    from .stage import registered

    stages = registered()
    names = {c["stage"] for step in result.steps for c in (step.manifest or {}).get("counts", [])}
    if not any(name in stages and stages[name].log == FOLDER for name in names):
        return None
    files = [file for step in result.steps for file in sorted((step.folder / FOLDER).glob("*.jsonl"))]
    return counted(read_acts(files))


def summary(result: RunResult) -> dict[str, Any]:
    """The run in numbers: everything that the sections show, as plain JSON."""
    funnel: list[dict[str, Any]] = []
    skipped: Counter[str] = Counter()
    records = pages = 0
    extra: dict[str, Any] = {}
    for step in result.steps:
        manifest = step.manifest
        if manifest is None:
            continue
        for counts in manifest.get("counts", []):
            funnel.append({"step": step.step, **counts})
        if manifest.get("records") and not records:
            records, pages = manifest["records"], manifest["documents_read"]
            skipped.update(manifest["skipped"])
        extra.update(manifest.get("summary", {}))
    timings = (read_json(result.output / "run.json") or {}).get("steps", {})
    items = _benchmark_items(result)
    if items is not None:
        extra["benchmark_items"] = items
    kept = [s.manifest["rows"] for s in result.steps if s.manifest and "counts" in s.manifest]
    return {
        "records": records,
        "pages": pages,
        "skipped": dict(skipped),
        "stages": funnel,
        "kept": kept[-1] if kept else 0,
        "guards_fired": [fate for step in result.steps for fate in _fates(step)],
        "steps": [
            {
                "step": s.step,
                "folder": s.folder.name,
                "wall_s": timings.get(s.step, {}).get("wall_s"),
                "busy_s": timings.get(s.step, {}).get("busy_s", {}),
                "skipped": s.skipped,
            }
            for s in result.steps
        ],
        **extra,
    }


def items_section(counts: Sequence[dict[str, Any]]) -> Section:
    """What `decontam.acts.counted` gives, as a table."""
    title = "Items of benchmarks found in documents"
    if not counts:
        return Section(title, text="none")
    rows = [
        (
            one["benchmark"], one["dirty"], one["suspect"], one["documents"],
            ", ".join(f"{name} {number:,}" for name, number in one["acts"].items()),
        )
        for one in counts
    ]  # fmt: skip
    return Section(title, ("benchmark", "items dirty", "only suspect", "documents", "acts"), rows)


def sections(numbers: dict[str, Any], output: Path) -> list[Section]:
    """What the report shows."""
    out = [
        Section(
            "Documents",
            ("what", "count"),
            [
                ("records in the input", numbers["records"]),
                ("pages (records with a document)", numbers["pages"]),
                *((f"  record skipped: {kind}", n) for kind, n in _grouped(numbers["skipped"]).items()),
                *_funnel_rows(numbers["stages"]),
                ("kept", numbers["kept"]),
            ],
        )
    ]
    if "selection" in numbers:
        out.append(Section("Selection", ("what", "value"), list(numbers["selection"].items())))
    if "mixture" in numbers:
        out += mixture_sections(numbers["mixture"])
    if "benchmark_items" in numbers:
        out.append(items_section(numbers["benchmark_items"]))
    if "tokens" in numbers:
        out.append(Section("Tokens and packs", ("what", "value"), list(numbers["tokens"].items())))
    if "pretrain" in numbers:
        from pretrain.report import section

        out.append(section(numbers["pretrain"]))
    if numbers["guards_fired"]:
        rows = [(f.get("id"), f.get("url"), f.get("reason")) for f in numbers["guards_fired"]]
        out.append(Section("Pages that a guard stopped", ("id", "url", "reason"), rows))
    times = [
        (
            s["step"],
            "skipped: " + s["skipped"] if s["skipped"] else s["wall_s"],
            ", ".join(f"{k} {v:.1f}" for k, v in s["busy_s"].items()),
        )
        for s in numbers["steps"]
    ]
    out.append(Section("Time", ("step", "wall seconds", "busy seconds by part, over all workers"), times))
    places = [(s["step"], f"{output}/{s['folder']}") for s in numbers["steps"] if not s["skipped"]]
    out.append(Section("Where it lies", ("step", "folder"), [*places, ("report", f"{output}/report.html")]))
    return out


def mixture_sections(drawn: dict[str, Any]) -> list[Section]:
    """What a mixture drew of each source, and what became of the other documents."""
    rows = [
        (one["phase"], one["source"], one["wanted_tokens"], one["tokens"], one["documents"]) for one in drawn["drawn"]
    ]
    fates = [(one["source"], one["fate"], one["documents"], one["tokens"]) for one in drawn["fates"]]
    text = "; ".join([f"{drawn['unique_tokens']:,} different tokens were drawn", *drawn["warnings"]])
    return [
        Section(f"Mixture {drawn['name']}", ("phase", "source", "target", "tokens drawn", "draws"), rows, text),
        Section("Documents by use", ("source", "use", "documents", "tokens"), fates),
    ]


def _grouped(skipped: dict[str, int]) -> dict[str, int]:
    """Skips by kind; of `media_type:` and the like only the most frequent by name, the others as one sum."""
    groups: dict[str, list[tuple[str, int]]] = {}
    for kind, n in skipped.items():
        groups.setdefault(kind.split(":")[0], []).append((kind, n))
    out: dict[str, int] = {}
    for name, kinds in groups.items():
        kinds.sort(key=lambda pair: (-pair[1], pair[0]))
        out.update(kinds[:_NAMED])
        if kinds[_NAMED:]:
            out[f"{name}: {len(kinds) - _NAMED} others"] = sum(n for _, n in kinds[_NAMED:])
    return out


def _funnel_rows(stages: Sequence[dict[str, Any]]) -> list[tuple[str, int]]:
    rows = []
    for counts in stages:
        rows += [(f"  dropped by {counts['stage']}: {reason}", n) for reason, n in counts["dropped"].items()]
        rows.append((f"after {counts['stage']}", counts["n_kept"]))
    return rows


def write_report(result: RunResult, stream: TextIO | None) -> dict[str, Any]:
    """Write `report.json` and `report.html`, print the tables to `stream` if given; returns the numbers."""
    numbers = summary(result)
    shown = sections(numbers, result.output)
    write_json(result.output / "report.json", numbers)
    with atomic_path(result.output / "report.html") as temporary:
        temporary.write_text(html_page("Gristmill run report", shown), encoding="utf-8")
    if stream is not None:
        print_sections(shown, stream)
    return numbers
