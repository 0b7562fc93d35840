"""The whole report as one plain JSON value, and its sections; the page and the terminal show nothing else."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from pipeline.errors import ConfigError
from pipeline.inspect.svg import BLOCKS
from pipeline.report import Cell, Section, Share, html_page

from .counts import by_host, by_language, clusters, similarities, totals
from .figures import diff_html, diff_line, similarity_line, similarity_svg
from .found import DedupStep, find_steps
from .pairs import looked_at

TOP = 100
"""Largest clusters in the JSON."""
PAGE_ROWS, TERMINAL_ROWS, TERMINAL_DIFF, TERMINAL_COMMON = 40, 8, 300, 100
SHOWN_MEMBERS = 5
KINDS = {
    "duplicate_url": "exact, same URL",
    "duplicate_text": "exact, same text",
    "near_duplicate": "near-duplicates (MinHash)",
}


def report(paths: Sequence[Path], *, pairs: int = 10, seed: int = 0) -> dict[str, Any]:
    """Report on a run's folder, one step's folder, or Parquet files of kept and dropped documents.

    `pairs` is the number of each kind of pairs to show. Raises ConfigError where there is nothing to report.
    """
    if pairs < 0:
        raise ConfigError(f"--pairs must be 0 or more, not {pairs}")
    found = find_steps(paths)
    return {
        "where": found.where,
        "seed": seed,
        "notes": found.notes,
        "steps": [_step(step, pairs, seed) for step in found.steps],
    }


def _step(step: DedupStep, pairs: int, seed: int) -> dict[str, Any]:
    told = {
        "step": step.step,
        "name": step.name,
        "config": {k: v for k, v in step.config.items() if k not in ("parameters", "indexes")},
        **totals(step),
        "by_language": by_language(step),
        "by_host": by_host(step),
    }
    if not step.removes_documents:
        return told
    sizes, largest = clusters(step, TOP)
    counted = step.manifest.get("report") or {}
    return {
        **told,
        "cluster_sizes": sizes,
        "component_sizes": counted.get("component_sizes"),
        "compared": {k: counted.get(k) for k in ("compared", "more_than_max_compared", "largest_bucket", "rounds")}
        if counted
        else None,
        "similarities": similarities(step),
        "clusters": largest,
        **looked_at(step, pairs, seed, largest),
    }


def _share(value: float | None) -> Cell:
    return None if value is None else Share(value)


def _overview(result: dict[str, Any]) -> Section:
    rows: list[tuple[Cell, ...]] = []
    for step in result["steps"]:
        for reason, one in step["removed"].items():
            told = KINDS.get(reason, f"{step['name']}: {reason}")
            rows.append((step["step"], told, one["documents"], _share(one["share"]), one["text_bytes"],
                         _share(one["text_share"])))  # fmt: skip
        if not step["removed"]:
            rows.append((step["step"], f"{step['name']}: no document", 0, None, 0, None))
        if step["cut"]:
            cut = step["cut"]
            rows.append((step["step"], f"{cut['number']:,} {cut['what']} cut from texts", None, None, cut["bytes"],
                         _share(cut["share"])))  # fmt: skip
    columns = ("step", "what went", "documents", "of the step's", "bytes of text", "of the step's text")
    return Section("What dedup removed", columns, rows, "; ".join([result["where"], *result["notes"]]))


def _sizes(step: dict[str, Any]) -> list[Section]:
    rows: list[tuple[Cell, ...]] = []
    ends = {int(end) for part in ("cluster_sizes", "component_sizes") for end in step[part] or {}}
    for end in sorted(ends):
        low = end // 2 + 1
        label = str(end) if low >= end else f"{low:,} to {end:,}"
        row = [(step[part] or {}).get(str(end), 0) for part in ("cluster_sizes", "component_sizes")]
        rows.append((label, *(row if step["component_sizes"] is not None else row[:1])))
    columns = ("documents", "clusters", "components")[: 3 if step["component_sizes"] is not None else 2]
    text = "A cluster is a kept document with those that went for it; a component all that hang together by bands."
    return [Section(f"{step['step']}: sizes", columns, rows, text, level=3)] if rows else []


def _similarities(step: dict[str, Any], page: bool, blocks: str) -> list[Section]:
    found = step["similarities"]
    if not found:
        return []
    told = f"{found['bands']} bands of {found['rows']} rows, threshold {found['threshold']:.3f} ({found['measure']})"
    if not found["verified"]:
        told += "; without verification: whole components went, and documents may resemble nothing that stays"
    if found["expected_recall"] is not None:
        told += (
            f"; of pairs at least that similar the bands are expected to have found {found['expected_recall']:.1%}, "
            "by the similarities of what was removed"
        )
    rows = [(at, Share(value)) for at, value in found["s_curve"].items()]
    title = f"{step['step']}: similarity of what was removed, and expected recall"
    out = [Section(title, ("similarity", "pairs found"), rows, told, 3, [similarity_svg(found)] if page else ())]
    if not page and any(found["counts"]):
        out.append(Section("from .5 to 1 (| = threshold)", (), (), similarity_line(found, blocks)))
    return out


def _groups(step: dict[str, Any], key: str, page: bool) -> list[Section]:
    """Largest clusters or components, with what they share."""
    rows: list[tuple[Cell, ...]] = []
    for one in step[key][: PAGE_ROWS if page else TERMINAL_ROWS // 2]:
        shared = (
            one["common_text"] if page else [{**c, "text": c["text"][:TERMINAL_COMMON]} for c in one["common_text"][:1]]
        )
        common = " ⏎ ".join(f"{c['text']} ({c['documents']} of {one['read']})" for c in shared)
        where = "  ".join(str(m["url"] or m["id"]) for m in one["members"][: SHOWN_MEMBERS if page else 2])
        rows.append((one["documents"], one.get("kept") if key.endswith("components") else one["kept"], where, common))
    second = "of them kept" if key.endswith("components") else "the one kept"
    columns = ("documents", second, "some of them", "what those read have in common")
    return [Section(f"{step['step']}: {key.replace('_', ' ')}", columns, rows, level=3)] if rows else []


def _pairs(step: dict[str, Any], key: str, title: str, text: str, page: bool) -> list[Section]:
    found = step[key]
    if not found:
        return []
    if not page:
        rows = [
            (p["similarity"], f"{p['kept']['url'] or p['kept']['id']}  {p['gone']['url'] or p['gone']['id']}",
             diff_line(p["diff"], TERMINAL_DIFF) or f"in {p['index'] or 'no file at hand'}")
            for p in found[:3]
        ]  # fmt: skip
        return [Section(f"{step['step']}: {title}", ("similarity", "the two", "difference"), rows, text)]
    out = [Section(f"{step['step']}: {title}", text=text, level=3)]
    for number, p in enumerate(found, 1):
        like = "" if p["similarity"] is None else f", similarity {p['similarity']:.3f}"
        rows = [("stays", p["kept"]["id"], p["kept"]["url"]),
                ("stays too" if key == "below_threshold" else "went", p["gone"]["id"], p["gone"]["url"])]  # fmt: skip
        figures = [diff_html(p["diff"])] if p["diff"] else []
        told = "" if p["diff"] else f"the kept one's text is not at hand{': index ' + p['index'] if p['index'] else ''}"
        out.append(Section(f"Pair {number}{like}", ("", "id", "URL"), rows, told, 4, figures))
    return out


def sections(result: dict[str, Any], *, page: bool = False, blocks: str = BLOCKS) -> list[Section]:
    """All sections; `page`: with figures and whole differences, for HTML."""
    out = [_overview(result)]
    for step in result["steps"]:
        limit = PAGE_ROWS if page else TERMINAL_ROWS
        if "clusters" in step:
            out += _sizes(step)
            out += _similarities(step, page, blocks)
            for key in ("largest_clusters", "largest_components"):
                out += _groups(step, key, page)
            legend = "Orange stands only in the document that stays, blue only in the other one." if page else ""
            missed = (
                f"{step['kept_pairs_above_threshold']:,} of {step['kept_pairs_compared']:,} pairs of kept documents of "
                "sampled components are over it: they share no band, so that LSH did not find them. "
            )
            for key, title, text in (
                ("random_pairs", "random removals", ""),
                ("above_threshold", "removed, nearest to the threshold", ""),
                ("below_threshold", "kept, nearest below the threshold", missed),
            ):
                out += _pairs(step, key, title, text + legend, page)
        for key, name in (("by_language", "language"), ("by_host", "host")):
            rows = [
                (r["value"] if r["value"] is not None else "unknown", r["documents"], r["removed"], _share(r["share"]))
                for r in step[key][:limit]
            ]
            if any(row[0] != "unknown" for row in rows):
                columns = (name, "documents", "removed", "share")
                out.append(Section(f"{step['step']}: removed by {name}", columns, rows, level=3))
    return out


def page(result: dict[str, Any]) -> str:
    """One self-contained HTML page."""
    return html_page("Gristmill: what dedup removed", sections(result, page=True))
