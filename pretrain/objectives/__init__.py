"""What a model learns from packs, by name."""

from __future__ import annotations

from typing import Any

from pipeline.errors import ConfigError, nearest
from pipeline.packreader import PackReader

from .causal import Causal

OBJECTIVES = {"causal": Causal}


def make_objective(name: str, options: dict[str, Any], reader: PackReader) -> Causal:
    """The objective of that name for a pack set. Raises ConfigError for a name or option that there isn't."""
    if name not in OBJECTIVES:
        raise ConfigError(f"no objective is called '{name}'{nearest(name, OBJECTIVES)}")
    return OBJECTIVES[name](reader, **options)
