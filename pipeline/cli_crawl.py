"""The options by which `gristmill run` and `gristmill extract` say what to take of a Common Crawl release."""

from __future__ import annotations

import argparse
from typing import Any

_NAMES = ("warcs", "share", "spread", "stream", "domains", "urls", "index")


def crawl_options(parser: argparse.ArgumentParser) -> None:
    """Add them; they are the fields of `WarcSource` of the same names."""
    group = parser.add_argument_group(
        "of a Common Crawl release", "for the input CC-MAIN-YYYY-WW, or CC-MAIN-YYYY-WW:wet; see docs/commoncrawl.md"
    )
    group.add_argument("--warcs", type=int, metavar="N", help="take N of its files")
    group.add_argument("--share", type=float, metavar="X", help="take this share of its files, 0 to 1")
    group.add_argument(
        "--spread", action="store_true", default=None, help="take files from all over its list, not the first ones"
    )
    group.add_argument(
        "--stream", action="store_true", default=None, help="read files by ranges and keep none (default: download)"
    )
    group.add_argument(
        "--domains", nargs="+", action="extend", metavar="DOMAIN", help="take only pages of these hosts and all below"
    )
    group.add_argument(
        "--urls",
        nargs="+",
        action="extend",
        metavar="PATTERN",
        help="take only pages whose URL matches, as '*.example.org/blog/*' or 'https://example.org/*'",
    )
    group.add_argument("--index", metavar="NAME", help="how to look them up: columnar (default) or cdx")


def given_crawl_options(args: argparse.Namespace) -> dict[str, Any]:
    """Those that were given."""
    return {name: value for name in _NAMES if (value := getattr(args, name)) is not None}
