"""How good the text is: cross-validated and set left out, beside trafilatura and resiliparse, all in one run.

    python -m benchmarks.extract_quality [--every 1] [--favor balanced] [--texts FOLDER]

`cross_validated`: each page by a model that saw nothing of its fold (pages of one site, or of nearly the same text or
markup, share a fold). `left_out`: each set by a model of the other sets. Both have their paired 95 % bootstrap
interval over sites against each other engine, per set, page type and language. With --texts the files of
an earlier `gristmill extract train --cross-validate --leave-sets-out` are judged instead of training anew.
Writes benchmarks/results/extract_quality.json; nothing with --every above 1.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from pathlib import Path
from typing import Any

from benchmarks.common import SHARED, write
from pipeline.extract.engines import EngineOptions
from pipeline.extract.evaluation.evaluate import metadata_rows, read_texts, score_outputs, speeds, summarise
from pipeline.extract.evaluation.folds import groups
from pipeline.extract.evaluation.gold import load
from pipeline.extract.evaluation.running import engine, run
from pipeline.extract.evaluation.tables import sections
from pipeline.extract.native.model import Model
from pipeline.extract.training.command import CROSS_VALIDATED, LEFT_OUT, LIBRARIES, MODEL, train
from pipeline.progress import Progress
from pipeline.report import print_sections

PEERS = ("trafilatura", "trafilatura-fast", "resiliparse")
MINE = {"cross_validated": CROSS_VALIDATED, "left_out": LEFT_OUT}
DIGITS = 4


def rounded(value: Any) -> Any:
    """Figures to four digits after the point, all the way down."""
    if isinstance(value, float):
        return round(value, DIGITS)
    if isinstance(value, dict):
        return {key: rounded(item) for key, item in value.items()}
    return [rounded(item) for item in value] if isinstance(value, list) else value


def measure(texts: Path, every: int, favor: Any, resamples: int, progress: Progress) -> dict[str, Any]:
    """Score the texts in that folder and the peers on the same pages."""
    gold = load(SHARED, every=every)
    pages = gold.pages
    ready = {name: read_texts(texts / file) for name, file in MINE.items()}
    outputs = {name: [found[page.set, page.id] for page in pages] for name, found in ready.items()}
    ran = run(pages, PEERS, favor=favor, progress=progress)
    peers = {name: ran[name] for name in PEERS}
    grouped = groups(pages)
    scores = score_outputs(pages, outputs | peers, progress)
    leads = {}
    for name in MINE:  # each of the two against all others
        order = {name: scores[name]} | {other: found for other, found in scores.items() if other != name}
        leads[name] = summarise(pages, order, grouped, resamples=resamples)
    return {
        "pages": {name: sum(page.set == name for page in pages) for name in gold.missing},
        "missing": gold.missing,
        "groups": len(set(grouped)),
        "peers": {name: engine(name, EngineOptions(favor=favor)).version() for name in PEERS},
        "scores": leads["cross_validated"],
        "leads_of_left_out": [
            {key: row[key] for key in ("set", "slice", "measure", "contender", "lead")}
            for row in leads["left_out"]
            if row["contender"] != "left_out"
        ],
        "page_type": [row for row in metadata_rows(pages, outputs) if row["field"] == "page_type"],
        "speed": speeds(peers),
    }


def main(argv: list[str] | None = None) -> int:
    """Train, judge, print the tables and write the JSON."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--every", type=int, default=1, help="only each n-th page of a set (default 1)")
    parser.add_argument("--favor", default="balanced", help="balanced, precision or recall")
    parser.add_argument("--threads", type=int, default=2, help="threads of LightGBM (default 2)")
    parser.add_argument("--resamples", type=int, default=2000, help="draws of the bootstrap (default 2000)")
    parser.add_argument("--texts", type=Path, help="folder with the three files of an earlier training")
    args = parser.parse_args(argv)
    progress = Progress()
    with tempfile.TemporaryDirectory() as scratch:
        folder = args.texts or Path(scratch)
        if args.texts is not None:
            card = Model.load(folder / MODEL).card
        else:
            options = {"every": args.every, "threads": args.threads, "favor": args.favor, "progress": progress}
            card = train(SHARED, folder / MODEL, cross_validation=True, left_out=True, **options).card
        result = measure(folder, args.every, args.favor, args.resamples, progress)
    shown = {"first": "cross_validated", "metadata": result["page_type"]} | {
        key: result[key] for key in ("scores", "speed", "missing")
    }
    print_sections(sections(shown), sys.stdout)
    if args.every == 1:
        trained = {key: card[key] for key in ("sets", "seed", "folds", "trees", "parameters", "versions")}
        settings = {"favor": args.favor, "resamples": args.resamples, "trained": trained}
        write("extract_quality", settings | rounded(result), (*LIBRARIES, "trafilatura", "resiliparse"))
    return 0


if __name__ == "__main__":
    sys.exit(main())
