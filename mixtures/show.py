"""A plan as sections: for the terminal and for a page."""

from __future__ import annotations

from typing import Any

from pipeline.report import Cell, Measure, Section, Share, html_page

ROWS, PAGE_ROWS = 40, 1000


def sections(result: dict[str, Any], *, page: bool = False, blocks: str = "") -> list[Section]:
    """All sections of a plan (`estimate.plan`)."""
    limit = PAGE_ROWS if page else ROWS
    warned = "; ".join(result["warnings"])
    rows: list[tuple[Cell, ...]] = [
        (
            row["source"], row["documents"], row["available_tokens"], row["target_tokens"], row["epochs"],
            row["most_epochs"], row["effective_tokens"], row["shortfall_tokens"],
        )
        for row in result["sources"]
    ]  # fmt: skip
    columns = ("source", "documents", "tokens there", "target", "epochs", "most epochs", "effective", "short by")
    told = f"{result['total_tokens']:,} tokens, worth {result['effective_tokens']:,} fresh ones"
    out = [Section(f"Mixture {result['name']}", columns, rows, told)]
    out.append(Section("Token counts", ("source", "tokens are"), [(b["source"], b["tokens"]) for b in result["basis"]]))
    if len(result["phases"]) > 1:
        rows = [
            (phase["phase"], name, tokens, Share(tokens / max(1, phase["target_tokens"])))
            for phase in result["phases"]
            for name, tokens in phase["sources"].items()
        ]
        out.append(Section("Phases", ("phase", "source", "target", "share"), rows))
    if any(row["group"] or row["bucket"] is not None for row in result["strata"]):
        ordered = sorted(result["strata"], key=lambda row: -row["target_tokens"])
        rows = [
            (row["phase"], row["source"], row["group"], row["bucket"], row["available_tokens"], row["target_tokens"],
             row["epochs"])
            for row in ordered[:limit]
        ]  # fmt: skip
        names = ("phase", "source", "group", "bucket", "tokens there", "target", "epochs")
        more = f"the largest {limit} of {len(ordered)}" if len(ordered) > limit else ""
        out.append(Section("Languages or domains, and quality buckets", names, rows, more))
    if result["thrown_away"]:
        rows = [(row["source"], row["reason"], row["tokens"]) for row in result["thrown_away"]]
        after = f"fresh: after {result['fresh_after']}" if result["fresh_after"] else ""
        out.append(Section("Not trained on", ("source", "why", "tokens"), rows, after))
    if result["chinchilla"]:
        out.append(_chinchilla(result["chinchilla"]))
    if warned:
        out.append(Section("Warnings", ("warning",), [(warning,) for warning in result["warnings"]]))
    return out


def _chinchilla(at: dict[str, float]) -> Section:
    rows: list[tuple[Cell, ...]] = [
        ("parameters", Measure(at["model_params"])),
        ("training compute, C = 6 N D, FLOP", Measure(at["compute_flops"])),
        ("tokens a parameter", at["tokens_per_param"]),
        ("tokens at 20 a parameter", Measure(at["chinchilla_tokens"])),
        ("share of that", Share(at["share_of_chinchilla"])),
        ("parameters for which these tokens are 20 a parameter", Measure(at["chinchilla_params_for_these_tokens"])),
    ]
    return Section("Chinchilla (Hoffmann et al. 2022)", ("what", "value"), rows)


def page(result: dict[str, Any]) -> str:
    """One self-contained page."""
    return html_page(f"Gristmill: mixture {result['name']}", sections(result, page=True))
