"""An inspection as sections of a report: for the terminal, or (with figures and more rows) for the page."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

from pipeline.report import Cell, Measure, Section, Share, html_page

from .svg import BLOCKS, histogram_line, histogram_svg

PAGE_ROWS = 60
TERMINAL_ROWS = 8
TERMINAL_EXCERPT = 160
_VERDICTS = {"few": "too few to tell", "more": "more than overall", "less": "less than overall", "same": "as overall"}


def share(value: float | None) -> Cell:
    return None if value is None else Share(value)


def measure(value: float | None) -> Cell:
    return None if value is None else Measure(value)


def flat(text: str | None) -> str | None:
    """A text of several lines in one: white space in one space, line breaks visible."""
    if text is None:
        return None
    return " ⏎ ".join(line for line in (" ".join(part.split()) for part in text.splitlines()) if line)


def overview(result: dict[str, Any]) -> Section:
    """One row a stage."""
    columns = (
        "step",
        "stage",
        "kind",
        "reached it",
        "dropped",
        "of reached",
        "of all",
        "characters dropped",
        "of characters reached",
        "of all characters",
    )
    rows = [
        (
            s["step"],
            s["stage"],
            s["kind"],
            s["n_in"],
            s["n_dropped"],
            share(s["share_of_reached"]),
            share(s["share_of_input"]),
            s["chars_dropped"],
            share(s["chars_share_of_reached"]),
            share(s["chars_share_of_input"]),
        )
        for s in result["stages"]
    ]
    told = [f"{result['where']}"]
    if result["documents"] is not None:
        told.append(f"{result['documents']:,} documents came in")
    if result["lang"]:
        told.append(f"only documents in language {result['lang']}")
    return Section("What each stage dropped", columns, rows, "; ".join([*told, *result["notes"]]))


def _intro(stage: dict[str, Any]) -> str:
    told = [f"{stage['kind']}, {stage['n_dropped']:,} of {stage['n_in']:,} documents dropped"]
    if stage["version"] is not None and stage["installed_version"] not in (None, stage["version"]):
        told.append(f"it ran as version {stage['version']}, installed is {stage['installed_version']}")
    if stage["rules_without_score"]:
        told.append("no score in the files for " + ", ".join(stage["rules_without_score"]))
    return "; ".join(told)


def _measures(stage: dict[str, Any]) -> Section:
    columns = (
        "measure",
        "option",
        "keep",
        "threshold",
        "documents scored",
        "fail it",
        "fail only it",
        "smallest",
        "mean",
        "largest",
    )
    rows: list[tuple[Cell, ...]] = []
    for m in stage["measures"]:
        numbers = (measure(m["min"]), measure(m["mean"]), measure(m["max"]))
        for r in m["rules"] or [None]:
            name = m["measure"] or "score"
            if r is None:
                rows.append((name, None, None, None, m["documents"], None, None, *numbers))
                continue
            limit = "off" if r["threshold"] is None else f"{r['threshold']:.6g}"
            limit += " (default)" if r["origin"] == "default" else ""
            if r["by_language"] is None:
                limit += " (and by language; that table is not at hand)"
            elif r["by_language"]:
                limit += f" (others for {len(r['by_language'])} languages)"
            rows.append((name, r["option"], r["keep"], limit, m["documents"], r["fails"], r["fails_alone"], *numbers))
    text = "A document that an earlier stage dropped may have no score: the histograms hold those that have one."
    return Section(f"{stage['stage']}: measures and thresholds", columns, rows, text, level=3)


def _histograms(stage: dict[str, Any], blocks: str) -> Section:
    rows = []
    for m in stage["measures"]:
        if m["histogram"] is None:
            continue
        for state in ("kept", "dropped", "earlier"):
            if any(m["histogram"][state]) or state != "earlier":
                line = histogram_line(m, state, blocks)
                n = sum(m["histogram"][state])
                ends = m["histogram"]["edges"]
                rows.append((m["measure"] or "score", state, measure(ends[0]), line, measure(ends[-1]), n))
    return Section(
        f"{stage['stage']}: histograms (| = threshold)", ("measure", "what", "from", "", "to", "documents"), rows
    )


def _rates(title: str, name: str, found: Sequence[dict[str, Any]], limit: int) -> Section:
    columns = (name, "reached it", "dropped", "share", "95 % from", "to", "lift", "")
    rows = [(r["value"] if r["value"] is not None else "unknown", *_rate(r)) for r in found[:limit]]
    more = f"{len(found) - limit:,} more are in the JSON" if len(found) > limit else ""
    return Section(title, columns, rows, more, level=3)


def _rate(r: dict[str, Any]) -> tuple[Cell, ...]:
    return (
        r["reached"],
        r["dropped"],
        share(r["share"]),
        share(r["low"]),
        share(r["high"]),
        r["lift"],
        _VERDICTS[r["verdict"]],
    )


def _terms(stage: dict[str, Any], limit: int, groups_only: bool) -> Section:
    found = stage["by_identity_term"]
    groups = [r for r in found if r["term"] is None]
    terms = [] if groups_only else [r for r in found if r["term"] is not None and r["verdict"] != "few"]
    order = {"more": 0, "less": 1, "same": 2, "few": 3}
    groups.sort(key=lambda r: (order[r["verdict"]], -r["reached"]))
    terms.sort(key=lambda r: (order[r["verdict"]], -(r["lift"] or 0), -r["reached"]))
    shown = [*groups[:limit], *terms[: 2 * limit]]
    columns = ("language", "group", "term", "name it", "dropped", "share", "95 % from", "to", "overall", "lift", "")
    rows = [
        (r["lang"], r["group"], r["term"] or "(any)", *_rate(r)[:5], share(r["overall"]), *_rate(r)[5:]) for r in shown
    ]
    few = sum(r["verdict"] == "few" for r in found)
    told = (
        "Documents that name a group of people, against all documents of their language. Long documents name more; "
        "a higher rate is a reason to read what was dropped, no proof. "
        f"{few:,} of {len(found):,} rows have too few documents to tell; all are in the JSON. "
        f"Of the others about one in twenty lies outside by chance."
    )
    return Section(f"{stage['stage']}: drop rates by identity term", columns, rows, told, level=3)


def _examples(stage: dict[str, Any], each: int, chars: int) -> Section:
    columns = ("about", "side", "score", "reason", "language", "URL and record", "text")
    rows: list[tuple[Cell, ...]] = []
    seen: dict[tuple[str, str], int] = {}
    for e in stage["examples"]:
        key = (e["about"], e["side"])
        seen[key] = seen.get(key, 0) + 1
        if seen[key] > each:
            continue
        text = flat(e["excerpt"])
        if text is not None and len(text) > chars:
            text = text[:chars] + "…"
        where = "  ".join(part for part in (e["url"] or e["id"], e["record"]) if part)
        rows.append((e["about"], e["side"], measure(e["value"]), e["reason"], e["lang"], where, text))
    return Section(f"{stage['stage']}: examples", columns, rows, level=3)


def _spans(stage: dict[str, Any]) -> list[Section]:
    spans = stage["spans"]
    kinds = [(k["kind"], k["spans"], k["bytes"], k["documents"]) for k in spans["kinds"]]
    out = [
        Section(
            f"{stage['stage']}: spans taken", ("kind", "spans", "bytes", "documents"), kinds, spans["note"], level=3
        )
    ]
    if spans["examples"]:
        rows = [
            (e["kind"], flat(e["before"]), flat(e["taken"]), flat(e["after"]), e["id"], e["start"])
            for e in spans["examples"]
        ]
        columns = ("kind", "before", "taken", "after", "document", "byte")
        out.append(Section(f"{stage['stage']}: examples of spans", columns, rows, level=3))
    return out


def sections(
    result: dict[str, Any], *, page: bool = False, detailed: bool = False, blocks: str = BLOCKS
) -> list[Section]:
    """All sections. `page`: with figures, for HTML; `detailed`: more rows on the terminal (one stage was named)."""
    rows = PAGE_ROWS if page else 30 if detailed else TERMINAL_ROWS
    out = [overview(result)]
    for stage in result["stages"]:
        out.append(Section(f"{stage['stage']} ({stage['step']})", text=_intro(stage)))
        if stage["config"] and (page or detailed):
            options = [(k, json.dumps(v, ensure_ascii=False)[:300]) for k, v in sorted(stage["config"].items())]
            out.append(Section(f"{stage['stage']}: options of this run", ("option", "value"), options, level=3))
        if stage["reasons"]:
            reasons = [(r["reason"], r["documents"], r["chars"]) for r in stage["reasons"][:rows]]
            more = len(stage["reasons"]) - rows
            told = f"{more:,} more are in the JSON" if more > 0 else ""
            columns = ("reason", "documents", "characters")
            out.append(Section(f"{stage['stage']}: reasons", columns, reasons, told, level=3))
        if stage["measures"]:
            out.append(_measures(stage))
            if page:
                out[-1].figures = [
                    f"<h4>{_heading(stage, m)}</h4>{histogram_svg(m, m['measure'] or stage['stage'])}"
                    for m in stage["measures"]
                    if m["histogram"]
                ]
            else:
                out.append(_histograms(stage, blocks))
        if stage["spans"]:
            out += _spans(stage)
        if stage["n_dropped"]:
            for key, name in (("by_language", "language"), ("by_page_type", "page type")):
                if stage[key]:
                    out.append(_rates(f"{stage['stage']}: drop rates by {name}", name, stage[key], rows))
            if stage["by_identity_term"]:
                out.append(_terms(stage, rows, groups_only=not (page or detailed)))
        if stage["examples"]:
            full = page or detailed
            out.append(_examples(stage, 1_000 if full else 1, 1_000 if full else TERMINAL_EXCERPT))
    return out


def _heading(stage: dict[str, Any], entry: dict[str, Any]) -> str:
    import html

    name = entry["measure"] or "score"
    options = ", ".join(r["option"] for r in entry["rules"])
    return html.escape(f"{stage['stage']}: {name}" + (f" ({options})" if options else ""))


def page(result: dict[str, Any]) -> str:
    """The self-contained HTML page."""
    return html_page("What the filters did", sections(result, page=True))
