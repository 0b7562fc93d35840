"""Pipeline parallel: each rank holds some consecutive layers, micro-batches flow through the ranks.

torch.distributed.pipelining runs the schedule and sends activations and their gradients. Every rank draws the whole
batch: what travels between stages is the residual stream alone, (rows, T, D) fp32.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import AbstractContextManager
from typing import Any

import torch
import torch.distributed as dist
from torch import Tensor, nn
from torch.distributed.pipelining import PipelineStage, Schedule1F1B, ScheduleGPipe

from pipeline.errors import ConfigError

from ..config import ModelConfig
from ..inputs import Inputs
from . import state
from .base import Forward, Loss, Output, detached
from .group import Group
from .padding import blank, filled, rows_of
from .spec import Spec

TIED = {"head.weight": "embedding.weight"}
"""The last stage's own copy of a tied output layer, and what it is a copy of."""


class Pipeline(Group):
    """One stage a rank, GPipe (Huang et al. 2019) or 1F1B (Narayanan et al. 2019).

    A tied output layer is held by the first and the last rank: its gradient is the sum of both, so the copies stay
    equal. Micro-batches are filled up with padding to one shape; fewer than there are stages are split by sequences, or
    where that can't be, joined by empty ones.
    """

    kind = "pipeline"

    def __init__(self, spec: Spec, device: torch.device, precision: str, store: dist.Store | None = None) -> None:
        super().__init__(spec, device, precision, store)
        self.data_rank, self.data_size = 0, 1
        self.first, self.last = self.rank == 0, self.rank == self.world_size - 1
        self._ends = dist.new_group([0, self.world_size - 1]) if self.world_size > 1 else None
        self._tied: nn.Parameter | None = None
        self._stage: Stage | None = None
        self._schedules: dict[bool, tuple[tuple[int, ...], Any]] = {}

    def check_model(self, config: ModelConfig) -> None:
        check(config, self.world_size)

    def wrap(self, model: nn.Module, *, compile: bool = False) -> nn.Module:
        """Cut the model down to this rank's layers; the others become empty."""
        self.check_model(model.config)
        if self.last and not self.first and model.config.tied:
            model.head = nn.Linear(model.config.d_model, model.config.vocab_size, bias=False)
            model.head.weight = nn.Parameter(model.embedding.weight.detach().clone())
        elif not self.last and model.head is not None:
            model.head = nn.Identity()
        self._stage = Stage(
            model, self.autocast, *bounds(model.config.n_layers, self.rank, self.world_size), self.first, self.last
        )
        model.to(self.device)
        if compile:
            for layer in self._stage.layers:
                layer.compile()
        if model.config.tied and self.world_size > 1 and (self.first or self.last):
            self._tied = model.embedding.weight if self.first else model.head.weight
        return model

    def accumulate(self, model: nn.Module, forward: Forward, micros: Sequence[Inputs], loss: Loss) -> list[Output]:
        outputs = self._run(model, forward, split(micros, self.world_size), loss)
        if self._tied is not None:
            assert self._tied.grad is not None
            dist.all_reduce(self._tied.grad, group=self._ends)
        return outputs

    def evaluate(self, model: nn.Module, forward: Forward, micros: Sequence[Inputs]) -> list[Output]:
        with torch.no_grad():
            return self._run(model, forward, micros, None)

    def _run(self, model: nn.Module, forward: Forward, micros: Sequence[Inputs], loss: Loss | None) -> list[Output]:
        """Micro-batches through all stages, and backward if there is a loss; the last stage's outputs on every rank."""
        if not micros:
            return []
        rows, length = (max(inputs.input_ids.shape[i] for inputs in micros) for i in (0, 1))
        rows = max(rows, 1)
        parts = [filled(inputs, rows, length).to(self.device) for inputs in micros]
        blanks = max(0, self.world_size - len(parts))  # they come first: statistics keep what a module saw last
        parts = [filled(blank(parts[0]), rows, length)] * blanks + parts
        outputs: list[Output] = []
        stage = self._stage
        assert stage is not None

        def end(hidden: Tensor, number: Tensor) -> Tensor:
            inputs = parts[int(number)]
            stage.last_hidden = hidden
            with self.autocast():  # not around the whole schedule: backward passes run in it
                output = forward(model, inputs)
                share = output.loss_sum if loss is None else loss(output, inputs)
            outputs.append(detached(output, inputs))
            return share

        stage.inputs, stage.end = parts, end
        numbers = torch.arange(len(parts))
        schedule = self._schedule((len(parts), rows, length), loss is not None)
        run = schedule.step if loss is not None else schedule.eval
        run(
            *([numbers] if self.first else []), number=numbers, target=numbers if self.last else None,
            losses=[] if self.last else None, return_outputs=False,
        )  # fmt: skip
        stage.inputs, stage.last_hidden = [], None
        return self._told(outputs[blanks:])

    def _schedule(self, shape: tuple[int, int, int], training: bool) -> Any:
        """The schedule for so many micro-batches of (rows, T); remade when they change, since its buffers are."""
        found = self._schedules.get(training)
        if found is not None and found[0] == shape:
            return found[1]
        stage = self._stage
        assert stage is not None
        number, rows, length = shape
        stream = torch.empty((rows, length, stage.width), device=self.device, requires_grad=training)
        made = PipelineStage(
            stage, self.rank, self.world_size, self.device,
            input_args=torch.zeros(1, dtype=torch.int64) if self.first else stream, output_args=stream,
        )  # fmt: skip
        kind = Schedule1F1B if self.spec.schedule == "1f1b" else ScheduleGPipe
        schedule = kind(made, number, loss_fn=lambda hidden, number: stage.end(hidden, number), scale_grads=False)
        self._schedules[training] = (shape, schedule)
        return schedule

    def _told(self, outputs: list[Output]) -> list[Output]:
        """The last rank's outputs, on every rank."""
        said = [([float(x) for x in o[:3]], {k: float(v) for k, v in o.parts.items()}, o.n_valid) for o in outputs]
        told: list[Any] = [said]
        dist.broadcast_object_list(told, self.world_size - 1)
        made = []
        for sums, parts, n_valid in told[0]:
            values = torch.tensor(sums, device=self.device)
            named = {name: torch.tensor(value, device=self.device) for name, value in parts.items()}
            made.append(Output(values[0], values[1], values[2], None, named, n_valid))
        return made

    def reduce(self, value: Tensor, op: str = "sum") -> Tensor:
        return value.clone()

    def norms(self, groups: Mapping[str, Iterable[Tensor]]) -> dict[str, float]:
        sums = {name: self._square_sum(tensors).item() for name, tensors in groups.items()}
        every: list[Any] = [None] * self.world_size
        dist.all_gather_object(every, sums)
        total: dict[str, float] = {}
        for found in every:
            for name, value in found.items():
                total[name] = total.get(name, 0.0) + value
        return {name: value**0.5 for name, value in total.items()}

    def clip(self, parameters: Iterable[nn.Parameter], max_norm: float) -> Tensor:
        parameters = [p for p in parameters if p.grad is not None]
        counted = [p.grad for p in parameters if p is not self._tied or self.first]
        total = state.all_reduced(self._square_sum(counted), "sum", None)
        return state.clip([p.grad for p in parameters], total, max_norm)

    def full_state(self, model: nn.Module, optimiser: torch.optim.Optimizer | None = None) -> dict[str, Any]:
        own = state.full_state(model, optimiser, True)
        if self._tied is not None and self.last:
            own = {kind: {n: v for n, v in found.items() if n not in TIED} for kind, found in own.items()}
        every: list[Any] | None = [None] * self.world_size if self.main else None
        dist.gather_object(own, every, 0)
        whole: dict[str, Any] = {"model": {}, "optimiser": {}}
        for part in every or []:
            for kind, found in part.items():
                whole[kind].update(found)
        return whole

    def load_full(self, model: nn.Module, optimiser: torch.optim.Optimizer | None, full: Mapping[str, Any]) -> None:
        if self._tied is not None and self.last:
            full = {
                kind: {**found, **{copy: found[name] for copy, name in TIED.items() if name in found}}
                for kind, found in full.items()
            }
        state.load_full(model, optimiser, full)


class Stage(nn.Module):
    """A rank's layers `first_layer` to `last_layer` of a model, which is cut down to them."""

    def __init__(
        self,
        model: nn.Module,
        autocast: Callable[[], AbstractContextManager[Any]],
        first_layer: int,
        last_layer: int,
        first: bool,
        last: bool,
    ) -> None:
        super().__init__()
        self.autocast = autocast
        self.width, self.first, self.last = model.config.d_model, first, last
        self.inputs: list[Inputs] = []
        self.last_hidden: Tensor | None = None
        self.end: Any = None
        stack = model.decoder if model.encoder is None else model.encoder
        self.layers = nn.ModuleList(stack.layers[first_layer:last_layer])
        for number in range(len(stack.layers)):
            if not first_layer <= number < last_layer:
                stack.layers[number] = nn.Identity()
        self.embedding, self.norm = model.embedding, stack.norm
        if not first:
            model.embedding = nn.Identity()
        if not last:
            stack.norm = nn.Identity()
        self._model = [model]  # not a submodule: it holds the same layers
        model._run = lambda inputs: (self.last_hidden, [])  # what `forward` makes its loss of

    def forward(self, x: Tensor, number: Tensor) -> Tensor:
        """(rows, T, D) of the stage before to the next one's; the first stage takes its micro-batch's ids instead."""
        with self.autocast():
            return self._layers(x, self.inputs[int(number)], self._model[0])

    def _layers(self, x: Tensor, inputs: Inputs, model: nn.Module) -> Tensor:
        if self.first:
            x = model.dropout(self.embedding(inputs.input_ids))
        context = model.context(inputs.input_ids, inputs.segment_ids, model.encoder is None)
        for layer in self.layers:
            x = layer(x, context)
        return self.norm(x).float() if self.last else x.float()


def split(micros: Sequence[Inputs], number: int) -> Sequence[Inputs]:
    """At least `number` micro-batches where rows allow it, so that all stages work. Pairs stay together: each is told
    from all others of its micro-batch."""
    if not micros or len(micros) >= number or micros[0].pairs is not None:
        return micros
    size = -(-sum(len(inputs.input_ids) for inputs in micros) // number)
    made = []
    for inputs in micros:
        for first in range(0, len(inputs.input_ids), size):
            made.append(rows_of(inputs, first, first + size))
    return made


def bounds(layers: int, stage: int, stages: int) -> tuple[int, int]:
    """The first layer of a stage and the first after it; the early stages have one more where it doesn't divide,
    since the last has the output layer."""
    size, more = divmod(layers, stages)
    return stage * size + min(stage, more), (stage + 1) * size + min(stage + 1, more)


def check(config: ModelConfig, stages: int) -> None:
    """Raise ConfigError for a model that can't be cut into stages."""
    if config.form == "encoder_decoder":
        raise ConfigError("parallel: pipeline can't cut an encoder_decoder model; choose ddp, fsdp or tensor")
    if config.n_experts:
        raise ConfigError("parallel: pipeline can't be used with experts (n_experts); choose ddp, fsdp or tensor")
    if config.n_layers < stages:
        raise ConfigError(
            f"parallel: {config.n_layers} layers can't be cut into {stages} stages; start at most {config.n_layers}"
            " processes"
        )
