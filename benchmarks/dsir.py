"""DSIR: speed beside the authors' package, the same weights, and how near to a target it comes beside chance.

    python -m benchmarks.dsir [--runs 5] [--limit N]

The corpus are the texts of all real pages (benchmarks/texts.py), the target text books (OpenStax).

speed    one process: the command `gristmill select dsir` from start to end, and the package's fit, weights and draw
         (data-selection in `.venv-peers`, make peers, or GRISTMILL_PEERS), in turn; and the kernel alone
same     the largest difference between the two programs' log importance weights, document by document
nearness KL divergence of hashed unigrams and bigrams from one half of the target, where the other half is what the
         selection was given: of the corpus, of DSIR's draw, of its largest weights, and of draws by chance, all with as
         many documents, and by chance with as many bytes of text as DSIR's draw

Writes benchmarks/results/dsir.json.
"""

from __future__ import annotations

import argparse
import gzip
import json
import shutil
import statistics
import subprocess
import sys
import tempfile
from functools import partial
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from mixtures.dsir_features import Featurizer, divergence

from .common import ROOT, SHARED, alternate, medians, write
from .texts import PEER, real_texts

TARGET = SHARED / "quality" / "openstax_md.jsonl.gz"
SHARE = 10
"""Percent of the documents that are kept."""
SEEDS = 5
_PEER_CODE = ROOT / "benchmarks" / "peers" / "dsir.py"


def select(inputs: Path, output: Path, step: str, *options: str) -> None:
    """The command line of `gristmill select`, in one process."""
    command = [sys.executable, "-m", "pipeline.cli", "select", step, str(inputs), "-o", str(output), "--quiet"]
    subprocess.run([*command, *options], check=True, cwd=ROOT)


def has_peer() -> bool:
    """Whether the peers' interpreter has data-selection."""
    probe = [str(PEER), "-c", "import data_selection"]
    return PEER.exists() and subprocess.run(probe, capture_output=True, check=False).returncode == 0


def peer(raw: Path, target: Path, keep: int, work: Path, out: Path) -> None:
    """The package, from start to end, in one process."""
    shutil.rmtree(work, ignore_errors=True)
    subprocess.run([str(PEER), str(_PEER_CODE), str(raw), str(target), str(keep), str(work), str(out)], check=True,
                   capture_output=True)  # fmt: skip


def write_lines(path: Path, texts: list[str]) -> Path:
    """JSON lines with the number of each text as its id."""
    lines = (json.dumps({"id": str(i), "text": text}, ensure_ascii=False) + "\n" for i, text in enumerate(texts))
    path.write_text("".join(lines), encoding="utf-8")
    return path


def differences(found: dict[str, Any], ours: pa.Table) -> dict[str, Any]:
    """How the two programs' weights differ."""
    own = dict(zip(ours["id"].to_pylist(), ours["dsir_weight"].to_pylist(), strict=True))
    pairs = [(weight, own[str(i)]) for i, weight in enumerate(found["weights"])]
    return {
        "documents": len(pairs),
        "largest_difference_nats": max(abs(a - b) for a, b in pairs),
        "largest_relative_difference": max(abs(a - b) / max(1.0, abs(a)) for a, b in pairs),
        "largest_weight": max(abs(a) for a, _ in pairs),
    }


def nearness(folder: Path, raw: Path, target: list[str], documents: int) -> dict[str, Any]:
    """Divergences from one half of the target."""
    given = write_lines(folder / "given.jsonl", target[::2])
    featurizer = Featurizer()

    def counts(texts: Any) -> Any:
        return featurizer(texts).counts

    goal = counts(pa.array(target[1::2], pa.large_string()))
    keep = f"{SHARE}%"
    ways = {
        "dsir": ("dsir", "--target", str(given), "--keep", keep),
        "dsir, largest weights": ("dsir", "--target", str(given), "--keep", keep, "--noise", "false"),
        "dsir, sums over documents": ("dsir", "--target", str(given), "--keep", keep, "--chunk-words", "0"),
        **{f"chance {seed}": ("random", "--keep", keep, "--seed", str(seed)) for seed in range(SEEDS)},
    }
    found: dict[str, Any] = {}

    def measure(name: str, way: tuple[str, ...]) -> int:
        out = folder / "selected.parquet"
        select(raw, out, way[0], *way[1:])
        texts = pq.read_table(out, columns=["text"])["text"]
        size = sum(len(text.encode()) for text in texts.to_pylist())
        found[name] = {"documents": len(texts), "bytes": size, "kl_nats": divergence(goal, counts(texts))}
        return size

    sizes = [measure(name, way) for name, way in ways.items()]
    for seed in range(SEEDS):
        way = ("random", "--keep", f"{sizes[0]} bytes", "--seed", str(seed))
        measure(f"chance {seed}, as many bytes", way)
    chance = [one["kl_nats"] for name, one in found.items() if name.startswith("chance")]
    return {
        "documents": documents,
        "target_documents": len(target),
        "selections": found,
        "dsir_kl": found["dsir"]["kl_nats"],
        "chance_kl_median": statistics.median(chance),
        "chance_kl_least": min(chance),
    }


def main() -> None:
    """See the module."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--runs", type=int, default=5)
    parser.add_argument("--limit", type=int, help="documents of the corpus")
    args = parser.parse_args()
    column = real_texts()["text"]
    texts = [text for text in column.to_pylist()[: args.limit] if text]
    with gzip.open(TARGET, "rt", encoding="utf-8") as lines:
        target = [json.loads(line)["text"] for line in lines]
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        raw, goal = write_lines(folder / "raw.jsonl", texts), write_lines(folder / "target.jsonl", target)
        size = sum(len(text.encode()) for text in texts)
        keep = len(texts) * SHARE // 100
        own = folder / "own.parquet"
        dropped = folder / "dropped.parquet"
        documents = pa.array(texts, pa.large_string())

        def kernel() -> None:
            Featurizer()(documents)

        kernel()
        parts = {
            "gristmill": partial(
                select,
                raw,
                own,
                "dsir",
                "--target",
                str(goal),
                "--keep",
                str(keep),
                "--dropped",
                str(dropped),
                "--chunk-words",
                "0",
            ),
            "gristmill, kernel alone": kernel,
        }
        with_peer = has_peer()
        if with_peer:
            parts["data-selection"] = partial(peer, raw, goal, keep, folder / "work", folder / "peer.json")
        seconds = alternate(parts, args.runs)
        middle = medians(seconds)
        value: dict[str, Any] = {
            "corpus": {"documents": len(texts), "bytes": size},
            "target": {"documents": len(target), "bytes": sum(len(text.encode()) for text in target)},
            "seconds": seconds,
            "median_s": middle,
            "mb_per_s": {name: size / 1e6 / median for name, median in middle.items()},
        }
        if with_peer:
            told = json.loads((folder / "peer.json").read_text())
            value["peer"] = {"version": told["version"], "last_run_seconds": told["seconds"]}
            value["times_as_fast"] = middle["data-selection"] / middle["gristmill"]
            both = [pq.read_table(path, columns=["id", "dsir_weight"]) for path in (own, dropped)]
            value["same_weights"] = differences(told, pa.concat_tables(both))
        value["nearness"] = nearness(folder, raw, target, len(texts))
    print(json.dumps({k: v for k, v in value.items() if k != "seconds"}, indent=1)[:3000])
    write("dsir", value, ("numba", "numpy", "pyarrow"))


if __name__ == "__main__":
    main()
