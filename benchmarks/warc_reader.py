"""Reading pages from a gzipped WARC: our reader with both engines beside bare FastWARC and bare warcio.

Bare FastWARC and warcio iterate all records, parse HTTP and read every body, as their documentation shows. Ours does
that and also finds member boundaries itself, classifies, hashes ids and builds Arrow tables with the payloads.

    python benchmarks/warc_reader.py FILE [--runs 7] [--out benchmarks/results/warc_reader.json]

Each run times every contender once, in an order that rotates; import and first use are done (and timed) before.
Figures are CPU seconds, so that other work on the machine disturbs less; wall times are in the JSON beside them.
Contenders must agree on the number of pages and of payload bytes.
"""

from __future__ import annotations

import argparse
import importlib.metadata
import json
import os
import platform
import resource
import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

from benchmarks.common import SHARED

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

Result = tuple[int, int]


def ours(path: str, engine: str) -> Result:
    """(pages, payload bytes) through read_pages."""
    from pipeline.warc import Source, Split, read_pages

    size = os.path.getsize(path)
    rows = payload = 0
    for batch in read_pages(Split(Source(path, os.path.basename(path), size), 0, size), engine=engine):
        rows += batch.table.num_rows
        payload += batch.table["payload"].combine_chunks().buffers()[2].size
    return rows, payload


def bare_fastwarc(path: str) -> Result:
    """(pages, payload bytes) of FastWARC's iterator with HTTP parsed, responses with status 200."""
    from fastwarc.warc import ArchiveIterator, WarcRecordType

    rows = payload = 0
    for record in ArchiveIterator(path):
        body = record.reader.read()
        if record.record_type == WarcRecordType.response and record.http_headers.status_code == 200:
            rows += 1
            payload += len(body)
    return rows, payload


def bare_warcio(path: str) -> Result:
    """(pages, payload bytes) of warcio's iterator, responses with status 200."""
    from warcio.archiveiterator import ArchiveIterator

    rows = payload = 0
    with open(path, "rb") as file:
        for record in ArchiveIterator(file):
            body = record.content_stream().read()
            if record.rec_type == "response" and record.http_headers.get_statuscode() == "200":
                rows += 1
                payload += len(body)
    return rows, payload


CONTENDERS: dict[str, Callable[[str], Result]] = {
    "ours_fastwarc": lambda path: ours(path, "fastwarc"),
    "ours_warcio": lambda path: ours(path, "warcio"),
    "bare_fastwarc": bare_fastwarc,
    "bare_warcio": bare_warcio,
}


def timed(contender: Callable[[str], Result], path: str) -> tuple[float, float, Result]:
    """(wall seconds, CPU seconds, result) of a contender."""
    wall, cpu = time.perf_counter(), time.process_time()
    result = contender(path)
    return time.perf_counter() - wall, time.process_time() - cpu, result


def main() -> None:
    """Run the comparison and write its JSON."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("file", nargs="?", default=str(SHARED / "html" / "wcxb.warc.gz"))
    parser.add_argument("--runs", type=int, default=7)
    parser.add_argument("--out", type=Path, default=Path("benchmarks/results/warc_reader.json"))
    options = parser.parse_args()
    start_up: dict[str, float] = {}
    results: dict[str, Result] = {}
    for name, contender in CONTENDERS.items():
        start_up[name], _, results[name] = timed(contender, options.file)
    if len(set(results.values())) != 1:
        raise SystemExit(f"contenders disagree: {results}")
    names = list(CONTENDERS)
    wall: dict[str, list[float]] = {name: [] for name in names}
    cpu: dict[str, list[float]] = {name: [] for name in names}
    for run in range(options.runs):
        for k in range(len(names)):
            name = names[(run + k) % len(names)]
            seconds, cpu_seconds, result = timed(CONTENDERS[name], options.file)
            if result != results[name]:
                raise SystemExit(f"{name} gave {result} after {results[name]}")
            wall[name].append(seconds)
            cpu[name].append(cpu_seconds)
    medians = {name: statistics.median(values) for name, values in cpu.items()}
    pages, payload = results["bare_warcio"]
    report = {
        "what": "read all pages of one gzipped WARC, one process, page cache warm",
        "command": f"python benchmarks/warc_reader.py {Path(options.file).name} --runs {options.runs}",
        "commit": subprocess.run(["git", "rev-parse", "HEAD"], capture_output=True, text=True).stdout.strip(),
        "file": {"name": Path(options.file).name, "bytes": os.path.getsize(options.file)},
        "pages": pages,
        "payload_bytes": payload,
        "versions": {
            "python": platform.python_version(),
            **{name: importlib.metadata.version(name) for name in ("fastwarc", "warcio", "isal", "pyarrow")},
        },
        "cpus": os.cpu_count(),
        "load_average_after": os.getloadavg()[0],
        "first_run_s": start_up,
        "wall_s": wall,
        "cpu_s": cpu,
        "median_wall_s": {name: statistics.median(values) for name, values in wall.items()},
        "median_cpu_s": medians,
        "pages_per_cpu_s": {name: pages / seconds for name, seconds in medians.items()},
        "payload_mb_per_cpu_s": {name: payload / seconds / 1e6 for name, seconds in medians.items()},
        "speed_over_bare_warcio": {name: medians["bare_warcio"] / seconds for name, seconds in medians.items()},
        "peak_rss_mb": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024,
    }
    options.out.parent.mkdir(parents=True, exist_ok=True)
    options.out.write_text(json.dumps(report, indent=1) + "\n")
    for name, seconds in sorted(medians.items(), key=lambda item: item[1]):
        ratio = medians["bare_warcio"] / seconds
        print(f"{name:15} {seconds:.3f} CPU s  {pages / seconds:7.0f} pages/s  {ratio:.2f}x warcio")


if __name__ == "__main__":
    main()
