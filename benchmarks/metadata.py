"""Title, author and date by our scan beside trafilatura's `extract_metadata`, on the same pages in one run.

    python -m benchmarks.metadata [--every 1]

Truth: the annotations of WCXB, by halves of the registered domains: the rules were looked at on half A, so
half B is what counts. And the day in the URL's path of other collections, with the URL kept from both and such paths
taken out of the page. `right` to `missing` count pages whose annotators found a value; `invented` and `silent`
the others. Titles are equal by their words, authors by the set of names without degrees, dates by the day.
The WARC-Dates of the collections are synthetic, some before the pages: both get LATEST as the crawl's date.
Writes benchmarks/results/metadata.json.
"""

from __future__ import annotations

import argparse
import collections
import functools
import gzip
import hashlib
import html
import json
import logging
import re
import statistics
import sys
import time
import unicodedata
from collections.abc import Callable
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from benchmarks.common import SHARED, write
from pipeline.extract.charset import decode
from pipeline.extract.metadata import scan
from pipeline.extract.metadata.dates import day_in_url, days_apart

LATEST = "2026-06-01"
DATED = ("htmldate", "trafilatura", "fundus", "postlight", "mediacloud_hist")
FIELDS = ("title", "author", "date")
Values = tuple[str | None, str | None, str | None]

_PARTS = re.compile(r"\s*[;,&|/]\s*|\s+(?:and|with|und|et|y)\s+")
_BEFORE = re.compile(r"^(?:and|by|written by|dr\.?|prof\.?)\s+", re.IGNORECASE)
_DEGREE = re.compile(
    r"(?:[A-Z]{2,6}|[A-Z][a-z]?[A-Z][A-Za-z]*|[A-Z]\.[\w.]+|Jr\.?|Ph\.?\s?D\.?|Psy\.?D)[-A-Z0-9]*(?:\s[A-Z]{2,5})*"
)


_DAY_PATH = re.compile(rb"/(?:19|20)\d\d[/-]\d\d?[/-]\d\d?(?=[/?#_-])|/(?:19|20)\d{6}(?=[/_-])")


def words(text: str) -> list[str]:
    """Words, casefolded and in NFKC."""
    return re.findall(r"\w+", unicodedata.normalize("NFKC", html.unescape(text)).casefold())


def names(text: str) -> frozenset[tuple[str, ...]]:
    """The names in a byline, each as its sorted words; degrees after a name are left out."""
    found: set[tuple[str, ...]] = set()
    for part in _PARTS.split(html.unescape(text)):
        name = _BEFORE.sub("", part.strip())
        if name and not (found and _DEGREE.fullmatch(name)):
            found.add(tuple(sorted(words(name))))
    return frozenset(found - {()})


def judge(field: str, gold: str | None, got: str | None) -> str:
    """One of right, wrong, missing (there is a truth), invented, silent (there is none)."""
    if not gold:
        return "invented" if got else "silent"
    if not got:
        return "missing"
    if field == "title":
        return "right" if words(gold) == words(got) else "wrong"
    if field == "author":
        return "right" if names(gold) == names(got) else "wrong"
    return "right" if gold[:10] == got[:10] else "wrong"


@functools.cache
def suffixes() -> Any:
    """The public suffix list, read once."""
    from publicsuffixlist import PublicSuffixList

    return PublicSuffixList()


def half(url: str) -> str:
    """A or B, by the registered domain."""
    host = urlsplit(url).hostname or ""
    domain = suffixes().privatesuffix(host) or host
    return "AB"[hashlib.sha1(domain.encode()).digest()[0] & 1]


def pages(name: str) -> list[tuple[str, str, bytes]]:
    """URL, SHA-1 of the payload and UTF-8 page of a collection's records."""
    from fastwarc.warc import ArchiveIterator, WarcRecordType

    rows = []
    with open(SHARED / "html" / f"{name}.warc.gz", "rb") as stream:
        for record in ArchiveIterator(stream, WarcRecordType.response, parse_http=True):
            payload = record.reader.read()
            kind = record.http_headers.get("Content-Type") if record.http_headers else None
            text = decode(payload, kind).text
            rows.append((record.headers.get("WARC-Target-URI"), hashlib.sha1(payload).hexdigest(), text.encode()))
    return rows


def ours(page: bytes, url: str | None) -> Values:
    """Our scan."""
    found = scan(page, url, LATEST)
    return found.title, found.author, found.published


def trafilatura_engine() -> Callable[[bytes, str | None], Values]:
    """trafilatura's own metadata, as `Extract(metadata="engine")` calls it."""
    from trafilatura.metadata import extract_metadata

    for logger in ("trafilatura", "htmldate", "courlan"):
        logging.getLogger(logger).setLevel(logging.CRITICAL)
    options = {"original_date": True, "extensive_search": True, "max_date": LATEST}

    def call(page: bytes, url: str | None) -> Values:
        found = extract_metadata(page.decode(), url, options)
        return (found.title, found.author, found.date) if found else (None, None, None)

    return call


def annotated(systems: dict[str, Callable[[bytes, str | None], Values]], every: int) -> dict[str, Any]:
    """WCXB: counts per half, field and system, and CPU milliseconds a page."""
    with gzip.open(SHARED / "html" / "gold" / "wcxb.jsonl.gz") as lines:
        gold = {row["sha1"]: row for row in map(json.loads, lines)}
    rows = [(url, gold[sha1], page) for url, sha1, page in pages("wcxb") if sha1 in gold][::every]
    counts: dict[tuple[str, str, str], collections.Counter[str]] = collections.defaultdict(collections.Counter)
    spent: dict[str, list[float]] = {name: [] for name in systems}
    for url, row, page in rows:
        for name, call in systems.items():
            start = time.process_time()
            values = call(page, url)
            spent[name].append(time.process_time() - start)
            for field, value in zip(FIELDS, values, strict=True):
                counts[half(url), field, name][judge(field, row[field], value)] += 1
    mean_bytes = sum(len(page) for _, _, page in rows) / len(rows)
    result: dict[str, Any] = {
        "pages": len(rows),
        "mean_bytes": round(mean_bytes),
        "cpu_ms_per_page": {k: round(1e3 * sum(v) / len(v), 3) for k, v in spent.items()},
        "median_cpu_ms": {k: round(1e3 * statistics.median(v), 3) for k, v in spent.items()},
        "cpu_ms_per_100_kB": {k: round(1e8 * sum(v) / len(v) / mean_bytes, 3) for k, v in spent.items()},
    }
    for part in "AB":
        result[f"half_{part}"] = {
            field: {name: summary(counts[part, field, name]) for name in systems} for field in FIELDS
        }
    return result


def summary(count: collections.Counter[str]) -> dict[str, float]:
    """Counts and the two shares that matter, in percent."""
    known = count["right"] + count["wrong"] + count["missing"]
    unknown = count["invented"] + count["silent"]
    return {
        **{k: count[k] for k in ("right", "wrong", "missing", "invented", "silent")},
        "right_percent": round(100 * count["right"] / max(known, 1), 1),
        "invented_percent": round(100 * count["invented"] / max(unknown, 1), 1),
    }


def dated_urls(systems: dict[str, Callable[[bytes, str | None], Values]]) -> dict[str, Any]:
    """Pages whose URL has a day, which neither is shown: the same day, one beside it (time zones), another, none."""
    result: dict[str, Any] = {}
    for collection in DATED:
        counts: dict[str, collections.Counter[str]] = {name: collections.Counter() for name in systems}
        for url, _, page in pages(collection):
            truth = day_in_url(url, LATEST)
            if truth is None:
                continue
            hidden = _DAY_PATH.sub(rb"/", page)  # the canonical link has it too, and links to neighbours
            for name, call in systems.items():
                day = call(hidden, None)[2]
                apart = days_apart(day, truth) if day else None
                counts[name]["none" if apart is None else ("same", "next")[apart] if apart < 2 else "other"] += 1
        result[collection] = {name: dict(sorted(count.items())) for name, count in counts.items()}
    return result


def main(argv: list[str] | None = None) -> int:
    """Run both measures and write the JSON."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--every", type=int, default=1, help="take each n-th page of WCXB (default 1)")
    args = parser.parse_args(argv)
    systems = {"gristmill": ours, "trafilatura": trafilatura_engine()}
    for call in systems.values():  # imports and caches
        call(b"<html><head><title>x</title></head><body><p>By Ada Lovelace, 3 May 2019</p></body></html>", None)
    result = {"wcxb": annotated(systems, args.every), "day_in_url": dated_urls(systems)}
    print(json.dumps(result, indent=1))
    write(Path(__file__).stem, result, ("trafilatura", "htmldate"))
    return 0


if __name__ == "__main__":
    sys.exit(main())
