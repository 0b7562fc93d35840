"""Curated against raw: models trained on the output of crawl-to-shards and on the same pages without its choices.

    python -m benchmarks.curated_raw [--workers 2] [--seeds 6] [--tokens 800000] [--folder FOLDER]

Pages are those of ../shared/data/html but for WCXB and DAnIEL, whose main texts, marked up by people, are held-out
sets, beside Wikipedia, textbooks, the Brown corpus and web documents that people called good: none was chosen by a
filter, and held-out documents that any arm has a copy of are left out. All arms see equal tokens.

| arm | its documents |
|---|---|
| whole_page | all text of each page, menus and notices too |
| extracted | each page's main text, nothing dropped |
| curated | what crawl-to-shards keeps: rules, deduplication, classifiers, decontamination |
| extracted_en, curated_en | the same of English pages only, for the held-out sets are English |

Writes benchmarks/results/curated_raw.json: arms, every run's figures, all comparisons with intervals and p.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import yaml

from pipeline.progress import Progress
from pipeline.recipe import override, read_recipe
from pretrain.ablation import Arm, Design, Result, run_ablation
from pretrain.ablation.report import write as write_report

from .common import ROOT, SHARED, write
from .planted_defects import runner

FOLDER = ROOT / "runs" / "curated-raw"
MEASURED_ON = ("wcxb", "daniel_waddle")
ENGLISH = "language.languages=[en]"
WHOLE_PAGE = ("extract.engine=resiliparse", "extract.favor=recall", "extract.comments=true")
EVERY_LANGUAGE = ("language.languages=[]", "language.min_score=0.0")
ARMS: Mapping[str, tuple[str, tuple[str, ...]]] = {
    "curated": ("crawl-to-shards", ()),
    "extracted": ("raw-pages", EVERY_LANGUAGE),
    "whole_page": ("raw-pages", (*EVERY_LANGUAGE, *WHOLE_PAGE)),
    "curated_en": ("crawl-to-shards", (ENGLISH,)),
    "extracted_en": ("raw-pages", ()),
}
"""By arm: a bundled recipe, and what is set in it."""


def pages() -> list[str]:
    """The WARC files that arms are made of."""
    return [str(path) for path in sorted((SHARED / "html").glob("*.warc.gz")) if path.name[:-8] not in MEASURED_ON]


def recipe_file(path: Path, recipe: str, settings: Sequence[str], inputs: Sequence[str]) -> str:
    """A bundled recipe with other inputs and settings as a file of its own."""
    plain = override(read_recipe(recipe), settings)
    plain["source"]["warc"]["inputs"] = list(inputs)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(yaml.safe_dump(plain, sort_keys=False), encoding="utf-8")
    return str(path)


def small(**options: Any) -> Design:
    """What a model of 0.2M parameters learns in about half a minute, and all that it is measured on."""
    return Design(
        **{
            "size": "0.2M", "training": {"optim": {"muon": True}}, "lr": 0.004, "vocab_size": 1024,
            "sequence_length": 128, "batch_size": 8, "tokens": 800_000, "seeds": 6, "readings": ("tokens",),
            "held_out_bytes": 100_000, "gold_items": 100, "evaluations": 1, "preset": str(SHARED), **options,
        }
    )  # fmt: skip


def told(result: Result) -> dict[str, Any]:
    """What the result file holds of an ablation: no paths, no curves."""
    plain = result.to_json()
    design = {key: value for key, value in plain["design"].items() if key not in ("held_out", "preset", "gold")}
    runs = [{key: value for key, value in run.items() if key != "curve"} for run in plain["runs"]]
    return {**plain, "design": design, "runs": runs}


def main() -> None:
    """See the module."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--workers", type=int, default=2, help="processes of one thread each")
    parser.add_argument("--seeds", type=int, default=6)
    parser.add_argument("--tokens", type=int, default=800_000, help="tokens of a run")
    parser.add_argument("--folder", type=Path, default=FOLDER)
    args = parser.parse_args()
    start = time.perf_counter()
    arms = [
        Arm(name=name, inputs=(recipe_file(args.folder / "recipes" / f"{name}.yaml", recipe, settings, pages()),))
        for name, (recipe, settings) in ARMS.items()
    ]
    design = small(seeds=args.seeds, tokens=args.tokens)
    with runner(args.workers) as run:
        result = run_ablation(arms, design, args.folder / "ablation", runner=run, progress=Progress())
    write_report(result, args.folder / "ablation")
    print("\n".join(result.verdicts()))
    value = {"pages": "html/*.warc.gz without " + ", ".join(MEASURED_ON), "seconds": time.perf_counter() - start}
    write("curated_raw", {**value, "workers": args.workers, **told(result)}, ("torch", "numpy"))


if __name__ == "__main__":
    main()
