"""A loss spike provoked by corrupted documents: found, left out, named; and the same without handling.

    python -m benchmarks.spike [--seeds 0 1 2] [--steps N] [--text FILE]

tinyshakespeare, letter by letter, is cut into documents of 127 letters, one a sequence. Each seed's packs have a run of
corrupted documents: half of the sequences of `BATCHES` consecutive batches (late, at 90 % of the steps, while the WSD
schedule still holds its learning rate) are random letters. Three runs a seed: the clean packs
(`undisturbed`), the corrupted packs with the guard as it is by default (`handled`), and without it (`unhandled`,
clipping as ever). Measured are the steps whose update was left out, the corrupted documents among those that
spikes.jsonl names first, the training loss after the spike, and the loss on the clean validation part at the end. The
noise is the deviation of the undisturbed runs over the seeds. Writes benchmarks/results/spike.json.
"""

from __future__ import annotations

import argparse
import json
import statistics
import tempfile
from pathlib import Path
from random import Random
from typing import Any

from benchmarks.anchor import character_tokenizer
from benchmarks.common import SHARED, write
from pipeline.cli import main as gristmill
from pipeline.packreader import open_packs
from pipeline.packstep import find_packs
from pretrain.config import train_config
from pretrain.data import PackLoader
from pretrain.metrics import read_lines
from pretrain.train import train

LENGTH, BATCH, BATCHES = 128, 16, 6
LR = 0.003


def packed(folder: Path, texts: list[str], tokenizer: Path) -> Path:
    """A pack set of one document a sequence, in the order of the texts."""
    source = folder.with_suffix(".jsonl")
    rows = [{"id": f"{i:032x}", "text": t, "url": f"https://plays.example/{i}"} for i, t in enumerate(texts)]
    source.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    status = gristmill(
        ["pack", str(source), "-o", str(folder), "--tokenizer", str(tokenizer), "--sequence-length", str(LENGTH),
         "--method", "concatenate", "--order", "natural", "--quiet"]
    )  # fmt: skip
    if status:
        raise SystemExit(status)
    return find_packs(folder)


def corrupted(packs: Path, seed: int, steps: int) -> tuple[int, set[int]]:
    """(first step, sequences) that are to be spoilt: every other sequence of `BATCHES` batches of the seed's order."""
    first, found = int(0.9 * steps), set()
    loader = PackLoader(packs, BATCH, seed, epochs=None, drop_last=True)
    for step, batch in zip(range(1, first + BATCHES), loader, strict=False):
        if step >= first:
            found |= set(batch.indices.tolist()[::2])
    return first, found


def run(packs: Path, validation: Path, out: Path, seed: int, steps: int, guard: bool) -> dict[str, Any]:
    """One training run: validation loss, the largest and the mean training loss after the spike."""
    config = train_config(
        {
            "steps": steps,
            "batch_size": BATCH,
            "seed": seed,
            "model": {"d_model": 64, "n_layers": 2, "n_heads": 2, "d_ff": 176},
            "optim": {"lr": LR, "schedule": "wsd", "decay": 0.05},
            "spike": {"enabled": guard},
            "held_out": {"validation": str(validation)},
            "tensorboard": False,
        }
    )
    summary = train(config, packs, out)
    lines = list(read_lines(out / "metrics.jsonl"))
    return {
        "validation_loss": summary["held_out"]["validation"]["loss"],
        "skipped_steps": [line["step"] for line in lines if "skipped" in line],
        "losses": [line["loss"] for line in lines],
        "spikes": list(read_lines(out / "spikes.jsonl")),
    }


def seed_runs(data: Path, texts: list[str], tokenizer: Path, seed: int, steps: int) -> dict[str, Any]:
    """The three runs of a seed."""
    clean, validation = data / "clean", find_packs(data / "validation")
    first, spoilt = corrupted(find_packs(clean), seed, steps)
    reader = open_packs(find_packs(clean))
    named = {reader[i].doc_ids[0] for i in spoilt}
    assert all(len(reader[i].doc_ids) == 1 for i in spoilt)
    random, letters = Random(seed), sorted(set("".join(texts)))
    noisy = [
        "".join(random.choices(letters, k=LENGTH - 1)) if f"{i:032x}" in named else text for i, text in enumerate(texts)
    ]
    dirty = packed(data / f"dirty{seed}", noisy, tokenizer)
    runs = {
        "undisturbed": run(find_packs(clean), validation, data / f"u{seed}", seed, steps, True),
        "handled": run(dirty, validation, data / f"h{seed}", seed, steps, True),
        "unhandled": run(dirty, validation, data / f"n{seed}", seed, steps, False),
    }
    after = slice(first + BATCHES - 1, first + BATCHES - 1 + max(10, steps // 40))
    precision = []
    for spike in runs["handled"]["spikes"]:
        order = [document["id"] for row in spike["sequences"] for document in row["documents"]]
        bad = len(named & set(order))
        if bad:
            precision.append(len(named & set(order[:bad])) / bad)
    told = {
        name: {
            "validation_loss": one["validation_loss"],
            "skipped_steps": one["skipped_steps"],
            "loss_after_the_spike": statistics.mean(one["losses"][after]),
        }
        for name, one in runs.items()
    }
    return {
        "seed": seed,
        "corrupted_steps": list(range(first, first + BATCHES)),
        "corrupted_documents": len(named),
        "named_first": precision,
        **told,
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2, 3])
    parser.add_argument("--steps", type=int, default=600)
    parser.add_argument("--text", type=Path, default=SHARED / "quality" / "tinyshakespeare.txt")
    parser.add_argument("--no-write", action="store_true", help="print only")
    arguments = parser.parse_args()
    text = arguments.text.read_text(encoding="utf-8")
    size = LENGTH - 1
    texts = [text[i : i + size] for i in range(0, len(text) - size, size)]
    cut = int(0.9 * len(texts))
    with tempfile.TemporaryDirectory() as temporary:
        data = Path(temporary)
        tokenizer = data / "characters.json"
        character_tokenizer(text, tokenizer)
        packed(data / "clean", texts[:cut], tokenizer)
        packed(data / "validation", texts[cut:], tokenizer)
        runs = []
        for seed in arguments.seeds:
            runs.append(seed_runs(data, texts[:cut], tokenizer, seed, arguments.steps))
            print(json.dumps(runs[-1]))
    value: dict[str, Any] = {
        "steps": arguments.steps, "batch_size": BATCH, "sequence_length": LENGTH, "lr": LR, "runs": runs,
    }  # fmt: skip
    for name in ("undisturbed", "handled", "unhandled"):
        losses = [one[name]["validation_loss"] for one in runs]
        value[name] = {
            "validation_loss": statistics.mean(losses),
            "deviation": statistics.stdev(losses) if len(losses) > 1 else None,
            "loss_after_the_spike": statistics.mean(one[name]["loss_after_the_spike"] for one in runs),
        }
    if arguments.no_write:
        print(json.dumps(value, indent=1))
    else:
        write("spike", value, ("torch",))


if __name__ == "__main__":
    main()
