"""Tensor parallel: the matrices of each layer are split over ranks that work on the same sequences.

Heads and feed-forward columns are split (Shoeybi et al. 2019) by torch's DTensor plans; embedding and output layer by
rows of the vocabulary, with the loss computed on the split logits. Norms are whole on each rank, and so are experts.
"""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import AbstractContextManager, nullcontext
from functools import partial
from typing import Any

import torch
import torch.distributed as dist
from torch import nn
from torch.distributed.device_mesh import init_device_mesh
from torch.distributed.fsdp import FSDPModule
from torch.distributed.tensor import Replicate
from torch.distributed.tensor.parallel import (
    ColwiseParallel,
    ParallelStyle,
    PrepareModuleInput,
    RowwiseParallel,
    parallelize_module,
)

from pipeline.errors import ConfigError

from ..config import ModelConfig
from ..inputs import Inputs
from .base import Forward, Loss, Output
from .fsdp import shard
from .group import DataParallel
from .spec import Spec
from .state import local
from .vocabulary import check_vocabulary, cross_entropy

PER_HEAD = ("query_norm.weight", "key_norm.weight")
"""Weights that all heads share: each rank's gradient is of its own heads."""


class TensorParallel(DataParallel):
    """Groups of `tensor` ranks share a model; with more ranks, the groups are data-parallel by FSDP2."""

    kind = "tensor"

    def __init__(self, spec: Spec, device: torch.device, precision: str, store: dist.Store | None = None) -> None:
        super().__init__(spec, device, precision, store)
        size = spec.tensor or self.world_size
        if self.world_size % size:
            raise ConfigError(
                f"parallel: tensor={size} doesn't divide the {self.world_size} processes that were started"
            )
        self.mesh = init_device_mesh(device.type, (self.world_size // size, size), mesh_dim_names=("data", "tensor"))
        self.data_rank, self.data_size = self.rank // size, self.world_size // size
        self.data_group = self.mesh["data"].get_group()
        self.shard_ranks = self.world_size
        self._per_head: list[nn.Parameter] = []

    def check_model(self, config: ModelConfig) -> None:
        check(config, self.mesh["tensor"].size())

    def wrap(self, model: nn.Module, *, compile: bool = False) -> nn.Module:
        mesh = self.mesh["tensor"]
        self.check_model(model.config)
        model = model.to(self.device)
        parallelize_module(model, mesh, _outer_plan(model.config))
        for layer in model.layers():
            parallelize_module(layer, mesh, _layer_plan(layer, model.config))
        model.cross_entropy = partial(cross_entropy, mesh)
        if self.data_size > 1:
            shard(model, self.mesh["data"], self.precision, compile)
        elif compile:
            for layer in model.layers():
                layer.compile()
        self._per_head = [p for name, p in model.named_parameters() if name.endswith(PER_HEAD)]
        return model

    def autocast(self) -> AbstractContextManager[Any]:
        return nullcontext() if self.data_size > 1 else super().autocast()

    def sync(self, model: nn.Module, last: bool) -> AbstractContextManager[Any]:
        if isinstance(model, FSDPModule):
            model.set_requires_gradient_sync(last)
        return nullcontext()

    def accumulate(self, model: nn.Module, forward: Forward, micros: Sequence[Inputs], loss: Loss) -> list[Output]:
        outputs = super().accumulate(model, forward, micros, loss)
        gradients = [local(p.grad) for p in self._per_head if p.grad is not None]
        if gradients:
            flat = torch.cat([gradient.flatten() for gradient in gradients])
            dist.all_reduce(flat, group=self.mesh["tensor"].get_group())
            for gradient, total in zip(gradients, flat.split([g.numel() for g in gradients]), strict=True):
                gradient.copy_(total.view_as(gradient))
        return outputs


def check(config: ModelConfig, size: int) -> None:
    """Raise ConfigError for a model that can't be split over `size` ranks."""
    for name, number in (("heads", config.n_heads), ("key-value heads", config.kv_heads), ("d_ff", config.d_ff)):
        if number % size:
            raise ConfigError(f"parallel: the model's {number} {name} can't be split evenly over {size} tensor ranks")
    if config.dropout:
        raise ConfigError("parallel: tensor can't be used with dropout: each rank would drop by its own random numbers")
    check_vocabulary(config.vocab_size, size)


def _outer_plan(config: ModelConfig) -> dict[str, ParallelStyle]:
    """Embedding and output layer by rows. The output layer isn't called: `cross_entropy` takes its weight."""
    plan: dict[str, ParallelStyle] = {"embedding": RowwiseParallel(input_layouts=Replicate())}
    return plan if config.tied else {**plan, "head": ColwiseParallel()}


def _layer_plan(layer: nn.Module, config: ModelConfig) -> dict[str, ParallelStyle]:
    """A layer's input is made a replicated DTensor once, so that its gradient is summed over ranks once."""
    plan: dict[str, ParallelStyle] = {}
    for name, others in (("attention", 1), ("cross", 2)):
        if getattr(layer, name) is not None:
            layouts = (Replicate(), None) if others == 1 else (Replicate(), None, Replicate())
            plan[name] = PrepareModuleInput(input_layouts=layouts, desired_input_layouts=layouts)
            plan |= {f"{name}.{part}": ColwiseParallel() for part in ("query", "key", "value")}
            plan[f"{name}.out"] = RowwiseParallel()
    if config.n_experts:
        return plan
    plan["feed_forward"] = PrepareModuleInput(input_layouts=(Replicate(),), desired_input_layouts=(Replicate(),))
    parts = ("up",) if layer.feed_forward.gate is None else ("gate", "up")
    plan |= {f"feed_forward.{part}": ColwiseParallel() for part in parts}
    plan["feed_forward.down"] = RowwiseParallel()
    return plan
