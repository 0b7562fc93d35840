"""Which benchmarks and hosts are for tuning thresholds and which for reporting, and which splits are held out.

Some benchmarks are in neither half: the fresh set, run once, after both halves had been looked at. Of the others, a
benchmark's or host's half hangs on a hash of its name alone, so that it stays the same whatever else is read.
Benchmarks of one family share a half (the name up to its first `_`, `-`, `/`, `:` or `.`; RELATED joins families), and
so do pages of one web host: nothing that a threshold is tuned on comes back, in another file or page, when results are
reported.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from urllib.parse import urlsplit

from .draws import number_of

HALVES = ("tuning", "reporting")
FRESH = "fresh"
WHOLE = "all"
"""Both halves and the fresh set at once: for benchmarks on which nothing is tuned."""
CHOICES = (*HALVES, FRESH, WHOLE)
FRESH_BENCHMARKS = (
    "basic_skills", "cb", "coqa", "lab_bench_dbqa", "lab_bench_protocolqa", "medmcqa", "mrpc", "qasper_yesno", "rte",
    "sciriff_yesno",
)  # fmt: skip
"""The fresh set: benchmarks that no method had been run on when these lines were committed. Its pages are those of both
halves, for there are no others. Nothing may be tuned on it, or it is fresh no more."""
SALT = 29
"""Part of the benchmarks' hash. Chosen before any method was run: the least number from 0 that parts the families of
the bundled registry into 14 and 13, with programs, formulas, word problems, trivia, reading passages (two benchmarks),
choices (three) and a benchmark with a held-out split on either side."""

RELATED = {"lsat": "agieval", "logiqa": "agieval", "math": "agieval", "xcopa": "copa", "wsc": "winogrande"}
"""Families that share items: AGIEval holds LSAT, LogiQA and MATH items, XCOPA translates COPA, WinoGrande is WSC's
kind."""

SPLIT_ORDER = ("test", "validation", "val", "dev", "eval", "train")
"""A benchmark's evaluated split is the first of these that it has; its other splits are held out."""


def family(benchmark: str) -> str:
    """The name that decides a benchmark's half: `arc` of `arc_easy`, or that of a collection which holds its items."""
    first = re.split(r"[_\-/:.]", benchmark.casefold(), maxsplit=1)[0]
    return RELATED.get(first, first)


def half_of_benchmark(benchmark: str) -> str:
    """`tuning`, `reporting` or `fresh`."""
    if benchmark.casefold() in FRESH_BENCHMARKS:
        return FRESH
    return HALVES[number_of("benchmark", SALT, family(benchmark)) & 1]


def half_of_host(url: str, name: str) -> str:
    """`tuning` or `reporting` by the URL's host without `www.`, or by the document's name where there is no host."""
    try:
        host = urlsplit(url).hostname or ""
    except ValueError:  # a host that is no host, such as an open bracket
        host = ""
    return HALVES[number_of("host", host.removeprefix("www.") or name) & 1]


def has_benchmark(half: str, benchmark: str) -> bool:
    """Whether a half, FRESH or WHOLE makes cases of a benchmark's items."""
    return half in (WHOLE, half_of_benchmark(benchmark))


def has_host(half: str, url: str, name: str) -> bool:
    """Whether a half, FRESH or WHOLE plants in a page."""
    return half in (WHOLE, FRESH, half_of_host(url, name))


def evaluated_split(splits: Iterable[str]) -> str:
    """The split that a benchmark is evaluated on: see SPLIT_ORDER; of unknown names the first in the alphabet."""
    order = {name: at for at, name in enumerate(SPLIT_ORDER)}
    return min(splits, key=lambda name: (order.get(name.casefold(), len(order)), name))
