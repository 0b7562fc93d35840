"""Every truncation point of 100 real pages through the whole engine: no exception, text that is UTF-8, bounded time.

    python -m benchmarks.truncation [--pages 100] [--max-bytes 4000]

The pages are the first of each collection under ../shared/data/html that are no larger than --max-bytes, in turn, so
that all kinds of page take part. Writes benchmarks/results/truncation.json.
"""

from __future__ import annotations

import argparse
import itertools
import time
from collections.abc import Iterator

from benchmarks.common import SHARED, write
from pipeline.extract.charset import decode
from pipeline.extract.engines import EngineOptions, make_engine
from pipeline.extract.evaluation.gold import GoldPage, pages_of


def chosen(count: int, max_bytes: int) -> list[GoldPage]:
    """Small pages of all collections in turn."""

    def small(name: str) -> Iterator[GoldPage]:
        return (p for p in pages_of(SHARED / "html" / name, name) if 200 <= len(p.payload) <= max_bytes)

    names = sorted(path.name for path in (SHARED / "html").glob("*.warc.gz"))
    turns = itertools.zip_longest(*(itertools.islice(small(name), count) for name in names))
    return [page for turn in turns for page in turn if page is not None][:count]


def main() -> None:
    """Cut each page after every byte."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--pages", type=int, default=100)
    parser.add_argument("--max-bytes", type=int, default=4000)
    args = parser.parse_args()
    engine = make_engine("gristmill", EngineOptions())
    pages = chosen(args.pages, args.max_bytes)
    points, slowest, with_text = 0, 0.0, 0
    engine.extract("<p>a", None)
    start = time.perf_counter()
    for page in pages:
        for length in range(len(page.payload) + 1):
            html = decode(page.payload[:length], page.content_type).text
            began = time.perf_counter()
            text = engine.extract(html, page.real_url).text
            slowest = max(slowest, time.perf_counter() - began)
            text.encode("utf-8")
            points += 1
            with_text += bool(text)
    value = {
        "pages": len(pages),
        "collections": len({page.set for page in pages}),
        "truncation_points": points,
        "with_text": with_text,
        "exceptions": 0,  # the first would have ended the run
        "slowest_ms": round(1000 * slowest, 2),
        "seconds": round(time.perf_counter() - start, 1),
    }
    write("truncation", value, ("numba", "numpy"))
    print(value)


if __name__ == "__main__":
    main()
