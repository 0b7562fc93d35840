"""Memory over hours: real pages through the map stages and dedup, round after round, on one Ray with two workers.

    python -m benchmarks.soak [--minutes 30] [--pages 400] [--trace]

One driver and one set of workers do all rounds; each round is a run of its own, into a folder of its own, as a service
that takes in a crawl bit by bit would do it. At each round's end, when no task runs, the resident (RSS) and unshared
(USS) memory of the driver, of each worker and of each extraction child is read from /proc, and once a second on the way
for the peak. (Medians of what was read on the way moved by 20 MB with the mixture of tasks.) After the warm-up (the
first quarter of the rounds, and at least five) a Theil-Sen slope over the rounds says how fast each grows, with a
percentile interval from a bootstrap over blocks of rounds (neighbours are alike). A process is `flat` where the upper
end of the 95 % interval of its RSS is under MAX_SHARE of its RSS an hour. Extraction children are replaced now and then
by design (the guard's limits); those that lived through fewer than half of the rounds are listed without a slope.

`--trace`: tracemalloc's largest growth in the driver, on stdout.
"""

from __future__ import annotations

import argparse
import os
import shutil
import statistics
import tempfile
import threading
import time
from collections import defaultdict
from pathlib import Path
from typing import Any

import numpy as np

from .common import SHARED, write

MAX_SHARE = 0.03
"""Of a process's RSS, an hour: at 600 MB that is 18 MB/h, less than half a GB a day, and workers live for hours."""
WARM_UP_SHARE, WARM_UP_ROUNDS = 0.25, 5
DRAWS, BLOCK = 2000, 3
EVERY_S = 1.0
SETTLE_S = 0.2
"""From a round's last result until its memory is read."""
TRACED_FROM = 15
"""Round from which allocations are traced; by then all that is imported late has been."""

STEPS: list[Any] = [
    "url",
    {"extract": {}},
    {"language": {"languages": ["de", "en", "es", "fr"], "min_score": 0.5}},
    "mojibake_repair",
    "placeholder",
    {"c4_lines": {"terminal_punctuation": False, "min_words": 0}},
    "gopher_repetition",
    "gopher_quality",
    "fineweb_quality",
    {"exact_dedup": {"by": ["text"]}},
    {"minhash_dedup": {"preset": "fineweb"}},
    "pii",
]


def memory(pid: int) -> tuple[float, float] | None:
    """(RSS, USS) of a process in MB; None where it is gone."""
    try:
        text = Path(f"/proc/{pid}/smaps_rollup").read_text()
    except OSError:
        return None
    kb = {line.split(":")[0]: int(line.split()[1]) for line in text.splitlines()[1:] if line.endswith("kB")}
    return kb.get("Rss", 0) / 1024, (kb.get("Private_Clean", 0) + kb.get("Private_Dirty", 0)) / 1024


def processes() -> dict[int, str]:
    """Our processes by role: `driver`, `worker` (Ray's, once it has run a task) and `extraction` (its children)."""
    parents: dict[int, tuple[int, str]] = {}
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                fields = (entry / "stat").read_text().rpartition(")")[2].split()
                words = (entry / "cmdline").read_bytes().replace(b"\0", b" ").decode("utf-8", "replace")
            except OSError:
                continue
            parents[int(entry.name)] = (int(fields[1]), words)

    def ours(pid: int) -> bool:
        while pid in parents and pid > 1:
            if pid == os.getpid():
                return True
            pid = parents[pid][0]
        return False

    found = {os.getpid(): "driver"}
    for pid, (parent, words) in parents.items():
        if ours(pid) and words.startswith("ray::") and "Agent" not in words:
            found[pid] = "worker"
        elif "pipeline.extract.child" in words and parents.get(parent, (0, ""))[1].startswith("ray::") and ours(pid):
            found[pid] = "extraction"
    return found


class Sampler(threading.Thread):
    """Reads the memory of all processes at the end of each round, and once a second for their peaks."""

    def __init__(self) -> None:
        super().__init__(daemon=True)
        self.round = 0
        self.stop = threading.Event()
        self.roles: dict[int, str] = {}
        self.ends: dict[int, dict[int, tuple[float, float]]] = defaultdict(dict)
        self.peaks: dict[int, float] = defaultdict(float)

    def run(self) -> None:
        while not self.stop.wait(EVERY_S):
            for pid, (rss, _) in self.read().items():
                self.peaks[pid] = max(self.peaks[pid], rss)

    def read(self) -> dict[int, tuple[float, float]]:
        """(RSS, USS) of our processes now, in MB."""
        roles = processes()
        self.roles |= roles
        found = {pid: memory(pid) for pid in roles}
        return {pid: one for pid, one in found.items() if one}

    def end_round(self) -> None:
        """Read once for the round that has ended."""
        time.sleep(SETTLE_S)
        for pid, one in self.read().items():
            self.ends[pid][self.round] = one
        self.round += 1


def theil_sen(x: np.ndarray, y: np.ndarray) -> float:
    """The median of the slopes between all pairs of points."""
    i, k = np.triu_indices(len(x), 1)
    run = x[k] - x[i]
    return float(np.median((y[k] - y[i])[run > 0] / run[run > 0])) if (run > 0).any() else 0.0


def slope(x: np.ndarray, y: np.ndarray, draws: int = DRAWS, block: int = BLOCK) -> tuple[float, float, float]:
    """(slope, lower and upper end of its 95 % interval), by a bootstrap over blocks of neighbouring points."""
    rng = np.random.default_rng(0)
    starts = np.arange(max(1, len(x) - block + 1))
    made = []
    for _ in range(draws):
        chosen = (rng.choice(starts, -(-len(x) // block))[:, None] + np.arange(min(block, len(x)))).ravel()[: len(x)]
        if len(set(x[chosen])) > 2:
            made.append(theil_sen(x[chosen], y[chosen]))
    low, high = np.percentile(made, [2.5, 97.5]) if made else (0.0, 0.0)
    return theil_sen(x, y), float(low), float(high)


def part_of(source: Path, target: Path, pages: int) -> int:
    """Copy the first `pages` response records of a WARC file; returns how many there were."""
    from warcio.archiveiterator import ArchiveIterator
    from warcio.warcwriter import WARCWriter

    count = 0
    with source.open("rb") as handle, target.open("wb") as out:
        writer = WARCWriter(out, gzip=True)
        for record in ArchiveIterator(handle):
            if record.rec_type == "response" and count < pages:
                writer.write_record(record)
                count += 1
    return count


def figures(sampler: Sampler, ends: list[float]) -> list[dict[str, Any]]:
    """Growth of each process, the oldest first."""
    first = max(WARM_UP_ROUNDS, int(WARM_UP_SHARE * len(ends)))
    hours = np.array(ends) / 3600
    out = []
    for pid, rounds in sorted(sampler.ends.items()):
        seen = sorted(rounds)
        kept = [r for r in seen if r >= first]
        rss, uss = ([rounds[r][i] for r in kept] for i in (0, 1))
        row: dict[str, Any] = {"role": sampler.roles[pid], "rounds": len(seen)}
        if len(kept) >= max(4, (len(ends) - first) / 2):
            for name, values in (("rss", rss), ("uss", uss)):
                at, low, high = slope(hours[kept], np.array(values))
                row |= {
                    f"{name}_mb": round(statistics.median(values), 1),
                    f"{name}_first_mb": round(values[0], 1),
                    f"{name}_last_mb": round(values[-1], 1),
                    f"{name}_mb_per_hour": [round(at, 2), round(low, 2), round(high, 2)],
                }
            row["kb_per_round"] = round(float(1024 * row["rss_mb_per_hour"][0] * hours[-1] / len(ends)), 1)
            row["rss_peak_mb"] = round(sampler.peaks[pid], 1)
            row["bound_mb_per_hour"] = round(MAX_SHARE * row["rss_mb"], 1)
            row["flat"] = row["rss_mb_per_hour"][2] < row["bound_mb_per_hour"]
            row["rss_mb_by_round"] = [round(rounds[r][0], 1) for r in seen]
        out.append(row)
    return out


def main() -> None:
    """Run the rounds and write `results/soak.json`."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--minutes", type=float, default=30.0)
    parser.add_argument("--pages", type=int, default=400, help="real pages in a round")
    parser.add_argument("--trace", action="store_true", help="tracemalloc's growth in the driver")
    given = parser.parse_args()

    from pipeline.progress import Progress
    from pipeline.recipe import build
    from pipeline.run import execute
    from pipeline.runner import RayRunner

    folder = Path(tempfile.mkdtemp(prefix="gristmill-soak-"))
    sampler, ends = Sampler(), []
    snapshot: Any = None
    try:
        pages = part_of(SHARED / "html" / "wcxb.warc.gz", folder / "pages.warc.gz", given.pages)
        source = {"warc": {"inputs": [str(folder / "pages.warc.gz")], "split_bytes": 1 << 20}}
        begun = time.monotonic()
        with RayRunner(workers=2) as runner:
            sampler.start()
            while time.monotonic() - begun < given.minutes * 60:
                recipe = build({"name": "soak", "source": source, "steps": STEPS})
                execute(recipe, folder / "run", runner, Progress(quiet=True))
                shutil.rmtree(folder / "run")
                ends.append(time.monotonic() - begun)
                sampler.end_round()
                if given.trace and sampler.round == TRACED_FROM:
                    import tracemalloc

                    tracemalloc.start(12)
                if given.trace and sampler.round == TRACED_FROM + 2:
                    snapshot = tracemalloc.take_snapshot()
            sampler.stop.set()
            sampler.join()
        if snapshot is not None:
            shown = (tracemalloc.Filter(False, "<frozen importlib*>"), tracemalloc.Filter(False, tracemalloc.__file__))
            grown = (
                tracemalloc.take_snapshot().filter_traces(shown).compare_to(snapshot.filter_traces(shown), "traceback")
            )
            for one in grown[:12]:
                print(f"{one.size_diff} bytes, {one.count_diff} blocks", *one.traceback.format(8), sep="\n")
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    found = figures(sampler, ends)
    judged = [one for one in found if "flat" in one]
    for one in judged:
        print({name: value for name, value in one.items() if name != "rss_mb_by_round"})
    write("soak", {
        "minutes": round(ends[-1] / 60, 1),
        "rounds": len(ends),
        "pages_per_round": pages,
        "workers": 2,
        "warm_up_rounds": max(WARM_UP_ROUNDS, int(WARM_UP_SHARE * len(ends))),
        "max_share_per_hour": MAX_SHARE,
        "processes": found,
        "flat": bool(judged) and all(one["flat"] for one in judged if one["role"] != "extraction"),
    }, packages=("ray", "pyarrow"))  # fmt: skip


if __name__ == "__main__":
    main()
