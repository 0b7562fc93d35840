"""The trained parts in one file: word weights, the two judges, the page-type judge, thresholds.

A NumPy `.npz` without pickled objects (loading allows none). `card` is a JSON text: what it was trained on, with
which settings, and how it scored.
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from functools import cache
from importlib import resources
from pathlib import Path
from typing import Any

import numpy as np

from ...errors import ConfigError
from .context import CONTEXT
from .features import FEATURES
from .judge import Lexicon
from .page_type import PAGE_TYPES, VECTOR
from .trees import Forest

BUNDLED = "model.npz"
_LEXICON = ("attributes", "own", "heading")
_ARRAYS = ("feature", "threshold", "leaf")


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
            with np.load(path, allow_pickle=False) as file:
                arrays = {name: file[name] for name in file.files}
            same = (
                arrays["features"].tolist() == [*FEATURES, *CONTEXT]
                and arrays["vector"].tolist() == list(VECTOR)
                and arrays["page_types"].tolist() == list(PAGE_TYPES)
            )
            forests = [
                Forest(*(arrays[f"{name}_{field}"] for field in _ARRAYS))
                for name in ["first", "second", *(f"type_{name}" for name in PAGE_TYPES)]
            ]
            lexicon = Lexicon(
                *(
                    dict(zip(str(arrays[f"{w}_words"]).split("\n"), arrays[f"{w}_weights"].tolist(), strict=True))
                    for w in _LEXICON
                )
            )
            card = json.loads(str(arrays["card"]))
        except (OSError, ValueError, KeyError, EOFError) as error:
            raise ConfigError(f"extract: {path} is no model of the engine gristmill: {error}") from error
        if not same:
            raise ConfigError(
                f"extract: the model {path} was trained for other features; train it anew with `gristmill extract train`"
            )
        return cls(lexicon, forests[0], forests[1], tuple(forests[2:]), card)


def bundled_digest() -> str:
    """Hash of the bundled file."""
    data = (resources.files(__package__) / BUNDLED).read_bytes()
    return hashlib.blake2b(data, digest_size=8).hexdigest()


@cache
def bundled() -> Model:
    """The model that comes with Gristmill."""
    with resources.as_file(resources.files(__package__) / BUNDLED) as path:
        return Model.load(path)
