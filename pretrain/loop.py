"""The training loop without files: batches in, weights changed, an event out for each step.

A step draws a batch, makes micro-batches of it, adds up their gradients, judges loss and gradient norm, and updates or
leaves it. The loss is the fp32 sum over the valid targets of all micro-batches and ranks divided by their number, so
neither micro-batches nor ranks change the gradient. Two losses are not sums over targets and are those of each
micro-batch, averaged by its targets: the balance of experts, a product of two means (so that of micro-batches is an
average of products), and contrastive pairs, whose negatives are the micro-batch's.

Random numbers (dropout) come from generators seeded anew each step by (seed, batches drawn, data rank): a run that goes
on needs no generator's state but these two numbers, on any number of ranks.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn

from pipeline.errors import StepFailed
from pipeline.store import digest

from .allocator import keep_freed
from .config import TrainConfig
from .flops import Work
from .gradstats import Statistics
from .optim import make_optimiser
from .parallel.base import Parallel
from .schedule import lr_share
from .spikes import SpikeGuard, Verdict

if TYPE_CHECKING:
    from .data import Batch
    from .inputs import Inputs, Output


@dataclass(frozen=True, kw_only=True)
class Event:
    """One step: what it measured and what it saw."""

    step: int  # from 1; a rewind goes back
    epoch: int
    loss: float  # nats a target over all micro-batches and ranks, before the update; NaN without a target
    lr: float
    grad_norm: float  # before clipping
    tokens: int  # in the batch over all ranks, padding not counted
    targets: int  # that were predicted
    work: Work  # of the model, over all ranks
    parts: dict[str, float] = field(default_factory=dict)  # of the objective and the model; z-loss and router losses
    skipped: str | None = None  # why the update was left out: "loss", "grad_norm", "nonfinite", "no_targets"
    rewound: int | None = None  # the step that the run then went back to
    statistics: dict[str, dict[str, float]] | None = None  # of the gradient, by kind and layer, where they were due
    verdict: Verdict | None = None
    batch: Batch  # this rank's share; not logged

    def to_json(self) -> dict[str, Any]:
        """The line of the log; what has no value is left out."""
        names = ("step", "epoch", "loss", "lr", "grad_norm", "tokens", "targets", "skipped", "rewound", "statistics")
        line = {name: getattr(self, name) for name in names if getattr(self, name) is not None}
        for name in ("loss", "grad_norm"):  # JSON has no NaN
            line[name] = line[name] if math.isfinite(line[name]) else None
        return {**line, **{name: value for name, value in self.parts.items() if math.isfinite(value)}}


Hook = Callable[[Event], None]


class Loop:
    """A run in memory. Iterating takes the steps that are left; `state` says where it stands between two of them.

    `model` is the plain model; `self.model` is it as `parallel` wraps it. `hooks` get each event while the model is
    still as the step saw it, if the update was left out. `rewind`, if set, is asked when too many updates were left
    out: it takes up a good checkpoint (`go_back`) and returns True. Without it, or where it has none, the guard forgets
    its window: what looked like spikes is taken for the new level. Raises StepFailed after `spike.max_nonfinite` steps
    in a row that were not finite, and when spikes come again after `spike.max_rewinds` rewinds.
    """

    def __init__(
        self,
        model: nn.Module,
        objective: Any,
        source: Any,
        config: TrainConfig,
        parallel: Parallel | None = None,
        hooks: Sequence[Hook] = (),
    ) -> None:
        self.hooks = hooks
        self.objective, self.source, self.config = objective, source, config
        self.parallel = parallel or Parallel(torch.device("cpu"), config.precision)
        if self.parallel.device.type == "cpu":
            keep_freed()
        self.model = self.parallel.wrap(model, compile=config.compile)
        self.optimiser = make_optimiser(self.parallel.plain(self.model), config.optim)
        self.guard = SpikeGuard(config.spike)
        self.step = self.drawn = self.rewinds = 0
        self.counts: Counter[str] = Counter()
        """`tokens` and `targets` that were seen, and `skipped_...` by reason."""
        self.bad_since: int | None = None
        """The first step since when the run is not calm (`SpikeGuard.calm`), while it isn't."""
        self.rewind: Callable[[], bool] | None = None
        self._nonfinite = 0

    def __iter__(self) -> Iterator[Event]:
        self.model.train()
        batches = iter(self.source)
        while self.step < self.config.steps:
            batch = next(batches, None)
            if batch is None:
                return
            yield self._take(batch)

    def _take(self, batch: Batch) -> Event:
        config, parallel = self.config, self.parallel
        rate = config.optim.lr * lr_share(self.step, config.steps, config.optim)
        for group in self.optimiser.param_groups:
            group["lr"] = rate
        micros = [self.objective.prepare(part, config.seed) for part in micro_batches(batch, config.micro_batch)]
        seen = int((batch.segment_ids >= 0).sum()) if batch.segment_ids is not None else batch.input_ids.numel()
        works = [m.work() for m in micros]
        mine = [sum(m.n_valid for m in micros), seen]
        mine += [int(sum(w)) for w in zip(*((w.tokens, w.logits, w.decoder_tokens) for w in works), strict=True)]
        targets, tokens, *sums = parallel.reduce(torch.tensor(mine, device=parallel.device)).tolist()
        work = Work(sums[0], works[0].length, sums[1], sums[2], works[0].decoder_length)
        due = config.stats_every is not None and (self.step + 1) % config.stats_every == 0
        statistics = Statistics(self.model, parallel) if due else None
        if statistics is not None:
            statistics.activations(self.objective.loss, self.objective.prepare(batch.rows(0, 1), config.seed))
        with seeded(config.seed, self.drawn, parallel):
            loss, parts = self._accumulate(micros, targets)
        if statistics is not None:
            statistics.gradients()
        norm = float(parallel.clip(self.model.parameters(), config.optim.max_grad_norm or math.inf))
        self.step, self.drawn = self.step + 1, self.drawn + 1
        verdict = self.guard.judge(loss, norm) if targets else Verdict("no_targets", False, None, None)
        self.bad_since = None if self.guard.calm else self.bad_since or self.step
        if verdict.skip is None:
            self.optimiser.step()
        if statistics is not None and verdict.skip is None:
            statistics.updates()
        self.optimiser.zero_grad(set_to_none=True)
        self.counts.update(steps=1, tokens=tokens, targets=targets)
        if verdict.skip is not None:
            self.counts[f"skipped_{verdict.skip}"] += 1
        event = Event(
            step=self.step, epoch=batch.epoch, loss=loss, lr=rate, grad_norm=norm, tokens=tokens, targets=targets,
            work=work, parts=parts, skipped=verdict.skip, verdict=verdict, batch=batch,
            statistics=None if statistics is None else statistics.found,
        )  # fmt: skip
        for hook in self.hooks:
            hook(event)
        return replace(event, rewound=self._recover(verdict))

    def _accumulate(self, micros: list[Inputs], targets: int) -> tuple[float, dict[str, float]]:
        """Forward and backward of the micro-batches; the step's loss in nats a target, and what else was measured."""
        n_valid, z_loss = max(1, targets), self.config.optim.z_loss

        def share(output: Output, inputs: Inputs) -> Tensor:
            return (output.loss_sum + z_loss * output.z_sum + output.aux) / n_valid

        outputs = self.parallel.accumulate(self.model, self.objective.loss, micros, share)
        names = sorted({name for output in outputs for name in output.parts})
        total = torch.zeros(3 + len(names), device=self.parallel.device)
        for output in outputs:
            parts_sums = (output.parts[name].float() * output.n_valid for name in names)
            total += torch.stack([output.loss_sum, output.z_sum, output.aux, *parts_sums])
        loss, z, aux, *sums = self.parallel.reduce(total).tolist()
        parts = {name: value / n_valid for name, value in zip(names, sums, strict=True)}
        if z_loss:
            parts["z_loss"] = z_loss * z / n_valid
        if aux:
            parts["aux_loss"] = aux / n_valid
        return loss / n_valid if targets else math.nan, parts

    def _recover(self, verdict: Verdict) -> int | None:
        """Rewind, or take the level for the new one, or give up, if too many updates were left out."""
        spike = self.config.spike
        self._nonfinite = self._nonfinite + 1 if verdict.skip == "nonfinite" else 0
        hopeless = self._nonfinite >= spike.max_nonfinite
        if not verdict.too_many and not hopeless:
            return None
        if self.rewind is not None and self.rewinds < spike.max_rewinds and self.rewind():
            return self.step
        if hopeless:
            raise StepFailed(
                f"pretrain: loss or gradient was not finite in {self._nonfinite} steps in a row (the last is"
                f" {self.step}); take a lower optim.lr, a longer optim.warmup or precision fp32"
            )
        if self.rewinds and self.rewinds >= spike.max_rewinds:
            raise StepFailed(
                f"pretrain: at step {self.step} updates spike again after {self.rewinds} rewinds; take a lower optim.lr"
                " or look at the documents that spikes.jsonl names (spike.enabled: false takes every update)"
            )
        self.guard.forget()
        self.bad_since = None
        return None

    def state(self) -> dict[str, Any]:
        """Where the run stands but for the weights: plain JSON, the same on every rank."""
        return {
            "step": self.step,
            "drawn": self.drawn,
            "rewinds": self.rewinds,
            "nonfinite": self._nonfinite,
            "counts": dict(self.counts),
            "guard": self.guard.state(),
            "bad_since": self.bad_since,
            "source": self.source.state(),
        }

    def restore(self, state: dict[str, Any]) -> None:
        """Go on from a state; before iterating. The weights are loaded apart (`Parallel.load_full`)."""
        self.source.restore(state["source"])
        self.step, self.drawn, self.rewinds = state["step"], state["drawn"], state["rewinds"]
        self._nonfinite = state["nonfinite"]
        self.counts = Counter(state["counts"])
        self.guard.restore(state["guard"])
        self.bad_since = state.get("bad_since")

    def go_back(self, state: dict[str, Any]) -> None:
        """Rewind to a state, but go on with the batches behind those drawn so far."""
        self.step, self._nonfinite, self.rewinds = state["step"], 0, self.rewinds + 1
        self.guard.restore(state["guard"])
        self.bad_since = state.get("bad_since")


def optimise(
    model: nn.Module,
    objective: Any,
    source: Iterable[Batch],
    config: TrainConfig,
    *,
    parallel: Parallel | None = None,
    hooks: Sequence[Hook] = (),
) -> Iterator[Event]:
    """Take `config.steps` steps on batches of `source`, or as many as it has; yields an `Event` after each.

    For training without files: no checkpoints, so no rewinding (see `Loop`).
    """
    yield from Loop(model, objective, source, config, parallel, hooks)


def micro_batches(batch: Batch, size: int | None) -> list[Batch]:
    """The batch in parts of at most `size` sequences."""
    n = len(batch.indices)
    if size is None or size >= n:
        return [batch]
    return [batch.rows(first, min(first + size, n)) for first in range(0, n, size)]


@contextmanager
def seeded(seed: int, drawn: int, parallel: Parallel) -> Iterator[None]:
    """torch's generators seeded by (seed, batches drawn, data rank) for the block, and as they were after it."""
    devices = [parallel.device] if parallel.device.type == "cuda" else []
    with torch.random.fork_rng(devices=devices):
        number = int(digest(seed, drawn, parallel.data_rank)[:15], 16)
        torch.default_generator.manual_seed(number)  # torch.manual_seed takes 1 ms: a traceback a backend
        if devices:
            with torch.cuda.device(parallel.device):
                torch.cuda.manual_seed(number)
        yield
