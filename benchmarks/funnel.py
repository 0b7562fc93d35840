"""The funnel against the full run: do both keep the same documents, and what does the cheap engine save?

    python -m benchmarks.funnel [--every 2] [--runs 5] [--margin 0.4]

Every n-th page of each collection under ../shared/data/html goes through the stages of the recipe `funnel` up to
deduplication, with the stage `funnel` and without it. Agreement is the share of documents that the full run keeps and
the funnel keeps, too; what the funnel keeps is always a part of the full run's. Writes benchmarks/results/funnel.json.
"""

from __future__ import annotations

import argparse
from collections import Counter

import pyarrow as pa

from benchmarks.common import SHARED, alternate, medians, write
from pipeline.mapstep import MapStep, apply_stages
from pipeline.recipe import build, override, read_recipe, without
from pipeline.stage import Stage
from pipeline.steps import StageCounts
from pipeline.warc import list_sources, plan_splits, read_pages


def pages(every: int) -> pa.Table:
    """Every n-th page of all collections."""
    tables = []
    for path in sorted((SHARED / "html").glob("*.warc.gz")):
        for split in plan_splits(list_sources([str(path)]), split_bytes=1 << 40):
            tables += [b.table.take(list(range(0, b.table.num_rows, every))) for b in read_pages(split)]
    return pa.concat_tables(tables)


def stages_of(plain: dict[str, object]) -> tuple[Stage, ...]:
    """The stages of the recipe's per-shard steps, in order."""
    return tuple(s for step in build(plain).steps if isinstance(step, MapStep) for s in step.stages)


def main() -> None:
    """Run both alternately."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--every", type=int, default=2)
    parser.add_argument("--runs", type=int, default=5)
    parser.add_argument("--margin", type=float, default=0.4)
    args = parser.parse_args()
    plain = without(override(read_recipe("funnel"), [f"funnel.margin={args.margin}"]), ["exact_dedup"])
    chains = {"funnel": stages_of(plain), "full": stages_of(without(plain, ["funnel"]))}
    docs = pages(args.every)
    parts: dict[str, Counter[str]] = {name: Counter() for name in chains}
    kept: dict[str, set[str]] = {}
    counts: dict[str, list[StageCounts]] = {}

    def run(name: str, table: pa.Table, seconds: Counter[str]) -> None:
        counts[name] = [StageCounts(stage.name) for stage in chains[name]]
        made = [
            apply_stages(chains[name], table.slice(at, 256), counts[name], seconds)[0]
            for at in range(0, table.num_rows, 256)
        ]
        kept[name] = {row for one in made for row in one["id"].to_pylist()}

    for name in chains:  # kernels, models and child processes
        run(name, docs.slice(0, 20), Counter())
    seconds = alternate({name: lambda name=name: run(name, docs, parts[name]) for name in chains}, args.runs)  # type: ignore[misc]
    middle = medians(seconds)
    both = kept["full"] & kept["funnel"]
    funnel = next(c for c in counts["funnel"] if c.stage == "funnel")
    value = {
        "pages": docs.num_rows,
        "payload_mb": round(docs["payload"].nbytes / 1e6, 1),
        "margin": args.margin,
        "runs": args.runs,
        "kept_full": len(kept["full"]),
        "kept_funnel": len(kept["funnel"]),
        "agreement": round(len(both) / max(1, len(kept["full"])), 4),
        "kept_by_funnel_alone": len(kept["funnel"] - kept["full"]),
        "left_to_the_dear_engine": round(funnel.n_kept / max(1, funnel.n_in), 4),
        "dropped_by_funnel": dict(funnel.dropped.most_common(12)),
        "median_s": {name: round(value, 2) for name, value in middle.items()},
        "time_saved": round(1 - middle["funnel"] / middle["full"], 4),
        "mean_s_by_stage": {
            name: {stage: round(us / 1e6 / args.runs, 2) for stage, us in parts[name].items()} for name in chains
        },
        "seconds": {name: [round(s, 2) for s in values] for name, values in seconds.items()},
    }
    write("funnel", value, ("trafilatura", "numba", "pyarrow"))
    print(value)


if __name__ == "__main__":
    main()
