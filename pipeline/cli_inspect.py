"""`gristmill inspect` and `gristmill filters`: seeing what filters do, and which there are."""

from __future__ import annotations

import argparse
import sys
from typing import Any

from .arguments import path_or_url
from .cli_reports import add_targets, check_targets, deliver

_INSPECT_HELP = """Shows what each filter of a run dropped: its share, its thresholds with a histogram of every score,
documents kept and dropped nearest to the threshold and at random, and whose text it was: drop rates by language, by
page type and by identity term. Thresholds are those that the run had. Also for the files that `gristmill filter`
wrote."""

_INSPECT_EPILOG = """
examples:
  gristmill inspect runs/mine                                      all stages, in the terminal
  gristmill inspect runs/mine --html inspect.html            one page, with excerpts of texts and of masked spans
  gristmill inspect runs/mine --filter gopher_quality --examples 10 --lang de
  gristmill inspect en.parquet rest.parquet         of `gristmill filter ... -o en.parquet --dropped rest.parquet`
"""

_FILTERS_HELP = """Lists the stages that a recipe may name: filters (score, then decide), editors (give new text) and
others, with what they read and add, the sources that they follow, and their options with defaults. `gristmill stages`
lists the global steps too."""


def add_commands(sub: Any) -> None:
    """Add `inspect`, `filters` and `stages` to the parsers of `gristmill`."""
    command = sub.add_parser(
        "inspect",
        help="what the filters of a run did, with thresholds, histograms and examples",
        description=_INSPECT_HELP,
        epilog=_INSPECT_EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    command.add_argument(
        "run", type=path_or_url, nargs="+", help="a run's folder, or files of kept and of dropped documents"
    )
    command.add_argument("--filter", metavar="NAME", help="only this stage, with more rows")
    command.add_argument(
        "--examples", type=int, default=3, metavar="N", help="documents on each side of a threshold (default: 3)"
    )
    command.add_argument("--lang", metavar="CODE", help="only documents in this language")
    command.add_argument("--seed", type=int, default=0, metavar="N", help="draws other random examples (default: 0)")
    command.add_argument(
        "--terms",
        type=path_or_url,
        metavar="FILE",
        help="identity terms, YAML {language: {group: [terms]}} (default: bundled)",
    )
    command.add_argument("--no-terms", action="store_true", help="do not look for identity terms in the texts (faster)")
    add_targets(command)
    command.add_argument("--quiet", action="store_true", help="no tables, errors only")
    command.set_defaults(function=_inspect)

    filters = sub.add_parser(
        "filters", help="list filters and editors: sources, rules, options", description=_FILTERS_HELP
    )
    filters.add_argument("name", nargs="?", help="only this one, in full")
    shape = filters.add_mutually_exclusive_group()
    shape.add_argument("--json", action="store_true", help="print JSON")
    shape.add_argument("--markdown", action="store_true", help="print the documentation page (docs/filters.md)")
    filters.set_defaults(function=_filters)

    stages = sub.add_parser("stages", help="list all stages and steps with their options")
    stages.add_argument("name", nargs="?", help="only this one")
    stages.set_defaults(function=_stages)


def _inspect(args: argparse.Namespace) -> int:
    from .inspect.inspection import inspect_run
    from .inspect.tables import page, sections

    check_targets(args)
    result = inspect_run(
        args.run,
        only=args.filter,
        examples=args.examples,
        lang=args.lang,
        seed=args.seed,
        terms=not args.no_terms,
        terms_file=args.terms,
    )
    return deliver(args, result, page, sections, detailed=args.filter is not None)


def _filters(args: argparse.Namespace) -> int:
    import json

    from .catalogue import default_text, entries, markdown, rule_text
    from .errors import ConfigError
    from .report import Section, print_sections

    if args.markdown:
        if args.name:
            raise ConfigError("--markdown prints the whole page; leave the name out")
        print(markdown(), end="")
        return 0
    found = entries(args.name)
    if args.json:
        print(json.dumps(found, ensure_ascii=False, indent=1, default=str))
        return 0
    if args.name is None:
        rows = [(e["name"], e["kind"], e["score_column"], len(e["rules"]), e["summary"]) for e in found]
        print_sections([Section("Stages", ("name", "kind", "score", "rules", "what it does"), rows)], sys.stdout)
        return 0
    (e,) = found
    print(e["doc"])
    about = [(key, ", ".join(e[key])) for key in ("reads", "adds", "removes") if e[key]]
    about += [("source", source) for source in e["sources"]]
    about += [("keeps where", rule_text(rule, e["options"], e["score_column"])) for rule in e["rules"]]
    print_sections(
        [
            Section(f"{e['name']} ({e['kind']}, version {e['version']})", ("what", "value"), about),
            Section(
                "Options",
                ("option", "default", "meaning"),
                [(o["name"], default_text(o), o["help"]) for o in e["options"]],
            ),
        ],
        sys.stdout,
    )
    return 0


def _stages(args: argparse.Namespace) -> int:
    from .catalogue import entries, lines

    for entry in entries(args.name, steps=True):
        print("\n".join(lines(entry, full=args.name is not None)))
    return 0
