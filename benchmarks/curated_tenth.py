"""A corpus against its curated tenth at equal compute: is a model on raw web weaker than one on a tenth of it?

    python -m benchmarks.curated_tenth [--settings toy] [--workers 2] [--inputs WARC ...] [--folder FOLDER]

The corpus is every English page's main text (recipe `raw-pages`). The curated tenth is a tenth of its bytes: the pages
of highest quality of what the filters and the deduplication leave (recipe `curated-tenth`). The random tenth is as much
of the corpus by chance, and tells what repetition alone costs. All arms take the same steps, so a tenth is repeated
where the corpus is not: `epochs` says how often. Settings stand in benchmarks/curated_tenth.yaml: `toy` for two CPU
cores and the pages of ../shared/data (held-out sets as in benchmarks/curated_raw.py), `gpu_30m` and `gpu_100m` for one
GPU and Common Crawl's files as --inputs.

Writes benchmarks/results/curated_tenth.json (other settings: FOLDER/result.json): arms with epochs, every run's
figures, all comparisons, for each number of tokens.
"""

from __future__ import annotations

import argparse
import time
from pathlib import Path
from typing import Any

import pyarrow.compute as pc
import pyarrow.parquet as pq

from pipeline.errors import ConfigError
from pipeline.progress import Progress
from pipeline.recipe import build, read_recipe
from pipeline.run import RunResult, execute
from pipeline.runner import Runner
from pipeline.store import write_json
from pipeline.yaml_input import load_yaml
from pretrain.ablation import Arm, run_ablation
from pretrain.ablation.design import make_design
from pretrain.ablation.report import write as write_report

from .common import ROOT, SHARED, write
from .curated_raw import pages, recipe_file, told
from .planted_defects import runner

FOLDER = ROOT / "runs" / "curated-tenth"
SETTINGS = Path(__file__).with_suffix(".yaml")
PART = 10


def settings(name: str) -> dict[str, Any]:
    """The named settings: `tokens` (a list: each is an ablation of its own) and options of the ablation's design."""
    known = load_yaml(SETTINGS.read_bytes(), SETTINGS.name)
    if name not in known:
        raise ConfigError(f"{SETTINGS.name} has no settings '{name}'; there are {', '.join(known)}")
    return dict(known[name])


def kept(result: RunResult) -> tuple[list[str], int]:
    """(files, bytes of text) of what a run's last step keeps."""
    last = result.steps[-1]
    assert last.manifest is not None
    files = [str(last.folder / file) for file in last.manifest["artefact"]]
    return files, sum(
        pc.sum(pc.binary_length(pq.read_table(one, columns=["text"])["text"])).as_py() or 0 for one in files
    )


def corpora(inputs: list[str], folder: Path, run: Runner) -> tuple[list[Arm], dict[str, int]]:
    """The three arms, and the bytes of their text."""

    def make(name: str, recipe: str, *changes: str) -> tuple[list[str], int]:
        path = recipe_file(folder / "recipes" / f"{name}.yaml", recipe, changes, inputs)
        return kept(execute(build(read_recipe(path)), folder / "corpora" / name, run, Progress()))

    whole, size = make("raw", "raw-pages")
    tenth = f"select_top.keep={size // PART} bytes"
    curated, curated_size = make("curated_tenth", "curated-tenth", tenth)
    chance = {
        "name": "random-tenth",
        "source": {"documents": {"inputs": whole}},
        "steps": [{"select_random": {"keep": f"{size // PART} bytes"}}],
    }
    random, random_size = kept(execute(build(chance), folder / "corpora" / "random_tenth", run, Progress()))
    files = {"curated_tenth": curated, "raw": whole, "random_tenth": random}
    sizes = {"curated_tenth": curated_size, "raw": size, "random_tenth": random_size}
    return [Arm(name=name, inputs=tuple(some)) for name, some in files.items()], sizes


def main() -> None:
    """See the module."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--settings", default="toy", help="toy, gpu_30m or gpu_100m")
    parser.add_argument("--workers", type=int, default=2, help="processes; on a GPU 1")
    parser.add_argument("--inputs", nargs="+", help="WARC files in place of those of ../shared/data")
    parser.add_argument("--folder", type=Path, default=FOLDER)
    args = parser.parse_args()
    chosen = settings(args.settings)
    start = time.perf_counter()
    value: dict[str, Any] = {"settings": args.settings}
    with runner(args.workers) as run:
        arms, value["text_bytes"] = corpora(args.inputs or pages(), args.folder, run)
        for tokens in chosen.pop("tokens"):
            design = make_design(
                {"preset": str(SHARED), "readings": ["tokens"], **chosen, "tokens": tokens}, SETTINGS.name
            )
            out = args.folder / f"ablation-{tokens}"
            result = run_ablation(arms, design, out, runner=run, progress=Progress())
            write_report(result, out)
            print(f"{tokens:,} tokens:", *result.verdicts(), sep="\n  ")
            value[f"{tokens} tokens"] = told(result)
    value["seconds"] = time.perf_counter() - start
    if args.settings == "toy" and not args.inputs:
        write("curated_tenth", {"workers": args.workers, **value}, ("torch", "numpy"))
    else:
        write_json(args.folder / "result.json", value)


if __name__ == "__main__":
    main()
