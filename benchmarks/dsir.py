"""DSIR: speed beside the authors' package, the same weights, and how near to a target it comes beside chance.

    python -m benchmarks.dsir [--runs 5] [--limit N]

The corpus are the texts of all real pages (benchmarks/texts.py), the targets text books and encyclopaedia articles.

speed    one process: the command `gristmill select dsir` from start to end, and the package's fit, weights and draw
         (data-selection in `.venv-peers`, make peers, or GRISTMILL_PEERS), in turn; and the kernel alone
same     the largest difference between the two programs' log importance weights, document by document
nearness KL divergence of hashed unigrams and bigrams from one half of each target, where the other half is what the
         selection was given: of the corpus, of DSIR's draw, of its largest weights, of DSIR with the package's sums
         over documents, and of draws by chance with as many documents, or as many bytes

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


def nearness(folder: Path, raw: Path) -> dict[str, Any]:
    """Divergences from one half of each target, in nats an n-gram."""
    featurizer = Featurizer()
    out = folder / "selected.parquet"

    def kept(step: str, *options: str) -> tuple[Any, int]:
        """(counts of n-grams, bytes of text) of a selection."""
        select(raw, out, step, *options)
        texts = pq.read_table(out, columns=["text"])["text"]
        return featurizer(texts).counts, sum(len(text.encode()) for text in texts.to_pylist())

    keep = f"{SHARE}%"
    chance = [kept("random", "--keep", keep, "--seed", str(seed))[0] for seed in range(SEEDS)]
    whole = kept("random", "--keep", "100%")[0]
    found = {}
    for name, texts in targets().items():
        given = write_lines(folder / "given.jsonl", texts[::2])
        goal = featurizer(pa.array(texts[1::2], pa.large_string())).counts
        to_target = ("--target", str(given), "--keep", keep)
        drawn, size = kept("dsir", *to_target)
        by_chance = [divergence(goal, one) for one in chance]
        found[name] = {
            "corpus": divergence(goal, whole),
            "dsir": divergence(goal, drawn),
            "dsir, largest weights": divergence(goal, kept("dsir", *to_target, "--noise", "false")[0]),
            "dsir, sums over documents": divergence(goal, kept("dsir", *to_target, "--chunk-words", "0")[0]),
            "chance": by_chance,
            "chance, median": statistics.median(by_chance),
            "chance, as many bytes": divergence(goal, kept("random", "--keep", f"{size} bytes")[0]),
            "the half that was given": divergence(goal, featurizer(pa.array(texts[::2], pa.large_string())).counts),
        }
    return found


def lines_of(path: Path) -> list[str]:
    """Texts of JSON lines."""
    with gzip.open(path, "rt", encoding="utf-8") as lines:
        return [json.loads(line)["text"] for line in lines]


def targets() -> dict[str, list[str]]:
    """Targets by name: text books with remnants of their markup, clean ones, and encyclopaedia articles."""
    quality = SHARED / "quality"
    articles = (quality / "wikitext2_valid.txt").read_text(encoding="utf-8")
    return {
        "openstax_md": lines_of(TARGET),
        "openstax_cnxml": lines_of(quality / "openstax_cnxml.jsonl.gz"),
        "wikitext2_valid": [articles[i : i + 4000] for i in range(0, len(articles), 4000)],
    }


def main() -> None:
    """See the module."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--runs", type=int, default=5)
    parser.add_argument("--limit", type=int, help="documents of the corpus")
    args = parser.parse_args()
    column = real_texts()["text"]
    texts = [text for text in column.to_pylist()[: args.limit] if text]
    target = lines_of(TARGET)
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
        value["nearness_nats"] = nearness(folder, raw)
    print(json.dumps({k: v for k, v in value.items() if k != "seconds"}, indent=1)[:3000])
    write("dsir", value, ("numba", "numpy", "pyarrow"))


if __name__ == "__main__":
    main()
