"""Data parallel: every rank holds the whole model, gradients are summed while the last micro-batch runs backward."""

# No `from __future__ import annotations`: DistributedDataParallel compares the annotations of a hook with its types.

from contextlib import AbstractContextManager, nullcontext
from typing import Any

import torch
import torch.distributed as dist
from torch import nn
from torch.nn.parallel import DistributedDataParallel

from .group import DataParallel


class DDP(DataParallel):
    """torch's DistributedDataParallel, summing where it would average: a step's loss is a sum over ranks."""

    kind = "ddp"

    def wrap(self, model: nn.Module, *, compile: bool = False) -> nn.Module:
        model = super().wrap(model, compile=compile)
        wrapped = DistributedDataParallel(
            model,
            device_ids=None if self.device.type == "cpu" else [self.device.index],
            gradient_as_bucket_view=True,
            find_unused_parameters=self.objective == "contrastive" and model.head is not None,
        )
        wrapped.register_comm_hook(None, _sum)
        return wrapped

    def plain(self, model: nn.Module) -> nn.Module:
        return model.module if isinstance(model, DistributedDataParallel) else model

    def sync(self, model: nn.Module, last: bool) -> AbstractContextManager[Any]:
        return nullcontext() if last else model.no_sync()


def _sum(state: None, bucket: dist.GradBucket) -> torch.futures.Future[torch.Tensor]:
    work = dist.all_reduce(bucket.buffer(), async_op=True)
    return work.get_future().then(lambda done: done.value()[0])
