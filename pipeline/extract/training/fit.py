"""The two judges: gradient-boosted trees by LightGBM, the second one on top of the first one's scores.

The second judge must learn from scores of pages that the first one has not seen. So the training folds are
scored crosswise: for each, a first judge (with word weights of its own, crosswise once more) is fitted on the others.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from ..native.features import FEATURES
from ..native.judge import Lexicon, second_features
from ..native.model import Model
from ..native.page_type import PAGE_TYPES, describe
from .dataset import Example
from .export import forest
from .word_weights import fit_words

MAX_ROWS = 250
"""So many blocks of a page are trained on, evenly spread; their weight makes up for the rest."""

MAX_INNER_ROWS = 120
"""The same for a judge whose scores only train another judge of a cross-validation."""

TREE_DEPTH = 6
PARAMETERS: dict[str, Any] = {
    "objective": "binary",
    "num_leaves": 20,
    "max_depth": TREE_DEPTH,
    "learning_rate": 0.1,
    "min_data_in_leaf": 60,
    "feature_fraction": 0.25,
    "bagging_fraction": 0.7,
    "bagging_freq": 1,
    "lambda_l2": 5.0,
    "max_bin": 63,
    "deterministic": True,
    "force_row_wise": True,
    "verbose": -1,
}
TYPE_PARAMETERS: dict[str, Any] = {
    "objective": "multiclass",
    "num_leaves": 8,
    "max_depth": TREE_DEPTH,
    "learning_rate": 0.08,
    "min_data_in_leaf": 10,
    "feature_fraction": 0.15,
    "bagging_fraction": 0.8,
    "bagging_freq": 1,
    "lambda_l2": 3.0,
    "max_bin": 63,
    "deterministic": True,
    "force_row_wise": True,
    "verbose": -1,
}
FIRST_TREES = 200
SECOND_TREES = 200
TYPE_ROUNDS = 80


@dataclass
class Trainer:
    """Fits and keeps what several parts of a nested cross-validation share."""

    examples: Sequence[Example]
    seed: int = 1
    threads: int = 2
    tick: Callable[[str], None] = lambda _: None
    _lexicons: dict[frozenset[int], Lexicon] = field(default_factory=dict)
    _first: dict[frozenset[int], Any] = field(default_factory=dict)

    def without(self, folds: Iterable[int]) -> list[Example]:
        """Examples of the other folds."""
        out = frozenset(folds)
        return [e for e in self.examples if e.fold not in out]

    def lexicon(self, out: frozenset[int]) -> Lexicon:
        """Word weights from the folds that are not in `out`."""
        if out not in self._lexicons:
            train = self.without(out)
            self._lexicons[out] = Lexicon(*(fit_words(train, which) for which in ("attributes", "own", "heading")))
            self.tick(f"words without {sorted(out)}")
        return self._lexicons[out]

    def first(self, out: frozenset[int]) -> Any:
        """First judge from the folds that are not in `out`; each of them measured by words of the others."""
        if out not in self._first:
            train = self.without(out)
            for example in train:
                example.measure(self.lexicon(out | {example.fold}))
            self._first[out] = self._fit(
                train, len(FEATURES), FIRST_TREES, MAX_INNER_ROWS if len(out) > 1 else MAX_ROWS
            )
            self.tick(f"first judge without {sorted(out)}")
        return self._first[out]

    def score_first(self, examples: Iterable[Example], out: frozenset[int]) -> None:
        """Fill `first` and the context features of examples of folds in `out`, from the judge without them."""
        judge, lexicon = self.first(out), self.lexicon(out)
        for example in examples:
            example.measure(lexicon)
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

    def types(self, out: frozenset[int]) -> Any:
        """Page-type judge from the folds that are not in `out`, None if no page there has a type.

        After `second` of the same folds.
        """
        import lightgbm

        train = [e for e in self.without(out) if e.gold.page_type in PAGE_TYPES]
        if not train:
            return None
        x = np.concatenate([describe(e.page, e.matrix, e.first, e.gold.real_url) for e in train], axis=1).T
        y = np.array([PAGE_TYPES.index(str(e.gold.page_type)) for e in train])
        settings = TYPE_PARAMETERS | {"num_class": len(PAGE_TYPES), "seed": self.seed, "num_threads": self.threads}
        judge = lightgbm.train(settings, lightgbm.Dataset(x, y), TYPE_ROUNDS)
        self.tick(f"page-type judge without {sorted(out)}")
        return judge

    def model(self, out: Iterable[int] = ()) -> Model:
        """The whole model from the folds that are not in `out`."""
        gone = frozenset(out)
        second = self.second(gone)
        judge = self.types(gone)
        types = judge.dump_model()["tree_info"] if judge else []
        return Model(
            self.lexicon(gone),
            forest(self.first(gone).dump_model()["tree_info"], TREE_DEPTH),
            forest(second.dump_model()["tree_info"], TREE_DEPTH),
            tuple(forest(types[k :: len(PAGE_TYPES)], TREE_DEPTH) for k in range(len(PAGE_TYPES))),
            {},
        )

    def _fit(self, train: Sequence[Example], features: int | None, trees: int, max_rows: int = MAX_ROWS) -> Any:
        import lightgbm

        x, y, w = [], [], []
        for example in train:
            known = np.flatnonzero(example.labels >= 0)
            take = known
            if len(known) > max_rows:
                take = known[np.linspace(0, len(known) - 1, max_rows).astype(np.int64)]
            x.append(example.matrix[:features, take].T)
            y.append(example.labels[take])
            w.append(example.weights[take] * (len(known) / max(1, len(take))))
        data = lightgbm.Dataset(np.concatenate(x), np.concatenate(y), weight=np.concatenate(w))
        return lightgbm.train(PARAMETERS | {"seed": self.seed, "num_threads": self.threads}, data, trees)
