"""nanoGPT's published anchor: tinyshakespeare, letter by letter, through our packs and our loop.

    python -m benchmarks.anchor [--settings cpu] [--seeds 0 1 2] [--steps N] [--text FILE]

nanoGPT's README gives a validation loss of 1.88 for its CPU settings (4 layers, 4 heads, width 128, block 64, batch 12,
2 000 steps, dropout 0) and 1.4697 for its GPU settings (6, 6, 384, 256, 64, 5 000, 0.2), both with AdamW, learning rate
1e-3 to 1e-4, warm-up 100, beta2 0.99, decay 0.1, clipping at 1. The `gpu` settings run where CUDA is (by default then
too, else `cpu` alone).

The text is cut 90/10 as nanoGPT does. A `tokenizer.json` of its 65 characters is made with the library tokenizers;
`gristmill pack` packs both parts, each one document, into sequences of block + 1 letters, which give `block`
predictions. The model is our default one of the same width, depth and heads (tiny, small).

nanoGPT's figure is a mean over random windows. Here the loss is over the whole validation part: every letter but the
first is predicted once, in windows of `block` letters that don't overlap, so that the context is as long as in
nanoGPT's. `overlapping` has windows that move on by a quarter of a block. The end of the document is not predicted.
`prefix_only` measures the first 20 windows once more, each letter by a pass over only what stands before it in its
window, so that nothing later can help; `by_window` is the usual measure of the same letters.

`peer` is a plain loop in nanoGPT's manner with a GPT-2-like model (benchmarks/peers/nanogpt_shape.py), trained with the
same settings and measured on the same windows. Writes benchmarks/results/anchor.json.
"""

from __future__ import annotations

import argparse
import json
import statistics
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from tokenizers import Tokenizer, models, pre_tokenizers

from benchmarks.common import SHARED, write
from benchmarks.peers.nanogpt_shape import Gpt, Loop, Shape
from pipeline.bpe import load_tokenizer
from pipeline.cli import main as gristmill
from pipeline.packreader import open_packs
from pipeline.packstep import find_packs
from pretrain.config import train_config
from pretrain.evaluate import evaluate
from pretrain.held_out import HeldOut, held_out
from pretrain.inputs import Inputs
from pretrain.loop import optimise
from pretrain.model import Transformer
from pretrain.objectives import make_objective
from pretrain.parallel import plan
from pretrain.sizes import model_config, parameters
from pretrain.sources import PackSource

END = "<|endoftext|>"
EVALUATIONS = 8


@dataclass(frozen=True)
class Settings:
    """One of nanoGPT's two sets of settings, with our size of the same width, depth and heads."""

    size: str
    shape: Shape
    batch_size: int
    steps: int
    published: float

    @property
    def block(self) -> int:
        return self.shape.block


SETTINGS = {
    "cpu": Settings("tiny", Shape(65, 128, 4, 4, 64), 12, 2000, 1.88),
    "gpu": Settings("small", Shape(65, 384, 6, 6, 256, 0.2), 64, 5000, 1.4697),
}


def character_tokenizer(text: str, path: Path) -> None:
    """A tokenizer.json whose tokens are the text's characters, in the order of their numbers."""
    vocabulary = {character: i for i, character in enumerate(sorted(set(text)))}
    tokenizer = Tokenizer(models.WordLevel(vocabulary, unk_token=END))
    tokenizer.pre_tokenizer = pre_tokenizers.Split("", "isolated")
    tokenizer.add_special_tokens([END])
    tokenizer.save(str(path))


def make_data(text: str, folder: Path, length: int) -> dict[str, Path]:
    """Packs of both parts (`train`, `validation`) and nanoGPT's file of uint16 ids (`bin`)."""
    cut = int(0.9 * len(text))
    tokenizer = folder / "characters.json"
    character_tokenizer(text, tokenizer)
    found = {"bin": folder / "train.bin"}
    for name, part in (("train", text[:cut]), ("validation", text[cut:])):
        source = folder / f"{name}.jsonl"
        source.write_text(json.dumps({"text": part}) + "\n", encoding="utf-8")
        found[name] = folder / name
        status = gristmill(
            ["pack", str(source), "-o", str(found[name]), "--tokenizer", str(tokenizer), "--sequence-length",
             str(length), "--method", "concatenate", "--quiet"]
        )  # fmt: skip
        if status:
            raise SystemExit(status)
        found[name] = find_packs(found[name])
    ids = load_tokenizer(tokenizer).tokenizer.encode(text[:cut]).ids
    np.array(ids, np.uint16).tofile(found["bin"])
    return found


def ours(settings: Settings, data: dict[str, Path], validation: HeldOut, seed: int, steps: int) -> dict[str, Any]:
    """Train our model; the loss over the validation part along the way."""
    config = train_config(
        {
            "size": settings.size,
            "steps": steps,
            "batch_size": settings.batch_size,
            "seed": seed,
            "precision": "bf16" if torch.cuda.is_available() else "fp32",
            "optim": {"lr": 1e-3, "betas": [0.9, 0.99], "warmup": 100, "min_lr_share": 0.1, "weight_decay": 0.1},
        }
    )
    reader = open_packs(data["train"])
    objective = make_objective("causal", {}, reader)
    sizes = model_config(settings.size, reader.total_ids, dropout=settings.shape.dropout)
    torch.manual_seed(seed)
    model = Transformer(sizes)
    curve, seconds, start = [], 0.0, time.perf_counter()
    with plan(config) as parallel:
        source = PackSource(reader, config.batch_size, seed)
        for event in optimise(model, objective, source, config, parallel=parallel):
            if event.step % max(1, steps // EVALUATIONS) == 0 or event.step == steps:
                seconds += time.perf_counter() - start
                found = evaluate(model, {"v": validation}, batch_size=64, parallel=parallel)["v"]
                curve.append({"step": event.step, "loss": found["loss"], "train_loss": event.loss})
                start = time.perf_counter()
        overlapping = held_out(
            "o", [open_packs(data["validation"])], length=settings.block, stride=settings.block // 4, ends=False
        )
        last = evaluate(model, {"o": overlapping}, batch_size=64, parallel=parallel)["o"]
        shown = prefix_only(model, validation, parallel.device)
    return {
        "seed": seed,
        "loss": curve[-1]["loss"],
        "best_loss": min(one["loss"] for one in curve),
        "overlapping": last["loss"],
        "prefix_only": shown,
        "curve": curve,
        "predicted": validation.n_targets,
        "seconds": round(seconds, 1),
    }


def prefix_only(model: Transformer, validation: HeldOut, device: torch.device, windows: int = 20) -> dict[str, float]:
    """The loss over the first windows by passes that are given only the letters before, and by the usual pass."""
    rows = validation.batch(range(min(windows, len(validation))))
    ids, targets = torch.from_numpy(rows.input_ids).to(device), torch.from_numpy(rows.targets).to(device)
    model.eval()
    with torch.no_grad():
        whole = F.cross_entropy(model.logits(Inputs(ids)).float().flatten(0, 1), targets.flatten())
        parts = [model.logits(Inputs(ids[:, : i + 1]))[:, -1].float() for i in range(ids.shape[1])]
        alone = F.cross_entropy(torch.stack(parts, 1).flatten(0, 1), targets.flatten())
    return {"loss": alone.item(), "by_window": whole.item(), "letters": rows.n_valid}


def peers(settings: Settings, data: dict[str, Path], validation: HeldOut, seed: int, steps: int) -> dict[str, Any]:
    """Train the plain model and measure it on the same windows."""
    torch.manual_seed(seed)
    device = "cuda" if torch.cuda.is_available() else "cpu"
    model = Gpt(settings.shape)
    curve: list[dict[str, float]] = []

    def each(step: int) -> None:
        if step % max(1, steps // EVALUATIONS) == 0 or step == steps:
            curve.append({"step": step, "loss": _peer_loss(model, validation, device)})

    loop = Loop(model, data["bin"], settings.block, settings.batch_size, steps, device=device)
    seconds = loop.run(seed, each)
    return {
        "seed": seed, "loss": curve[-1]["loss"], "best_loss": min(one["loss"] for one in curve), "curve": curve,
        "seconds": round(seconds, 1),
    }  # fmt: skip


def _peer_loss(model: Gpt, validation: HeldOut, device: str) -> float:
    model.eval()
    nats, targets = 0.0, 0
    with torch.no_grad():
        for rows in validation.batches(64):
            logits = model(torch.from_numpy(rows.input_ids).clamp_(max=64).to(device))
            nats += F.cross_entropy(
                logits.flatten(0, 1), torch.from_numpy(rows.targets).flatten().to(device), reduction="sum"
            ).item()
            targets += rows.n_valid
    model.train()
    return nats / targets


def measure(settings: Settings, text: str, seeds: list[int], steps: int | None) -> dict[str, Any]:
    """All seeds of both, in turn."""
    steps = steps or settings.steps
    with tempfile.TemporaryDirectory() as folder:
        data = make_data(text, Path(folder), settings.block + 1)
        validation = held_out("validation", [open_packs(data["validation"])], length=settings.block, ends=False)
        runs: dict[str, list[dict[str, Any]]] = {"ours": [], "peer": []}
        for seed in seeds:
            runs["ours"].append(ours(settings, data, validation, seed, steps))
            runs["peer"].append(peers(settings, data, validation, seed, steps))
            print(f"seed {seed}: ours {runs['ours'][-1]['loss']:.4f}, peer {runs['peer'][-1]['loss']:.4f}", flush=True)
        sizes = model_config(settings.size, open_packs(data["train"]).total_ids)
    losses = [one["loss"] for one in runs["ours"]]
    embedding = sizes.vocab_size * sizes.d_model
    return {
        "published": settings.published,
        "loss": {"mean": statistics.mean(losses), "worst": max(losses)},
        "at_or_below_published": max(losses) <= settings.published,
        "peer_loss": {"mean": statistics.mean(one["loss"] for one in runs["peer"])},
        "predicted_characters": f"{validation.n_targets} of {len(text) - int(0.9 * len(text))}",
        "steps": steps,
        "batch_size": settings.batch_size,
        "block": settings.block,
        "parameters": {
            "ours": parameters(sizes),
            "ours_without_embedding": parameters(sizes) - embedding,
            "nanogpt": Gpt(settings.shape).parameter_count(),
            "nanogpt_without_embeddings": Gpt(settings.shape).parameter_count() - 65 * settings.shape.d_model,
        },
        "runs": runs,
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    default = ["cpu", "gpu"] if torch.cuda.is_available() else ["cpu"]
    parser.add_argument("--settings", nargs="+", choices=tuple(SETTINGS), default=default)
    parser.add_argument("--seeds", nargs="+", type=int, default=[0, 1, 2])
    parser.add_argument("--steps", type=int, help="fewer steps, to see that it runs")
    parser.add_argument("--text", type=Path, default=SHARED / "quality" / "tinyshakespeare.txt")
    parser.add_argument("--no-write", action="store_true", help="print the result only")
    args = parser.parse_args()
    if "gpu" in args.settings and not torch.cuda.is_available():
        parser.error("the settings gpu need CUDA, and there is none")
    if "cpu" in args.settings:
        torch.set_num_threads(1)
    text = args.text.read_text(encoding="utf-8")
    result = {name: measure(SETTINGS[name], text, args.seeds, args.steps) for name in args.settings}
    result["threads"] = torch.get_num_threads()  # type: ignore[assignment]
    if args.no_write:
        print(json.dumps(result, indent=1))
    else:
        write("anchor", result, ("torch", "tokenizers", "numpy"))


if __name__ == "__main__":
    main()
