"""Fuzzing for a given time: inputs tried by target, coverage, findings. `make fuzz MINUTES=30`.

    python -m benchmarks.fuzz [--minutes 30] [--targets warc extraction ...] [--seed 0] [--workers 1] [--out fuzz]

Each target gets the same share of the time, in a process of its own (tests/fuzz/engine.py). Findings are written to
tests/fuzz/regressions/TARGET/HASH and have to be mended; the tests try all files there. The figures go to
results/fuzz.json (`minutes` are those of all targets together, whatever ran at once). Decontamination's kernels are
fuzzed with every array guarded by `make fuzz-decontam`.
"""

from __future__ import annotations

import argparse
import shutil
import sys
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

from tests.fuzz.engine import REGRESSIONS, Outcome, fuzz
from tests.fuzz.targets import TARGETS

from .common import write


def saved(outcome: Outcome) -> list[dict[str, Any]]:
    """The findings as they go into the JSON; their inputs are kept."""
    out = []
    for one in outcome.findings:
        path = REGRESSIONS / one.target / one.name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(one.data)
        out.append({"kind": one.kind, "detail": one.detail, "input": path.relative_to(REGRESSIONS).as_posix()})
    return out


def main() -> int:
    """Run all targets, print a line for each; status 1 where there are findings."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--minutes", type=float, default=30.0, help="for all targets together, on one worker")
    parser.add_argument("--targets", nargs="*", choices=list(TARGETS), default=list(TARGETS))
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--workers", type=int, default=1, help="targets at once")
    parser.add_argument("--hang-s", type=float, default=30.0, help="seconds after which an input counts as a hang")
    parser.add_argument("--out", default="fuzz", metavar="NAME", help="write results/NAME.json (default: fuzz)")
    given = parser.parse_args()
    each = given.minutes * 60 * given.workers / len(given.targets)
    base = Path("/dev/shm") if Path("/dev/shm").is_dir() else None
    folder = Path(tempfile.mkdtemp(prefix="gristmill-fuzz-", dir=base))
    results: dict[str, dict[str, Any]] = {}
    start = time.monotonic()

    def run(name: str) -> Outcome:
        return fuzz(name, each, folder / name, seed=given.seed, hang_s=given.hang_s)

    try:
        with ThreadPoolExecutor(given.workers) as pool:
            for outcome in pool.map(run, given.targets):
                findings = saved(outcome)
                results[outcome.target] = {
                    "tried": outcome.tried,
                    "minutes": round(outcome.seconds / 60, 2),
                    "edges": outcome.edges,
                    "corpus": outcome.corpus,
                    "findings": findings,
                }
                told = f"{outcome.tried:,} inputs, {outcome.edges:,} edges, {len(findings)} findings"
                print(f"{outcome.target}: {told}", flush=True)
                for one in findings:
                    print(f"  {one['input']}: {one['kind']}: {one['detail']}", flush=True)
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    total = sum(one["tried"] for one in results.values())
    count = sum(len(one["findings"]) for one in results.values())
    minutes = round(sum(one["minutes"] for one in results.values()), 2)
    kept = sum(1 for _ in REGRESSIONS.glob("*/*"))
    value = {"minutes": minutes, "wall_minutes": round((time.monotonic() - start) / 60, 2), "workers": given.workers}
    value |= {"seed": given.seed, "tried": total, "findings": count, "kept_inputs": kept, "targets": results}
    write(given.out, value, bench="fuzz")
    return 1 if count else 0


if __name__ == "__main__":
    sys.exit(main())
