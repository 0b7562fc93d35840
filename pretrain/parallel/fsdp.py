"""Fully sharded data parallel (FSDP2): each rank holds a slice of every parameter, its gradient and its moments."""

from __future__ import annotations

from contextlib import AbstractContextManager, nullcontext
from typing import Any

import torch
import torch.distributed as dist
from torch import nn
from torch.distributed.device_mesh import DeviceMesh, init_device_mesh
from torch.distributed.fsdp import FSDPModule, MixedPrecisionPolicy, fully_shard

from .group import DataParallel
from .spec import Spec


class FSDP(DataParallel):
    """`fully_shard` on each layer and on the rest.

    With precision "bf16" the slices are fp32 and gathered as bf16, so that layers and residual stream compute in
    bf16 (autocast would keep the residual stream in fp32); gradients are summed over ranks in fp32. While gradients
    accumulate over micro-batches they stay unsharded on each rank, which takes a parameter's worth of fp32 memory and
    spares a reduction for each micro-batch.
    """

    kind = "fsdp"

    def __init__(self, spec: Spec, device: torch.device, precision: str, store: dist.Store | None = None) -> None:
        super().__init__(spec, device, precision, store)
        self.shard_ranks = self.world_size

    def wrap(self, model: nn.Module, *, compile: bool = False) -> nn.Module:
        model = model.to(self.device)
        return shard(model, init_device_mesh(self.device.type, (self.world_size,)), self.precision, compile)

    def autocast(self) -> AbstractContextManager[Any]:
        return nullcontext()

    def sync(self, model: nn.Module, last: bool) -> AbstractContextManager[Any]:
        assert isinstance(model, FSDPModule)
        model.set_requires_gradient_sync(last)
        return nullcontext()


def shard(model: nn.Module, mesh: DeviceMesh, precision: str, compile: bool) -> nn.Module:
    """Shard the model in place over the mesh; gradients are summed, not averaged."""
    dtype = torch.bfloat16 if precision == "bf16" else None
    # Inputs are left as they are: cast with the activations, the rotary angles would lose their precision.
    policy = MixedPrecisionPolicy(param_dtype=dtype, reduce_dtype=torch.float32, cast_forward_inputs=False)
    for layer in model.layers():
        if compile:
            layer.compile()
        fully_shard(layer, mesh=mesh, mp_policy=policy)
    fully_shard(model, mesh=mesh, mp_policy=policy)
    for module in model.modules():
        if isinstance(module, FSDPModule):
            module.set_gradient_divide_factor(1.0)
            module.set_force_sum_reduction_for_comms(True)
    return model
