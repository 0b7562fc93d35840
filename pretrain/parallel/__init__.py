"""Training on several processes: data parallel (DDP, FSDP2), tensor parallel and pipeline parallel.

The loop talks to one object, `Parallel` (base.py), that `plan(config)` makes. Importing this package doesn't
import torch.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any

from .spec import KINDS, Spec, parse

if TYPE_CHECKING:
    from .base import Parallel

__all__ = ["KINDS", "Spec", "is_main", "parse", "plan"]


def is_main() -> bool:
    """Whether this process is the one that speaks: the only one, or the first of torchrun's."""
    return os.environ.get("RANK", "0") == "0"


def plan(config: Any) -> Parallel:
    """The parallelism of a `TrainConfig`: reads `parallel` (see `parse`), `precision`, `objective` and torchrun's
    variables.

    Joins the process group; use the object as a context manager, so that a rank that fails tells the others. Raises
    ConfigError where the processes that torchrun started don't fit the configuration.
    """
    from .launch import make

    return make(parse(config.parallel), config.precision, config.objective)
