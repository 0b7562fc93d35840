"""Commands that take some of the options of `minhash_dedup`: classes of these fields, with their defaults and help."""

from __future__ import annotations

import dataclasses
from dataclasses import field
from typing import Any

from .minhash import MinhashDedup

_SHAPE = ("preset", "bands", "rows", "unit", "ngram")


def _some(name: str, fields: tuple[str, ...]) -> Any:
    chosen = [f for f in dataclasses.fields(MinhashDedup) if f.name in fields]
    return dataclasses.make_dataclass(
        name,
        [(f.name, f.type, field(default=f.default, metadata=f.metadata)) for f in chosen],
        namespace={"name": MinhashDedup.name, "__doc__": f"The options {', '.join(fields)} of `minhash_dedup`."},
        frozen=True,
        kw_only=True,
    )


IndexOptions = _some("IndexOptions", (*_SHAPE, "seed"))
"""What an index is bound to."""
PlanOptions = _some("PlanOptions", (*_SHAPE, "threshold", "worker_gb"))
"""What a plan depends on."""
