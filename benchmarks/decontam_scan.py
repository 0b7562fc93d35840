"""Decontamination scan on one core: MB/s of extracted text, by methods and by how many benchmarks are looked for.

    python -m benchmarks.decontam_scan [--megabytes N] [--runs N] [--only NAMES] [--no-write]

Text: the pages of ../shared/data/html as extracted; items: every set in ../shared/data/evals. Timed is everything from
the Arrow column to the table of hits, normalisation included, on one thread, in CPU seconds (the machine may have
other users; wall seconds are beside them). `evidence` is the pass without methods, `coverage` the default method,
`all` all methods at once. `one`, `half` and `every` are indexes of the largest benchmark, of every second one and of
all, with the default method. Building the index is timed once. Writes benchmarks/results/decontam_scan.json.
"""

from __future__ import annotations

import argparse
import statistics
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

from .common import SHARED, write
from .texts import real_texts


def part_of(items: pa.Table, names: list[str]) -> pa.Table:
    """The items of some benchmarks."""
    return items.filter(pc.is_in(items["benchmark"], pa.array(names, items["benchmark"].type)))


def parts(items: pa.Table, index: Index, text: pa.Array) -> dict[str, Callable[[], int]]:
    """What is timed: each gives its number of hits or pairs."""
    by_size = sorted(items["benchmark"].value_counts().to_pylist(), key=lambda one: (-one["counts"], one["values"]))
    names = sorted(one["values"] for one in by_size)
    scanners = {
        "one": Scanner(build_index(part_of(items, [by_size[0]["values"]]))),
        "half": Scanner(build_index(part_of(items, names[::2]))),
        "every": Scanner(index),
    }
    every = [made() for made in all_methods().values()]

    def hits(scanner: Scanner, methods: list[Any]) -> int:
        return sum(table_of(found, methods).num_rows for found in scanner.evidence(text))

    timed: dict[str, Callable[[], int]] = {
        "evidence": lambda: sum(len(found.pair_part) for found in scanners["every"].evidence(text)),
        "coverage": lambda: hits(scanners["every"], default_methods()),
        "all": lambda: hits(scanners["every"], every),
    }
    for name in ("one", "half"):
        timed[name] = lambda scanner=scanners[name]: hits(scanner, default_methods())  # type: ignore[misc]
    return timed


def main() -> None:
    """Measure, print, write."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--megabytes", type=float, default=1e9, help="of text, from the beginning")
    parser.add_argument("--runs", type=int, default=5)
    parser.add_argument("--only", nargs="*", default=[], help="benchmarks to read")
    parser.add_argument("--no-write", action="store_true")
    options = parser.parse_args()
    texts = real_texts()["text"].combine_chunks()
    sizes = pc.cumulative_sum(pc.binary_length(texts)).to_numpy()
    text = texts.slice(0, int((sizes <= options.megabytes * 1e6).sum()))
    megabytes = pc.sum(pc.binary_length(text)).as_py() / 1e6
    items = read_items(SHARED / "evals", only=options.only, on_error="skip")
    began = time.process_time()
    built = build_index(items)
    building = time.process_time() - began
    with tempfile.TemporaryDirectory() as folder:
        built.save(Path(folder) / "index")
        index = Index.open(Path(folder) / "index")
        timed = parts(items, index, text)
        found = {name: part() for name, part in timed.items()}  # compiles, and reads what is mapped
        seconds: dict[str, list[dict[str, float]]] = {name: [] for name in timed}
        for _ in range(options.runs):
            for name, part in timed.items():
                wall, cpu = time.perf_counter(), time.process_time()
                part()
                seconds[name].append({"cpu": time.process_time() - cpu, "wall": time.perf_counter() - wall})
        speed = {
            name: round(megabytes / statistics.median(one["cpu"] for one in times), 1)
            for name, times in seconds.items()
        }
        value = {
            "text": {"documents": len(text), "megabytes": round(megabytes, 1)},
            "items": len(index),
            "benchmarks": len(set(items["benchmark"].to_pylist())),
            "ngrams": len(index.gram_hashes),
            "index_megabytes": round(index.nbytes / 1e6, 1),
            "build_cpu_seconds": round(building, 2),
            "megabytes_per_second": speed,
            "one_to_every": round(speed["one"] / speed["coverage"], 2),
            "half_to_every": round(speed["half"] / speed["coverage"], 2),
            "found": found,
            "seconds": seconds,
        }
    print({name: value[name] for name in value if name != "seconds"})
    if not options.no_write:
        write("decontam_scan", value, ("numpy", "numba", "pyarrow"))


if __name__ == "__main__":
    main()
