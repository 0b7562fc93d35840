"""What commands that make a report share: `--html` and `--json`, checked before the work and written after it."""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any

from .arguments import check_file_target, output_path


def add_targets(parser: Any) -> None:
    """Add `--html` and `--json` to a parser or a group of one."""
    parser.add_argument("--html", type=output_path, metavar="FILE", help="write a self-contained page")
    add_json_target(parser)


def add_json_target(parser: Any) -> None:
    """Add `--json` alone, whose value is a path or `-`, for the terminal."""
    parser.add_argument(
        "--json",
        type=_json_target,
        nargs="?",
        const="-",
        metavar="FILE",
        help="write all figures; without FILE print them",
    )


def _json_target(text: str) -> Path | str:
    return text if text == "-" else output_path(text)


def check_targets(args: argparse.Namespace, inputs: Sequence[Path] = ()) -> None:
    """Raise ConfigError where `--html` or `--json` can't be written, or is one of the inputs."""
    from .errors import ConfigError

    for name, target in (("--html", args.html), ("--json", args.json)):
        if target is None or target == "-":
            continue
        check_file_target(name, target)
        if target.resolve() in {path.resolve() for path in inputs}:
            raise ConfigError(f"{name} '{target}' is one of the files to report on")


def deliver(
    args: argparse.Namespace,
    result: dict[str, Any],
    page: Callable[[dict[str, Any]], str],
    sections: Callable[..., list[Any]],
    *,
    also: Sequence[str] = (),
    json_text: Callable[[bool], Iterable[str]] | None = None,
    **options: Any,
) -> int:
    """Write what `--html` and `--json` ask for (`-`: JSON to the terminal, alone) and print the sections.

    `also`: what has been written before, to be named with the others. `json_text`: pieces of the JSON, in place of
    `result`; it is told if they must be ASCII, as for the terminal.
    """
    from .inspect.svg import BLOCKS, PLAIN_BLOCKS
    from .report import print_sections
    from .store import atomic_path, write_json

    written = []
    if args.html is not None:
        with atomic_path(args.html) as temporary:
            temporary.write_text(page(result), encoding="utf-8")
        written.append(str(args.html))
    if args.json == "-":
        sys.stdout.writelines(json_text(True) if json_text else [json.dumps(result, indent=1, sort_keys=True), "\n"])
        return 0
    if args.json is not None:
        if json_text is None:
            write_json(args.json, result)
        else:
            with atomic_path(args.json) as temporary, temporary.open("w", encoding="utf-8") as handle:
                handle.writelines(json_text(False))
        written.append(str(args.json))
    if not args.quiet:
        blocks = BLOCKS if (sys.stdout.encoding or "").lower().startswith("utf") else PLAIN_BLOCKS
        print_sections(sections(result, blocks=blocks, **options), sys.stdout)
        if written or also:
            print(f"written: {', '.join([*written, *also])}")
    return 0
