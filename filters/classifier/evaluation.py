"""A classifier judged on labelled documents: overall, by language, by source, within thirds of length."""

from __future__ import annotations

from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from pipeline.errors import ConfigError
from pipeline.report import Cell, Section

from . import metrics
from .model import Classifier


def evaluate(
    classifier: Classifier,
    table: pa.Table,
    *,
    threshold: float,
    positive: str = "",
    draws: int = metrics.DRAWS,
    seed: int = 0,
) -> dict[str, Any]:
    """Figures for a table of text, label, group, source, lang (see `training.labelled`).

    `auc_of_length` is what the length in characters reaches alone, `model_less_length` the paired difference: a
    model that does not beat length has learnt little else. Raises ConfigError for an empty table.
    """
    if not table.num_rows:
        raise ConfigError("classifier eval: there are no documents")
    wanted = classifier.positive(positive)
    scores = np.nan_to_num(classifier.scores(table["text"], wanted), nan=0.0).astype(np.float64)
    return judged(scores, table, wanted, threshold, draws=draws, seed=seed)


def compare(
    one: Classifier, other: Classifier, table: pa.Table, *, draws: int = metrics.DRAWS, seed: int = 0
) -> dict[str, Any]:
    """The other classifier's ROC-AUC on the same documents, and by how much the first leads, with its interval."""
    truth = np.array(table["label"].to_pylist(), object) == one.positive()
    groups = np.array(table["group"].to_pylist(), object).astype(str)
    several = _enough(groups)
    a, b = (np.nan_to_num(c.scores(table["text"]), nan=0.0).astype(np.float64) for c in (one, other))
    lead = metrics.paired_auc(a, b, truth, several, draws=draws, seed=seed)
    return _plain({"roc_auc": metrics.roc_auc(b, truth), "lead": list(lead)})


def judged(
    scores: NDArray[np.float64], table: pa.Table, positive: str, threshold: float, *, draws: int, seed: int
) -> dict[str, Any]:
    """As `evaluate`, for scores made before."""
    truth = np.array(table["label"].to_pylist(), object) == positive
    groups = np.array(table["group"].to_pylist(), object).astype(str)
    length = pc.utf8_length(table["text"]).to_numpy().astype(np.float64)
    several = _enough(groups)
    found: dict[str, Any] = {
        **_figures(scores, truth, threshold),
        "positive": positive,
        "threshold": threshold,
        "roc_auc_interval": list(metrics.bootstrap_auc(scores, truth, several, draws=draws, seed=seed)[1:]),
        "auc_of_length": metrics.roc_auc(length, truth),
        "model_less_length": list(metrics.paired_auc(scores, length, truth, several, draws=draws, seed=seed)),
        "bootstrap": {"draws": draws, "seed": seed, "by": "document" if several is None else "group"},
    }
    cuts = np.quantile(length, [1 / 3, 2 / 3])
    thirds = np.searchsorted(cuts, length, "left")
    names = [f"up to {cuts[0]:,.0f} characters", f"up to {cuts[1]:,.0f}", "longer"]
    found["by_length"] = {names[i]: _figures(scores[thirds == i], truth[thirds == i], threshold) for i in range(3)}
    for key, column in (("by_language", "lang"), ("by_source", "source")):
        values = np.array([v or "" for v in table[column].to_pylist()], object)
        kinds = sorted(set(values.tolist()))
        if kinds != [""]:
            found[key] = {k or "(none)": _figures(scores[values == k], truth[values == k], threshold) for k in kinds}
    return _plain(found)


MIN_GROUPS = 10
"""With fewer groups than that, documents are drawn: an interval from a handful of groups says nothing."""


def _enough(groups: NDArray) -> NDArray | None:
    return groups if len(set(groups.tolist())) >= MIN_GROUPS else None


def _figures(scores: NDArray, truth: NDArray, threshold: float) -> dict[str, Any]:
    at = metrics.rates(scores, truth, threshold)
    return {
        "documents": len(scores),
        "positives": int(truth.sum()),
        "roc_auc": metrics.roc_auc(scores, truth),
        "average_precision": metrics.average_precision(scores, truth),
        "precision": at.precision,
        "recall": at.recall,
        "false_positive_rate": at.false_positive_rate,
    }


def _plain(value: Any) -> Any:
    """JSON has no nan: null."""
    if isinstance(value, dict):
        return {k: _plain(v) for k, v in value.items()}
    if isinstance(value, list):
        return [_plain(v) for v in value]
    return None if isinstance(value, float) and np.isnan(value) else value


COLUMNS = ("", "documents", "positives", "ROC-AUC", "avg. precision", "precision", "recall", "false positives")


def _row(name: str, f: dict[str, Any]) -> list[Cell]:
    keys = ("roc_auc", "average_precision", "precision", "recall", "false_positive_rate")
    return [name, f["documents"], f["positives"], *(_short(f[key]) for key in keys)]


def _short(value: float | None) -> str | None:
    return None if value is None else f"{value:.4f}"


def sections(found: dict[str, Any]) -> list[Section]:
    """The figures as tables for the terminal and for the readable card."""
    low, high = found["roc_auc_interval"]
    gain = found["model_less_length"]
    rows = [_row("all", found)]
    for key in ("by_language", "by_source", "by_length"):
        rows += [_row(f"{key[3:]}: {name}", figures) for name, figures in found.get(key, {}).items()]
    facts: list[list[Cell]] = [
        ["ROC-AUC, 95 % interval", _between(found["roc_auc"], low, high)],
        ["ROC-AUC of length alone", _short(found["auc_of_length"])],
        ["model less length, 95 % interval", _between(*gain)],
        ["bootstrap", f"{found['bootstrap']['draws']} draws by {found['bootstrap']['by']}"],
    ]
    if "against" in found:
        against = found["against"]
        facts.append([f"ROC-AUC of {against['model']}", _short(against["roc_auc"])])
        facts.append([f"lead over {against['model']}, 95 % interval", _between(*against["lead"])])
    return [
        Section(f"Label '{found['positive']}' at a score of {found['threshold']:.6g} or more", COLUMNS, rows),
        Section("Against chance and length", ("figure", "value"), facts),
    ]


def _between(value: float | None, low: float | None, high: float | None) -> str:
    if value is None or low is None or high is None:
        return "not known: a class is missing"
    return f"{value:.4f} [{low:.4f}, {high:.4f}]"
