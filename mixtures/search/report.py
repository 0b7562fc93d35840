"""What a search says: sections for the terminal and the page, and the chosen mixture as YAML."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import yaml

from pipeline.report import Measure, Section, Share, html_page
from pipeline.store import atomic_path, write_json
from pipeline.yaml_input import load_yaml

from .search import CHOSEN


def sections(found: dict[str, Any]) -> list[Section]:
    """Tables of what `search` returned."""
    mixtures = found["mixtures"]
    names = [one["name"] for one in found["sources"]]
    chosen = mixtures[CHOSEN]
    return [
        Section(
            f"Mixture '{found['mixture']}': held-out bits per byte, mean of {', '.join(found['objective'])}",
            ("mixture", "predicted", "5 %", "95 %", "the chosen one is better", "measured"),
            [
                (
                    name, Measure(one["predicted"]), Measure(one["low"]), Measure(one["high"]),
                    None if name == CHOSEN else Share(one["chosen_better"]),
                    None if one["measured"] is None else Measure(one["measured"]),
                )
                for name, one in mixtures.items()
            ],
            "Bounds and shares are of regressions on proxies drawn anew with replacement.",
        ),
        Section(
            "Weights",
            ("source", "tokens, about", *mixtures, "deviation of the chosen", "limit"),
            [
                (
                    name, int(found["sources"][i]["tokens"]), *(Share(one["weights"][i]) for one in mixtures.values()),
                    Share(chosen["weights_deviation"][i]), Share(found["sources"][i]["limit"]),
                )
                for i, name in enumerate(names)
            ],
            f"The limit is {found['max_epochs']:g} epochs of a source in {found['budget_tokens']:,.0f} tokens.",
        ),
        Section(
            "Regressions",
            ("kind", "leave-one-out error", "rank correlation"),
            [
                *((one["kind"], Measure(one["error"]), one["rank"]) for one in found["regressions"]),
                ("(the mean of all proxies)", Measure(found["target_deviation"]), None),
            ],
            "Root mean squared error in bits per byte, over the proxies; the first one is used.",
        ),
        Section(
            "By held-out set",
            ("held-out set", "chosen, predicted", "chosen, measured", "natural, measured"),
            [
                (
                    name, Measure(chosen["predicted_by_domain"][name]),
                    Measure(chosen["measured_by_domain"][name]) if chosen["measured_by_domain"] else None,
                    Measure(mixtures["natural"]["measured_by_domain"][name]),
                )
                for name in (one["name"] for one in found["held_out"])
            ],
        ),
        Section(
            "Proxies",
            ("proxy", *names, *(f"bits per byte of {one['name']}" for one in found["held_out"])),
            [
                (one["name"], *map(Share, one["weights"]), *map(Measure, one["bits_per_byte"].values()))
                for one in found["proxies"]
            ],
            "The first is the natural mixture. Within a proxy the sources' samples are gone through at most "
            + ", ".join(f"{name} {e:.2f}" for name, e in zip(names, found["proxy_epochs"], strict=True))
            + " times.",
        ),
    ]  # fmt: skip


def chosen_yaml(original: str, found: dict[str, Any]) -> str:
    """The mixture's own YAML with the chosen weights in place of weights, tokens and epochs; sources of 0 are gone."""
    plain = load_yaml(original, "mixture")
    weights = dict(zip((one["name"] for one in found["sources"]), found["mixtures"][CHOSEN]["weights"], strict=True))
    sources = {}
    for name, spec in plain["sources"].items():
        if weights[name] > 0:
            kept = {key: value for key, value in spec.items() if key not in ("weight", "tokens", "epochs")}
            sources[name] = {**kept, "weight": weights[name]}
    head = f"# weights by gristmill mix search; {len(found['proxies'])} proxies of {found['options']['steps']} steps\n"
    gone = [name for name, weight in weights.items() if not weight > 0]
    if gone:
        head += f"# left out, weight 0: {', '.join(map(repr, gone))}\n"
    return head + yaml.safe_dump({**plain, "sources": sources}, sort_keys=False, allow_unicode=True)


def write(output: Path, original: str, found: dict[str, Any]) -> None:
    """Write `search.json`, `report.html` and `mixture.yaml`."""
    write_json(output / "search.json", found)
    with atomic_path(output / "report.html") as temporary:
        temporary.write_text(html_page(f"Mixture search: {found['mixture']}", sections(found)), encoding="utf-8")
    with atomic_path(output / "mixture.yaml") as temporary:
        temporary.write_text(chosen_yaml(original, found), encoding="utf-8")
