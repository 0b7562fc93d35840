"""Cross-entropy where each tensor rank holds some of the vocabulary's rows of the output layer (Shoeybi et al. 2019).

No rank makes all logits: the softmax denominator and the target's logit are summed over the ranks.
"""

from __future__ import annotations

from functools import partial

import torch
import torch.distributed as dist
import torch.nn.functional as F
from torch import Tensor
from torch.distributed.device_mesh import DeviceMesh
from torch.distributed.tensor import DTensor, Partial, Replicate

from pipeline.errors import ConfigError

from ..inputs import IGNORED
from ..losses import in_slices


def first_row(vocab_size: int, rank: int, ranks: int) -> int:
    """The first row of a rank's shard: as torch.chunk, all shards but the last ones have the same size."""
    return min(vocab_size, rank * -(-vocab_size // ranks))


def check_vocabulary(vocab_size: int, ranks: int) -> None:
    """Raise ConfigError where a rank would hold no row."""
    if first_row(vocab_size, ranks - 1, ranks) >= vocab_size:
        raise ConfigError(f"parallel: a vocabulary of {vocab_size} can't be split over {ranks} tensor ranks")


def cross_entropy(mesh: DeviceMesh, hidden: Tensor, weight: DTensor, targets: Tensor) -> tuple[Tensor, Tensor]:
    """As `losses.cross_entropy`, the same on every rank; `weight` (V, D) is sharded by rows over the mesh."""
    flat = targets.flatten()
    picked = (flat != IGNORED).nonzero().squeeze(1)
    rows = _shared(hidden.flatten(0, 1)[picked], mesh)
    first = first_row(weight.shape[0], mesh.get_local_rank(), mesh.size())
    sums = in_slices(partial(_summed, mesh, first), weight.to_local(), rows, flat[picked])
    return sums[0].clone(), sums[1].clone()


def _shared(tensor: Tensor, mesh: DeviceMesh) -> Tensor:
    """The same values, of which each rank's use adds to the gradient."""
    return DTensor.from_local(tensor, mesh, [Replicate()], run_check=False).to_local(grad_placements=[Partial()])


def _added(tensor: Tensor, mesh: DeviceMesh) -> Tensor:
    """The sum over ranks; its gradient is each rank's as it is, since all compute the same loss from it."""
    return DTensor.from_local(tensor, mesh, [Partial()], run_check=False).redistribute(mesh, [Replicate()]).to_local()


def _summed(mesh: DeviceMesh, first: int, weight: Tensor, hidden: Tensor, targets: Tensor) -> Tensor:
    logits = F.linear(hidden, weight).float()
    largest = logits.detach().max(-1).values if len(logits) else logits.new_zeros(0)
    dist.all_reduce(largest, dist.ReduceOp.MAX, group=mesh.get_group())
    mine = (targets >= first) & (targets < first + len(weight))
    place = torch.where(mine, targets - first, 0)
    own = torch.where(mine, logits.gather(1, place[:, None]).squeeze(1), 0.0)
    sums = _added(torch.stack(((logits - largest[:, None]).exp().sum(-1), own)), mesh)
    log_z = largest + sums[0].log()
    return torch.stack(((log_z - sums[1]).sum(), log_z.square().sum()))
