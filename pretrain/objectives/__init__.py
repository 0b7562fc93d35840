"""What a model learns from packs, by name: causal and masked language modelling, span corruption, text pairs,
distillation. Importing this needs no torch."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

from .options import OPTIONS, objective_options

if TYPE_CHECKING:
    from pipeline.packreader import PackReader

    from .base import Objective

__all__ = ["OPTIONS", "make_objective", "objective_options"]


def make_objective(name: str, options: dict[str, Any], reader: PackReader) -> Objective:
    """The objective of that name for a pack set.

    Raises ConfigError for a name or an option that there isn't, and for a pack set that it can't be trained on.
    """
    checked = objective_options(name, options)
    made: Objective = getattr(import_module(f".{name}", __name__), name.capitalize())(reader, checked)
    return made
