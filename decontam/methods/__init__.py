"""The published methods, and ours, behind one interface.

A method is a small frozen dataclass with its parameters, and `decide(evidence)` gives the items that are dirty or
suspect in each text of a chunk. All of them read the same evidence; the guard against common n-grams
(`scan.ScanOptions`) comes before any. With all its limits None and `min_share=0, min_score=0` the n-gram methods are
what their papers say, token by token.
"""

from __future__ import annotations

from typing import Any, Protocol, runtime_checkable

import numpy as np
from numpy.typing import NDArray

from pipeline.errors import ConfigError, nearest

from ..evidence import Evidence, Hits
from ..index import Index


@runtime_checkable
class Method(Protocol):
    """What every method has."""

    @property
    def name(self) -> str:
        """As options and reports call it."""

    @property
    def sources(self) -> tuple[str, ...]:
        """Where it was published."""

    def decide(self, evidence: Evidence) -> Hits:
        """The dirty and suspect items of a chunk of texts."""

    def able(self, index: Index) -> NDArray[np.bool_]:
        """[I] which items its own rule does not leave out: those that are long enough for its n-grams."""


def all_methods() -> dict[str, type[Any]]:
    """Every method by name."""
    from .coverage import Coverage
    from .decon import Decon
    from .exact import Exact
    from .gpt3 import Gpt3
    from .llama2 import Llama2
    from .llama3 import Llama3
    from .paragraph import Paragraph
    from .tulu3 import Tulu3

    return {one.name: one for one in (Coverage, Decon, Exact, Gpt3, Llama2, Llama3, Paragraph, Tulu3)}


def method_named(name: str, **options: Any) -> Method:
    """A method with options; raises ConfigError for a name or an option that is not known."""
    known = all_methods()
    if name not in known:
        raise ConfigError(f"unknown method {name!r}{nearest(name, known)}; there are {', '.join(known)}")
    fields = known[name].__dataclass_fields__
    for option in options:
        if option not in fields:
            raise ConfigError(f"{name} has no option {option!r}{nearest(option, fields)}")
    made: Method = known[name](**options)
    return made


def default_methods() -> list[Method]:
    """What a scan runs that names no method."""
    return [method_named("coverage")]
