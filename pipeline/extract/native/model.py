"""The trained parts in one file: word weights, the two judges, the page-type judge, thresholds.

A NumPy `.npz` without pickled objects (loading allows none). `card` is a JSON text: what it was trained on, with
which settings, and how it scored.
"""

from __future__ import annotations

import json
import struct
import zipfile
import zlib
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ...errors import ConfigError
from .context import CONTEXT
from .engine import BUNDLED
from .features import FEATURES
from .judge import Lexicon
from .page_type import PAGE_TYPES, VECTOR
from .trees import Forest

_LEXICON = ("attributes", "own", "heading")
_ARRAYS = ("feature", "threshold", "leaf")
_DTYPES = (np.int16, np.float32, np.float32)
_DAMAGED = (
    OSError, ValueError, KeyError, TypeError, AttributeError, EOFError, RuntimeError, zipfile.BadZipFile, zlib.error,
    struct.error,
)  # fmt: skip
"""What NumPy and zipfile raise for files that are damaged or something else."""


@dataclass(frozen=True, slots=True)
class Model:
    """Everything that training decides."""

    lexicon: Lexicon
    first: Forest
    second: Forest
    types: tuple[Forest, ...]
    """One forest a page type, in the order of `PAGE_TYPES`."""

    card: dict[str, Any]

    def save(self, path: Path) -> None:
        """Write the file; the same model gives the same bytes."""
        arrays: dict[str, Any] = {
            "features": np.array([*FEATURES, *CONTEXT], np.str_),
            "vector": np.array(VECTOR, np.str_),
            "page_types": np.array(PAGE_TYPES, np.str_),
            "card": np.array(json.dumps(self.card, sort_keys=True)),
        }
        for which in _LEXICON:
            weights: dict[str, float] = getattr(self.lexicon, which)
            arrays[f"{which}_words"] = np.array("\n".join(sorted(weights)))
            arrays[f"{which}_weights"] = np.array([weights[w] for w in sorted(weights)], np.float32)
        names = ["first", "second", *(f"type_{name}" for name in PAGE_TYPES)]
        for name, forest in zip(names, (self.first, self.second, *self.types), strict=True):
            arrays |= {f"{name}_{field}": getattr(forest, field) for field in _ARRAYS}
        with open(path, "wb") as file:
            np.savez_compressed(file, **arrays)

    @classmethod
    def load(cls, path: Path) -> Model:
        """Read a file that `save` wrote. ConfigError if it is none or is for other features."""
        try:
            if path.is_file() and not zipfile.is_zipfile(path):  # NumPy's own message advises to load it as a pickle
                raise ValueError("it is no .npz file")
            with np.load(path, allow_pickle=False) as file:
                arrays = {name: file[name] for name in file.files}
            same = (
                arrays["features"].tolist() == [*FEATURES, *CONTEXT]
                and arrays["vector"].tolist() == list(VECTOR)
                and arrays["page_types"].tolist() == list(PAGE_TYPES)
            )
            seen = {"first": len(FEATURES), "second": len(FEATURES) + len(CONTEXT)}
            seen |= {f"type_{name}": len(VECTOR) for name in PAGE_TYPES}
            forests = [_forest(arrays, name, count) for name, count in seen.items()] if same else []
            lexicon = Lexicon(
                *(
                    dict(zip(_lines(arrays[f"{w}_words"]), arrays[f"{w}_weights"].tolist(), strict=True))
                    for w in _LEXICON
                )
            )
            card = json.loads(str(arrays["card"]))
            if not isinstance(card, dict):
                raise ValueError("its card is no JSON object")
        except _DAMAGED as error:
            raise ConfigError(f"extract: {path} is no model of the engine gristmill: {error}") from error
        if not same:
            raise ConfigError(
                f"extract: the model {path} is for other features; train it anew with `gristmill extract train`"
            )
        return cls(lexicon, forests[0], forests[1], tuple(forests[2:]), card)


def _lines(text: NDArray[np.str_]) -> list[str]:
    return str(text).split("\n") if str(text) else []


def _forest(arrays: dict[str, Any], name: str, features: int) -> Forest:
    """Raises ValueError for arrays that the kernel, which checks no bounds, would read beyond their ends."""
    parts = [arrays[f"{name}_{field}"] for field in _ARRAYS]
    for part, field, dtype in zip(parts, _ARRAYS, _DTYPES, strict=True):
        if part.dtype != dtype or part.ndim != 2:
            raise ValueError(f"{name}_{field} is no table of {dtype.__name__}")
    (count, inner), leaves = parts[0].shape, parts[2].shape
    if parts[1].shape != (count, inner) or leaves != (count, inner + 1) or inner < 1 or inner & (inner + 1):
        raise ValueError(f"the arrays of {name} are no complete trees")
    if parts[0].size and not 0 <= parts[0].min() <= parts[0].max() < features:
        raise ValueError(f"{name} tests features that do not exist")
    return Forest(*parts)


@cache
def bundled() -> Model:
    """The model that comes with Gristmill."""
    return Model.load(Path(__file__).parent / BUNDLED)
