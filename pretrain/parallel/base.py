"""One process, and the interface of the other kinds."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from contextlib import AbstractContextManager, nullcontext
from typing import Any

import torch
from torch import Tensor, nn

from ..inputs import Inputs, Output

Forward = Callable[[nn.Module, Inputs], Output]
Loss = Callable[[Output, Inputs], Tensor]


class Parallel:
    """One process."""

    def __init__(self, device: torch.device, precision: str = "fp32") -> None:
        self.device, self.precision = device, precision
        self.rank, self.world_size, self.data_rank, self.data_size = 0, 1, 0, 1
        self.main = True

    def wrap(self, model: nn.Module, *, compile: bool = False) -> nn.Module:
        """The model to train, on this rank's device."""
        model = model.to(self.device)
        if compile:
            model.compile()
        return model

    def autocast(self) -> AbstractContextManager[Any]:
        """The forward pass's precision."""
        return torch.autocast(self.device.type, torch.bfloat16) if self.precision == "bf16" else nullcontext()

    def accumulate(self, model: nn.Module, forward: Forward, micros: Sequence[Inputs], loss: Loss) -> list[Output]:
        """Forward and backward of every micro-batch; their outputs without graphs."""
        outputs = []
        for inputs in micros:
            with self.autocast():
                output = forward(model, inputs)
                share = loss(output, inputs)
            share.backward()
            outputs.append(output._replace(**{k: getattr(output, k).detach() for k in ("loss_sum", "z_sum", "aux")}))
        return outputs

    def reduce(self, value: Tensor, op: str = "sum") -> Tensor:
        """`value` summed (or "max") over the data ranks."""
        return value

    def clip(self, parameters: Iterable[nn.Parameter], max_norm: float) -> Tensor:
        """Clip the gradient; its norm before."""
        return torch.nn.utils.clip_grad_norm_(parameters, max_norm)
