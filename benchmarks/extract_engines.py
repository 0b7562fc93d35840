"""Our stage (one worker: this process and its child) beside a bare loop over the same decoded pages.

    python -m benchmarks.extract_engines ../shared/data/html/*.warc.gz

The bare loop calls the same engine, version and options and does nothing else: no decoding, limits, metadata,
guard or tables. Runs alternate; the texts must be equal. Writes benchmarks/results/extract_engines.json.
"""

from __future__ import annotations

import argparse
import json
import platform
import resource
import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from benchmarks.common import SHARED

RESULT = Path(__file__).parent / "results" / "extract_engines.json"


def pages(files: list[Path], every: int) -> list[dict[str, Any]]:
    """Every n-th HTML response of the files, as rows of schema.PAGE."""
    from fastwarc.warc import ArchiveIterator, WarcRecordType

    rows = []
    for file in sorted(files):
        with open(file, "rb") as stream:
            for i, record in enumerate(ArchiveIterator(stream, WarcRecordType.response, parse_http=True)):
                if i % every:
                    continue
                kind = record.http_headers.get("Content-Type") if record.http_headers else None
                where = {"file": file.name, "content_type": kind, "date": record.headers.get("WARC-Date")}
                rows.append(
                    {
                        "id": f"{file.name}:{i}",
                        "url": record.headers.get("WARC-Target-URI"),
                        "record": where,
                        "payload": record.reader.read(),
                        "payload_kind": "html",
                    }
                )
    return rows


def bare(engine: str) -> Callable[[str], str | None]:
    """The engine's own call with the options that our default sets."""
    if engine == "trafilatura":
        import logging

        import trafilatura

        logging.getLogger("trafilatura").setLevel(logging.CRITICAL)
        return lambda html: trafilatura.extract(html, include_comments=False, include_tables=True)
    from resiliparse.extract.html2text import extract_plain_text

    return lambda html: extract_plain_text(html, main_content=True, comments=False)


def compare(engine: str, rows: list[dict[str, Any]], runs: int) -> dict[str, Any]:
    """Alternating runs, medians, the ratio, and whether the texts are equal."""
    import pyarrow as pa

    from pipeline.extract.charset import decode
    from pipeline.extract.page import clean_text
    from pipeline.extract.stage import Extract
    from pipeline.schema import PAGE

    table = pa.Table.from_pylist(rows, PAGE)
    call, stage = bare(engine), Extract(engine=engine)
    call(decode(rows[0]["payload"]).text)
    stage(table.slice(0, 1))  # starts the child, as once in a worker's life
    seconds: dict[str, list[float]] = {"bare": [], "stage": []}
    for _ in range(runs):
        # new strings for each run: as in a crawl no page is seen twice, and Python keeps the UTF-8 form of a string
        decoded = [decode(r["payload"], r["record"]["content_type"]).text for r in rows]
        start = time.perf_counter()
        expected = [call(html) for html in decoded]
        seconds["bare"].append(time.perf_counter() - start)
        start = time.perf_counter()
        found = stage(table)
        seconds["stage"].append(time.perf_counter() - start)
    texts = found["text"].to_pylist()
    different = sum(clean_text(e or "") != (t or "") for e, t in zip(expected, texts, strict=True))
    medians = {k: statistics.median(v) for k, v in seconds.items()}
    return {
        "engine_version": stage.config()["engine_version"],
        "pages": len(rows),
        "mean_bytes": round(sum(len(r["payload"]) for r in rows) / len(rows)),
        "pages_per_s": {k: round(len(rows) / v, 1) for k, v in medians.items()},
        "ratio": round(medians["bare"] / medians["stage"], 4),
        "seconds": {k: [round(x, 3) for x in v] for k, v in seconds.items()},
        "texts_different": different,
        "dropped": sum(reason is not None for reason in found["drop_reason"].to_pylist()),
    }


def main(argv: list[str] | None = None) -> int:
    """Run the comparison and write the JSON."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument(
        "files",
        nargs="*",
        default=sorted((SHARED / "html").glob("*.warc.gz")),
        type=Path,
        help="WARC files with HTML responses",
    )
    parser.add_argument("--every", type=int, default=36, help="take each n-th page (default 36)")
    parser.add_argument("--runs", type=int, default=5, help="alternating runs (default 5)")
    parser.add_argument("--output", type=Path, default=RESULT)
    args = parser.parse_args(argv)
    rows = pages(args.files, args.every)
    commit = subprocess.run(["git", "rev-parse", "HEAD"], capture_output=True, text=True, check=False).stdout.strip()
    result: dict[str, Any] = {
        "command": "python -m benchmarks.extract_engines ../shared/data/html/*.warc.gz"
        + f" --every {args.every} --runs {args.runs}",
        "commit": commit,
        "python": platform.python_version(),
        "machine": platform.machine(),
        "engines": {name: compare(name, rows, args.runs) for name in ("resiliparse", "trafilatura")},
    }
    from pipeline.extract.guard import shut_down

    shut_down()
    result["peak_mb"] = {
        "parent": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss >> 10,  # holds all pages and their texts
        "child": resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss >> 10,
    }
    args.output.write_text(json.dumps(result, indent=1) + "\n")
    print(json.dumps(result, indent=1))
    return 0


if __name__ == "__main__":
    sys.exit(main())
