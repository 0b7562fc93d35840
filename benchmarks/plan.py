"""`gristmill plan` against what then happened: planned from two of six files of all real pages, and the six then run.

    python -m benchmarks.plan [--every N] [--workers W]

Both runs take the default recipe without its training step, each in a process of its own with a warm kernel cache. The
plan knows of the whole only its bytes and how many files it has. Writes results/plan.json, with the error of every
quantity, and `pipeline/planning/measured.json`: the measurements that `gristmill plan` takes where it is given none.
`--every N` takes every Nth page, for a try, and writes neither, unless `--bundle` asks for the second.
"""

from __future__ import annotations

import argparse
import gzip
import io
import json
import subprocess
import sys
import tempfile
from contextlib import ExitStack
from pathlib import Path
from typing import Any

from pipeline.planning.extrapolate import Nodes, Target, plan
from pipeline.planning.measured import MEASURED, Measured, measure
from pipeline.runner import available_cpus

from .common import ROOT, SHARED, write

FILES, PART = 6, 3
RECIPE = "crawl-to-shards"
MEMORY = 64e9
"""Of the one node that is planned for: enough for its tasks."""


def split_pages(folder: Path, every: int) -> tuple[Path, Path]:
    """Folders with all files and with a third of them; each holds pages of all sources, as a crawl's files do."""
    from fastwarc.warc import ArchiveIterator, WarcRecordType

    whole, part = folder / "whole", folder / "part"
    whole.mkdir()
    part.mkdir()
    seen = 0
    with ExitStack() as stack:
        files = [stack.enter_context(open(whole / f"pages-{i}.warc.gz", "wb")) for i in range(FILES)]
        for source in sorted((SHARED / "html").glob("*.warc.gz")):
            stream = stack.enter_context(open(source, "rb"))
            records = ArchiveIterator(stream, record_types=WarcRecordType.response, parse_http=False)
            for number, record in enumerate(records):
                if number % every == 0:
                    member = io.BytesIO()
                    record.write(member)
                    files[seen % FILES].write(gzip.compress(member.getvalue(), 6, mtime=0))
                    seen += 1
    for i in range(FILES // PART):
        (part / f"pages-{i}.warc.gz").hardlink_to(whole / f"pages-{i}.warc.gz")
    return whole, part


def run(pages: Path | str, output: Path, workers: int) -> Measured:
    """The main job on a folder of pages; what it took."""
    command = [sys.executable, "-m", "pipeline.cli", "run", RECIPE, "--without", "pretrain", "--quiet"]
    where = ["--inline"] if workers == 1 else ["--workers", str(workers)]
    subprocess.run([*command, *where, "--input", str(pages), "--output", str(output)], check=True, cwd=ROOT)
    return measure(output)


def compare(planned: dict[str, float], seen: dict[str, float]) -> dict[str, dict[str, float | None]]:
    """Planned, seen and the relative error, quantity by quantity."""
    return {
        name: {
            "planned": round(planned[name], 3),
            "seen": round(seen[name], 3),
            "error": round(planned[name] / seen[name] - 1, 4) if seen[name] else None,
        }
        for name in planned
    }


def main() -> None:
    """Run both, plan, compare."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--every", type=int, default=1)
    parser.add_argument("--workers", type=int, default=available_cpus())
    parser.add_argument("--bundle", action="store_true")
    args = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        whole, part = split_pages(folder, args.every)
        run("sample", folder / "run-warm", args.workers)
        base = run(part, folder / "run-part", args.workers)
        seen = run(whole, folder / "run-whole", args.workers)
        files = len(list(whole.iterdir()))
        stored = {step.step: float(_bytes(folder / "run-whole" / step.step)) for step in seen.steps}
        wall = {r: _wall(folder / r) for r in ("run-part", "run-whole")}
    nodes = Nodes(1, args.workers, MEMORY)
    made = plan(base, Target(float(seen.input_bytes), files=files), nodes)
    value: dict[str, Any] = {
        "what": "planned from two of six WARC files; of the six only the bytes and their number given",
        "recipe": f"{RECIPE} without pretrain",
        "workers": args.workers,
        "pages": {"part": base.pages, "whole": seen.pages},
        "bytes": {"part": base.input_bytes, "whole": seen.input_bytes},
        "whole": compare(
            {
                "cpu_s": made.cpu_s,
                "wall_s": made.wall_s,
                "stored_bytes": made.stored_bytes,
                "pages": made.pages,
                "documents_kept": made.steps[-1].rows_out,
                "tokens": made.tokens,
            },
            {
                "cpu_s": sum(step.task_s + step.driver_s for step in seen.steps),
                "wall_s": wall["run-whole"],
                "stored_bytes": sum(stored.values()),
                "pages": float(seen.pages),
                "documents_kept": float(seen.steps[-1].rows_out),
                "tokens": float(next(step.tokens for step in reversed(seen.steps) if step.tokens)),
            },
        ),
        "by_step": {
            step.step: compare(
                {"cpu_s": out.cpu_s, "rows_out": out.rows_out, "stored_bytes": sum(out.bytes.values())},
                {
                    "cpu_s": step.task_s + step.driver_s,
                    "rows_out": float(step.rows_out),
                    "stored_bytes": stored[step.step],
                },
            )
            for step, out in zip(seen.steps, made.steps, strict=True)
        },
    }
    print(json.dumps({"whole": value["whole"], "by_step": value["by_step"]}, indent=1))
    if args.every == 1:
        write("plan", value, ("pyarrow", "polars", "ray"))
    if args.every == 1 or args.bundle:
        table = ROOT / "pipeline" / "planning" / MEASURED
        table.write_text(json.dumps(seen.to_json(), indent=1) + "\n", encoding="utf-8")


def _bytes(step: Path) -> int:
    """What a step's folder holds, but for marks and timings."""
    left_out = ("done", "timings", "inputs.json", "manifest.json", "plan.json")
    files = [path for path in step.rglob("*") if path.is_file()]
    return sum(path.stat().st_size for path in files if path.relative_to(step).parts[0] not in left_out)


def _wall(output: Path) -> float:
    """Seconds of all steps of a run."""
    return float(sum(step["wall_s"] for step in json.loads((output / "run.json").read_text())["steps"].values()))


if __name__ == "__main__":
    main()
