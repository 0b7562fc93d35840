"""How processes share a training run; the loop talks to one object of this kind."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from .base import Parallel


def plan(config: Any) -> Parallel:
    """The parallelism of a `TrainConfig`."""
    import torch

    from .base import Parallel

    return Parallel(torch.device("cuda" if torch.cuda.is_available() else "cpu"), config.precision)
