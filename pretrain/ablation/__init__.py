"""Data ablation: models trained alike on several corpora, and a test of which corpus is better.

`run_ablation(arms, design, out)` is the whole of it; `gristmill ablate` calls it. What is measured and how it is
judged stands in docs/ablation.md.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from .design import Arm, Design, HeldOut
    from .experiment import run_ablation
    from .result import Result

__all__ = ["Arm", "Design", "HeldOut", "Result", "run_ablation"]

_PLACES = {"Arm": "design", "Design": "design", "HeldOut": "design", "Result": "result", "run_ablation": "experiment"}


def __getattr__(name: str) -> Any:
    """The public names, imported when first asked for: `--help` must not wait for them."""
    if name not in _PLACES:
        raise AttributeError(name)
    from importlib import import_module

    return getattr(import_module(f"{__name__}.{_PLACES[name]}"), name)
