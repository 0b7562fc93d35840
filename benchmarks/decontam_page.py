"""The HTML report in headless Chromium: 10 000 items with 30 000 matches, of real questions and real web text.

Questions are those of ../shared/data/evals; a match is a page of ../shared/data/html into which an edited copy of the
question was written. What is measured: the page's size and the time to build it, the time until it can be used, the
JavaScript heap, and the time from an action to the frame that shows its result: filtering, searching, ordering,
opening items, scrolling (the longest gap between two frames). `--items 500 --runs 1` is a small setting;
`--keep FOLDER` keeps the page and screenshots.
"""

from __future__ import annotations

import argparse
import itertools
import re
import statistics
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from decontam.audit.result import BENCHMARKS, ITEMS, MATCHES, AuditResult
from decontam.items import read_items
from decontam.methods import all_methods
from decontam.page import page

from .chromium import Chromium, find_chromium
from .common import SHARED, write
from .texts import real_texts

METHODS = tuple(all_methods())
FRAME = "new Promise((done) => requestAnimationFrame(() => setTimeout(done)))"
SETTLED = "new Promise((done) => { const see = () => list.busy ? setTimeout(see, 4) : done(); see(); })"


def sample_items(wanted: int) -> pa.Table:
    """Items spread over all benchmarks of ../shared/data/evals, in their order."""
    items = read_items(SHARED / "evals", on_error="skip")
    return items.take(pa.array(np.linspace(0, items.num_rows - 1, wanted).astype(np.int64)))


def large_result(items: pa.Table, texts: pa.Table, matches: int = 3, seed: int = 1) -> AuditResult:
    """An audit that found every one of `items`, each in `matches` places of `texts` (url, text)."""
    draw = np.random.Generator(np.random.Philox(seed))
    pages, urls = texts["text"].to_pylist(), texts["url"].to_pylist()
    pages = [p if len(p) > 1200 else p + " " * 1200 for p in pages]
    rows, found = [], []
    for number, item in enumerate(items.to_pylist()):
        kind = "dirty" if draw.random() < 0.6 else "suspect"
        results = [{"method": METHODS[0], "verdict": kind, "score": 0.6 + 0.4 * draw.random()}]
        for name in METHODS[1:]:
            if draw.random() < 0.4:
                some = "dirty" if draw.random() < 0.5 else "suspect"
                results.append({"method": name, "verdict": some, "score": float(draw.random())})
        for one in results:
            one |= {"documents": int(draw.integers(1, 9)), "copies": int(draw.integers(9, 99))}
        shown = {key: item[key] for key in ("item", "benchmark", "split", "choices", "answer", "passage")}
        first = results[0]
        rows.append(
            {**shown, "question": item["question"], **first, "exposure": first["copies"] * 1.5, "by_method": results}
        )
        for k in range(matches):
            at = int(draw.integers(len(pages)))
            found.append(_match(item, pages[at], urls[at], results[k % len(results)], draw, number))
    rows.sort(key=lambda row: row["verdict"])
    order = {row["item"]: k for k, row in enumerate(rows)}
    found.sort(key=lambda one: order[one["item"]])
    methods = {name: {"parameter": 1.0} for name in METHODS}
    return AuditResult(
        corpus={"inputs": ["corpus/kept"], "kind": "documents", "documents": len(pages), "bytes": sum(map(len, pages)),
                "tokens": None, "skipped": {}},
        settings={"methods": methods, "default": METHODS[0], "guard": {"max_items": 20},
                  "normalisation": {"lowercase": True}, "index": {"items": 2 * len(rows), "benchmarks": 30},
                  "level": "dirty", "mixture": {"web": 1.5}, "versions": {"gristmill": "0"}},
        benchmarks=pa.Table.from_pylist(list(_counts(rows)), schema=BENCHMARKS),
        items=pa.Table.from_pylist([{k: row.get(k) for k in ITEMS.names} for row in rows], schema=ITEMS),
        matches=pa.Table.from_pylist(found, schema=MATCHES),
        unmatchable=[f"tiny/test/{n}" for n in range(1, 2001)],
    )  # fmt: skip


def _match(item: dict[str, Any], text: str, url: str, result: dict[str, Any], draw: Any, number: int) -> dict[str, Any]:
    """A place in a page where the question stands with some of its words left out."""
    words = list(re.finditer(r"\S+", item["question"] or ""))[:400]
    kept = [w for w in words if draw.random() > 0.08]
    copy, overlap, spans = "", [], []
    for word in kept:
        spans.append({"part": "question", "start": word.start(), "end": word.end()})
        overlap.append({"start": len(copy), "end": len(copy) + len(word[0])})
        copy += word[0] + " "
    at = int(draw.integers(300, max(301, len(text) - 800)))
    return {
        "item": item["item"], "method": result["method"], "part": "question", "verdict": result["verdict"],
        "score": result["score"], "document": f"{draw.integers(1 << 62):032x}", "url": url,
        "record_file": f"CC-MAIN-2025-{number % 90:05d}.warc.gz", "record_offset": int(draw.integers(1 << 30)),
        "source": f"part-{number % 64:05d}.parquet row {at}", "start": at, "end": at + len(copy.encode()),
        "before": text[at - 300 : at], "text": copy + text[at : at + 200], "after": text[at + 200 : at + 500],
        "shortened": False, "overlap": overlap, "item_overlap": spans,
    }  # fmt: skip


def _counts(rows: list[dict[str, Any]]) -> Any:
    def group(row: dict[str, Any]) -> tuple[str, str]:
        return row["benchmark"], row["split"]

    for (benchmark, split), some in itertools.groupby(sorted(rows, key=group), group):
        members = list(some)
        for name in METHODS:
            verdicts = [one["verdict"] for row in members for one in row["by_method"] if one["method"] == name]
            dirty, suspect, items = verdicts.count("dirty"), verdicts.count("suspect"), 2 * len(members)
            yield {"benchmark": benchmark, "split": split, "method": name, "items": items, "dirty": dirty,
                   "suspect": suspect, "clean": items - dirty - suspect, "unmatchable": 0}  # fmt: skip


def measured(browser: Chromium, path: Path, ids: list[str]) -> dict[str, float]:
    """One visit of the page, in milliseconds; the heap in MB (1e6 bytes)."""
    start = time.perf_counter()
    browser.call("Page.navigate", url=path.resolve().as_uri())
    browser.wait("document.documentElement?.dataset.ready > 0")
    seen = {"load_wall_ms": 1000 * (time.perf_counter() - start)}
    seen["ready_ms"] = float(browser.evaluate("document.documentElement.dataset.ready"))
    paint = "performance.getEntriesByName('first-contentful-paint')[0]?.startTime ?? 0"
    browser.evaluate(FRAME)
    seen["first_paint_ms"] = browser.evaluate(paint)
    seen["heap_mb"] = browser.heap() / 1e6

    def timed(name: str, action: str) -> None:
        seen[name] = browser.evaluate(
            f"(async () => {{ const start = performance.now(); {action}; await {FRAME}; await {SETTLED}; await {FRAME};"
            "return performance.now() - start; })()"
        )

    def change(name: str, value: str) -> str:
        return f"byId('{name}').value = '{value}'; byId('{name}').dispatchEvent(new Event('change'))"

    timed("filter_by_verdict_ms", change("verdict", "suspect"))
    timed("filter_by_method_ms", change("method", METHODS[-1]))
    timed("all_again_ms", "byId('reset').click()")
    timed("search_questions_ms", "go({q: 'water temperature'})")
    timed("search_all_text_ms", "go({deep: true})")
    timed("reset_ms", "byId('reset').click()")
    timed("order_by_score_ms", "document.querySelector('#heads [data-sort=score]').click()")
    timed("order_by_item_ms", "document.querySelector('#heads [data-sort=item]').click()")
    opened = [0.0] * len(ids)
    for k, name in enumerate(ids):
        timed("open", f"openItem({name!r}); while (opened !== {name!r}) await {FRAME}")
        opened[k] = seen.pop("open")
    seen["open_item_ms"], seen["open_item_slowest_ms"] = statistics.median(opened), max(opened)
    timed("close_ms", "closeItem()")
    gaps = browser.evaluate(
        """new Promise((done) => {
          const box = byId('rows'), gaps = [], step = box.scrollHeight / 120;
          let last = performance.now();
          const turn = () => {
            const now = performance.now();
            gaps.push(now - last); last = now;
            if (gaps.length > 120) done(gaps);
            else { box.scrollTop += step; requestAnimationFrame(turn); }
          };
          requestAnimationFrame(turn);
        })"""
    )
    seen["scroll_frame_ms"], seen["scroll_longest_frame_ms"] = statistics.median(gaps[1:]), max(gaps[1:])
    seen["heap_at_end_mb"] = browser.heap() / 1e6
    return seen


def pictures(browser: Chromium, path: Path, folder: Path, item: str) -> None:
    """Screenshots in both schemes and a narrow window."""
    for name, width, height, dark in (
        ("light", 1360, 900, False),
        ("dark", 1360, 900, True),
        ("narrow", 420, 860, False),
    ):
        browser.window(width, height, dark=dark)
        browser.open(path)
        browser.wait("document.documentElement?.dataset.ready > 0")
        browser.screenshot(folder / f"{name}-top.png")
        browser.evaluate("byId('items-title').scrollIntoView(); null")
        browser.evaluate(FRAME)
        browser.screenshot(folder / f"{name}-list.png")
        browser.evaluate(f"openItem({item!r})")
        browser.wait("!byId('detail').hidden && byId('detail').querySelector('.sides')")
        browser.evaluate(FRAME)
        browser.screenshot(folder / f"{name}-item.png")


def main() -> None:
    """Measure and write results/decontam_page.json."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--items", type=int, default=10_000)
    parser.add_argument("--matches", type=int, default=3)
    parser.add_argument("--runs", type=int, default=5)
    parser.add_argument("--keep", type=Path)
    args = parser.parse_args()
    result = large_result(sample_items(args.items), real_texts(), args.matches)
    start = time.perf_counter()
    text = page(result)
    build = time.perf_counter() - start
    texts = sum(result.matches[name].nbytes for name in ("before", "text", "after")) + result.items.nbytes
    ids = result.items["item"].to_pylist()
    with tempfile.TemporaryDirectory() as temporary:
        folder = args.keep or Path(temporary)
        folder.mkdir(parents=True, exist_ok=True)
        path = folder / "report.html"
        path.write_text(text, encoding="utf-8")
        with Chromium() as browser:
            browser.window(1360, 900)
            version = browser.evaluate("navigator.userAgent.match(/Chrome\\/[\\d.]+/)[0]")
            visits = [measured(browser, path, ids[:: max(1, len(ids) // 25)]) for _ in range(args.runs)]
            if args.keep:
                pictures(browser, path, folder, ids[len(ids) // 3])
            messages = browser.messages
    value = {
        "browser": version, "items": len(ids), "matches": result.matches.num_rows, "methods": len(METHODS),
        "page_mb": len(text.encode()) / 1e6, "texts_mb": texts / 1e6, "build_s": build, "messages": messages,
        "median": {name: statistics.median(visit[name] for visit in visits) for name in visits[0]}, "visits": visits,
    }  # fmt: skip
    for name, number in value["median"].items():
        print(f"{name:28} {number:10.1f}")
    print({k: value[k] for k in ("page_mb", "texts_mb", "build_s", "messages")})
    if args.runs >= 5:
        write("decontam_page", value, ("pyarrow",))


if __name__ == "__main__":
    if find_chromium() is None:
        raise SystemExit("no Chromium on the PATH")
    main()
