"""Command-line options made from the fields of stages, steps and sources, so that none is described twice."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from typing import Any

DEDUP = {
    "dedup": "exact_dedup",
    "dedup exact": "exact_dedup",
    "dedup lines": "line_dedup",
    "dedup substrings": "substring_dedup",
    "dedup minhash": "minhash_dedup",
}
"""The step behind each dedup command."""

SELECT = {f"select {word}": f"select_{word}" for word in ("dsir", "top", "buckets", "random")}
"""The step behind each select command."""


def option_classes(argv: Sequence[str]) -> list[type]:
    """The dataclasses whose fields become options of the command in `argv`."""
    words = [word for word in argv if not word.startswith("-")]
    command = words[0] if words else ""
    if command in ("dedup index build", "dedup index add", "dedup plan"):
        return _dedup_options(command)
    if command == "mix run":
        return _options_of({"mix": ("mixture",), "pack": ("order", "seed", "drawn")})
    if command == "ablate":
        from pretrain.ablation.design import Design

        return [Design]
    if command == "pretrain plan":
        from pretrain.plan import PlanOptions

        return [PlanOptions]
    if command == "mix search":
        from mixtures.search.search import SearchOptions

        return [SearchOptions]
    if command not in ("extract", "filter", *DEDUP, *SELECT, "train-tokenizer", "tokenize", "pack"):
        return []
    from .sources import DocumentsSource, WarcSource
    from .stage import registered
    from .steps import registered_steps

    stages, steps = registered(), registered_steps()
    if command == "extract":
        return [stages["extract"], WarcSource]
    if command == "filter":
        named = next((word for word in words[1:] if word in stages), None)
        return [*([stages[named]] if named else []), DocumentsSource]
    if command in DEDUP:
        return [steps[DEDUP[command]], DocumentsSource]
    if command in SELECT:
        return [steps[SELECT[command]], DocumentsSource]
    if command == "pack":
        return [*_options_of({"pack": ("drawn",), "tokenize": ("tokenizer",)}), DocumentsSource]
    return [steps[command.replace("-", "_")], DocumentsSource]


def _options_of(steps: dict[str, tuple[str, ...]]) -> list[type]:
    """The options of some steps, without those that the command says itself."""
    import dataclasses

    from .steps import registered_steps

    out = []
    for name, without in steps.items():
        cls = registered_steps()[name]
        fields = [
            (f.name, f.type, dataclasses.field(default=f.default, metadata=f.metadata))
            for f in dataclasses.fields(cls)
            if f.name not in without
        ]
        out.append(dataclasses.make_dataclass(cls.__name__, fields, namespace={"name": name}, kw_only=True))
    return out


def _dedup_options(command: str) -> list[type]:
    from .sources import DocumentsSource

    if command == "dedup index add":
        return [DocumentsSource]
    from dedup.minhash_options import IndexOptions, PlanOptions

    return [PlanOptions if command == "dedup plan" else IndexOptions, DocumentsSource]


def add_options(parser: argparse.ArgumentParser, classes: Sequence[type]) -> None:
    """One `--option` for each configuration field; values are read as YAML, lists as several words."""
    import dataclasses

    taken = {o for a in parser._actions for o in a.option_strings} | {"--inputs"}
    for cls in classes:
        group = parser.add_argument_group(f"options of {cls.name}")  # type: ignore[attr-defined]
        for f in dataclasses.fields(cls):
            flag = "--" + f.name.replace("_", "-")
            if flag in taken:
                continue
            taken.add(flag)
            default = None if f.default is dataclasses.MISSING else f.default
            listed = isinstance(default, tuple) or str(f.type).startswith("tuple")
            help_text = f.metadata.get("help", "").replace("%", "%%")
            shown = " ".join(map(str, default)) if isinstance(default, tuple) else default
            group.add_argument(
                flag,
                dest=f"option_{f.name}",
                nargs="*" if listed else None,
                default=argparse.SUPPRESS,
                metavar="VALUE",
                help=f"{help_text} (default: {shown})".strip().replace("%%", "%").replace("%", "%%"),
            )


def given_options(args: argparse.Namespace, cls: type) -> dict[str, Any]:
    """The configuration that the command line gives for a class: only what was said. Raises ConfigError."""
    import dataclasses

    from .yaml_input import load_word

    found: dict[str, Any] = {}
    for f in dataclasses.fields(cls):
        value = getattr(args, f"option_{f.name}", None)
        if value is None:
            continue
        flag, kind = f"--{f.name.replace('_', '-')}", str(f.type)
        if isinstance(value, list):
            found[f.name] = tuple(v if kind.startswith("tuple[str") else load_word(v, flag) for v in value)
        else:
            found[f.name] = value if kind.startswith("str") else load_word(value, flag)
    return found
