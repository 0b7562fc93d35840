"""Extraction engines side by side on decoded pages; and our stage beside a bare loop over the same engine.

    python -m benchmarks.extract_engines [--model FILE] [--no-stage] [--no-write]

`side_by_side`: gristmill, trafilatura, trafilatura with `fast=True` and resiliparse turn decoded pages (every fifth of
WCXB and DANIEL) into text on one core, run after run in turn; seconds are of CPU, ratios are medians over the runs of
a turn. `start`: a new process from its first import to the text of its first page, our kernels from the cache and,
once, compiled anew. `memory`: peak beyond what a process held that had done a small page, for the largest
page and for one of 10 MB put together from real ones; also the seconds that it took.
`stage`: one worker (this process and its child) beside a loop that calls the same engine, version and options
and does nothing else: no decoding, limits, metadata, guard or tables. The texts must be equal.
Writes benchmarks/results/extract_engines.json.
"""

from __future__ import annotations

import argparse
import json
import os
import re
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from benchmarks.common import ROOT, SHARED, write

ENGINES = ("gristmill", "trafilatura", "trafilatura_fast", "resiliparse")
SMALL = (
    "<html><head><title>One page</title></head><body><h1>One page</h1><p>It has a paragraph that is long enough.</p>"
    "</body></html>"
)
BIG_BYTES = 10_000_000
LIMIT_S = 900
EVERY = 5


def own(model: str | None) -> Callable[[str], str]:
    """Our engine with the bundled model, or with another."""
    from pipeline.extract.engines import EngineOptions
    from pipeline.extract.native.engine import Gristmill
    from pipeline.extract.native.model import Model

    engine = Gristmill(EngineOptions(), Model.load(Path(model)) if model else None)
    return lambda html: engine.extract(html, None).text


def call_of(name: str, model: str | None) -> Callable[[str], str | None]:
    """Decoded page to text: as `bare`, our own with that model, and trafilatura without its fallbacks."""
    if name == "gristmill":
        return own(model)
    if name == "trafilatura_fast":
        bare("trafilatura")  # quietens its log
        import trafilatura

        return lambda html: trafilatura.extract(html, include_comments=False, include_tables=True, fast=True)
    return bare(name)


def copy(html: str) -> str:
    """An equal string of its own: CPython keeps a string's UTF-8 form, which the first engine would pay for."""
    return (html + " ")[:-1]


def side_by_side(pages_: list[str], runs: int, model: str | None) -> dict[str, Any]:
    """Pages a second of each engine, and how many times each other's ours is, by runs in turn."""
    calls = {name: call_of(name, model) for name in ENGINES}
    for call in calls.values():
        call(SMALL)
    seconds: dict[str, list[float]] = {name: [] for name in calls}
    for run in range(runs):
        for name, call in calls.items():
            copies = [copy(html) for html in pages_]
            start = time.process_time()
            for html in copies:
                call(html)
            seconds[name].append(time.process_time() - start)
            print(f"run {run + 1}: {name} {len(pages_) / seconds[name][-1]:.1f} pages/s", flush=True)
    mine = seconds["gristmill"]
    return {
        "pages": len(pages_),
        "mean_chars": round(sum(map(len, pages_)) / len(pages_)),
        "pages_per_s": {name: round(len(pages_) / statistics.median(s), 1) for name, s in seconds.items()},
        "gristmill_times_as_fast": {
            name: round(statistics.median(b / a for a, b in zip(mine, s, strict=True)), 2)
            for name, s in seconds.items()
            if name != "gristmill"
        },
        "cpu_seconds": {name: [round(x, 3) for x in s] for name, s in seconds.items()},
    }


def _status_mb(key: str) -> float:
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith(key):
            return int(line.split()[1]) / 1024
    raise RuntimeError(f"/proc/self/status has no {key}")


def part(name: str, model: str | None, file: str | None) -> dict[str, Any]:
    """What a new process measures: its start, or with a page's file the peak that the page adds."""
    start = time.perf_counter()
    call = call_of(name, model)
    call(SMALL)
    if file is None:
        return {"seconds": round(time.perf_counter() - start, 3)}
    html = Path(file).read_text(encoding="utf-8")
    Path("/proc/self/clear_refs").write_text("5")  # VmHWM starts anew from here
    before = _status_mb("VmRSS:")
    start = time.perf_counter()
    text = call(html) or ""
    taken = time.perf_counter() - start
    return {
        "page_mb": round(Path(file).stat().st_size / 1e6, 2),
        "before_mb": round(before, 1),
        "beyond_mb": round(_status_mb("VmHWM:") - before, 1),
        "seconds": round(taken, 2),
        "text_chars": len(text),
    }


def in_process(name: str, model: str | None, file: Path | None = None, cache: str | None = None) -> dict[str, Any]:
    """`part` in a process of its own, with its kernel cache elsewhere if told."""
    words = [sys.executable, "-m", "benchmarks.extract_engines", "--part", name]
    words += ["--model", model] if model else []
    words += ["--page", str(file)] if file else []
    environment = os.environ | ({"GRISTMILL_CACHE": cache} if cache else {})
    try:
        done = subprocess.run(words, cwd=ROOT, env=environment, capture_output=True, text=True, timeout=LIMIT_S)
    except subprocess.TimeoutExpired:
        return {"failed": f"no text after {LIMIT_S} s"}
    if done.returncode:
        return {"failed": f"exit {done.returncode}: {done.stderr.strip()[-200:]}"}
    return json.loads(done.stdout.splitlines()[-1])


def starts(model: str | None) -> dict[str, Any]:
    """Seconds to the first text of a new process: medians of three; ours with kernels compiled anew once."""
    found: dict[str, Any] = {}
    for name in ENGINES:
        runs = [in_process(name, model) for _ in range(4)][1:]  # the first fills file and kernel caches
        failed = [run for run in runs if "failed" in run]
        found[name] = failed[0] if failed else {"seconds": statistics.median(run["seconds"] for run in runs)}
    with tempfile.TemporaryDirectory() as folder:
        found["gristmill, kernels compiled anew"] = in_process("gristmill", model, cache=folder)
    return found


def memory(pages_: list[str], model: str | None) -> dict[str, Any]:
    """Peak of each engine on the largest page and on real pages joined to 10 MB, each in a process of its own."""
    largest = max(pages_, key=len)
    joined: list[str] = []
    size = 0
    for html in sorted(pages_, key=len, reverse=True):
        start, end = re.search(r"<body[^>]*>", html, re.IGNORECASE), html.lower().rfind("</body")
        body = html[start.end() if start else 0 : end if end > 0 else None]
        joined.append(f"<div>{body}</div>")
        size += len(body.encode("utf-8", "replace"))
        if size >= BIG_BYTES:
            break
    found: dict[str, Any] = {}
    with tempfile.TemporaryDirectory() as folder:
        for label, html in (("largest page", largest), ("10 MB", f"<html><body>{''.join(joined)}</body></html>")):
            file = Path(folder) / "page.html"
            file.write_text(html, encoding="utf-8", errors="replace")
            found[label] = {name: in_process(name, model, file) for name in ENGINES}
            print(label, found[label], flush=True)
    return found


def decoded_pages(every: int) -> list[str]:
    """Each n-th page of WCXB and DANIEL, decoded as the stage does it."""
    from pipeline.extract.charset import decode
    from pipeline.extract.evaluation.gold import load

    pages_ = load(SHARED, ["wcxb", "daniel_waddle"], every=every).pages
    return [decode(page.payload, page.content_type).text for page in pages_]


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
    if engine == "gristmill":
        return own(None)
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


def stages(every: int, runs: int, engines: list[str]) -> dict[str, Any]:
    """The stage beside the bare loop, over each n-th page of all collections, and the peak of both processes."""
    from pipeline.extract.guard import shut_down

    rows = pages(sorted((SHARED / "html").glob("*.warc.gz")), every)
    compared = {name: compare(name, rows, runs) for name in engines}
    shut_down()
    return {
        "engines": compared,
        "peak_mb": {
            "parent": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss >> 10,  # holds all pages and their texts
            "child": resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss >> 10,
        },
    }


def main(argv: list[str] | None = None) -> int:
    """Run all comparisons and write the JSON."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--every", type=int, default=EVERY, help=f"each n-th page of WCXB and DANIEL (default {EVERY})")
    parser.add_argument("--stage-every", type=int, default=36, help="each n-th page for the stage (default 36)")
    parser.add_argument("--runs", type=int, default=5, help="runs of each, in turn (default 5)")
    parser.add_argument("--model", help="a model for gristmill (default: the bundled one)")
    parser.add_argument("--no-stage", action="store_true", help="leave the stage out; it knows the bundled model only")
    parser.add_argument("--no-write", action="store_true", help="print only")
    parser.add_argument("--part", choices=ENGINES, help=argparse.SUPPRESS)
    parser.add_argument("--page", help=argparse.SUPPRESS)
    args = parser.parse_args(argv)
    if args.part:
        print(json.dumps(part(args.part, args.model, args.page)))
        return 0
    result: dict[str, Any] = {"runs": args.runs, "every": args.every, "stage_every": args.stage_every}
    if not args.no_stage:  # first, while this process is small and may use every core
        result["stage"] = stages(args.stage_every, args.runs, ["gristmill", "resiliparse", "trafilatura"])
    if hasattr(os, "sched_setaffinity"):
        os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})
    html = decoded_pages(args.every)
    result["side_by_side"] = side_by_side(html, args.runs, args.model)
    result["start"] = starts(args.model)
    result["memory"] = memory(html, args.model)
    print(json.dumps(result, indent=1))
    if not args.no_write:
        write("extract_engines", result, ("trafilatura", "resiliparse", "lxml", "numba", "numpy"))
    return 0


if __name__ == "__main__":
    sys.exit(main())
