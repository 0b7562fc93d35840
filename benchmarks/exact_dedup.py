"""Exact dedup and dedup of lines on one core, beside datatrove's on the same Parquet files.

    python -m benchmarks.exact_dedup [--texts FOLDER] [--documents N] [--runs N] [--no-write]

Texts: the extracted pages of ../shared/data/html in four files, and every fifth once more with other case and spaces.
From files to files, in one process, kernels compiled before; imports are left out. datatrove gets our normalisation as
`content_getter`, so both must keep the same number of documents, which is checked; its lines are its sentence dedup
with `split_sentences=False` and one line, ours with no lower limits, and these two differ in what they take (datatrove
counts repeats within a document too). `hashes` are 128-bit hashes of normalised texts by our kernel and by Python's
`re` and `str.lower`, as before the kernel. CPU seconds decide, for a machine that others use. The peer needs
`make peers` (or GRISTMILL_PEERS). Writes benchmarks/results/exact_dedup.json.
"""

from __future__ import annotations

import argparse
import io
import json
import shutil
import statistics
import subprocess
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from dedup.exact import ExactDedup
from dedup.hashing import text_hash, text_hashes
from dedup.lines import LineDedup
from pipeline.progress import Progress
from pipeline.runner import InlineRunner
from pipeline.schema import RECORD
from pipeline.steps import Artefact, Step, StepContext
from pipeline.store import StepFolder

from .common import write
from .texts import FOLDER, PEER, real_texts

FILES = 4
LINES = LineDedup(min_chars=0, min_words=0, indented=True)


def corpus(texts: list[str], folder: Path) -> Artefact:
    """The texts and their copies as four Parquet files."""
    texts = texts + [f" {text.upper() if text.isascii() else text}\n" for text in texts[::5]]
    folder.mkdir(parents=True)
    names = []
    for index in range(FILES):
        rows = range(index, len(texts), FILES)
        table = pa.table(
            {
                "id": [f"{i:08d}" for i in rows],
                "text": pa.array([texts[i] for i in rows], pa.large_string()),
                "record": pa.array([{"file": "f", "offset": i} for i in rows], RECORD),
            }
        )
        names.append(f"{index}.parquet")
        pq.write_table(table, folder / names[-1], compression="zstd")
    return Artefact("documents", folder, "x", tuple(names), len(texts))


def ours(step: Step, documents: Artefact, work: Path) -> int:
    """Run a step into an empty folder; documents kept."""
    shutil.rmtree(work, ignore_errors=True)
    folder = StepFolder(work)
    folder.begin("benchmark", {})
    progress = Progress(quiet=True, stream=io.StringIO())
    return int(step.run(StepContext("b", folder, {"documents": documents}, InlineRunner(), progress))["rows"])


def theirs(kind: str, documents: Artefact, work: Path) -> dict[str, Any]:
    """datatrove's run: seconds, kept, version."""
    shutil.rmtree(work, ignore_errors=True)
    script = Path(__file__).parent / "peers" / "datatrove_dedup.py"
    command = [str(PEER), str(script), kind, str(documents.path), str(work)]
    done = subprocess.run(command, check=True, capture_output=True, text=True)
    found: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return found


def timed(part: Callable[[], Any]) -> tuple[Any, dict[str, float]]:
    """What a call gives, and its seconds."""
    wall, cpu = time.perf_counter(), time.process_time()
    found = part()
    return found, {"cpu": time.process_time() - cpu, "wall": time.perf_counter() - wall}


def main() -> None:
    """Measure, print, and write the JSON."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--texts", type=Path, default=FOLDER)
    parser.add_argument("--documents", type=int, default=0, help="only the first so many (0: all)")
    parser.add_argument("--runs", type=int, default=5)
    parser.add_argument("--no-write", action="store_true")
    args = parser.parse_args()
    column = real_texts(args.texts)["text"]
    column = column.slice(0, args.documents) if args.documents else column
    texts = column.to_pylist()
    seconds: dict[str, list[dict[str, float]]] = {}
    kept: dict[str, int] = {}

    def add(name: str, one: dict[str, float]) -> None:
        seconds.setdefault(name, []).append(one)

    version = ""
    with tempfile.TemporaryDirectory() as temporary:
        documents = corpus(texts, Path(temporary) / "in")
        work = Path(temporary) / "work"
        text_hashes(column)
        for step in (ExactDedup(), LINES):  # kernels compile
            ours(step, documents, work)
        for _ in range(args.runs):
            hashes, one = timed(lambda: text_hashes(column).hex().to_pylist())
            add("hashes_kernel", one)
            before, one = timed(lambda: [text_hash(text) for text in column.to_pylist()])
            add("hashes_python", one)
            if hashes != before:
                raise SystemExit("the kernel's hashes are not Python's")
            for kind, step in (("exact", ExactDedup()), ("lines", LINES)):
                kept[kind], one = timed(lambda step=step: ours(step, documents, work))
                add(kind, one)
                peer = theirs(kind, documents, work)
                add(f"{kind}_datatrove", peer["seconds"])
                kept[f"{kind}_datatrove"], version = peer["kept"], peer["version"]
    if kept["exact"] != kept["exact_datatrove"]:
        raise SystemExit(f"not the same documents are kept: {kept}")
    median = {name: statistics.median(one["cpu"] for one in runs) for name, runs in seconds.items()}
    size = sum(len(text.encode()) for text in texts)
    result = {
        "documents": documents.rows,
        "texts": len(texts),
        "bytes": size,
        "kept": kept,
        "hashes_mb_per_s": {k: size / 1e6 / median[k] for k in ("hashes_kernel", "hashes_python")},
        "documents_per_s": {
            k: documents.rows / median[k] for k in ("exact", "exact_datatrove", "lines", "lines_datatrove")
        },
        "ratios": {
            "hashes": median["hashes_python"] / median["hashes_kernel"],
            "exact": median["exact_datatrove"] / median["exact"],
            "lines": median["lines_datatrove"] / median["lines"],
        },
        "median_cpu_seconds": median,
        "seconds": seconds,
        "datatrove": version,
    }
    print(json.dumps({k: v for k, v in result.items() if k != "seconds"}, indent=1))
    if not args.no_write:
        write("exact_dedup", result, ("numba", "numpy", "polars", "pyarrow", "xxhash"))


if __name__ == "__main__":
    main()
