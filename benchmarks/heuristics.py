"""All heuristic filters together on one core, beside datatrove's four filters on the same documents.

    python -m benchmarks.heuristics [--texts FOLDER] [--peer-documents N] [--runs N] [--no-write]

Texts: every page of ../shared/data/html, extracted by our engine, in batches of 512 documents as in a run. Ours are
the stages of STAGES, one after the other on each batch, to the reasons of drops, and `all` those of ALONE too.
datatrove runs its Gopher, C4 and FineWeb filters with spaCy in its own environment on each document of an evenly
spread subset; ours read the same subset in turn with it. All seconds are CPU seconds of the process, so that a busy
machine weighs less; texts are copied before each run, so that nothing is remembered of the last one. Start-up is apart:
`cold` is the first document in a new process with an empty kernel cache, `warm` with a filled one, both with imports.
`decisions` is what `filter_parity` finds on the subset: with the same words, and with each system's own.
Writes benchmarks/results/heuristics.json.
"""

from __future__ import annotations

import argparse
import json
import statistics
import subprocess
import tempfile
import time
from pathlib import Path
from typing import Any

import pyarrow as pa

from pipeline.stage import DROP_REASON, Stage, make

from .common import start_seconds, write
from .filter_parity import compare, compare_c4, peer_decisions
from .texts import FOLDER, PEER, real_texts, write_ipc

STAGES: dict[str, dict[str, Any]] = {
    "gopher_repetition": {}, "gopher_quality": {}, "c4_lines": {"terminal_punctuation": False}, "c4_documents": {},
    "fineweb_quality": {},
}  # fmt: skip
"""In FineWeb's order, C4 without its rule of terminal punctuation. After `c4_lines` the text is another."""
ALONE = ("mojibake", "mojibake_repair", "placeholder", "refinedweb_lines")
"""Heuristics outside of FineWeb."""
BATCH = 512
START = """
import time
start, cpu = time.perf_counter(), time.process_time()
import pyarrow as pa
from benchmarks.heuristics import run, stages
text = "One text, and the next. It has to be with that of them.\\n" * 9
docs = pa.table({"text": pa.array([text], pa.large_string())})
run(docs, stages())
print(time.perf_counter() - start, time.process_time() - cpu)
"""


def stages() -> list[Stage]:
    """Our stages."""
    return [make(name, options) for name, options in STAGES.items()]


def run(docs: pa.Table, ours: list[Stage]) -> None:
    """Every stage on every document, batch after batch: nothing is left out for what an earlier one drops."""
    for batch in docs.to_batches(BATCH):
        table = pa.Table.from_batches([batch])
        for one in ours:
            table = one(table)
            if DROP_REASON in table.column_names:
                table = table.drop_columns([DROP_REASON])


def timed(docs: pa.Table, ours: list[Stage]) -> float:
    """CPU seconds of one pass over a copy."""
    docs = docs.take(pa.array(range(docs.num_rows)))
    start = time.process_time()
    run(docs, ours)
    return time.process_time() - start


def peer(docs: pa.Table, folder: Path) -> dict[str, Any]:
    """datatrove once over the documents: {seconds, start_s, versions}."""
    path = folder / "texts.arrow"
    write_ipc(docs, path)
    script = Path(__file__).parent / "peers" / "datatrove_filters.py"
    done = subprocess.run([str(PEER), str(script), "time", str(path), "1"], capture_output=True, text=True, check=True)
    found: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return found


def decisions(docs: pa.Table) -> dict[str, dict[str, int]]:
    """Of each filter: documents, drops and other decisions than datatrove's."""
    peer_found = peer_decisions(docs, PEER)
    found = compare(docs, peer_found) | {"c4": compare_c4(docs, peer_found)}
    return {
        name: {
            "documents": one["documents"],
            "dropped_by_datatrove": one["dropped_by_datatrove"],
            "other_with_same_words": one["same_words"]["other_decision"],
            "other_with_own_words": one["own_words"]["other_decision"],
        }
        for name, one in found.items()
    }


def main() -> None:
    """Measure."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--texts", type=Path, default=FOLDER, help="where extracted texts are kept")
    parser.add_argument("--peer-documents", type=int, default=200, help="documents that datatrove reads a run")
    parser.add_argument("--runs", type=int, default=5, help="alternating runs")
    parser.add_argument("--no-write", action="store_true", help="print, and leave the result file alone")
    options = parser.parse_args()
    docs = real_texts(options.texts).select(["url", "text", "lang"])
    step = max(1, docs.num_rows // options.peer_documents)
    subset = docs.take(list(range(0, docs.num_rows, step))).combine_chunks()
    size, subset_size = (sum(len(t.encode()) for t in one["text"].to_pylist()) for one in (docs, subset))
    ours = stages()
    outside = [make(name, {}) for name in ALONE]
    every = [*outside[:3], *ours, *outside[3:]]
    run(subset, every)
    seconds: dict[str, list[float]] = {"ours": [], "all": [], "ours_on_subset": [], "datatrove_on_subset": []}
    each: dict[str, list[float]] = {one.name: [] for one in every}
    theirs_start = []
    with tempfile.TemporaryDirectory() as folder:
        for _ in range(options.runs):
            seconds["ours"].append(timed(docs, ours))
            seconds["all"].append(timed(docs, every))
            seconds["ours_on_subset"].append(timed(subset, ours))
            theirs = peer(subset, Path(folder))
            seconds["datatrove_on_subset"] += theirs["seconds"]
            theirs_start.append(theirs["start_s"])
            for one in every:
                each[one.name].append(timed(docs, [one]))
    middle = {name: statistics.median(values) for name, values in (seconds | each).items()}
    ratios = [b / a for a, b in zip(seconds["ours_on_subset"], seconds["datatrove_on_subset"], strict=True)]
    result = {
        "stages": [one.name for one in ours],
        "all_stages": [one.name for one in every],
        "documents": docs.num_rows,
        "megabytes": size / 1e6,
        "ours": {"mb_per_cpu_s": size / 1e6 / middle["ours"], "documents_per_cpu_s": docs.num_rows / middle["ours"]},
        "all": {"mb_per_cpu_s": size / 1e6 / middle["all"], "documents_per_cpu_s": docs.num_rows / middle["all"]},
        "each_alone_mb_per_cpu_s": {one.name: size / 1e6 / middle[one.name] for one in every},
        "subset": {
            "documents": subset.num_rows,
            "megabytes": subset_size / 1e6,
            "ours_mb_per_cpu_s": subset_size / 1e6 / middle["ours_on_subset"],
            "datatrove_mb_per_cpu_s": subset_size / 1e6 / middle["datatrove_on_subset"],
        },
        "times_datatrove": statistics.median(ratios),
        "ratios": ratios,
        "decisions": decisions(subset),
        "start": {**start_seconds(START), "datatrove": {"cpu_s": statistics.median(theirs_start)}},
        "peer_versions": theirs["versions"],
        "cpu_seconds": seconds,
        "cpu_seconds_each_alone": each,
    }
    print(json.dumps(result, indent=1))
    if not options.no_write:
        write("heuristics", result, ("numpy", "pyarrow", "numba"))


if __name__ == "__main__":
    main()
