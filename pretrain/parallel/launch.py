"""Joining the processes that torchrun started, and leaving them so that no rank waits for one that is gone."""

from __future__ import annotations

import os
from collections.abc import Mapping
from datetime import timedelta

import torch
import torch.distributed as dist

from pipeline.errors import ConfigError

from .base import Parallel
from .group import Group
from .spec import Spec

VARIABLES = ("RANK", "WORLD_SIZE", "LOCAL_RANK", "MASTER_ADDR", "MASTER_PORT")
"""What torchrun sets for each process."""
TIMEOUT = timedelta(minutes=15)
"""A rank that waits this long for the others gives up: longer than rank 0 needs to write a checkpoint."""


def ranks(environment: Mapping[str, str] = os.environ) -> tuple[int, int, int] | None:
    """(rank, world size, local rank) from torchrun's variables; None if there are none.

    Raises ConfigError where only some of them are set or they contradict each other.
    """
    if "RANK" not in environment and "WORLD_SIZE" not in environment:
        return None
    missing = [name for name in VARIABLES if not environment.get(name)]
    if missing:
        raise ConfigError(
            f"parallel: of torchrun's variables {', '.join(missing)} is not set, others are; start with"
            " torchrun --nproc-per-node N, or unset RANK and WORLD_SIZE to train in one process"
        )
    numbers = []
    for name in ("RANK", "WORLD_SIZE", "LOCAL_RANK", "MASTER_PORT"):
        text = environment[name]
        if not (text.isascii() and text.isdigit()):
            raise ConfigError(f"parallel: {name} is '{text}', not a whole number; start with torchrun")
        numbers.append(int(text))
    rank, size, local_rank, _ = numbers
    if not rank < size or not local_rank < size:
        raise ConfigError(f"parallel: RANK {rank} and LOCAL_RANK {local_rank} must be below WORLD_SIZE {size}")
    return rank, size, local_rank


def make(spec: Spec, precision: str, objective: str = "causal") -> Parallel:
    """The object for a spec; joins the process group unless the caller's own code has done so."""
    found = ranks()
    if dist.is_available() and dist.is_initialized():
        found = dist.get_rank(), dist.get_world_size(), int(os.environ.get("LOCAL_RANK", dist.get_rank()))
    if spec.kind == "none":
        if found is not None and found[1] > 1:
            raise ConfigError(
                f"parallel is none, but {found[1]} processes were started: each would train the same model and write"
                " the same files; choose ddp, fsdp, tensor or pipeline"
            )
        return Parallel(_device(0), precision)
    if found is None:
        raise ConfigError(
            f"parallel {spec.kind} needs several processes; start them with torchrun --nproc-per-node N -m pipeline.cli"
            " pretrain ..., or leave parallel at none"
        )
    if spec.kind == "tensor" and objective == "distill":
        raise ConfigError("parallel: tensor can't be used with distill, which needs whole logits; choose ddp or fsdp")
    device = _device(found[2])
    store = None if dist.is_initialized() else _join(device)
    group = _kind(spec.kind)(spec, device, precision, store)
    group.objective = objective
    return group


def _device(local_rank: int) -> torch.device:
    if not torch.cuda.is_available():
        return torch.device("cpu")
    if local_rank >= torch.cuda.device_count():
        raise ConfigError(
            f"parallel: the process with LOCAL_RANK {local_rank} has no GPU, there are {torch.cuda.device_count()}:"
            " start as many processes as GPUs (--nproc-per-node)"
        )
    torch.cuda.set_device(local_rank)
    return torch.device("cuda", local_rank)


def _join(device: torch.device) -> dist.Store:
    """Join the process group; tensors on the CPU go through gloo, on GPUs through NCCL."""
    backend = "gloo" if device.type == "cpu" else "cpu:gloo,cuda:nccl"
    try:
        store, rank, size = next(dist.rendezvous("env://", timeout=TIMEOUT))
    except dist.DistError as error:
        where = f"{os.environ['MASTER_ADDR']}:{os.environ['MASTER_PORT']}"
        raise ConfigError(
            f"parallel: no contact to the other processes at {where} (MASTER_ADDR, MASTER_PORT): {error}"
        ) from error
    dist.init_process_group(
        backend, store=dist.PrefixStore("gristmill", store), rank=rank, world_size=size, timeout=TIMEOUT
    )
    return store


def _kind(name: str) -> type[Group]:
    """A kind's class; its part of torch is imported when it is used."""
    if name == "ddp":
        from .ddp import DDP

        return DDP
    if name == "fsdp":
        from .fsdp import FSDP

        return FSDP
    if name == "tensor":
        from .tensor import TensorParallel

        return TensorParallel
    from .pipeline import Pipeline

    return Pipeline
