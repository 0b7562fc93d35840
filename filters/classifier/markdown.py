"""A model's card for people to read: `NAME.md` beside the model."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from pipeline.report import Section, show
from pipeline.store import atomic_path

from .card import Card
from .evaluation import sections


def write_markdown(card: Card, path: Path) -> None:
    """Write the card as Markdown, atomically."""
    with atomic_path(path) as target:
        target.write_text(markdown(card), encoding="utf-8")


def markdown(card: Card) -> str:
    """Everything that the card says, as Markdown."""
    parts = [f"# {card.name}\n"]
    if card.description:
        parts.append(card.description + "\n")
    use = [
        ("score", f"probability of the label `{card.positive}`"),
        ("recommended threshold", "none" if card.threshold is None else f"{card.threshold:.6g}"),
        ("languages", ", ".join(card.languages) or "all"),
        ("SHA-256", card.sha256),
        *(("quantile " + q, f"{v:.6g}") for q, v in sorted(card.quantiles.items())),
    ]
    parts += ["## Use\n", _list(use)]
    if card.limits:
        parts += ["## Limits\n", card.limits + "\n"]
    parts += ["## How texts are written for it\n", _list(list(card.normalisation.card().items()))]
    if card.data:
        keys = list(dict.fromkeys(key for one in card.data for key in one))
        parts += ["## Data\n", _table(Section("", keys, [[_cell(one.get(key)) for key in keys] for one in card.data]))]
    documents = card.training.get("documents", [])
    if documents:
        columns = ("label", "source", "train", "test")
        parts += ["## Split\n", _list(list(card.training.get("split", {}).items()))]
        parts.append(_table(Section("", columns, [[one[c] for c in columns] for one in documents])))
    if card.training.get("settings"):
        parts += ["## Settings\n", _list(list(card.training["settings"].items()))]
    if card.evaluation:
        parts.append("## Figures on held-out documents\n")
        for section in sections(card.evaluation):
            parts += [f"### {section.title}\n", _table(section)]
    return "\n".join(parts)


def _cell(value: Any) -> Any:
    return value if isinstance(value, (int, float, str)) or value is None else str(value)


def _list(pairs: Sequence[tuple[str, Any]]) -> str:
    return "".join(f"- {key}: {value}\n" for key, value in pairs)


def _table(section: Section) -> str:
    lines = [list(section.columns), ["---"] * len(section.columns), *section.rows]
    return "".join("| " + " | ".join(show(_cell(v)).replace("|", "\\|") for v in line) + " |\n" for line in lines)
