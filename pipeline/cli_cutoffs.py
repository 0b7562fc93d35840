"""The command `gristmill cutoffs`."""

from __future__ import annotations

import argparse
from typing import Any

from .arguments import output_path

_HELP = """Reads perplexities that the stage `perplexity` gave to the documents of a corpus, and writes their
percentiles by language: cutoffs of CCNet's buckets head, middle and tail. The file goes into the stage's option
`by_language`."""

_EPILOG = """
examples:
  gristmill cutoffs runs/mine/05-pii/kept -o own.yaml
  gristmill cutoffs scored.parquet --head 33 --tail 67 --drop-above 95 -o own.yaml
"""


def add_commands(sub: Any) -> None:
    """Add `cutoffs` to the parsers of `gristmill`."""
    command = sub.add_parser(
        "cutoffs",
        help="perplexities of a corpus -> cutoffs by language",
        description=_HELP,
        epilog=_EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    command.add_argument("inputs", nargs="+", help="Parquet files or folders with columns lang and perplexity")
    command.add_argument(
        "--output", "-o", type=output_path, required=True, metavar="FILE.yaml", help="the file to write"
    )
    command.add_argument("--head", type=float, default=30.0, metavar="P", help="percentile (default: 30, as CCNet)")
    command.add_argument("--tail", type=float, default=60.0, metavar="P", help="percentile (default: 60, as CCNet)")
    command.add_argument("--drop-above", type=float, metavar="P", help="percentile that becomes max_perplexity")
    command.set_defaults(function=_cutoffs)


def _cutoffs(args: argparse.Namespace) -> int:
    import yaml

    from filters.lm.cutoffs import cutoffs, read_scores

    from .errors import ConfigError
    from .store import atomic_path

    if args.output.suffix not in (".yaml", ".yml"):
        raise ConfigError(f"cutoffs: --output '{args.output}' must end in .yaml, by which `by_language` knows a file")
    found = cutoffs(*read_scores(args.inputs), head=args.head, tail=args.tail, drop_above=args.drop_above)
    args.output.parent.mkdir(parents=True, exist_ok=True)
    with atomic_path(args.output) as temporary:
        temporary.write_text(yaml.safe_dump(found), encoding="utf-8")
    print(f"written: {args.output} ({len(found)} languages)")
    return 0
