"""A training run with its files.

    metrics.jsonl, held_out.jsonl, spikes.jsonl   see `metrics`
    checkpoints/      see `checkpoint`; the last one is the trained model
    summary.json      the run in a few numbers
    timing/           what differs between two runs: seconds, tokens a second, MFU, memory
    tensorboard/      the metrics for TensorBoard

But for the last two a run writes the same bytes each time on the same kind of machine and number of threads, also if it
was stopped or killed on the way: the same command goes on from its newest checkpoint.
"""

from __future__ import annotations

import dataclasses
import math
import os
from collections.abc import Callable, Mapping
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pipeline.errors import ConfigError, Stopped
from pipeline.packreader import PackReader, open_packs
from pipeline.progress import Progress
from pipeline.store import read_json, write_json

from .checkpoint import FOLDER, Checkpoint, Checkpoints, changes, take_weights
from .config import ModelConfig, TrainConfig
from .metrics import MetricsWriter, finite
from .signals import Asked, listening
from .spikes import SpikeGuard

if TYPE_CHECKING:
    from .loop import Event
    from .parallel.base import Parallel

FREE = (
    "save_every", "keep", "keep_every", "eval_every", "eval_batch", "eval_control", "held_out", "held_out_bytes",
    "stats_every", "tensorboard", "compile", "parallel", "threads",
)  # fmt: skip
"""Options that may change when a run goes on: they change nothing, or no more than the order of additions."""

PATHS = frozenset({"replay", "long_packs", "init_from", "teacher"})
"""Options that name files."""

EXTENDED = ("rope_scale", "rope_factor", "rope_original")
"""Fields of the model that a context extension changes on the way."""


def few_negatives(config: TrainConfig, data_ranks: int) -> str | None:
    """What to say where a contrastive step's pairs are told from fewer others than the step has; else None."""
    share = -(-config.batch_size // data_ranks)
    size = min(config.micro_batch or share, share)
    if config.objective != "contrastive" or size >= config.batch_size:
        return None
    return (
        f"pretrain: the negatives of a pair come from its own micro-batch of {size} sequences, not from all"
        f" {config.batch_size} of the step: a larger micro_batch on fewer processes gives more of them"
    )


def check_same_run(folder: Path, begun: Checkpoint, config: TrainConfig, sizes: ModelConfig) -> None:
    """Raise ConfigError where the run in `folder` was begun with options that change what it makes.

    Files count as the same by whatever path they are named.
    """
    changed = changes(_resolved(begun.meta["config"]), _resolved(config.to_json()), FREE)
    changed += changes(begun.meta["model"], dataclasses.asdict(sizes), EXTENDED, "model.")
    if changed:
        raise ConfigError(
            f"--output {folder} holds a run with other options, at step {begun.step} ({'; '.join(changed)}): change"
            " them back, name another folder, or begin there with its weights (--init-from)"
        )


def _resolved(options: Mapping[str, Any]) -> dict[str, Any]:
    """The options with absolute paths of the local files among them."""
    found: dict[str, Any] = {}
    for key, value in options.items():
        if isinstance(value, Mapping):
            found[key] = _resolved(value)
        elif key in PATHS and isinstance(value, str) and value and "://" not in value:
            found[key] = os.path.abspath(value)
        else:
            found[key] = value
    return found


def torch_available() -> bool:
    """Whether torch is installed; does not import it."""
    return find_spec("torch") is not None


def train(
    config: TrainConfig,
    pack_dir: str | Path,
    out_dir: str | Path,
    *,
    progress: Progress | None = None,
    log: Callable[[Event], None] | None = None,
) -> dict[str, Any]:
    """Train a model on the pack set, or go on with it, and return the summary; `log` gets each step's event.

    The summary has `first_loss`, `last_loss` (of the last step whose update was taken; None if none was),
    `untrained_loss` (ln of the number of ids: a uniform guess), `parameters, tokens, skipped` (updates that were left
    out, by reason), and, outside `summary.json`, `seconds` and `tokens_per_s`. A value that is not finite is None.
    A pack set that is smaller than the steps need is gone through again in another order.

    Raises ConfigError for options that don't fit the packs or the run in `out_dir`, StepFailed where training is beyond
    repair, Stopped after SIGTERM or SIGINT, once a checkpoint is written.
    """
    # Threads that spin at barriers stall each other where cores are shared: a step took 1.5 s with
    # spinning and 0.7 s without on two busy cores. Read once, when torch loads its OpenMP.
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
    import torch

    from .parallel import plan

    config.check()
    reader = open_packs(pack_dir)
    if config.threads is not None:
        torch.set_num_threads(config.threads)
    with plan(config) as parallel, listening() as asked:
        quiet = Progress(quiet=True)
        return _Run(config, reader, Path(out_dir), parallel, (progress or quiet) if parallel.main else quiet).run(
            asked, log
        )


class _Run:
    """A run of one process of maybe several; only the main one writes."""

    def __init__(
        self, config: TrainConfig, reader: PackReader, folder: Path, parallel: Parallel, progress: Progress
    ) -> None:
        import torch

        from .feed import make_source, objective_and_shape
        from .loop import Loop
        from .model import Transformer
        from .validation import Validation

        self.config, self.reader, self.folder, self.parallel, self.progress = config, reader, folder, parallel, progress
        objective, self.sizes = objective_and_shape(config, reader)
        self.readers, source = make_source(config, reader, parallel, self._rescale)
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(config.seed)
            model = Transformer(self.sizes)
        self.parameters = sum(p.numel() for p in model.parameters())
        self.checkpoints = Checkpoints(
            folder, config.keep, config.keep_every, progress.say, SpikeGuard(config.spike).lag
        )
        if parallel.main:
            self.checkpoints.clean()
        parallel.barrier()
        begun = self.checkpoints.newest()
        if begun is None and config.init_from is not None:
            take_weights(model, config.init_from, reader.manifest["tokenizer"]["fingerprint"], config.model.keys())
        self.loop = Loop(model, objective, source, config, parallel, [self._report])
        self.loop.rewind = self._rewind
        self.validation = Validation(config, reader, objective)
        if (hint := few_negatives(config, parallel.data_size)) is not None:
            progress.say(hint)
        self.told: dict[str, Any] = {}
        """First and last loss, and epochs begun."""
        if begun is not None:
            self._resume(begun)
        self.writer = None
        if parallel.main:
            self.writer = MetricsWriter(
                folder, after=self.loop.step, lines=None if begun is None else begun.meta["lines"],
                tensorboard=config.tensorboard, say=progress.say,
            )  # fmt: skip

    def _rescale(self, phase: Any) -> None:
        from .sources import rescale

        model: Any = self.parallel.plain(self.loop.model)
        rescale(model, phase)

    def _resume(self, begun: Checkpoint) -> None:
        meta = begun.meta
        check_same_run(self.folder, begun, self.config, self.sizes)
        try:
            self.loop.restore(meta["state"])
        except ConfigError as error:
            raise ConfigError(f"{self.folder} holds a run on other packs: {error}") from error
        self.parallel.load_full(self.loop.model, self.loop.optimiser, begun.full())
        self.told = dict(meta["told"])
        if self.loop.step < self.config.steps:
            self.progress.say(f"pretrain: goes on from step {begun.step}")

    def run(self, asked: Asked, log: Callable[[Event], None] | None) -> dict[str, Any]:
        """Train to the end and write what is left to write."""
        from .flops import training_flops
        from .throughput import Throughput, device_accelerator

        config, loop = self.config, self.loop
        speed = Throughput(device_accelerator(self.parallel.device), self.parallel.world_size)
        with self.progress.bar("pretrain", total=config.steps, done=loop.step, unit="tokens") as bar:
            for event in loop:
                self._count(event)
                lap = speed.lap(event.tokens, training_flops(self.sizes, event.work))
                if self.writer is not None:
                    self.writer.step(event.to_json())
                    self.writer.timing({"step": event.step, **lap})
                if log is not None:
                    log(event)
                bar.note(f"loss {event.loss:.3f}" + (f", {self._skipped()} left out" if self._skipped() else ""))
                bar.advance(1 if event.rewound is None else event.rewound - event.step + 1, event.tokens)
                last, due = loop.step == config.steps, event.rewound is None
                if not loop.counts["targets"] and (last or event.epoch):
                    raise ConfigError(
                        f"objective '{config.objective}' finds nothing to predict in {self.reader.store.where}:"
                        " documents, or sequences, of a single token have no target"
                    )
                if due and (last or (config.eval_every is not None and loop.step % config.eval_every == 0)):
                    self._evaluate()  # before the checkpoint, which says how many lines the files have
                stop = self.parallel.agree(asked.signal is not None)
                if due and (stop or last or (config.save_every is not None and loop.step % config.save_every == 0)):
                    self._save()
                if stop and not last:
                    raise Stopped(
                        f"pretrain: stopped by {asked.name or 'a signal to another process'} at step {loop.step} of"
                        f" {config.steps}; the same command goes on from {self.folder / FOLDER}",
                        asked.signal or 15,
                    )
                speed.restart()
        if self.writer is not None:
            self.writer.close()
        return self._summary(speed)

    def _count(self, event: Event) -> None:
        self.told.setdefault("first_loss", event.loss)
        self.told.setdefault("last_loss", None)
        if event.skipped is None:
            self.told["last_loss"] = event.loss
        self.told["epochs"] = event.epoch + 1

    def _skipped(self) -> int:
        return sum(n for name, n in self.loop.counts.items() if name.startswith("skipped_"))

    def _evaluate(self) -> None:
        found = self.validation.measure(self.loop.model, self.parallel)
        if not found:
            return
        if self.writer is not None:
            self.writer.held_out(self.loop.step, found)
        for name, values in found.items():
            kind = "bits_per_byte" if "bits_per_byte" in values else "loss"
            self.progress.say(f"pretrain: step {self.loop.step}, {name}: {kind.replace('_', ' ')} {values[kind]:.4f}")
        self.told["held_out"] = found

    def _save(self) -> None:
        """Write a checkpoint; every process comes here."""
        full = self.parallel.full_state(self.loop.model, self.loop.optimiser)
        model: Any = self.parallel.plain(self.loop.model)
        if self.writer is not None:
            self.writer.flush()
            meta = {
                "step": self.loop.step,
                "good": self.loop.guard.calm and all(bool(x.isfinite().all()) for x in full["model"].values()),
                "config": {**self.config.to_json(), "held_out": sorted(self.config.held_out)},  # names, not places
                "model": dataclasses.asdict(model.config),
                "tokenizer": self.reader.manifest["tokenizer"]["fingerprint"],
                "source": self.loop.source.fingerprint,
                "state": self.loop.state(),
                "lines": self.writer.lines(),
                "told": self.told,
            }
            self.checkpoints.save(meta, full)
        self.parallel.barrier()

    def _report(self, event: Event) -> None:
        """Write down a spike and its documents; every process comes here."""
        if event.skipped is None or event.skipped == "no_targets":
            return
        from .culprits import add_urls, culprits

        record = culprits(self.loop, event)
        if self.writer is None:
            return
        add_urls(record, self.readers)
        self.writer.spike(record)
        worst: dict[str, Any] = next((one for row in record["sequences"] for one in row["documents"]), {})
        self.progress.say(
            f"pretrain: step {event.step}: update left out ({event.skipped}: loss {event.loss:.3f}, gradient norm"
            f" {event.grad_norm:.3f}); worst document {worst.get('id')} {worst.get('url') or ''}, all in spikes.jsonl"
        )

    def _rewind(self) -> bool:
        """Take up the weights of a good checkpoint from before the bad stretch (see `spikes`), or where none is that
        old, of the oldest good one; the batches drawn since are not drawn again."""
        self.parallel.barrier()
        found = self.checkpoints.before(self.loop.bad_since or self.loop.step)
        if found is None or found.step >= self.loop.step:
            return False
        self.progress.say(f"pretrain: too many updates left out by step {self.loop.step}: back to step {found.step}")
        self.parallel.load_full(self.loop.model, self.loop.optimiser, found.full())
        self.loop.go_back(found.meta["state"])
        self.told["last_loss"] = found.meta["told"].get("last_loss")
        self.parallel.barrier()
        if self.parallel.main:
            self.checkpoints.drop_after(found.step)
        self.parallel.barrier()
        return True

    def _summary(self, speed: Any) -> dict[str, Any]:
        import torch

        from .throughput import memory

        config, loop = self.config, self.loop
        summary: dict[str, Any] = {
            "size": config.size,
            "objective": config.objective,
            "parameters": self.parameters,
            "steps": loop.step,
            "batch_size": config.batch_size,
            "sequence_length": self.reader.sequence_length,
            "tokens": loop.counts["tokens"],
            "targets": loop.counts["targets"],
            "seed": config.seed,
            "lr": config.optim.lr,
            **self.told,
            "untrained_loss": math.log(self.sizes.vocab_size),
            "skipped": {name[8:]: n for name, n in sorted(loop.counts.items()) if name.startswith("skipped_")},
            "rewinds": loop.rewinds,
        }
        summary = finite(summary)
        timing_file = self.folder / "timing" / "run.json"
        timing = speed.total()
        if not speed.tokens:  # all was done before
            timing = read_json(timing_file) or timing
        if self.parallel.main:
            write_json(self.folder / "summary.json", summary)
            more = {**memory(self.parallel.device), "threads": torch.get_num_threads(), "torch": str(torch.__version__)}
            write_json(timing_file, {**more, **timing, "processes": self.parallel.world_size})
        return {**summary, "seconds": timing["seconds"], "tokens_per_s": timing["tokens_per_s"]}
