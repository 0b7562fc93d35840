"""A logistic regression on fastText's features, written as a fastText model of dimension 1.

fastText's classifier is linear in the mean of its features' rows, so that the convex optimum can be written into a
model file: better than its own SGD where texts are few (tf-idf weights, sample weights, a penalty), the same bytes
every time, and one number a feature. Features are words of the dictionary, character n-grams in buckets, and </s>.
"""

from __future__ import annotations

import tempfile
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pipeline.store import atomic_path

from ..card import LABEL
from ..normalisation import Normalisation
from ..texts import buffers

POSITIVE, NEGATIVE = "toxic", "other"


@dataclass(frozen=True, kw_only=True)
class LinearSettings:
    """What is fitted; `words` are the most frequent ones, which get a row of their own."""

    minn: int = 1
    maxn: int = 4
    bucket: int = 1 << 19
    words: int = 20_000
    min_texts: int = 2  # a feature in fewer texts weighs nothing
    c: float = 0.5  # inverse of the L2 penalty
    iterations: int = 60
    normalisation: Normalisation = Normalisation(lowercase=True, letters_only=True)


def normalised(texts: Sequence[str], normalisation: Normalisation) -> list[str]:
    """Each text as the model reads it."""
    found: list[str] = []
    for at in range(0, len(texts), 20_000):
        data, starts, ends = normalisation.apply(*buffers(list(texts[at : at + 20_000])))
        raw = data.tobytes()
        found += [raw[a:b].decode("utf-8") for a, b in zip(starts.tolist(), ends.tolist(), strict=True)]
    return found


class Features:
    """Texts to the sparse matrix of fastText's features: each row sums to 1."""

    def __init__(self, texts: Sequence[str], settings: LinearSettings) -> None:
        import fasttext

        self.settings = settings
        counts = Counter(word for text in normalised(texts, settings.normalisation) for word in text.split())
        words = [w for w, _ in sorted(counts.items(), key=lambda item: (-item[1], item[0]))[: settings.words]]
        with tempfile.TemporaryDirectory() as folder:
            file = Path(folder) / "words.txt"
            lines = [f"{LABEL}{(POSITIVE, NEGATIVE)[i % 2]} {word}\n" for i, word in enumerate(words)]
            file.write_text("".join(lines), encoding="utf-8", newline="\n")
            self.model = fasttext.train_supervised(
                input=str(file), dim=1, epoch=1, lr=0.0, minCount=1, minn=settings.minn, maxn=settings.maxn,
                wordNgrams=1, bucket=settings.bucket, thread=1, verbose=0, seed=1,
            )  # fmt: skip
        self.width = self.model.get_input_matrix().shape[0]
        self.end = self.model.get_word_id("</s>")
        self.known: dict[str, NDArray[np.int32]] = {}

    def ids(self, word: str) -> NDArray[np.int32]:
        """The rows that a word stands for."""
        found = self.known.get(word)
        if found is None:
            found = self.known[word] = np.asarray(self.model.get_subwords(word)[1], np.int32)
        return found

    def matrix(self, texts: Sequence[str]) -> Any:
        """scipy.sparse.csr_matrix float32[n, rows of the model]."""
        from scipy.sparse import csr_matrix

        end = np.array([self.end], np.int32)
        parts, counts = [], []
        for text in normalised(texts, self.settings.normalisation):
            row = np.concatenate([*(self.ids(word) for word in text.split()), end])
            parts.append(row)
            counts.append(len(row))
        sizes = np.array(counts)
        values = np.repeat((1 / sizes).astype(np.float32), sizes)
        indptr = np.concatenate([[0], np.cumsum(sizes)])
        made = csr_matrix((values, np.concatenate(parts), indptr), shape=(len(sizes), self.width))
        made.sum_duplicates()
        return made


def fit_weights(
    x: Any, labels: NDArray[np.bool_], weights: NDArray[np.float64], settings: LinearSettings
) -> NDArray[np.float32]:
    """float32[rows]: the share of the logit that each feature brings.

    Fitted on rows of tf-idf of length 1 (Euclidean), which does better than means on short texts; the model's means
    are shorter, so that the weights are stretched by the median of that ratio.
    """
    from scipy.sparse import diags
    from sklearn.linear_model import LogisticRegression
    from threadpoolctl import threadpool_limits

    texts_with = np.bincount(x.indices, minlength=x.shape[1])
    idf = np.log((1 + x.shape[0]) / (1 + texts_with)) + 1
    idf[texts_with < settings.min_texts] = 0
    rows = (x @ diags(idf.astype(np.float32))).tocsr()
    length = np.sqrt(np.asarray(rows.multiply(rows).sum(axis=1)).ravel())
    stretch = 1 / np.maximum(length, 1e-6)
    with threadpool_limits(1):
        found = LogisticRegression(
            C=settings.c, max_iter=settings.iterations, fit_intercept=False, solver="lbfgs", tol=1e-4
        ).fit(diags(stretch.astype(np.float32)) @ rows, labels, sample_weight=weights * len(weights) / weights.sum())
    return (found.coef_[0] * idf * np.median(stretch)).astype(np.float32)


def write(features: Features, weights: NDArray[np.float32], output: Path) -> None:
    """The model file: a row is half a weight, the positive label's output is 1 and the other's -1."""
    model = features.model
    labels = model.get_labels()
    out = np.array([[1.0 if label == f"{LABEL}{POSITIVE}" else -1.0] for label in labels], np.float32)
    model.set_matrices(np.ascontiguousarray(weights[:, None] / 2, np.float32), out)
    with atomic_path(output) as target:
        model.save_model(str(target))
