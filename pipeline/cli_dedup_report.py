"""`gristmill dedup report`: what the dedup steps of a run removed."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import Any

WORDS = ("report",)

_HELP = """Shows what dedup removed: shares by kind, sizes of clusters, the largest clusters and components with what
their documents share, random removed pairs and pairs on both sides of the threshold with their differences, the
similarities of what went beside the share of such pairs that LSH finds, and removals by language and host."""
_EPILOG = """
examples:
  gristmill dedup report runs/mine --html dedup.html           all dedup steps of a run
  gristmill dedup report runs/mine/04-minhash_dedup --pairs 30 --seed 2
  gristmill dedup report unique.parquet copies.parquet         of `gristmill dedup minhash ... -o unique.parquet
                                                               --dropped copies.parquet`
"""


def add_commands(sub: Any) -> None:
    """Add `dedup report` to the parsers of `gristmill`."""
    parser = sub.add_parser(
        "dedup report",
        help="what dedup removed: shares, clusters, pairs with their differences",
        description=_HELP,
        epilog=_EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument(
        "run", type=Path, nargs="+", help="a run's folder, a step's folder, or Parquet files of kept and dropped rows"
    )
    parser.add_argument("--pairs", type=int, default=10, metavar="N", help="pairs of each kind to show (default: 10)")
    parser.add_argument("--seed", type=int, default=0, metavar="N", help="draws other random pairs (default: 0)")
    parser.add_argument("--html", type=Path, metavar="FILE", help="write a self-contained page")
    parser.add_argument(
        "--json", nargs="?", const="-", metavar="FILE", help="write all figures; without FILE print them"
    )
    parser.add_argument("--quiet", action="store_true", help="no tables, errors only")
    parser.set_defaults(function=_report)


def _report(args: argparse.Namespace) -> int:
    import json

    from dedup.report.build import page, report, sections

    from .errors import ConfigError
    from .inspect.svg import BLOCKS, PLAIN_BLOCKS
    from .report import print_sections
    from .store import atomic_path, write_json

    for name, target in (("--html", args.html), ("--json", Path(args.json) if args.json not in (None, "-") else None)):
        if target is not None and (target.is_dir() or not target.absolute().parent.is_dir()):
            told = "is a folder; name a file" if target.is_dir() else "its folder does not exist"
            raise ConfigError(f"{name} '{target}': {told}")
        if target is not None and target.resolve() in {path.resolve() for path in args.run}:
            raise ConfigError(f"{name} '{target}' is one of the files to report on")
    result = report(args.run, pairs=args.pairs, seed=args.seed)
    written = []
    if args.html is not None:
        with atomic_path(args.html) as temporary:
            temporary.write_text(page(result), encoding="utf-8")
        written.append(str(args.html))
    if args.json == "-":
        print(json.dumps(result, indent=1, sort_keys=True))
        return 0
    if args.json is not None:
        write_json(Path(args.json), result)
        written.append(args.json)
    if not args.quiet:
        blocks = BLOCKS if (sys.stdout.encoding or "").lower().startswith("utf") else PLAIN_BLOCKS
        print_sections(sections(result, blocks=blocks), sys.stdout)
        if written:
            print(f"written: {', '.join(written)}")
    return 0
