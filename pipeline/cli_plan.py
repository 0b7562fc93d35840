"""`gristmill plan`: what a whole crawl would take on given nodes, before any work."""

from __future__ import annotations

import argparse
import json
import re
import sys
from typing import Any

HELP = """Extrapolates from a run that was measured to a crawl of Common Crawl, or a part of it: CPU hours, wall time on
these nodes, storage by step, memory, network requests and, with a price, the cost. Without --from the measurements
that come with Gristmill are taken: the default recipe on real pages. Plan from a run of your own recipe on a few WARC
files of the crawl (`gristmill run RECIPE --input CC-MAIN-2025-08 --warcs 2`) to have its shares and speeds. Every
assumption is printed with the plan; nothing is asked of the network."""

_SIZE = re.compile(r"(\d+(?:\.\d+)?)\s*(|[kMGTP]i?)B?", re.IGNORECASE)
_POWERS = {"": 0, "k": 1, "m": 2, "g": 3, "t": 4, "p": 5}


def size_in_bytes(text: str, flag: str) -> float:
    """`64GB`, `64GiB` or plain bytes. Raises ConfigError."""
    from .errors import ConfigError

    match = _SIZE.fullmatch(text.strip())
    if match is None or float(match[1]) <= 0:
        raise ConfigError(f"{flag} must be a size like 64GB, not '{text}'")
    unit = match[2].lower()
    return float(match[1]) * (1024 if unit.endswith("i") else 1000) ** _POWERS[unit.removesuffix("i")]


def add_command(sub: Any) -> None:
    """Add `plan` to the commands."""
    parser = sub.add_parser("plan", help="what a whole crawl would take on given nodes", description=HELP)
    parser.add_argument("--crawl", required=True, metavar="CC-MAIN-YYYY-WW", help="the crawl")
    parser.add_argument("--warcs", type=int, metavar="N", help="only N of its WARC files (default: about 90,000)")
    parser.add_argument("--nodes", type=int, required=True, metavar="N", help="how many machines")
    parser.add_argument("--cpus-per-node", type=int, required=True, metavar="C", help="cores of each")
    parser.add_argument("--memory-per-node", required=True, metavar="SIZE", help="memory of each, like 64GB")
    parser.add_argument("--from", dest="run", metavar="RUN", help="a finished run's folder: the measurements")
    parser.add_argument(
        "--bandwidth-per-node", metavar="SIZE", help="bytes a second of each, like 1.25GB (the default)"
    )
    parser.add_argument("--pages-per-warc", type=float, metavar="N", help="pages of a file (default: 29,300)")
    parser.add_argument("--warc-bytes", metavar="SIZE", help="size of a file (default: 1GB)")
    parser.add_argument("--split-bytes", metavar="SIZE", help="bytes a task (default: for 100,000 shards at most)")
    parser.add_argument("--map-efficiency", type=float, metavar="SHARE", help="of perfect scaling (default: 0.93)")
    parser.add_argument(
        "--shuffle-efficiency", type=float, metavar="SHARE", help="the same of shuffles (default: 0.85)"
    )
    parser.add_argument("--price-per-cpu-hour", type=float, metavar="PRICE", help="what a core costs")
    parser.add_argument("--json", action="store_true", help="print everything as JSON")
    parser.set_defaults(function=_plan)


def _plan(args: argparse.Namespace) -> int:
    from .cli_status import check_price
    from .errors import ConfigError
    from .planning.commoncrawl import PAGES_PER_WARC, WARC_BYTES, WARCS, check_crawl
    from .planning.extrapolate import Nodes, Target, plan, to_json
    from .planning.measured import bundled, measure
    from .planning.showing import sections, size
    from .report import print_sections
    from .storage import place

    check_crawl(args.crawl)
    check_price(args.price_per_cpu_hour)
    warcs = WARCS if args.warcs is None else args.warcs
    if warcs < 1:
        raise ConfigError(f"--warcs must be at least 1, not {warcs}")
    pages = PAGES_PER_WARC if args.pages_per_warc is None else args.pages_per_warc
    if not 0 < pages < 1e9:
        raise ConfigError(f"--pages-per-warc must be a number over 0, not {pages}")
    each = WARC_BYTES if args.warc_bytes is None else size_in_bytes(args.warc_bytes, "--warc-bytes")
    hardware = {
        "nodes": args.nodes,
        "cpus": args.cpus_per_node,
        "memory_bytes": size_in_bytes(args.memory_per_node, "--memory-per-node"),
    }
    if args.bandwidth_per_node is not None:
        hardware["bandwidth"] = size_in_bytes(args.bandwidth_per_node, "--bandwidth-per-node")
    for name in ("map_efficiency", "shuffle_efficiency"):
        if getattr(args, name) is not None:
            hardware[name] = getattr(args, name)
    nodes = Nodes(**hardware)
    split = None if args.split_bytes is None else int(size_in_bytes(args.split_bytes, "--split-bytes"))
    measured = bundled() if args.run is None else measure(place(args.run))
    target = Target(warcs * each, warcs * pages, split, warcs)
    made = plan(measured, target, nodes)
    given = {
        "crawl": args.crawl,
        "WARC files": f"{warcs:,}" + (" (about)" if args.warcs is None else ""),
        "bytes of a WARC file": size(each),
        "pages of a WARC file": f"{pages:,.0f}",
        "bytes that a task takes": size(target.split(measured)),
    }
    if args.json:
        value = {"assumptions": given, **to_json(measured, made, nodes, args.price_per_cpu_hour)}
        print(json.dumps(value, indent=1, ensure_ascii=True))
        return 0
    print_sections(sections(measured, made, nodes, given, args.price_per_cpu_hour), sys.stdout)
    return 0
