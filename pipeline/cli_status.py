"""`gristmill status`: how a run goes, or how it ended."""

from __future__ import annotations

import argparse
import json
import sys
import time
from typing import Any

HELP = """Shows the steps of a run in progress or past: shards done, running and failed, the rate, the time that the
present step will still take, what the run has cost, its last errors, and whether its driver lives.

Exit status: 0 the run is finished, 3 it is running, 4 it failed, 5 it was stopped or its driver was killed,
2 there is no run."""

_EVERY_S = 2.0


def add_command(sub: Any) -> None:
    """Add `status` to the commands."""
    parser = sub.add_parser(
        "status", help="how a run goes, or how it ended", description=HELP,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )  # fmt: skip
    parser.add_argument("output", help="the run's folder, or its URL")
    parser.add_argument("--json", action="store_true", help="print everything as JSON")
    parser.add_argument("--watch", action="store_true", help="show it anew until the run ends")
    parser.add_argument("--every", type=float, default=_EVERY_S, metavar="SECONDS", help="how often to (default: 2)")
    parser.add_argument(
        "--price-per-cpu-hour", type=float, metavar="PRICE", help="what a core costs, for the cost in money"
    )
    parser.set_defaults(function=_status)


def check_price(price: float | None) -> None:
    """Raise ConfigError for a price that is none."""
    from .errors import ConfigError

    if price is not None and not 0 <= price < float("inf"):
        raise ConfigError(f"--price-per-cpu-hour must be a number from 0 up, not {price}")


def _status(args: argparse.Namespace) -> int:
    from .errors import ConfigError
    from .status.reading import read_status
    from .storage import place

    check_price(args.price_per_cpu_hour)
    if not args.every > 0:
        raise ConfigError(f"--every must be over 0 seconds, not {args.every}")
    output = place(args.output)
    status = read_status(output)
    while args.watch and status.state == "running":
        _print(status, args, anew=sys.stdout.isatty())
        time.sleep(args.every)
        status = read_status(output)
    _print(status, args, anew=args.watch and sys.stdout.isatty())
    return status.exit_status


def _print(status: Any, args: argparse.Namespace, *, anew: bool) -> None:
    from .report import print_sections
    from .status.showing import cost, sections

    if args.json:
        value = {**status.to_json(), "cost": cost(status.value, args.price_per_cpu_hour)}
        print(json.dumps(value, ensure_ascii=True), flush=True)
        return
    if anew:
        sys.stdout.write("\x1b[H\x1b[J")
    print_sections(sections(status, args.price_per_cpu_hour), sys.stdout)
    sys.stdout.flush()
