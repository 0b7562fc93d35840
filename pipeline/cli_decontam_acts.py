"""`gristmill decontam acts`: what decontamination found in a run's documents, and what it did."""

from __future__ import annotations

import argparse
import itertools
import sys
from collections.abc import Iterator
from typing import Any

from .arguments import path_or_url

_HELP = """Shows what the step `decontaminate` found and did: items, documents with their addresses and WARC records,
places, scores, verdicts, acts. For a run, a step's folder, an output of `gristmill filter decontaminate`, or a log."""

_EPILOG = """
examples:
  gristmill decontam acts runs/mine                                      counts by benchmark, then act by act
  gristmill decontam acts runs/mine --item gsm8k/test/17                 where one item was found
  gristmill decontam acts clean.jsonl --json > acts.jsonl                all of them, a line of JSON each
"""
_WIDTH = 160
"""Characters of the matched text in a table."""


def add_command(commands: Any) -> None:
    """Add `acts` to the commands of `gristmill decontam`."""
    command = commands.add_parser(
        "acts",
        help="what the step `decontaminate` found and did",
        description=_HELP,
        epilog=_EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    command.add_argument("run", type=path_or_url, help="a run's or a step's folder, an output of `filter`, or a log")
    command.add_argument("--item", metavar="NAME", help="only this item, or all whose names begin so and go on with /")
    command.add_argument("--document", metavar="ID", help="only this document, by id or URL")
    command.add_argument("--verdict", choices=("dirty", "suspect"), help="only these")
    command.add_argument("--limit", type=int, default=50, metavar="N", help="acts to show in the table (default: 50)")
    command.add_argument("--json", action="store_true", help="print all acts, a line of JSON each")
    command.set_defaults(function=_acts)


def _acts(args: argparse.Namespace) -> int:
    import json

    from decontam.acts import counted, files_of, read_acts

    from .errors import ConfigError
    from .report import Section, items_section, print_sections

    if args.limit < 0:
        raise ConfigError(f"--limit must not be negative, and is {args.limit}")
    files = files_of(args.run)
    if args.json:
        escaped = not (sys.stdout.encoding or "").lower().startswith("utf")
        for act in _chosen(args, read_acts(files)):
            print(json.dumps(act, ensure_ascii=escaped))
        return 0
    counts = counted(_chosen(args, read_acts(files)))
    shown = list(itertools.islice(_chosen(args, read_acts(files)), args.limit))
    total = sum(sum(one["acts"].values()) for one in counts)
    sections = [items_section(counts)]
    if shown:
        some = f", the first {len(shown):,}" if len(shown) < total else ""
        columns = ("item", "document", "found and done", "matched text")
        sections.append(Section(f"{total:,} acts{some}", columns, [_row(act) for act in shown]))
    print_sections(sections, sys.stdout)
    return 0


def _chosen(args: argparse.Namespace, acts: Iterator[dict[str, Any]]) -> Iterator[dict[str, Any]]:
    for act in acts:
        if args.item and act["item"] != args.item and not act["item"].startswith(f"{args.item}/"):
            continue
        if args.document and args.document not in (act["id"], act["url"]):
            continue
        if args.verdict in (None, act["verdict"]):
            yield act


def _row(act: dict[str, Any]) -> tuple[str, ...]:
    record = act["record"] or {}
    where = f"{record['file']}@{record['offset']}" if record.get("file") else ""
    document = " ".join(str(one) for one in (act["id"], act["url"], where) if one)
    text = " ".join(act["text"].split())
    text = text if len(text) <= _WIDTH else text[:_WIDTH] + "…"
    cut = f", {act['cut'][0]:,} to {act['cut'][1]:,}" if act["cut"] else ""
    found = f"{act['method']}: {act['verdict']}, {act['score']:.2f} of the {act['part']}"
    return act["item"], document, f"{found}; bytes {act['start']:,} to {act['end']:,}; {act['action']}{cut}", text
