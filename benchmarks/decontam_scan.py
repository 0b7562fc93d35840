"""Decontamination scan on one core: MB/s of extracted text, by methods and by how many benchmarks are looked for.

    python -m benchmarks.decontam_scan [--megabytes N] [--runs N] [--only NAMES] [--no-write]

Text: the pages of ../shared/data/html as extracted; items: every set in ../shared/data/evals. Timed is everything from
the Arrow column to the table of hits, normalisation included, on one thread, in CPU seconds (the machine may have
other users; wall seconds are beside them), in alternating runs. `evidence` is the pass without methods, `coverage` the
default method, `all` all methods at once. `half` and the names of benchmarks are indexes of every second one and of
one alone, with the default method; `to_every` says how many times as fast each is as the scan for all.

The index: CPU seconds to build, to save, to open, to add the smallest benchmark to the others, and to take it out;
megabytes by array; and the memory of a second process that maps the same folder and scans with it: what is shared with
the first, and its own. The kernels: CPU seconds that each takes to compile at its first use, with an empty cache.
Writes benchmarks/results/decontam_scan.json.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from decontam.index import Index, build_index
from decontam.items import read_items
from decontam.methods import all_methods, default_methods
from decontam.scan import Scanner, table_of

from .common import ROOT, SHARED, write
from .texts import real_texts

ALONE = 4
"""So many of the largest benchmarks are looked for alone."""

MAPPED = """
import json, sys, time
from pathlib import Path
import pyarrow as pa
from decontam.index import Index
from decontam.scan import scan
began = time.process_time()
index = Index.open(sys.argv[1])
opened = time.process_time() - began
with pa.memory_map(sys.argv[2]) as source:
    scan(pa.ipc.open_file(source).read_all()["text"], index)
sizes = {"Rss": 0, "Pss": 0, "Private_Clean": 0, "Private_Dirty": 0}
own, inside = dict(sizes), False
smaps = Path("/proc/self/smaps")
for line in smaps.read_text().splitlines() if smaps.exists() else ():
    name, *rest = line.split()
    if not name.endswith(":"):
        inside = sys.argv[1] in line
    elif name[:-1] in sizes:
        for table in (sizes, own) if inside else (sizes,):
            table[name[:-1]] += int(rest[0]) / 1024
index_private = own["Private_Clean"] + own["Private_Dirty"]
print(json.dumps({
    "open_cpu_seconds": round(opened, 3), "process_rss_mb": round(sizes["Rss"], 1),
    "process_pss_mb": round(sizes["Pss"], 1), "index_rss_mb": round(own["Rss"], 1),
    "index_pss_mb": round(own["Pss"], 1), "index_private_mb": round(index_private, 1),
}))
"""
COMPILED = """
import json, time
import pyarrow as pa
from numba.core import event
from decontam.index import build_index
from decontam.methods import all_methods, default_methods
from decontam.scan import scan
import dedup.kernels.words, pipeline.kernels
spent, stack = {}, []
class Listener(event.Listener):
    def on_start(self, one):
        stack.append((one.data["dispatcher"].py_func.__name__, time.process_time()))
    def on_end(self, one):
        name, began = stack.pop()
        if not stack:
            spent[name] = round(spent.get(name, 0.0) + time.process_time() - began, 3)
event.register("numba:compile", Listener())
words = " ".join("abcdefghijklmnopqrst")
text = pa.large_string()
items = pa.table({
    "item": ["b/t/0"], "benchmark": ["b"], "split": ["t"], "question": pa.array([words], text),
    "choices": pa.array([["u v"]], pa.list_(pa.string())), "answer": pa.array(["u v"], text),
    "passage": pa.array([words], text),
})
column = pa.array([words + " u v"], text)
out = {}
for name, methods in (("default", default_methods()), ("all", [made() for made in all_methods().values()])):
    began, cpu = time.perf_counter(), time.process_time()
    scan(column, build_index(items), methods)
    out[name] = {"wall_s": round(time.perf_counter() - began, 2), "cpu_s": round(time.process_time() - cpu, 2)}
print(json.dumps({**out, "kernels": dict(sorted(spent.items(), key=lambda one: -one[1]))}))
"""


def part_of(items: pa.Table, names: list[str]) -> pa.Table:
    """The items of some benchmarks."""
    return items.filter(pc.is_in(items["benchmark"], pa.array(names, items["benchmark"].type)))


def parts(items: pa.Table, by_size: list[str], index: Index, text: pa.Array) -> dict[str, Callable[[], int]]:
    """What is timed: each gives its number of hits or pairs."""
    scanners = {name: Scanner(build_index(part_of(items, [name]))) for name in by_size[:ALONE]}
    scanners["half"] = Scanner(build_index(part_of(items, sorted(by_size)[::2])))
    every = Scanner(index)

    def hits(scanner: Scanner, methods: list[Any]) -> int:
        return sum(table_of(found, methods).num_rows for found in scanner.evidence(text))

    timed: dict[str, Callable[[], int]] = {
        "evidence": lambda: sum(len(found.pair_part) for found in every.evidence(text)),
        "coverage": lambda: hits(every, default_methods()),
        "all": lambda: hits(every, [made() for made in all_methods().values()]),
    }
    for name, scanner in scanners.items():
        timed[name] = lambda scanner=scanner: hits(scanner, default_methods())  # type: ignore[misc]
    return timed


def printed(code: str, *arguments: str, **environment: str) -> Any:
    """What a process of its own prints, as JSON."""
    done = subprocess.run(
        [sys.executable, "-c", code, *arguments], stdout=subprocess.PIPE, text=True, check=True, cwd=ROOT,
        env={**os.environ, **environment},
    )  # fmt: skip
    return json.loads(done.stdout)


def indexes(items: pa.Table, smallest: str, folder: str) -> tuple[Index, dict[str, Any]]:
    """The index of all by memory map, and what it takes to make it."""
    seconds = {}

    def timed(name: str, part: Callable[[], Any]) -> Any:
        began = time.process_time()
        made = part()
        seconds[name] = round(time.process_time() - began, 3)
        return made

    build_index(items.slice(0, 100)).added(items.slice(100, 100))  # compiles
    others = items.filter(pc.not_equal(items["benchmark"], smallest))
    few = part_of(items, [smallest])
    built = timed("build", lambda: build_index(pa.concat_tables([others, few])))
    base = build_index(others)
    grown = timed(f"add {smallest}", lambda: base.added(few))
    if grown.fingerprint != built.fingerprint:
        raise SystemExit("adding items gave another index than building it of all")
    timed(f"take {smallest} out", lambda: built.without(smallest))
    timed("save", lambda: built.save(folder))
    index = timed("open", lambda: Index.open(folder))
    size = sum(path.stat().st_size for path in Path(folder).iterdir())
    return index, {"cpu_seconds": seconds, "megabytes": round(size / 1e6, 1), "ngrams": len(index.gram_hashes)}


def main() -> None:
    """Measure, print, write."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--megabytes", type=float, default=1e9, help="of text, from the beginning")
    parser.add_argument("--runs", type=int, default=7)
    parser.add_argument("--only", nargs="*", default=[], help="benchmarks to read")
    parser.add_argument("--no-write", action="store_true")
    options = parser.parse_args()
    texts = real_texts()["text"].combine_chunks()
    sizes = pc.cumulative_sum(pc.binary_length(texts)).to_numpy()
    text = texts.slice(0, int((sizes <= options.megabytes * 1e6).sum()))
    megabytes = pc.sum(pc.binary_length(text)).as_py() / 1e6
    items = read_items(SHARED / "evals", only=options.only, on_error="skip")
    counts = sorted(items["benchmark"].value_counts().to_pylist(), key=lambda one: (-one["counts"], one["values"]))
    by_size = [one["values"] for one in counts]
    with tempfile.TemporaryDirectory() as folder:
        index, made = indexes(items, by_size[-1], f"{folder}/index")
        timed = parts(items, by_size, index, text)
        found = {name: part() for name, part in timed.items()}  # compiles, and reads what is mapped
        seconds: dict[str, list[dict[str, float]]] = {name: [] for name in timed}
        for _ in range(options.runs):
            for name, part in timed.items():
                wall, cpu = time.perf_counter(), time.process_time()
                part()
                seconds[name].append({"cpu": time.process_time() - cpu, "wall": time.perf_counter() - wall})
        with (
            pa.OSFile(f"{folder}/texts", "wb") as sink,
            pa.ipc.new_file(sink, pa.schema([("text", text.type)])) as file,
        ):
            file.write_table(pa.table({"text": text}))
        second = printed(MAPPED, f"{folder}/index", f"{folder}/texts")
        compiled = printed(COMPILED, GRISTMILL_CACHE=f"{folder}/kernels")
    middle = {name: statistics.median(one["cpu"] for one in times) for name, times in seconds.items()}
    fewer = {name: round(middle["coverage"] / middle[name], 2) for name in [*by_size[:ALONE], "half"]}
    value = {
        "text": {"documents": len(text), "megabytes": round(megabytes, 1)},
        "items": len(index),
        "benchmarks": len(by_size),
        "megabytes_per_second": {name: round(megabytes / one, 1) for name, one in middle.items()},
        "to_every": fewer,
        "most_to_every": max(fewer.values()),
        "found": found,
        "index": made,
        "second_process": second,
        "first_use": compiled,
        "seconds": seconds,
    }
    print(json.dumps({name: value[name] for name in value if name != "seconds"}, indent=1))
    if not options.no_write:
        write("decontam_scan", value, ("numpy", "numba", "pyarrow"))


if __name__ == "__main__":
    main()
