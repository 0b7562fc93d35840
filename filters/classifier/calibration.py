"""Thresholds for a classifier: by value, by quantile of a corpus, for a precision or a false-positive rate."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from pipeline.documents import plan_documents, read_documents
from pipeline.errors import ConfigError
from pipeline.progress import Progress

from . import metrics
from .card import Card
from .model import Classifier

SPLIT_BYTES = 256 << 20


def corpus_scores(
    classifier: Classifier, inputs: Sequence[str], *, text_field: str = "text", progress: Progress | None = None
) -> NDArray[np.float32]:
    """Scores of all documents of some files, which are read in batches; those without a score are left out."""
    splits = plan_documents(inputs, SPLIT_BYTES)
    found: list[NDArray[np.float32]] = []
    with (progress or Progress(quiet=True)).bar("score", total=len(splits)) as bar:
        for split in splits:
            count = 0
            for batch in read_documents(split, text_field=text_field):
                found.append(classifier.scores(batch.table["text"]))
                count += batch.table.num_rows
            bar.advance(1, count)
    scores = np.concatenate(found) if found else np.zeros(0, np.float32)
    scores = scores[~np.isnan(scores)]
    if not len(scores):
        raise ConfigError(f"classifier calibrate: {', '.join(inputs)}: no document has a score")
    return scores


def by_quantile(card: Card, scores: NDArray[np.float32], quantile: float) -> Card:
    """The card with the score below which a share `quantile` of a corpus lies, as its threshold too."""
    _share("quantile", quantile)
    limit = float(np.quantile(scores.astype(np.float64), quantile))
    return dataclasses.replace(
        card,
        threshold=limit,
        quantiles={**card.quantiles, str(quantile): limit},
        calibration={"by": "quantile", "wanted": quantile, "documents": len(scores)},
    )


def by_value(card: Card, threshold: float) -> Card:
    """The card with a threshold that somebody chose."""
    if not 0 <= threshold <= 1:
        raise ConfigError(f"classifier calibrate: --threshold must lie in [0, 1], not {threshold}")
    return dataclasses.replace(card, threshold=float(threshold), calibration={"by": "value"})


def by_labels(
    card: Card, classifier: Classifier, table: pa.Table, *, precision: float | None, rate: float | None
) -> Card:
    """The card with the lowest threshold that reaches a precision, or that keeps to a false-positive rate."""
    truth = np.array(table["label"].to_pylist(), object) == classifier.positive()
    if not truth.any() or truth.all():
        raise ConfigError(
            f"classifier calibrate: documents with and without the label '{classifier.positive()}' are needed; there "
            f"are {int(truth.sum()):,} and {int((~truth).sum()):,}"
        )
    scores = np.nan_to_num(classifier.scores(table["text"]), nan=0.0).astype(np.float64)
    if precision is not None:
        _share("precision", precision)
        limit = metrics.threshold_for_precision(scores, truth, precision)
        if np.isnan(limit):
            raise ConfigError(
                f"classifier calibrate: no threshold reaches a precision of {precision} on these documents"
            )
    else:
        wanted = 0.0 if rate is None else rate
        _share("false-positive-rate", wanted)
        limit = metrics.threshold_for_false_positives(scores, truth, wanted)
    measured: dict[str, Any] = {
        key: None if np.isnan(value) else value for key, value in metrics.rates(scores, truth, limit)._asdict().items()
    }
    wanted_by = {"precision": precision} if precision is not None else {"false_positive_rate": rate}
    calibration = {"by": "labels", **wanted_by, "documents": table.num_rows, "measured": measured}
    return dataclasses.replace(card, threshold=limit, calibration=calibration)


def _share(name: str, value: float) -> None:
    if not 0 <= value <= 1:
        raise ConfigError(f"classifier calibrate: --{name} must lie in [0, 1], not {value}")
