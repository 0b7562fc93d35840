"""What the page says without its script: the verdict, tables of benchmarks and methods, settings, how to read it."""

from __future__ import annotations

import inspect
import itertools
import json
from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np

from pipeline.report import Cell, Share, show

from ..audit.result import AuditResult
from ..audit.unions import note_on
from .markup import Markup, Numbered, bar, escaped, linked, paragraph, percent, table, to_items

DIRTY, SUSPECT = "dirty", "suspect"
_MEANING = (
    ("dirty", "The method found the item in the training text: a model trained on it has seen the question, so that "
     "its answer says little of what it can do. Leave the item out of the score."),
    ("suspect", "A good part of the item is there, but less than the method asks for: an edited copy, a quotation that "
     "the item is made of, or chance. Read the text beside it and decide."),
    ("clean", "No text of the corpus reaches the method's lower limit. This says that no copy was found, not that none "
     "can be there: a translation or a free retelling goes unnoticed."),
    ("unmatchable", "Clean only because the item is too short for the method's rule (no 13-gram in 12 words): the "
     "method can tell nothing of it. The ids to save are those of items that are too short for every method."),
)  # fmt: skip
_COLUMNS = (
    ("score", "How much of the item the best match has, by the method's own measure; scores of different methods "
     "can't be compared."),
    ("documents", "Different training texts in which the method finds the item, with the verdict that is shown."),
    ("copies", "Occurrences in the corpus: repeated documents and several places in one all count."),
    ("exposure", "Copies, each times the epochs that the mixture gives its source: how often training shows the item."),
)  # fmt: skip
_MARKS = (
    "Marks in an item are the words that the training text has too, in the same order. Keys: / searches, arrows and "
    "Enter go through the list, j and k open the next and the previous item, Escape closes it."
)


def of_default(result: AuditResult) -> list[dict[str, Any]]:
    """The rows of the default method, one a benchmark and split."""
    return [row for row in result.benchmarks.to_pylist() if row["method"] == result.settings["default"]]


def failures(result: AuditResult) -> list[dict[str, Any]]:
    """The benchmarks and splits over the limit of --fail-above."""
    return [one for one in result.gate if one["failed"]]


def verdict(result: AuditResult) -> str:
    """One sentence: what was found, and whether the gate holds."""
    rows = of_default(result)
    items, dirty, suspect = (sum(row[name] for row in rows) for name in ("items", DIRTY, SUSPECT))
    if not items:
        return "There was no benchmark item to look for."
    if dirty:
        worst = max(rows, key=lambda row: (row[DIRTY] / row["items"] if row["items"] else 0.0, row[DIRTY]))
        stand = "stands" if dirty == 1 else "stand"
        told = f"{dirty:,} of {items:,} benchmark items ({percent(dirty / items)}) {stand} in the training text"
        if len(rows) > 1:
            where, counts = f"{worst['benchmark']} / {worst['split']}", f"{worst[DIRTY]:,} of {worst['items']:,}"
            told += f", the greatest share in {where} ({counts})"
    else:
        told = f"None of {items:,} benchmark items was found in the training text"
    told += f"; {suspect:,} more {'is' if suspect == 1 else 'are'} suspect" if suspect else ""
    failed = failures(result)
    limits = {one["limit"] for one in result.gate}
    limit = f"the limit of {percent(min(limits))}" if len(limits) == 1 else "their limits"
    if failed:
        are = "is" if len(failed) == 1 else "are"
        told += f", and {len(failed):,} of {len(result.gate):,} benchmark splits {are} over {limit}"
    elif result.gate:
        told += f", and every benchmark split is within {limit}"
    return told + "."


def summary_section(result: AuditResult) -> Markup:
    """The verdict, the corpus in numbers, and the table by benchmark and split."""
    rows = of_default(result)
    gate = {(one["benchmark"], one["split"]): one for one in result.gate}
    method = result.settings["default"]
    columns = ["benchmark", "split", "items", DIRTY, SUSPECT, "clean", "of these unmatchable", "share dirty"]
    if gate:
        columns.append("limit")
    shown: list[list[Cell | Numbered]] = []
    marked = []
    for row in rows:
        names = {"benchmark": row["benchmark"], "split": row["split"]}
        line: list[Cell | Numbered] = [row["benchmark"], row["split"], row["items"]]
        line += [_count(row[kind], verdict=kind, **names) for kind in (DIRTY, SUSPECT)]
        line += [row["clean"], row["unmatchable"], bar(row[DIRTY], row[SUSPECT], row["items"])]
        one = gate.get((row["benchmark"], row["split"]))
        if gate:
            line.append(_gate_cell(one))
        marked.append(bool(one and one["failed"]))
        shown.append(line)
    sums = {key: sum(row[key] for row in rows) for key in ("items", DIRTY, SUSPECT, "clean", "unmatchable")}
    foot: list[Cell | Numbered] = ["all", "", *sums.values(), bar(sums[DIRTY], sums[SUSPECT], sums["items"])]
    kind = "failed" if failures(result) else "passed" if gate else "plain"
    return Markup(
        f'<p id="finding" class="{kind}">{escaped(verdict(result))}</p>{_corpus(result)}'
        '<nav class="top"><a href="#items-title">Items</a><a href="#guide">How to read it</a>'
        '<a href="#set">Settings</a></nav>'
        f"<h2>Benchmarks</h2>{paragraph(f'Verdicts of the method {method}. Numbers lead to the items.')}"
        f"{table(columns, shown, name='benchmarks', heads=2, marked=marked, foot=foot + [None] * bool(gate))}"
    )


def _gate_cell(one: dict[str, Any] | None) -> Cell | Numbered:
    if one is None:
        return None
    told = f"{'over' if one['failed'] else 'within'} {percent(one['limit'])} ({percent(one['share'])})"
    return Numbered(escaped(told), float(one["share"]))


def _count(n: int, **filters: str) -> Numbered:
    return Numbered(to_items(n, **filters) if n else escaped(n), float(n))


def _corpus(result: AuditResult) -> Markup:
    corpus = result.corpus
    told = [f"{corpus['documents']:,} documents", f"{corpus['bytes']:,} bytes of text"]
    if corpus.get("tokens") is not None:
        told.append(f"{corpus['tokens']:,} tokens")
    if corpus.get("fragments"):
        told.append(f"{corpus['fragments']:,} documents without their beginning")
    skipped = sum((corpus.get("skipped") or {}).values())
    if skipped:
        told.append(f"{skipped:,} records skipped")
    inputs = ", ".join(corpus["inputs"][:3]) + (" …" if len(corpus["inputs"]) > 3 else "")
    return paragraph(f"{inputs} ({corpus['kind']}): {', '.join(told)}.")


def methods_section(result: AuditResult) -> Markup:
    """Methods beside each other: totals, by benchmark, and which items only one of two calls dirty."""
    methods = list(result.settings["methods"])
    if len(methods) < 2:
        return Markup("")
    rows = result.benchmarks.to_pylist()
    totals = []
    for name in methods:
        mine = [row for row in rows if row["method"] == name]
        items, dirty, suspect, clean, unmatchable = (
            sum(row[key] for row in mine) for key in ("items", DIRTY, SUSPECT, "clean", "unmatchable")
        )
        decides = " (decides)" if name == result.settings["default"] else ""
        counts = [_count(n, method=name, verdict=kind) for kind, n in ((DIRTY, dirty), (SUSPECT, suspect))]
        totals.append([name + decides, *counts, clean, unmatchable, bar(dirty, suspect, items)])
    columns = ["method", DIRTY, SUSPECT, "clean", "of these unmatchable", "share dirty"]
    return Markup(
        '<h2 id="compared">Methods compared</h2>'
        + table(columns, totals, name="methods")
        + "<h3>Dirty and suspect items by benchmark and method</h3>"
        + paragraph("Dirty, and suspect ones behind the +.")
        + table(["benchmark", "split", *methods], _matrix(rows, methods), name="matrix", heads=2)
        + "<h3>Where two methods agree</h3>"
        + paragraph("Items that the methods call dirty; agreement is the share of both among those of either.")
        + table(
            ["method", "other method", "both", "only the first", "only the other", "agreement"],
            agreement(result),
            name="agreement",
            heads=2,
        )
    )


def corpus_wide_section(result: AuditResult) -> Markup:
    """Verdicts by the best document and by all documents together, for the methods that are defined so."""
    keys = (DIRTY, "corpus_dirty", SUSPECT, "corpus_suspect")
    rows = [row for row in result.benchmarks.to_pylist() if row["corpus_dirty"] is not None]
    shown: list[list[Cell | Numbered]] = []
    for row in rows:
        if any(row[key] for key in keys):
            names = {key: row[key] for key in ("benchmark", "split", "method")}
            alone = {kind: _count(row[kind], verdict=kind, **names) for kind in (DIRTY, SUSPECT)}
            shown.append([*names.values(), *(alone.get(key, row[key]) for key in keys)])
    if not shown:
        return Markup("")
    columns = ["benchmark", "split", "method", "dirty alone", "dirty together", "suspect alone", "suspect together"]
    return Markup(
        '<h2 id="together">Coverage over the whole corpus</h2>'
        + paragraph(
            f"{note_on(result.settings)} Alone: by the best single document; together: by all. Splits without any such "
            "item are left out."
        )
        + table(columns, shown, name="corpus-wide", heads=3)
    )


def _matrix(rows: Sequence[dict[str, Any]], methods: Sequence[str]) -> Iterable[list[Cell | Numbered]]:
    found = {(row["benchmark"], row["split"], row["method"]): row for row in rows}
    for benchmark, split in dict.fromkeys((row["benchmark"], row["split"]) for row in rows):
        line: list[Cell | Numbered] = [benchmark, split]
        for name in methods:
            row = found.get((benchmark, split, name))
            if row is None:
                line.append(None)
                continue
            told = show(row[DIRTY]) + (f" + {row[SUSPECT]:,}" if row[SUSPECT] else "")
            markup = to_items(told, benchmark=benchmark, split=split, method=name)
            value = row[DIRTY] + row[SUSPECT] / (row["items"] + 1)
            line.append(Numbered(markup if row[DIRTY] or row[SUSPECT] else escaped(told), value))
        yield line


def agreement(result: AuditResult) -> list[list[Cell | Numbered]]:
    """Of each two methods: items that both, only the first and only the other call dirty, and the Jaccard index."""
    methods = list(result.settings["methods"])
    dirty = {name: np.zeros(result.items.num_rows, bool) for name in methods}
    for number, results in enumerate(result.items["by_method"].to_pylist()):
        for one in results or ():
            if one["verdict"] == DIRTY:
                dirty[one["method"]][number] = True
    rows: list[list[Cell | Numbered]] = []
    for first, other in itertools.combinations(methods, 2):
        both = int((dirty[first] & dirty[other]).sum())
        one, two = int((dirty[first] & ~dirty[other]).sum()), int((dirty[other] & ~dirty[first]).sum())
        either = both + one + two
        rows.append(
            [
                first, other, _count(both, both=f"{first},{other}", verdict="any"),
                _count(one, only=f"{first},{other}", verdict="any"),
                _count(two, only=f"{other},{first}", verdict="any"), Share(both / either) if either else None,
            ]
        )  # fmt: skip
    return rows


def guide_section(result: AuditResult) -> Markup:
    """How to read the page, and the settings of the audit."""
    settings = result.settings
    meaning = "".join(f"<dt>{escaped(k)}</dt><dd>{escaped(v)}</dd>" for k, v in (*_MEANING, *_COLUMNS))
    level = settings.get("level", DIRTY)
    clean = "neither dirty nor suspect" if level == SUSPECT else "not dirty"
    methods = "".join(
        _method(name, options, name == settings["default"]) for name, options in settings["methods"].items()
    )
    groups = ("guard", "normalisation", "index", "mixture", "versions")
    rows = [
        (f"{group}: {key}", _setting(value)) for group in groups for key, value in (settings.get(group) or {}).items()
    ]
    rows += [("input", name) for name in result.corpus["inputs"]]
    rows += [(f"skipped: {kind}", show(n)) for kind, n in (result.corpus.get("skipped") or {}).items()]
    ids = (
        f"The clean ids of this audit are those of items that are {clean} by {escaped(settings['default'])}: score an "
        "evaluation on these. <code>gristmill decontam report --clean-ids FILE</code> writes them."
    )
    return Markup(
        f'<h2 id="guide">How to read it</h2><dl class="guide">{meaning}</dl><p>{ids}</p>{paragraph(_MARKS)}'
        f'<h2>Methods</h2>{methods}<h2 id="set">Settings</h2>'
        f"{table(['setting', 'value'], rows, name='settings', sortable=False)}"
    )


def _setting(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)


def _method(name: str, options: dict[str, Any], decides: bool) -> Markup:
    """A method's own description, sources and parameters."""
    from ..methods import all_methods

    parts = [f"<h3>{escaped(name)}{' (decides)' if decides else ''}</h3>"]
    known = all_methods().get(name)
    helps: dict[str, str] = {}
    if known is not None:
        parts.append(paragraph(" ".join((inspect.getdoc(known) or "").replace("`", "").split())))
        parts += [f'<p class="hint">{linked(one)}</p>' for one in known.sources]
        helps = {key: one.metadata.get("help", "") for key, one in known.__dataclass_fields__.items()}
    rows = [(key, _setting(value), helps.get(key, "")) for key, value in options.items()]
    if rows:
        parts.append(table(["parameter", "value", "meaning"], rows, name=f"of-{escaped(name)}", sortable=False))
    return Markup("".join(parts))
