"""A classifier ready to score: the model's tables, its card, and the way from texts to probabilities."""

from __future__ import annotations

import dataclasses
import functools
import json
import os
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pipeline.errors import ConfigError, nearest
from pipeline.mapped import Arrays, file_key, mapped
from pipeline.store import digest, file_digest

from . import losses
from .card import LABEL, Card, read_card
from .format import read_model
from .normalisation import Normalisation
from .tables import Tables, build
from .texts import Texts, buffers

LARGE = 16 << 20
"""Bytes of a model's file from which on its tables are made once a node and mapped (`pipeline/mapped.py`).

They are as large as the file where a model has more labels than dimensions, else some 50 bytes a word.
"""
BATCH_BYTES = 4 << 20
"""Texts are normalised and scored in batches of about so many bytes, so that memory does not grow with a table."""


@dataclass(frozen=True)
class Classifier:
    """A fastText model in memory. Labels are named without `__label__`."""

    path: Path
    labels: tuple[str, ...]
    loss: str
    tables: Tables
    children: NDArray[np.int64] | None  # the tree of hierarchical softmax
    card: Card = field(default_factory=Card)

    def position(self, label: str) -> int:
        """The column of a label in what `probabilities` returns. Raises ConfigError for one it does not have."""
        name = label.removeprefix(LABEL)
        if name not in self.labels:
            shown = ", ".join(self.labels[:12]) + (" ..." if len(self.labels) > 12 else "")
            raise ConfigError(f"model '{self.path}' has no label '{name}'{nearest(name, self.labels)}; it has {shown}")
        return self.labels.index(name)

    def sums(
        self,
        data: NDArray[np.uint8],
        starts: NDArray[np.int64],
        ends: NDArray[np.int64],
        normalisation: Normalisation | None = None,
    ) -> tuple[NDArray[np.float64], NDArray[np.int64]]:
        """(sums float64[n, width], rows int64[n]) of the texts data[starts[i]:ends[i]], normalised as the card says.

        Spans may overlap and lie in any order. Sums of neighbouring spans may be added (and their rows) to score
        them as one, but for the n-grams across their border.
        """
        from filters.kernels import fasttext as k

        wanted = self.card.normalisation if normalisation is None else normalisation
        t = self.tables
        out, counts = np.empty((len(starts), t.width)), np.empty(len(starts), np.int64)
        ngrams, total = np.zeros(int(t.params[k.P_WORD_NGRAMS]), np.uint64), np.zeros(t.width)
        for a, b in batches(ends - starts) if wanted.flags else [(0, len(starts))]:
            text, first, last = wanted.apply(data, _fixed(starts[a:b]), _fixed(ends[a:b]))
            k.sums(
                text, first, last, t.data, t.entry_starts, t.entry_ends, t.slot_hash, t.slot_id, t.word_values,
                t.word_counts, t.keys, t.rows, t.values, t.params, ngrams, total, out[a:b].ravel(), counts[a:b],
            )  # fmt: skip
        return out, counts

    def from_sums(self, sums: NDArray[np.float64], counts: NDArray[np.int64]) -> NDArray[np.float32]:
        """float32[n, labels]: probabilities as fastText reports them; nan where a text has no row at all."""
        found = np.empty((len(counts), len(self.labels)), np.float32)
        for a in range(0, len(counts), 4096):
            mean = sums[a : a + 4096] / np.maximum(counts[a : a + 4096, None], 1)
            logits = mean if self.tables.after is None else mean @ self.tables.after.astype(np.float64)
            if self.loss == "hs" and self.children is not None:
                found[a : a + 4096] = losses.hierarchical(logits, self.children)
            else:
                found[a : a + 4096] = (losses.softmax if self.loss == "softmax" else losses.one_versus_all)(logits)
        found[counts == 0] = np.nan
        return found

    def best(
        self, sums: NDArray[np.float64], counts: NDArray[np.int64]
    ) -> tuple[NDArray[np.int64], NDArray[np.float32]]:
        """(label int64[n], probability float32[n]) of each text's likeliest label; -1 and 0 where nothing is known."""
        if self.loss != "hs" or self.children is None or self.tables.after is None:
            found = self.from_sums(sums, counts)
            known = counts > 0
            best = np.where(known, np.nan_to_num(found, nan=-1.0).argmax(axis=1), -1)
            return best, np.where(known, found[np.arange(len(found)), best], 0).astype(np.float32)
        from filters.kernels import fasttext as k

        inner = len(self.children)
        nodes, depth_scores = np.zeros(inner + 2, np.int64), np.zeros(inner + 2)
        best, score = np.empty(len(counts), np.int64), np.empty(len(counts))
        output = np.ascontiguousarray(self.tables.after.T)[: max(inner, 1)].ravel()
        k.best_label(
            sums.ravel(), counts, self.tables.width, output, self.children.ravel(), nodes, depth_scores, best, score
        )
        return best, np.exp(score).astype(np.float32)

    def probabilities(self, texts: Texts, normalisation: Normalisation | None = None) -> NDArray[np.float32]:
        """float32[n, labels] for each text; nan where the model knows nothing of a text."""
        return self.from_sums(*self.sums(*buffers(texts), normalisation))

    def scores(
        self, texts: Texts, positive: str = "", normalisation: Normalisation | None = None
    ) -> NDArray[np.float32]:
        """float32[n]: the probability of the positive label (the card's unless named), 0 to 1.

        Without the 1e-5 that fastText adds, which would make all very sure documents alike.
        """
        return self._scores(self.from_sums(*self.sums(*buffers(texts), normalisation)), positive)

    def span_scores(
        self, data: NDArray[np.uint8], starts: NDArray[np.int64], ends: NDArray[np.int64], positive: str = ""
    ) -> NDArray[np.float32]:
        """As `scores` for spans of a buffer (sentences of documents), each as if it were a text of its own."""
        return self._scores(self.from_sums(*self.sums(data, starts, ends)), positive)

    def _scores(self, probabilities: NDArray[np.float32], positive: str) -> NDArray[np.float32]:
        at = self.position(self.positive(positive))
        return np.clip(probabilities[:, at].astype(np.float64) - losses.ADDED, 0, 1).astype(np.float32)

    def positive(self, named: str = "") -> str:
        """The label that is scored. Raises ConfigError where neither the caller nor the card names one."""
        label = named or self.card.positive
        if not label:
            raise ConfigError(
                f"model '{self.path}' has the labels {', '.join(self.labels[:12])} and no card that says which of "
                "them is scored: name it by the option `positive`"
            )
        return label


def batches(sizes: NDArray[np.int64], limit: int = BATCH_BYTES) -> list[tuple[int, int]]:
    """Ranges of texts of about `limit` bytes; a larger text has one of its own."""
    found, first = [], 0
    total = np.concatenate([[0], np.cumsum(sizes)])
    while first < len(sizes):
        last = max(int(np.searchsorted(total, total[first] + limit, "right")) - 1, first + 1)
        found.append((first, last))
        first = last
    return found


def _fixed(bounds: NDArray[np.int64]) -> NDArray[np.int64]:
    """A read-only view: the type that Arrow's buffers have, so that kernels are compiled once."""
    found = np.ascontiguousarray(bounds).view()
    found.flags.writeable = False
    return found


def load(path: Path | str) -> Classifier:
    """A model and its card, kept for the process until the file changes. Raises ConfigError."""
    place = Path(path)
    try:
        state = os.stat(place)
    except OSError as error:
        raise ConfigError(f"there is no model file '{place}': {error.strerror}") from error
    card = read_card(place)
    found = _loaded(place, state.st_size, state.st_mtime_ns)
    return Classifier(found.path, found.labels, found.loss, found.tables, found.children, card or Card())


@functools.lru_cache(maxsize=8)
def _loaded(path: Path, size: int, changed: int) -> Classifier:
    if size < LARGE:
        return _read(path)
    key = digest(file_key(path), _code())
    return _of_arrays(path, mapped("classifiers", key, lambda: _arrays(_read(path))))


def _read(path: Path) -> Classifier:
    """A model from its file, its tables in this process's memory."""
    model = read_model(path)
    children = losses.tree(model.label_counts) if model.loss == "hs" else None
    labels = tuple(label.removeprefix(LABEL) for label in model.labels)
    return Classifier(path, labels, model.loss, build(model), children)


def _arrays(made: Classifier) -> Arrays:
    """All that `_of_arrays` needs: tables, the tree, and `facts`, a JSON text."""
    tables = {one.name: getattr(made.tables, one.name) for one in dataclasses.fields(Tables)}
    facts = json.dumps({"labels": made.labels, "loss": made.loss, "width": tables.pop("width")})
    found = {**tables, "children": made.children, "facts": np.frombuffer(facts.encode(), np.uint8)}
    return {name: array for name, array in found.items() if array is not None}


def _of_arrays(path: Path, arrays: Arrays) -> Classifier:
    facts = json.loads(arrays["facts"].tobytes())
    tables: dict[str, Any] = {one.name: arrays.get(one.name) for one in dataclasses.fields(Tables)}
    arrays["data"].setflags(write=False)  # as that of a file: kernels are compiled once
    made = Tables(**{**tables, "width": facts["width"]})
    return Classifier(path, tuple(facts["labels"]), facts["loss"], made, arrays.get("children"))


@functools.lru_cache(maxsize=1)
def _code() -> str:
    """A hash of the modules that decide what the arrays hold."""
    here = Path(__file__).parent
    modules = (here / "format.py", here / "tables.py", here / "losses.py", here.parent / "kernels" / "fasttext.py")
    return digest([file_digest(module) for module in modules])
