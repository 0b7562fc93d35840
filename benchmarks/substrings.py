"""Substring dedup of the same real text beside a plain suffix array over the whole corpus, as Lee et al. (2022) do it.

    python -m benchmarks.substrings [--texts FOLDER] [--runs N] [--scale N] [--documents N] [--no-write]

Texts: every page of ../shared/data/html, extracted by our engine. `ours` is the step `substring_dedup` with its
defaults but `action: mark`, on Parquet shards of about 12 MB of text, on one core, from reading the shards to
writing the marked ones. `plain` is pydivsufsort's suffix array and LCP array over all tokens of all documents in
memory, and the same definition of a repeat in numpy; it reads the texts' column and writes nothing. Both give their
spans, which have to be equal. Every run is a process of its own (kernels warm); memory is its peak resident size, of
which `start` is there before the first document. With `--scale N` both run once more on N times the text: copies whose
words are in another order, in runs of 10, so that what repeats in a copy repeats there, and nothing does across copies.
Writes benchmarks/results/substrings.json.
"""

from __future__ import annotations

import argparse
import hashlib
import io
import json
import random
import subprocess
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

from .common import ROOT, write
from .texts import FOLDER, real_texts

SHARD_BYTES = 12_000_000
MIN_TOKENS = 50
PARTS = ("ours", "plain")
Spans = dict[str, NDArray[np.int64]]


def write_shards(texts: list[str], langs: list[str], folder: Path) -> int:
    """Parquet shards `00000.parquet` ... with id, text and lang; returns bytes of text."""
    sizes = [len(text.encode()) for text in texts]
    numbers = np.cumsum(sizes) // SHARD_BYTES
    for shard in np.unique(numbers).tolist():
        at = np.flatnonzero(numbers == shard)
        rows = {
            "id": pa.array([f"{i:07d}" for i in at]),
            "text": pa.array([texts[i] for i in at], pa.large_string()),
            "lang": pa.array([langs[i] for i in at]),
        }
        pq.write_table(pa.table(rows), folder / f"{shard:05d}.parquet")
    return sum(sizes)


def reordered(text: str, copy: int) -> str:
    """The text's words in runs of 10, in an order that depends on the text and the number of the copy."""
    words = text.split(" ")
    runs = [words[i : i + 10] for i in range(0, len(words), 10)]
    random.Random(hashlib.blake2b(f"{copy} {text}".encode()).digest()).shuffle(runs)
    return " ".join(word for run in runs for word in run)


def ours(folder: Path) -> Spans:
    """The step on all shards of a folder; the spans that it marked."""
    from dedup.substrings import SubstringDedup
    from pipeline.progress import Progress
    from pipeline.runner import InlineRunner
    from pipeline.steps import Artefact, StepContext
    from pipeline.store import StepFolder

    files = sorted(folder.glob("*.parquet"))
    rows = sum(pq.read_metadata(file).num_rows for file in files)
    with tempfile.TemporaryDirectory(dir=folder.parent) as out:
        step = StepFolder(Path(out) / "step")
        step.begin("benchmark", {})
        documents = Artefact("documents", folder, "", tuple(file.name for file in files), rows)
        context = StepContext(
            "substrings", step, {"documents": documents}, InlineRunner(), Progress(quiet=True, stream=io.StringIO())
        )
        made = SubstringDedup(keep=(), action="mark", min_tokens=MIN_TOKENS).run(context)
        columns = [pq.read_table(step.path / file, columns=["id", "repeated_spans"]) for file in made["artefact"]]
    table = pa.concat_tables(columns)
    spans = table["repeated_spans"].combine_chunks()
    counts = np.diff(spans.offsets.to_numpy())
    items = spans.flatten()
    return {
        "rows": np.repeat(np.array(table["id"].to_pylist(), np.int64), counts),
        "starts": items.field("start").to_numpy(),
        "ends": items.field("end").to_numpy(),
    }


def plain(folder: Path) -> Spans:
    """The same spans by one suffix array over the corpus."""
    from pydivsufsort import divsufsort, kasai

    from dedup.substring_blocks import Block, regions_of
    from dedup.substring_cuts import united
    from dedup.substring_windows import text_column, windows_of

    block, row = Block(), 0
    for file in sorted(folder.glob("*.parquet")):
        for batch in pq.ParquetFile(file).iter_batches(512, columns=["text"]):
            windows = windows_of(text_column(pa.Table.from_batches([batch])), "words", MIN_TOKENS)
            block.add(regions_of(windows, np.ones(len(windows.anchor_of), np.bool_), row, "words"))
            row += batch.num_rows
    whole = block.joined()
    n = len(whole.rows)
    suffixes = divsufsort(whole.text)
    shared = kasai(whole.text, suffixes)  # of each suffix and the next
    token_at = np.full(len(whole.text), -1, np.int32)
    token_at[whole.at[:n]] = np.arange(n, dtype=np.int32)
    tokens = token_at[suffixes]
    del suffixes, token_at
    found: list[tuple[NDArray[Any], ...]] = []
    for tail in range(int(whole.tails.max(initial=0)) + 1):
        lengths = np.where((whole.lengths > 0) & (whole.tails >= tail), whole.lengths + tail, 0)
        places = np.flatnonzero((tokens >= 0) & (lengths[tokens] > 0))
        if not len(places):
            continue
        window = tokens[places]
        last = window + lengths[window] - 1
        sizes = whole.at[last + 1] - whole.at[window]
        sizes = sizes - (whole.text[whole.at[last + 1] - 1] == 0xFF)
        least = np.minimum.reduceat(shared, places)
        new = np.append(True, least[:-1] < sizes[1:])
        first = np.minimum.reduceat(window, np.flatnonzero(new))[np.cumsum(new) - 1]
        again = window != first
        window, first, last = window[again], first[again], last[again]
        same = whole.rows[window] == whole.rows[first]
        stays = whole.to_bytes[first + lengths[first] - 1]
        starts = np.where(same, np.maximum(whole.from_bytes[window], stays), whole.from_bytes[window])
        found.append((whole.rows[window], starts, whole.to_bytes[last]))
    spans = united(*(np.concatenate([one[i] for one in found]) for i in range(3)))
    return {"rows": spans.rows, "starts": spans.starts, "ends": spans.ends}


def peak_memory() -> int:
    """This process's peak resident size in kB; getrusage's would be that of the process that started it, if larger."""
    status = Path("/proc/self/status").read_text()
    return int(status.split("VmHWM:")[1].split()[0])


def child(part: str, folder: Path, out: Path) -> None:
    """One measured run; prints seconds and memory, leaves the spans in `out`."""
    function = {"ours": ours, "plain": plain}[part]
    with tempfile.TemporaryDirectory() as small:
        text = " ".join(f"word{i}" for i in range(99)) + "."
        (Path(small) / "in").mkdir()
        write_shards([text, f"{text} 中文のテキスト"], ["en", "en"], Path(small) / "in")
        function(Path(small) / "in")
    start_kb = peak_memory()
    wall, cpu = time.perf_counter(), time.process_time()
    spans = function(folder)
    seconds = time.perf_counter() - wall, time.process_time() - cpu
    np.savez(out, **spans)
    memory = {"start_mb": start_kb / 1e3, "peak_mb": peak_memory() / 1e3}
    print(json.dumps({"wall_s": seconds[0], "cpu_s": seconds[1], **memory}))


def measured(part: str, folder: Path, out: Path) -> dict[str, float]:
    """A run of `child` in a process of its own."""
    command = [sys.executable, "-m", "benchmarks.substrings", "--child", part, str(folder), str(out)]
    done = subprocess.run(command, check=True, capture_output=True, text=True, cwd=ROOT)
    found: dict[str, float] = json.loads(done.stdout.splitlines()[-1])
    return found


def compared(folder: Path, runs: int, out: Path) -> tuple[dict[str, Any], Spans]:
    """Alternating runs of both: medians by part, raw values, and the spans, which must be equal."""
    raw: dict[str, list[dict[str, float]]] = {part: [] for part in PARTS}
    spans = {}
    for _ in range(runs):
        for part in PARTS:
            raw[part].append(measured(part, folder, out / f"{part}.npz"))
            spans[part] = dict(np.load(out / f"{part}.npz"))
    for name in ("rows", "starts", "ends"):
        if not np.array_equal(spans["ours"][name], spans["plain"][name]):
            raise SystemExit(f"the spans differ in their {name}: nothing is compared")
    middle = {
        part: {name: float(np.median([one[name] for one in values])) for name in values[0]}
        for part, values in raw.items()
    }
    return {**middle, "raw": raw}, spans["ours"]


def by_language(spans: Spans, langs: list[str], sizes: NDArray[np.int64]) -> dict[str, Any]:
    """Bytes and the share that is marked, of languages with at least 300 kB, and of all."""
    of = np.array(langs)[spans["rows"]]
    marked: Counter[str] = Counter()
    for lang, size in zip(of.tolist(), (spans["ends"] - spans["starts"]).tolist(), strict=True):
        marked[lang] += size
    total: Counter[str] = Counter()
    for lang, size in zip(langs, sizes.tolist(), strict=True):
        total[lang] += size
    rows = {lang: {"bytes": n, "share": marked[lang] / n} for lang, n in total.most_common() if n >= 300_000}
    return {"all": {"bytes": total.total(), "share": marked.total() / total.total()}, **rows}


def main() -> None:
    """Measure."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--texts", type=Path, default=FOLDER, help="where extracted texts are kept")
    parser.add_argument("--runs", type=int, default=5, help="alternating runs")
    parser.add_argument("--scale", type=int, default=4, help="one more run on so many times the text; 1: none")
    parser.add_argument("--documents", type=int, default=0, help="only the first documents; 0: all")
    parser.add_argument("--no-write", action="store_true", help="print, and leave the result file alone")
    parser.add_argument("--child", nargs=3, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.child:
        part, folder, out = options.child
        child(part, Path(folder), Path(out))
        return
    docs = real_texts(options.texts)
    docs = docs.slice(0, options.documents or None)
    texts, langs = docs["text"].to_pylist(), docs["lang"].to_pylist()
    sizes = np.array([len(text.encode()) for text in texts])
    result: dict[str, Any] = {"documents": len(texts), "min_tokens": MIN_TOKENS, "unit": "words"}
    with tempfile.TemporaryDirectory() as temporary:
        out = Path(temporary)
        for scale in dict.fromkeys((1, options.scale)):
            folder = out / f"scale-{scale}"
            folder.mkdir()
            many = [reordered(text, copy) if copy else text for copy in range(scale) for text in texts]
            megabytes = write_shards(many, langs * scale, folder) / 1e6
            del many
            part, spans = compared(folder, options.runs if scale == 1 else 1, out)
            for name in PARTS:
                part[name]["mb_per_s"] = megabytes / part[name]["wall_s"]
                part[name]["mb_per_cpu_s"] = megabytes / part[name]["cpu_s"]
            part["times_as_fast"] = part["plain"]["wall_s"] / part["ours"]["wall_s"]
            result[f"scale_{scale}"] = {"megabytes": megabytes, "spans": len(spans["rows"]), **part}
            if scale == 1:
                result["share_marked"] = by_language(spans, langs, sizes)
    print(json.dumps(result, indent=1))
    if not options.no_write:
        write("substrings", result, ("numpy", "pyarrow", "numba", "pydivsufsort"))


if __name__ == "__main__":
    main()
