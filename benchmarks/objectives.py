"""Whether every objective of pretraining learns from real packs, on a CPU at toy size; and what preparing it costs.

    python -m benchmarks.objectives [--steps 400] [--jobs 2] [--only NAME ...]

Texts: the pages of WCXB (../shared/data/html/gold/wcxb.jsonl.gz) with their titles, a tenth of them held out, and
WikiText-2 (../shared/data/quality) as the old set of the replay. All losses are of held-out text, in nats a target:
untrained, of the frequencies of the targets seen in training (add-one), trained. Beside them: masks of 15 and 30 %,
span corruption as encoder-decoder and as decoder, accuracy@1 of titles and bodies against chance, a small student
with and without its teacher, the old set's loss after training on a new one with and without replay, and the loss
at positions beyond the first context after an extension and without it. Masked models take more steps than the others
(`STEPS`): a step has few targets. About 12 minutes on one core, half of that with `--jobs 2` on two.

Writes benchmarks/results/objectives.json.
"""

from __future__ import annotations

import argparse
import gzip
import json
import math
import multiprocessing
import subprocess
import sys
import tempfile
import time
from concurrent.futures import ProcessPoolExecutor, as_completed
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import torch

from pipeline.packreader import PackReader, open_packs
from pretrain.config import OptimConfig, TrainConfig
from pretrain.data import Batch
from pretrain.inputs import IGNORED
from pretrain.loop import optimise
from pretrain.model import Transformer
from pretrain.objectives import make_objective
from pretrain.objectives.base import Objective
from pretrain.objectives.distill import Distill
from pretrain.objectives.options import DistillOptions
from pretrain.sizes import model_config
from pretrain.sources import PackSource, PhaseSource, ReplaySource, extension, rescale

from .common import ROOT, SHARED, write

SHORT, LONG = 128, 512
VOCABULARY = 2048
WIDTHS = {"d_model": 96, "n_layers": 3, "n_heads": 3, "d_ff": 256}
SMALL = {"d_model": 48, "n_layers": 2, "n_heads": 2, "d_ff": 128}
STEPS = {"masked_15": 3, "masked_30": 2}
"""How many times `--steps` a measurement trains, if not once."""
EVAL_BATCHES = 12
"""Of held-out text, at most; 16 sequences each."""
REPLAY_SHARE = 0.25


def cli(*words: str) -> None:
    """Run a gristmill command."""
    subprocess.run([sys.executable, "-m", "pipeline.cli", *words, "--quiet"], check=True, cwd=ROOT)


PACKS = {
    "train": ("new-train", SHORT), "held": ("new-held", SHORT), "old": ("old-train", SHORT),
    "old_held": ("old-held", SHORT), "long": ("new-train", LONG), "long_held": ("new-held", LONG),
}  # fmt: skip


def make_packs(folder: Path) -> None:
    """Pack sets `train` and `held` (short), `long` and `long_held`, `old` and `old_held`, of one tokenizer."""
    with gzip.open(SHARED / "html/gold/wcxb.jsonl.gz", "rt", encoding="utf-8") as file:
        pages = [json.loads(line) for line in file]
    wiki = "".join((SHARED / f"quality/wikitext2_{part}.txt").read_text(encoding="utf-8") for part in ("valid", "test"))
    texts = {
        "new": [(p["title"], p["text"]) for p in pages],
        "old": [(None, wiki[i : i + 2000]) for i in range(0, len(wiki), 2000)],
    }
    for name, found in texts.items():
        for part, held in (("train", False), ("held", True)):
            rows = [(f"{name}-{i}", *one) for i, one in enumerate(found) if (i % 10 == 9) == held]
            columns = dict(zip(("id", "title", "text"), zip(*rows, strict=True), strict=True))
            columns["url"] = tuple(f"https://{one}.invalid/" for one in columns["id"])
            pq.write_table(
                pa.table({key: pa.array(value, pa.string()) for key, value in columns.items()}),
                folder / f"{name}-{part}.parquet",
            )
    tokenizer = str(folder / "tokenizer.json")
    cli("train-tokenizer", str(folder / "new-train.parquet"), "-o", tokenizer, "--vocab-size", str(VOCABULARY))
    for name, (source, length) in PACKS.items():
        out = folder / f"{name}-packed"
        cli("pack", str(folder / f"{source}.parquet"), "-o", str(out), "--tokenizer", tokenizer,
            "--sequence-length", str(length))  # fmt: skip
        (folder / name).symlink_to(out / "packset" if (out / "packset").is_dir() else out)


def packs_in(folder: Path) -> dict[str, PackReader]:
    """The pack sets that `make_packs` made."""
    return {name: open_packs((folder / name).resolve()) for name in PACKS}


def new_model(reader: PackReader, objective: Objective[Any], widths: dict[str, int], seed: int = 0) -> Transformer:
    """An untrained model of the objective's form."""
    torch.manual_seed(seed)
    return Transformer(model_config("tiny", reader.total_ids + objective.extra_ids, form=objective.forms[0], **widths))


def learn(model: Transformer, objective: Any, source: Any, how: TrainConfig) -> Any:
    """Train; returns how often each target came."""
    seen = np.zeros(model.config.vocab_size, np.int64)

    class Counting:
        """The objective, its targets counted on the way."""

        loss = staticmethod(objective.loss)

        @staticmethod
        def prepare(batch: Batch, seed: int) -> Any:
            inputs = objective.prepare(batch, seed)
            if inputs.targets is not None:
                targets = inputs.targets.numpy()
                np.add.at(seen, targets[targets != IGNORED], 1)
            return inputs

    for _ in optimise(model, Counting, source, how):
        pass
    return seen


def held_out(model: Transformer, objective: Any, reader: PackReader, batch_size: int = 16) -> dict[str, float]:
    """Loss a target, and means of the objective's other numbers, over some batches of the set, always the same."""
    model.eval()
    nats, count, parts = 0.0, 0, {}
    with torch.no_grad():
        for batch, _ in zip(
            PackSource(reader, batch_size, 99),
            range(min(EVAL_BATCHES, max(1, len(reader) // batch_size))),
            strict=False,
        ):
            inputs = objective.prepare(batch, 99)
            output = objective.loss(model, inputs)
            nats, count = nats + output.loss_sum.item(), count + inputs.n_valid
            for name, value in output.parts.items():
                parts[name] = parts.get(name, 0.0) + value.item() * inputs.n_valid
            if inputs.targets is None:
                parts["chance"] = parts.get("chance", 0.0) + 1.0
    model.train()
    return {"loss": nats / count, **{name: value / count for name, value in parts.items()}}


def unigram(objective: Any, reader: PackReader, seen: Any, batch_size: int = 16) -> float:
    """Held-out loss of a model that knows only how often each target came in training."""
    shares = np.log((seen + 1) / (seen + 1).sum())
    nats, count = 0.0, 0
    for batch, _ in zip(
        PackSource(reader, batch_size, 99), range(min(EVAL_BATCHES, max(1, len(reader) // batch_size))), strict=False
    ):
        targets = objective.prepare(batch, 99).targets.numpy()
        picked = targets[targets != IGNORED]
        nats, count = nats - shares[picked].sum(), count + len(picked)
    return float(nats / count)


def speed(objective: Any, reader: PackReader, batch_size: int = 32) -> float:
    """Million tokens a second that `prepare` makes, on one core."""
    batches = [batch for batch, _ in zip(PackSource(reader, batch_size, 1), range(8), strict=False)]
    objective.prepare(batches[0], 0)
    rates = []
    for _ in range(5):
        start = time.perf_counter()
        for batch in batches:
            objective.prepare(batch, 0)
        rates.append(sum(batch.input_ids.numel() for batch in batches) / (time.perf_counter() - start) / 1e6)
    return float(np.median(rates))


def late_loss(model: Transformer, reader: PackReader, length: int) -> dict[str, float]:
    """Held-out loss at positions of documents before and from `length` on, of documents that are that long."""
    objective = make_objective("causal", {}, reader)
    sums, counts = np.zeros(2), np.zeros(2)
    model.eval()
    with torch.no_grad():
        for batch, _ in zip(PackSource(reader, 4, 99), range(EVAL_BATCHES), strict=False):
            inputs = objective.prepare(batch, 0)
            segments, targets = batch.segment_ids, inputs.targets
            assert segments is not None and targets is not None
            logits = model.logits(inputs)
            loss = torch.nn.functional.cross_entropy(logits.flatten(0, 1), targets.flatten(), reduction="none").view_as(
                targets
            )
            same = segments[:, :, None] == segments[:, None, :]
            places, sizes = same.tril(-1).sum(-1), same.sum(-1)
            kept = (targets != IGNORED) & (sizes > length + 64)
            for k, mine in enumerate((kept & (places < length), kept & (places >= length))):
                sums[k] += loss[mine].sum().item()
                counts[k] += mine.sum().item()
    model.train()
    return {"before": sums[0] / counts[0], "beyond": sums[1] / counts[1], "tokens_beyond": int(counts[1])}


class Bench:
    """The measurements over one folder of packs."""

    def __init__(self, packs: dict[str, PackReader], steps: int, batch_size: int) -> None:
        self.packs, self.steps, self.batch_size = packs, steps, batch_size

    def how(self, steps: int | None = None, lr: float = 4e-3) -> TrainConfig:
        """How a model is trained."""
        optim = OptimConfig(lr=lr, muon=True)
        return TrainConfig(steps=steps or self.steps, batch_size=self.batch_size, optim=optim)

    def source(self, name: str = "train") -> PackSource:
        """Batches of a set."""
        return PackSource(self.packs[name], self.batch_size, 0)

    def objective(self, name: str, options: dict[str, Any]) -> dict[str, Any]:
        """Losses of one objective."""
        objective = make_objective(name, options, self.packs["train"])
        judge = objective.of(self.packs["held"])
        model = new_model(self.packs["train"], objective, WIDTHS)
        before = held_out(model, judge, self.packs["held"])
        start = time.perf_counter()
        seen = learn(model, objective, self.source(), self.how())
        seconds = time.perf_counter() - start
        after = held_out(model, judge, self.packs["held"])
        found: dict[str, Any] = {"untrained": before["loss"], "trained": after["loss"], "seconds": seconds}
        if name == "contrastive":
            found |= {
                "accuracy_untrained": before["accuracy"],
                "accuracy": after["accuracy"],
                "chance": after["chance"],
            }
            titles = objective.titles  # type: ignore[attr-defined]
            found |= {"documents": titles.documents, "without_title": titles.without_title}
        else:
            found["unigram"] = unigram(judge, self.packs["held"], seen)
        step_tokens = self.batch_size * SHORT
        rate = speed(objective, self.packs["train"])
        found |= {"prepare_million_tokens_per_s": rate}
        found["prepare_share_of_step"] = step_tokens / (rate * 1e6) / (seconds / self.steps)
        return found

    def distillation(self) -> dict[str, Any]:
        """A small student after equal steps, by the text alone and with a teacher; its cross-entropy with the text."""
        train, held = self.packs["train"], self.packs["held"]
        causal = make_objective("causal", {}, train)
        teacher = new_model(train, causal, WIDTHS)
        learn(teacher, causal, self.source(), self.how(3 * self.steps))
        found = {"teacher": held_out(teacher, causal, held)["loss"]}
        ways: list[tuple[str, Any]] = [("alone", causal)]
        for name, top_k in (("taught", 0), ("taught_by_top_32", 32)):
            options = DistillOptions(teacher="given", temperature=1.0, weight=0.7, top_k=top_k)
            ways.append((name, Distill(train, options, teacher)))
        for name, objective in ways:
            student = new_model(train, causal, SMALL, seed=1)
            learn(student, objective, self.source(), self.how(lr=6e-3))
            found[name] = held_out(student, causal, held)["loss"]
        return found

    def replay(self) -> dict[str, Any]:
        """Old and new sets' losses before and after training on the new set, without and with replay."""
        causal = make_objective("causal", {}, self.packs["old"])
        base = new_model(self.packs["old"], causal, WIDTHS)
        learn(base, causal, self.source("old"), self.how())
        weights = {name: value.clone() for name, value in base.state_dict().items()}
        found: dict[str, Any] = {"share": REPLAY_SHARE}
        sources: list[tuple[str, Any]] = [
            ("before", None), ("without", self.source()),
            ("with", ReplaySource(self.packs["train"], self.packs["old"], self.batch_size, 0, share=REPLAY_SHARE)),
        ]  # fmt: skip
        for name, source in sources:
            base.load_state_dict(weights)
            if source is not None:
                learn(base, causal, source, self.how())
            found[name] = {which: held_out(base, causal, self.packs[which])["loss"] for which in ("old_held", "held")}
        return found

    def extension(self) -> dict[str, Any]:
        """Loss within and beyond the first context: trained on short sequences only, and with a longer last phase."""
        found: dict[str, Any] = {"short": SHORT, "long": LONG}
        third = max(1, self.steps // 3)
        short, long = self.packs["train"], self.packs["long"]
        causal = make_objective("causal", {}, short)
        for name, scale in (("short_only", ""), ("extended_without_rescaling", "none"), ("extended_yarn", "yarn")):
            model = new_model(short, causal, WIDTHS)
            source: Any = self.source()
            if scale:
                first = self.steps - third
                phases = extension(
                    short, long, steps=first, long_steps=third, batch_size=self.batch_size, rope_scale=scale
                )
                source = PhaseSource(phases, on_phase=lambda phase, model=model: rescale(model, phase))  # type: ignore[misc]
            learn(model, causal, source, self.how())
            found[name] = late_loss(model, self.packs["long_held"], SHORT)
        return found


OBJECTIVES: dict[str, tuple[str, dict[str, Any]]] = {
    "causal": ("causal", {}), "masked_15": ("masked", {}), "masked_30": ("masked", {"rate": 0.3}),
    "spans": ("spans", {}), "spans_prefix": ("spans", {"prefix": True}), "contrastive": ("contrastive", {}),
}  # fmt: skip
PARTS = (
    "masked_15",
    "masked_30",
    "distillation",
    "extension",
    "replay",
    "spans",
    "spans_prefix",
    "contrastive",
    "causal",
)
"""All measurements, the longest first."""


def measure(name: str, folder: str, steps: int, batch_size: int) -> dict[str, Any]:
    """One measurement on one thread; it may run in a process of its own."""
    torch.set_num_threads(1)
    bench = Bench(packs_in(Path(folder)), steps * STEPS.get(name, 1), batch_size)
    if name in OBJECTIVES:
        return bench.objective(*OBJECTIVES[name])
    return dict(getattr(bench, name)())


def line(name: str, found: dict[str, Any]) -> str:
    """A measurement in a line."""
    flat = {}
    for key, value in found.items():
        flat |= {f"{key} {k}": v for k, v in value.items()} if isinstance(value, dict) else {key: value}
    return f"{name}: " + ", ".join(f"{key.replace('_', ' ')} {value:.4g}" for key, value in flat.items())


def main() -> None:
    """See the module."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--steps", type=int, default=400)
    parser.add_argument("--batch-size", type=int, default=8)
    parser.add_argument("--jobs", type=int, default=1, help="measurements at a time, each in a process of its own")
    parser.add_argument("--only", nargs="+", default=[], choices=PARTS, help="some measurements; nothing is written")
    args = parser.parse_args()
    start = time.perf_counter()
    found: dict[str, Any] = {}
    with tempfile.TemporaryDirectory() as temporary:
        make_packs(Path(temporary))
        spawned = multiprocessing.get_context("spawn")
        with ProcessPoolExecutor(args.jobs, mp_context=spawned) as pool:
            names = [name for name in PARTS if not args.only or name in args.only]
            work = {pool.submit(measure, name, temporary, args.steps, args.batch_size): name for name in names}
            for done in as_completed(work):
                found[work[done]] = done.result()
                print(line(work[done], found[work[done]]), flush=True)
        packs = packs_in(Path(temporary))
        tokens = {name: reader.manifest["tokens"] for name, reader in packs.items()}
        vocabulary = packs["train"].total_ids
    if args.only:
        return
    value = {
        "steps": {name: args.steps * STEPS.get(name, 1) for name in PARTS}, "batch_size": args.batch_size,
        "sequence_length": SHORT, "model": WIDTHS, "threads": 1, "jobs": args.jobs, "tokens": tokens,
        "ids": vocabulary, "uniform_loss": math.log(vocabulary), "seconds": time.perf_counter() - start,
        "objectives": {name: found[name] for name in PARTS},
    }  # fmt: skip
    write("objectives", value, ("torch", "numpy", "numba"))


if __name__ == "__main__":
    main()
