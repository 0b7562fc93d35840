"""Planted defects: whether an ablation finds a known flaw, its repair, and nothing where there is nothing.

    python -m benchmarks.planted_defects [--workers 2] [--pilot] [--folder FOLDER]

The design (pretrain/defects/design.yaml) was committed before these runs; what was tried on the pilot's texts stands in
docs/planted-defects.md. A stopped run is taken up again by the same command. `--pilot` takes other texts and seeds from
100 on, and writes no results.

Writes benchmarks/results/planted_defects.json: the design, what was planted and taken, every run's bits per byte, all
claims with interval, p and corrected p, seconds of the whole.
"""

from __future__ import annotations

import argparse
import time
from pathlib import Path
from typing import Any

from pipeline.progress import Progress
from pipeline.runner import InlineRunner, RayRunner, Runner
from pretrain.defects.design import load_design
from pretrain.defects.experiment import run_defects

from .common import ROOT, write
from .defect_texts import texts

FOLDER = ROOT / "runs" / "planted-defects"
PILOT_SEEDS = 100


def runner(workers: int) -> Runner:
    """So many processes of one thread each; 1: this process."""
    return RayRunner(workers=workers) if workers > 1 else InlineRunner()


def rows(claims: list[dict[str, Any]]) -> str:
    """The claims as a table."""
    return "\n".join(
        f"{'held' if one['held'] else 'NOT HELD':9}{one['name']:42}{one['difference']:+.4f}"
        f" [{one['low']:+.4f}, {one['high']:+.4f}]  p {one['p_holm']:.2g}"
        for one in claims
    )


def main() -> None:
    """See the module."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--workers", type=int, default=2, help="processes of one thread each")
    parser.add_argument("--pilot", action="store_true", help="the pilot's texts and seeds; no results are written")
    parser.add_argument("--seeds", type=int, help="another number of seeds than the design's (pilot only)")
    parser.add_argument("--folder", type=Path, default=FOLDER)
    args = parser.parse_args()
    if args.seeds and not args.pilot:
        parser.error("--seeds is for the pilot: the design's number counts")
    name = "pilot" if args.pilot else "report"
    changes = {"first_seed": PILOT_SEEDS} | ({"seeds": args.seeds} if args.seeds else {}) if args.pilot else {}
    design = load_design(None, **changes)
    made = texts(name, design.corpus_bytes, design.seed)
    print(f"budget: {design.budget_minutes:g} minutes for all four experiments on {args.workers} processes", flush=True)
    start = time.perf_counter()
    with runner(args.workers) as run:
        value = run_defects(made, design, args.folder / name, runner=run, progress=Progress())
    seconds = time.perf_counter() - start
    print(rows(value["claims"]))
    print(f"restored: {', '.join(f'{one} {share:.2f}' for one, share in value['restored_share'].items())}")
    print(f"{seconds / 60:.1f} of {design.budget_minutes:g} minutes (what was done before this call is not counted)")
    if not args.pilot:
        write("planted_defects", {"seconds": seconds, "workers": args.workers, **value}, ("torch", "numpy"))


if __name__ == "__main__":
    main()
