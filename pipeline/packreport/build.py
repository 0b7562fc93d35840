"""The whole report as one plain JSON value, and its sections; the page and the terminal show nothing else."""

from __future__ import annotations

import html
from pathlib import Path
from typing import Any

from ..errors import ConfigError
from ..packreader import PackReader, open_packs
from ..packstep import find_pack_sets
from ..report import Cell, Section, Share, html_page, show
from .counts import by, documents, fill, lengths, totals
from .samples import frequent, sequences, tokenizer_of

GROUPS = {"source": "source", "lang": "language", "domain": "domain", "bucket": "quality bucket", "quality": "quality"}
PAGE_ROWS, TERMINAL_ROWS = 60, 10
WIDTH, HEIGHT, BELOW = 640, 130, 34


def report(path: Path, *, top: int = 50, samples: int = 3, seed: int = 0) -> dict[str, Any]:
    """Report on a pack folder, or on the packs of a run: all its lengths.

    `top` tokens are named, `samples` sequences shown, drawn by `seed`. Raises ConfigError where there are no packs.
    """
    if top < 0 or samples < 0:
        raise ConfigError(f"--tokens and --sequences must be 0 or more, not {top} and {samples}")
    found = [_set(open_packs(folder), folder, top, samples, seed) for folder in find_pack_sets(path)]
    return {"where": str(path), "seed": seed, "sets": found}


def _set(reader: PackReader, path: Path, top: int, samples: int, seed: int) -> dict[str, Any]:
    manifest = reader.manifest
    found = documents(reader)
    tokenizer = tokenizer_of(reader)
    statistics = manifest.get("provenance", {}).get("statistics", {})
    positions = len(reader) * reader.sequence_length
    made = {
        "set": path.name,
        "fingerprint": reader.fingerprint,
        "sequence_length": reader.sequence_length,
        "sequences": len(reader),
        "phases": manifest["phases"],
        "tokens": manifest["tokens"],
        "removed_tokens": manifest.get("removed_tokens", 0),
        "padding_tokens": positions - manifest["tokens"],
        "utilisation": manifest["tokens"] / positions if positions else 1.0,
        "method": manifest.get("method", "concatenate"),
        "drawn_documents": manifest.get("documents"),
        "truncated_documents": manifest.get("truncated_documents"),
        "truncated_by_concatenation": statistics.get("concatenate", {}).get("truncated_documents"),
        **fill(reader),
        "documents": None,
        "lengths": [],
        "by": {},
        "tokens_seen": frequent(reader, tokenizer, top),
        "samples": sequences(reader, tokenizer, samples, seed),
    }
    if found is not None:
        made["documents"] = totals(found)
        made["lengths"] = lengths(found)
        made["by"] = {what: by(found, what) for what in GROUPS}
    return made


def sections(result: dict[str, Any], *, page: bool = False, blocks: str = "") -> list[Section]:
    """All sections; `page`: with figures and longer tables, for HTML."""
    out = []
    for one in result["sets"]:
        named = f"{one['set']}: " if len(result["sets"]) > 1 else ""
        out.append(_overview(one, named))
        limit = PAGE_ROWS if page else TERMINAL_ROWS
        for what, name in GROUPS.items():
            out += _group(one["by"].get(what, []), f"{named}Tokens by {name}", name, limit)
        out += _lengths(one, named, page)
        out += _frequent(one, named, limit)
        for sample in one["samples"]:
            out.append(_sample(sample, named, page))
    return out


def _overview(one: dict[str, Any], named: str) -> Section:
    rows: list[tuple[str, Cell]] = [
        ("sequences", one["sequences"]),
        ("tokens in a sequence", one["sequence_length"]),
        ("tokens", one["tokens"]),
        ("padding", one["padding_tokens"]),
        ("utilisation", Share(one["utilisation"])),
        ("full sequences", one["full_sequences"]),
        ("pieces of documents in a sequence", one["pieces_in_a_sequence"]),
        ("method", one["method"]),
        ("documents drawn", one["drawn_documents"]),
        ("of them truncated", one["truncated_documents"]),
        ("truncated by concatenation", one["truncated_by_concatenation"]),
    ]
    if one["removed_tokens"]:
        rows.append(("tokens removed since", one["removed_tokens"]))
    if len(one["phases"]) > 1:
        rows += [(f"sequences of phase {phase['name']}", phase["sequences"]) for phase in one["phases"]]
    if one["documents"] is not None:
        rows.append(("different documents", one["documents"]["documents"]))
        if one["documents"]["tokens_per_byte"]:
            rows.append(("tokens a byte of text", one["documents"]["tokens_per_byte"]))
            rows.append(("bytes of text a token", 1 / one["documents"]["tokens_per_byte"]))
    seen = one["tokens_seen"]
    rows.append(("ids of the vocabulary that occur", f"{seen['ids_seen']:,} of {seen['vocab_size']:,}"))
    if seen["control_tokens"]:
        rows.append(("control tokens", seen["control_tokens"]))
    told = "" if one["documents"] is not None else "the set describes no documents: whose tokens they are isn't known"
    return Section(f"{named}Packs", ("what", "value"), rows, told)


def _group(rows: list[dict[str, Any]], title: str, name: str, limit: int) -> list[Section]:
    if not rows or all(row["value"] in (None, "", -1) for row in rows):
        return []
    shown = [
        (
            "unknown" if row["value"] in (None, "", -1) else _value(row["value"]), row["documents"], row["tokens"],
            Share(row["share"]), row["epochs"], 1 / row["tokens_per_byte"] if row["tokens_per_byte"] else None,
        )
        for row in rows[:limit]
    ]  # fmt: skip
    columns = (name, "documents", "tokens", "share", "epochs", "bytes a token")
    return [Section(title, columns, shown, f"the largest {limit}" if len(rows) > limit else "")]


def _value(value: Any) -> str:
    return f"{value:.1f} to {value + 0.1:.1f}" if isinstance(value, float) else str(value)


def _lengths(one: dict[str, Any], named: str, page: bool) -> list[Section]:
    if not one["lengths"]:
        return []
    rows = [(f"{row['from']:,} to {row['to']:,}", row["documents"], row["tokens"]) for row in one["lengths"]]
    figures = [lengths_svg(one["lengths"], one["sequence_length"])] if page else []
    return [Section(f"{named}Length of documents", ("tokens", "documents", "tokens of them"), rows, figures=figures)]


def lengths_svg(rows: list[dict[str, Any]], sequence_length: int) -> str:
    """Bars: documents by length; dashed: the sequence length. All values are numbers of ours."""
    most = max(row["documents"] for row in rows)
    bar, base = WIDTH / len(rows), HEIGHT + 12
    parts = [
        f'<svg viewBox="0 0 {WIDTH} {base + BELOW}" width="{WIDTH}" role="img" font-family="system-ui,sans-serif" '
        'font-size="11"><title>Documents by their number of tokens</title>'
    ]
    for i, row in enumerate(rows):
        tall = HEIGHT * row["documents"] / most
        title = html.escape(f"{row['from']:,} to {row['to']:,} tokens: {show(row['documents'])} documents")
        parts.append(
            f'<rect x="{i * bar + 1:.1f}" y="{base - tall:.1f}" width="{bar - 2:.1f}" height="{tall:.1f}" '
            f'fill="#4a86c5"><title>{title}</title></rect>'
            f'<text x="{i * bar + bar / 2:.1f}" y="{base + 14}" text-anchor="middle">{row["from"]:,}</text>'
        )
    for i, row in enumerate(rows):
        if row["from"] <= sequence_length <= row["to"]:
            x = bar * (i + (sequence_length - row["from"]) / row["from"])
            parts.append(
                f'<line x1="{x:.1f}" x2="{x:.1f}" y1="4" y2="{base}" stroke="#b00020" stroke-dasharray="4 3"/>'
                f'<text x="{x + 4:.1f}" y="14" fill="#b00020">sequence {sequence_length:,}</text>'
            )
    parts.append(f'<line x1="0" x2="{WIDTH}" y1="{base}" y2="{base}" stroke="#888"/></svg>')
    return "".join(parts)


def _frequent(one: dict[str, Any], named: str, limit: int) -> list[Section]:
    seen = one["tokens_seen"]
    rows = [
        (row["id"], None if row["token"] is None else repr(row["token"]), row["count"], Share(row["share"]))
        for row in seen["most_frequent"][:limit]
    ]
    told = "" if seen["every_block"] else f"counted over {seen['counted_tokens']:,} tokens, spread over the set"
    return [Section(f"{named}Most frequent tokens", ("id", "token", "count", "share"), rows, told)] if rows else []


def _sample(sample: dict[str, Any], named: str, page: bool) -> Section:
    rows = [
        (
            piece["position"], piece["tokens"], piece["document"],
            _kind(piece),
            piece["text"] if page or piece["text"] is None else piece["text"][:100],
        )
        for piece in sample["pieces"]
    ]  # fmt: skip
    title = f"{named}Sequence {sample['sequence']:,}, {sample['length']:,} tokens"
    return Section(title, ("position", "tokens", "document", "piece", "text"), rows, level=3)


def _kind(piece: dict[str, Any]) -> str:
    if piece["removed"]:
        return "removed"
    return "begins" if piece["offset"] == 0 else f"goes on at {piece['offset']:,}"


def page(result: dict[str, Any]) -> str:
    """One self-contained page."""
    return html_page("Gristmill: what is in the packs", sections(result, page=True))
