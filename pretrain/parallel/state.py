"""Whole tensors from sharded ones and back, and norms over shards.

A checkpoint holds the plain model's tensors under the plain model's names, and the optimiser's by the names of their
parameters, so that any number of processes and any kind of parallelism reads what another wrote.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import torch
import torch.distributed as dist
from torch import Tensor, nn
from torch.distributed.tensor import DTensor, Partial, Replicate, distribute_tensor

from pipeline.errors import ConfigError


def whole(tensor: Tensor) -> Tensor:
    """All of a tensor, detached. Of a sharded one every rank must ask at the same time."""
    tensor = tensor.detach()
    return tensor.full_tensor() if isinstance(tensor, DTensor) else tensor


def local(tensor: Tensor) -> Tensor:
    """This rank's part of a tensor: shares its memory."""
    return tensor.to_local() if isinstance(tensor, DTensor) else tensor


def part_of(full: Tensor, like: Tensor) -> Tensor:
    """`full` as this rank holds `like`: cut as it is and on its device. Needs no other rank."""
    full = full.to(like.device)
    if not isinstance(like, DTensor):
        return full
    return distribute_tensor(full, like.device_mesh, like.placements, src_data_rank=None)


def alike(parameters: Iterable[nn.Parameter]) -> list[list[nn.Parameter]]:
    """Parameters that one fused operation takes together: whole ones, and those sharded over the same mesh."""
    found: dict[Any, list[nn.Parameter]] = {}
    for parameter in parameters:
        mesh = parameter.device_mesh if isinstance(parameter, DTensor) else None
        found.setdefault(mesh, []).append(parameter)
    return list(found.values())


def copies(tensor: Tensor, ranks: int) -> int:
    """How many of `ranks` ranks hold the same part of a tensor."""
    parts = 1
    if isinstance(tensor, DTensor):
        for size, placement in zip(tensor.device_mesh.shape, tensor.placements, strict=True):
            parts *= 1 if isinstance(placement, Replicate) else size
    return ranks // parts


def square_sum(tensors: Iterable[Tensor], device: torch.device, ranks: int) -> Tensor:
    """This rank's share, () fp32, of a sum of squares that is added up over `ranks` ranks.

    A part that n ranks hold counts 1/n on each.
    """
    by_copies: dict[int, list[Tensor]] = {}
    for tensor in tensors:
        if isinstance(tensor, DTensor) and any(isinstance(p, Partial) for p in tensor.placements):
            tensor = tensor.redistribute(placements=[Replicate()] * tensor.device_mesh.ndim)
        by_copies.setdefault(copies(tensor, ranks), []).append(local(tensor))
    total = torch.zeros((), device=device)
    for number, parts in by_copies.items():
        norms = torch._foreach_norm([part.float() for part in parts])
        total += torch.stack([norm.to(device) for norm in norms]).square().sum() / number
    return total


def full_state(model: nn.Module, optimiser: torch.optim.Optimizer | None, keep: bool) -> dict[str, Any]:
    """{"model": {name: tensor}, "optimiser": {parameter's name: {key: tensor or number}}}, whole and on the CPU.

    Every rank calls it; where `keep` is false the tensors are dropped as they come. They may share the model's memory.
    """
    weights = {name: _kept(value, keep) for name, value in model.state_dict().items()}
    moments = {}
    for name, parameter in model.named_parameters():
        values = {} if optimiser is None else optimiser.state.get(parameter, {})
        moments[name] = {key: _kept(value, keep) for key, value in sorted(values.items())}
    return {"model": weights, "optimiser": moments}


def _kept(value: Any, keep: bool) -> Any:
    if not torch.is_tensor(value):
        return value
    value = whole(value)
    return value.cpu() if keep else None


def load_full(model: nn.Module, optimiser: torch.optim.Optimizer | None, full: Mapping[str, Any]) -> None:
    """Take up what `full_state` gave on any number of ranks; every rank has all of it. Needs no other rank.

    Of `full` the names that this rank's model has are read. Raises ConfigError where one is missing or of another
    shape: the checkpoint is of another model.
    """
    with torch.no_grad():
        for name, value in model.state_dict().items():
            found = full["model"].get(name)
            if found is None or found.shape != value.shape:
                shape = "none" if found is None else f"one of shape {tuple(found.shape)}"
                raise ConfigError(
                    f"the checkpoint is of another model: this one has a tensor {name} of shape {tuple(value.shape)},"
                    f" the checkpoint has {shape}; resume with the configuration that it was written with"
                )
            local(value).copy_(local(part_of(found, value)))
        if optimiser is None:
            return
        for name, parameter in model.named_parameters():
            values = full["optimiser"].get(name, {})
            optimiser.state[parameter] = {key: _taken(value, parameter) for key, value in values.items()}


def _taken(value: Any, parameter: Tensor) -> Any:
    """A moment of the parameter's shape is cut as the parameter is; a count keeps its value, on its device: torch's
    fused AdamW counts there."""
    if not torch.is_tensor(value):
        return value
    if value.shape == parameter.shape and value.dim():
        return part_of(value.clone(), parameter)
    return value.clone().to(parameter.device)


def clip(gradients: list[Tensor], total: Tensor, max_norm: float) -> Tensor:
    """Scale the gradients by max_norm / norm where the norm, from the whole sum of squares, is above it."""
    norm = total.sqrt()
    torch._foreach_mul_([local(gradient) for gradient in gradients], (max_norm / (norm + 1e-6)).clamp(max=1.0))
    return norm


def all_reduced(value: Tensor, op: str, group: dist.ProcessGroup | None) -> Tensor:
    """`value` summed (or its largest) over a group's ranks; a new tensor."""
    value = value.clone()
    dist.all_reduce(value, {"sum": dist.ReduceOp.SUM, "max": dist.ReduceOp.MAX}[op], group=group)
    return value
