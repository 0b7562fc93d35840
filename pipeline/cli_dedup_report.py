"""`gristmill dedup report`: what the dedup steps of a run removed."""

from __future__ import annotations

import argparse
from typing import Any

from .arguments import path_or_url
from .cli_reports import add_targets, check_targets, deliver

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
        "run",
        type=path_or_url,
        nargs="+",
        help="a run's folder, a step's folder, or Parquet files of kept and dropped rows",
    )
    parser.add_argument("--pairs", type=int, default=10, metavar="N", help="pairs of each kind to show (default: 10)")
    parser.add_argument("--seed", type=int, default=0, metavar="N", help="draws other random pairs (default: 0)")
    add_targets(parser)
    parser.add_argument("--quiet", action="store_true", help="no tables, errors only")
    parser.set_defaults(function=_report)


def _report(args: argparse.Namespace) -> int:
    from dedup.report.build import page, report, sections

    check_targets(args, args.run)
    result = report(args.run, pairs=args.pairs, seed=args.seed)
    return deliver(args, result, page, sections)
