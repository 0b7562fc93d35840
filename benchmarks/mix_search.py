"""Whether `gristmill mix search` finds the good source among text, text with its words shuffled, and boilerplate.

    python -m benchmarks.mix_search [--proxies 16] [--steps 100]

The sources are a third of WikiText-2's validation and test text each, as it is and with the words of each document in
another order, and the menus and notices of one site again and again with other numbers; the held-out set is text that
no source has. The regression must prefer the first, and the chosen mixture must measure better than the natural one.

Writes benchmarks/results/mix_search.json: predictions, measurements, errors of the regressions, seconds.
"""

from __future__ import annotations

import argparse
import json
import random
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from .common import ROOT, SHARED, write

CHARACTERS = 1500
MENU = "Home | About us | Contact | Privacy policy | Terms of use | Sign in | Newsletter | All rights reserved {}\n"


def sources(folder: Path) -> Path:
    """Write the sources, the held-out set and a mixture of them; returns the mixture's file."""
    quality = SHARED / "quality"
    text = "".join((quality / f"wikitext2_{part}.txt").read_text(encoding="utf-8") for part in ("valid", "test"))
    documents = [text[i : i + CHARACTERS] for i in range(0, len(text), CHARACTERS)]
    rng = random.Random(0)
    rng.shuffle(documents)
    third = len(documents) // 3

    def shuffled(document: str) -> str:
        words = document.split()
        rng.shuffle(words)
        return " ".join(words)

    made = {
        "clean": documents[:third],
        "shuffled": [shuffled(one) for one in documents[third : 2 * third]],
        "boilerplate": [MENU.format(i) * 12 for i in range(third)],
        "held": documents[2 * third : 2 * third + 100],
    }
    for name, texts in made.items():
        lines = (json.dumps({"id": f"{name}-{i}", "text": one}) + "\n" for i, one in enumerate(texts))
        (folder / f"{name}.jsonl").write_text("".join(lines), encoding="utf-8")
    names = [name for name in made if name != "held"]
    mixture = {"name": "known-quality", "sources": {n: {"inputs": [str(folder / f"{n}.jsonl")]} for n in names}}
    (folder / "mixture.yaml").write_text(json.dumps({**mixture, "max_epochs": 4}), encoding="utf-8")
    return folder / "mixture.yaml"


def main() -> None:
    """See the module."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--proxies", type=int, default=16)
    parser.add_argument("--steps", type=int, default=100)
    args = parser.parse_args()
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        mixture = sources(folder)
        command = [sys.executable, "-m", "pipeline.cli", "mix", "search", str(mixture), "-o", str(folder / "out")]
        command += ["--held-out", f"text={folder / 'held.jsonl'}", "--batch-size", "4", "--sequence-length", "128"]
        command += ["--vocab-size", "2048", "--proxies", str(args.proxies), "--steps", str(args.steps), "--quiet"]
        start = time.perf_counter()
        subprocess.run(command, check=True, cwd=ROOT)
        seconds = time.perf_counter() - start
        found = json.loads((folder / "out" / "search.json").read_text())
    names = [one["name"] for one in found["sources"]]
    value = {
        "proxies": args.proxies,
        "steps": args.steps,
        "seconds": seconds,
        "sources": {one["name"]: one["tokens"] for one in found["sources"]},
        "regressions": found["regressions"],
        "deviation_of_the_proxies": found["target_deviation"],
        "bits_per_byte": {
            name: {
                "weights": dict(zip(names, one["weights"], strict=True)),
                **{key: one[key] for key in ("predicted", "low", "high", "measured")},
            }
            for name, one in found["mixtures"].items()
        },
    }
    print(json.dumps(value, indent=1))
    write("mix_search", value, ("torch", "numpy", "lightgbm"))


if __name__ == "__main__":
    main()
