"""What every kind of parallelism over a process group shares."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from types import TracebackType
from typing import Any

import torch
import torch.distributed as dist
from torch import Tensor, nn

from pipeline.errors import GristmillError, StepFailed, Stopped

from ..inputs import Inputs
from . import state
from .base import Forward, Loss, Output, Parallel
from .padding import blank
from .spec import Spec

_FAILED = "failed"


class Group(Parallel):
    """A rank of a process group. `store`: where ranks leave word of a failure, if they can."""

    def __init__(self, spec: Spec, device: torch.device, precision: str, store: dist.Store | None = None) -> None:
        super().__init__(device, precision)
        self.spec, self.store = spec, store
        self.objective = ""
        self.rank, self.world_size = dist.get_rank(), dist.get_world_size()
        self.data_rank, self.data_size = self.rank, self.world_size
        self.data_group: dist.ProcessGroup | None = None
        """Ranks with different data (None: all)."""
        self._template: Inputs | None = None

    def reduce(self, value: Tensor, op: str = "sum") -> Tensor:
        return state.all_reduced(value, op, self.data_group)

    def gather(self, value: Any) -> list[Any]:
        if self.data_size == 1:
            return [value]
        found: list[Any] = [None] * self.data_size
        dist.all_gather_object(found, value, group=self.data_group)
        return found

    def largest(self, values: Mapping[str, float]) -> dict[str, float]:
        every: list[Any] = [None] * self.world_size
        dist.all_gather_object(every, dict(values))
        names = sorted({name for found in every for name in found})
        return {name: max(found[name] for found in every if name in found) for name in names}

    def agree(self, flag: bool) -> bool:
        return bool(state.all_reduced(torch.tensor(int(flag), device=self.device), "max", None).item())

    def _over_shards(self, value: Tensor) -> Tensor:
        return value if self.shard_ranks == 1 else state.all_reduced(value, "sum", None)

    def barrier(self) -> None:
        self.agree(False)  # dist.barrier of NCCL guesses the device

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """A rank that failed leaves its message for the others and doesn't wait for them: when it has ended, their
        collectives fail too, and their error is that message."""
        if error is None or isinstance(error, Stopped):  # a signal ends all ranks at the same step
            self.close()
        elif isinstance(error, Exception) and self.store is not None:
            said = f"rank {self.rank}: {type(error).__name__}: {error}"
            first = self.store.compare_set(_FAILED, "", said).decode()
            if first != said and not isinstance(error, GristmillError):
                raise StepFailed(f"another process failed, so this one (rank {self.rank}) ends. {first}") from error

    def close(self) -> None:
        if self.store is not None:
            dist.destroy_process_group()


class DataParallel(Group):
    """Each rank has its own sequences; all run the same number of micro-batches, with blank ones where one has less."""

    def accumulate(self, model: nn.Module, forward: Forward, micros: Sequence[Inputs], loss: Loss) -> list[Output]:
        padded = self._padded(model, micros)
        outputs = super().accumulate(model, forward, padded, loss)
        return outputs[: len(micros)]

    def evaluate(self, model: nn.Module, forward: Forward, micros: Sequence[Inputs]) -> list[Output]:
        return super().evaluate(model, forward, self._padded(model, micros))[: len(micros)]

    def _padded(self, model: nn.Module, micros: Sequence[Inputs]) -> list[Inputs]:
        number = int(self.reduce(torch.tensor(len(micros), device=self.device), "max"))
        micros = [inputs if len(inputs.input_ids) else blank(inputs) for inputs in micros]
        if micros:
            self._template = micros[0]
        if len(micros) < number:
            micros += [blank(self._template or _smallest(self.plain(model)))] * (number - len(micros))
        return micros


def _smallest(model: nn.Module) -> Inputs:
    """What a rank that has never had a sequence takes as template."""
    ids = torch.zeros((1, 8), dtype=torch.int64)
    segments = ids.to(torch.int32)
    if model.config.form == "encoder_decoder":
        return Inputs(ids, segments, ids, ids, segments)
    return Inputs(ids, segments, ids)
