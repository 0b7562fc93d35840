"""The one interface of parallel training, and its plain form for one process.

A step's loss is a sum over the micro-batches of all data ranks; `accumulate` runs forward and backward over this
rank's share and leaves in `.grad` the gradient of the whole sum, so that the optimiser does the same on every rank.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from types import TracebackType
from typing import Any

import torch
from torch import Tensor, nn

from ..config import ModelConfig
from ..inputs import Inputs, Output
from . import state

Forward = Callable[[nn.Module, Inputs], Output]
"""The objective: runs the model on a micro-batch."""
Loss = Callable[[Output, Inputs], Tensor]
"""A micro-batch's share of the step's loss: the shares of all micro-batches and data ranks sum to it."""


class Parallel:
    """One process, and the base of the other kinds.

    `rank`, `world_size`: of this process among all. `data_rank`, `data_size`: what the loader is given; processes
    that share a data rank (tensor, pipeline) draw the same batches. `main`: whether this process writes files.
    `precision` "bf16" runs the forward pass in autocast, with fp32 parameters, gradients and reductions.
    """

    kind = "none"

    def __init__(self, device: torch.device, precision: str = "fp32") -> None:
        self.device, self.precision = device, precision
        self.rank, self.world_size, self.data_rank, self.data_size = 0, 1, 0, 1
        self.shard_ranks = 1
        """Ranks that the parameters' parts are spread over."""

    @property
    def main(self) -> bool:
        return self.rank == 0

    def check_model(self, config: ModelConfig) -> None:
        """Raise ConfigError for a model that this kind can't split over its ranks; `wrap` does so, too."""

    def wrap(self, model: nn.Module, *, compile: bool = False) -> nn.Module:
        """The model to train, on this rank's device. Build the optimiser from its parameters.

        The model must be the same on every rank. See `plain` for its parameters' names.
        """
        model = model.to(self.device)
        if compile:
            model.compile()
        return model

    def plain(self, model: nn.Module) -> nn.Module:
        """The module under a wrapper: its parameters have the plain model's names."""
        return model

    def autocast(self) -> AbstractContextManager[Any]:
        """The forward pass's precision."""
        if self.precision == "bf16":
            return torch.autocast(self.device.type, torch.bfloat16)
        return nullcontext()

    def accumulate(self, model: nn.Module, forward: Forward, micros: Sequence[Inputs], loss: Loss) -> list[Output]:
        """Forward and backward of every micro-batch of this rank; adds the whole step's gradient to `.grad`.

        Returns the micro-batches' outputs without their graphs: of this rank's share, so `reduce` sums over them.
        Every rank calls it once a step, also with fewer micro-batches than the others or none.
        """
        outputs = []
        for number, inputs in enumerate(micros, 1):
            inputs = inputs.to(self.device)
            with self.sync(model, number == len(micros)):
                with self.autocast():
                    output = forward(model, inputs)
                    share = loss(output, inputs)
                share.backward()
            outputs.append(detached(output, inputs))
        return outputs

    def sync(self, model: nn.Module, last: bool) -> AbstractContextManager[Any]:
        """Around a micro-batch: ranks exchange gradients only in the step's last one."""
        return nullcontext()

    def evaluate(self, model: nn.Module, forward: Forward, micros: Sequence[Inputs]) -> list[Output]:
        """Outputs of this rank's micro-batches, without gradients. Every rank calls it as often as the others."""
        with torch.no_grad(), self.autocast():
            model = self.plain(model)
            return [detached(forward(model, inputs.to(self.device)), inputs) for inputs in micros]

    def reduce(self, value: Tensor, op: str = "sum") -> Tensor:
        """`value` summed (or "max") over the data ranks; the same on every rank. Doesn't change `value`."""
        return value

    def gather(self, value: Any) -> list[Any]:
        """A plain value (JSON) of each data rank, in order; the same on every rank."""
        return [value]

    def largest(self, values: Mapping[str, float]) -> dict[str, float]:
        """The largest value of each name over all ranks, of which each may have other names; the same on every rank."""
        return {name: values[name] for name in sorted(values)}

    def agree(self, flag: bool) -> bool:
        """Whether any rank says so, the same on all: SIGTERM reaches the ranks at different steps."""
        return flag

    def norms(self, groups: Mapping[str, Iterable[Tensor]]) -> dict[str, float]:
        """L2 norm of each group of parameters, gradients or updates, over all ranks' shards.

        Every rank gives the same names, also (pipeline) of tensors that it doesn't hold, then without tensors.
        """
        sums = [self._square_sum(tensors) for tensors in groups.values()]
        values = self._over_shards(torch.stack(sums)).sqrt().tolist() if sums else []
        return dict(zip(groups, values, strict=True))

    def clip(self, parameters: Iterable[nn.Parameter], max_norm: float) -> Tensor:
        """Scale the gradients so that their common L2 norm is at most `max_norm`; returns the norm before."""
        gradients = [p.grad for p in parameters if p.grad is not None]
        return state.clip(gradients, self._over_shards(self._square_sum(gradients)), max_norm)

    def _square_sum(self, tensors: Iterable[Tensor]) -> Tensor:
        """This rank's share of a sum of squares: over all ranks the shares make the whole."""
        return state.square_sum(tensors, self.device, self.shard_ranks)

    def _over_shards(self, value: Tensor) -> Tensor:
        """Shares of all ranks added up."""
        return value

    def full_state(self, model: nn.Module, optimiser: torch.optim.Optimizer | None = None) -> dict[str, Any]:
        """What a checkpoint holds of them: the same whatever the kind and the number of ranks.

        {"model": the plain model's state dict, "optimiser": {parameter's name: {key: tensor or number}}} on the CPU.
        Every rank calls it; only the main one gets the tensors. They may share the model's memory.
        """
        return state.full_state(self.plain(model), optimiser, self.main)

    def load_full(self, model: nn.Module, optimiser: torch.optim.Optimizer | None, full: Mapping[str, Any]) -> None:
        """Take up what `full_state` gave, on whatever number of ranks; every rank gives all of it (it reads the file).

        Raises ConfigError for the checkpoint of another model.
        """
        state.load_full(self.plain(model), optimiser, full)

    def barrier(self) -> None:
        """Wait for all ranks."""

    def close(self) -> None:
        """Leave the process group."""

    def __enter__(self) -> Parallel:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


def detached(output: Output, inputs: Inputs) -> Output:
    """The output of `inputs` without graphs and hidden states, so that a micro-batch's activations go."""
    parts = {name: value.detach() for name, value in output.parts.items()}
    return Output(output.loss_sum.detach(), output.z_sum.detach(), output.aux.detach(), None, parts, inputs.n_valid)
