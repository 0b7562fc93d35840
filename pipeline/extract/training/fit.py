"""The two judges: gradient-boosted trees by LightGBM, the second one on top of the first one's scores.

The second judge must learn from scores of pages that the first one has not seen. So the training folds are
scored crosswise: for each, a first judge (with word weights of its own, crosswise once more) is fitted on the others.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..native.features import FEATURES
from ..native.judge import second_features
from ..native.words import WordTable
from .dataset import Example
from .word_weights import fit_words

MAX_ROWS = 400
"""So many blocks of a page are trained on, evenly spread; their weight makes up for the rest."""

TREE_DEPTH = 6
PARAMETERS: dict[str, Any] = {
    "objective": "binary",
    "num_leaves": 20,
    "max_depth": TREE_DEPTH,
    "learning_rate": 0.1,
    "min_data_in_leaf": 60,
    "feature_fraction": 0.4,
    "bagging_fraction": 0.7,
    "bagging_freq": 1,
    "lambda_l2": 5.0,
    "max_bin": 127,
    "deterministic": True,
    "force_row_wise": True,
    "verbose": -1,
}
FIRST_TREES = 200
SECOND_TREES = 200


@dataclass
class Trainer:
    """Fits and keeps what several parts of a nested cross-validation share."""

    examples: Sequence[Example]
    seed: int = 1
    threads: int = 2
    tick: Callable[[str], None] = lambda _: None
    _words: dict[frozenset[int], WordTable] = field(default_factory=dict)
    _weights: dict[frozenset[int], dict[str, float]] = field(default_factory=dict)
    _first: dict[frozenset[int], Any] = field(default_factory=dict)

    def without(self, folds: Iterable[int]) -> list[Example]:
        """Examples of the other folds."""
        out = frozenset(folds)
        return [e for e in self.examples if e.fold not in out]

    def weights(self, out: frozenset[int]) -> dict[str, float]:
        """Word weights from the folds that are not in `out`."""
        if out not in self._weights:
            self._weights[out] = fit_words(self.without(out))
            self.tick(f"words without {sorted(out)}")
        return self._weights[out]

    def words(self, out: frozenset[int]) -> WordTable:
        """The table of `weights`."""
        if out not in self._words:
            self._words[out] = WordTable(self.weights(out))
        return self._words[out]

    def first(self, out: frozenset[int]) -> Any:
        """First judge from the folds that are not in `out`; each of them measured by words of the others."""
        if out not in self._first:
            train = self.without(out)
            for example in train:
                example.measure(self.words(out | {example.fold}))
            self._first[out] = self._fit(train, len(FEATURES), FIRST_TREES)
            self.tick(f"first judge without {sorted(out)}")
        return self._first[out]

    def score_first(self, examples: Iterable[Example], out: frozenset[int]) -> None:
        """Fill `first` and the context features of examples of folds in `out`, from the judge without them."""
        judge, table = self.first(out), self.words(out)
        for example in examples:
            example.measure(table)
            example.first = judge.predict(example.matrix[: len(FEATURES)].T).astype(np.float32)
            second_features(example.page, example.matrix, example.places, example.first)

    def second(self, out: frozenset[int]) -> Any:
        """Second judge from the folds that are not in `out`."""
        train = self.without(out)
        for fold in sorted({e.fold for e in train}):
            self.first(out | {fold})  # all measuring by `first` must be over before the features are filled in
        for fold in sorted({e.fold for e in train}):
            self.score_first([e for e in train if e.fold == fold], out | {fold})
        judge = self._fit(train, None, SECOND_TREES)
        self.tick(f"second judge without {sorted(out)}")
        return judge

    def cross_validate(self) -> None:
        """Fill `first` and `second` of every example by judges that have seen nothing of its fold."""
        scores: dict[int, tuple[NDArray[np.float32], NDArray[np.float32]]] = {}
        for fold in sorted({e.fold for e in self.examples}):
            out = frozenset({fold})
            judge = self.second(out)
            held = [e for e in self.examples if e.fold == fold]
            self.score_first(held, out)
            for example in held:
                scores[id(example)] = (example.first, judge.predict(example.matrix.T).astype(np.float32))
        for example in self.examples:
            example.first, example.second = scores[id(example)]

    def _fit(self, train: Sequence[Example], rows: int | None, trees: int) -> Any:
        import lightgbm

        x, y, w = [], [], []
        for example in train:
            known = np.flatnonzero(example.labels >= 0)
            take = known
            if len(known) > MAX_ROWS:
                take = known[np.linspace(0, len(known) - 1, MAX_ROWS).astype(np.int64)]
            x.append(example.matrix[:rows, take].T)
            y.append(example.labels[take])
            w.append(example.weights[take] * (len(known) / max(1, len(take))))
        data = lightgbm.Dataset(np.concatenate(x), np.concatenate(y), weight=np.concatenate(w))
        return lightgbm.train(PARAMETERS | {"seed": self.seed, "num_threads": self.threads}, data, trees)


def pairs(folds: Iterable[int]) -> list[frozenset[int]]:
    """All sets of two folds."""
    return [frozenset(pair) for pair in itertools.combinations(sorted(folds), 2)]
