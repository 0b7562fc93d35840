"""Makes the bundled quality models: `python -m filters.classifier.bundle.quality --data ../shared/data`.

Two models of one kind (`quality-en`: edited text of all sorts; `wikipedia-en`: encyclopaedic and textbook text, as in
CCNet and GPT-3) against raw web pages. The recipe is DCLM's (word bigrams, dim 100, lr 0.1, epoch 5) with what was
better on held-out sources: see SETTINGS. The threshold is the score that RECALL of the good documents of held-out
sources reach. Every model comes out as the same bytes each time (one thread, drawn by hash).
"""

from __future__ import annotations

import argparse
import dataclasses
import importlib.metadata
import tempfile
from collections import Counter
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from filters.classifier import evaluation, metrics
from filters.classifier.card import Card, card_path, sha256
from filters.classifier.markdown import write_markdown
from filters.classifier.model import Classifier, load
from filters.classifier.normalisation import Normalisation
from filters.classifier.presets import Settings
from filters.classifier.training import fit, labelled

from .quality_passages import Passage, balanced, passages
from .quality_sources import SOURCES, Document, read_documents

POSITIVE, NEGATIVE = "hq", "cc"
RECALL = 0.9
SETTINGS = Settings(
    word_ngrams=2, dim=16, lr=0.5, epoch=5, min_count=3, bucket=200_000, cutoff=60_000, retrain=False, balance=False,
    seed=1,
    normalisation=Normalisation(
        lowercase=True, digits_to_zero=True, split_punctuation=True, mark_capitals=True, plain_punctuation=True
    ),
)  # fmt: skip
DCLM = Settings(
    word_ngrams=2, dim=100, lr=0.1, epoch=5, bucket=200_000, cutoff=60_000, retrain=False, balance=False, seed=1
)
"""DCLM's own settings and text, for comparison (the buckets are fewer, as the texts are)."""

LIMITS = (
    "English only; other languages are not scored. Labels are weak: they hold for a source, not for a document. "
    "Length is not part of the score: good and bad passages were matched in length. Bibliographies, tables and lists "
    "score low even where they are good; forum threads were left out of training."
)


@dataclasses.dataclass(frozen=True)
class Kind:
    """One bundled model."""

    name: str
    description: str
    good: Callable[[Document], bool]


KINDS = (
    Kind("quality-en", "Edited, informative English text against raw web pages", lambda d: d.good),
    Kind(
        "wikipedia-en",
        "Encyclopaedic and textbook English text against raw web pages (CCNet, GPT-3)",
        lambda d: d.good and d.source.encyclopaedic,
    ),
)


def usable(documents: Sequence[Document], kind: Kind) -> list[Document]:
    """What a kind of model knows as good or bad."""
    return [d for d in documents if kind.good(d) or not d.good]


def train(found: Sequence[Passage], output: Path, settings: Settings = SETTINGS) -> Classifier:
    """Fit a model on balanced passages, with a card that scores it right."""
    chosen = balanced(found)
    fit([p.text for p in chosen], [POSITIVE if p.document.good else NEGATIVE for p in chosen], output, settings)
    Card(positive=POSITIVE, normalisation=settings.normalisation).write(card_path(output))
    return load(output)


def scores(model: Classifier, texts: Sequence[str]) -> NDArray[np.float64]:
    """float64[n]; a text of which the model knows nothing scores 0."""
    return np.nan_to_num(model.scores(pa.array(texts, pa.large_string())), nan=0.0).astype(np.float64)


def held_out(
    documents: Sequence[Document], folder: Path, settings: Settings = SETTINGS
) -> dict[int, tuple[list[Document], NDArray[np.float64]]]:
    """By fold: its whole documents (no boilerplate), and their scores by a model that saw no source of that fold.

    No group of the fold is in that model's training data either, should a site occur in two sources.
    """
    found = {}
    for fold in sorted({s.fold for s in SOURCES}):
        inside = [d for d in documents if d.source.fold == fold]
        groups = {d.group for d in inside}
        outside = [d for d in documents if d.source.fold not in (0, fold) and d.group not in groups]
        judged = [d for d in inside if not d.boilerplate]
        model = train(passages(outside), folder / f"fold-{fold}.ftz", settings)
        found[fold] = judged, scores(model, [d.text for d in judged])
    return found


def table(judged: dict[int, tuple[list[Document], NDArray[np.float64]]], threshold: float) -> dict[str, Any]:
    """ROC-AUC by fold, and by source what is kept at the threshold."""
    folds, sources = {}, {}
    for fold, (documents, found) in judged.items():
        good = np.array([d.good for d in documents])
        groups = np.array([d.group for d in documents])
        both = bool(good.any() and not good.all())
        interval = metrics.bootstrap_auc(found, good, groups, draws=200) if both else None
        rates = metrics.rates(found, good, threshold)
        folds["never trained on" if fold == 0 else f"fold {fold}"] = {
            "good": int(good.sum()), "raw_web": int((~good).sum()),
            "roc_auc": round(interval.value, 4) if interval else None,
            "interval_95": [round(interval.low, 4), round(interval.high, 4)] if interval else None,
            "recall": _rounded(rates.recall), "false_positive_rate": _rounded(rates.false_positive_rate),
        }  # fmt: skip
        names = np.array([_shown(d) for d in documents])
        for name in sorted(set(names.tolist())):
            mine = names == name
            is_good = bool(good[mine][0])
            against = mine | (good != is_good)
            sources[name] = {
                "good": is_good, "documents": int(mine.sum()),
                "roc_auc_in_fold": _rounded(metrics.roc_auc(found[against], good[against])),
                "kept": round(float((found[mine] >= threshold).mean()), 4),
            }  # fmt: skip
    return {"threshold": threshold, "folds": folds, "sources": sources}


def _rounded(value: float) -> float | None:
    return None if np.isnan(value) else round(float(value), 4)


def _shown(document: Document) -> str:
    """The source's name, for two of them with page type or book."""
    apart = document.source.name in ("wcxb", "openstax_cnxml")
    return f"{document.source.name}: {document.part}" if apart else document.source.name


def recall_threshold(judged: dict[int, tuple[list[Document], NDArray[np.float64]]], recall: float = RECALL) -> float:
    """The score that this share of held-out good documents reach, each fold that is trained on weighing alike."""
    values, weights = [], []
    for fold, (documents, found) in judged.items():
        mine = found[np.array([d.good for d in documents])]
        if fold and len(mine):
            values.append(mine)
            weights.append(np.full(len(mine), 1 / len(mine)))
    score, weight = np.concatenate(values), np.concatenate(weights)
    order = np.argsort(score)
    at = int(np.searchsorted(np.cumsum(weight[order]) / weight.sum(), 1 - recall))
    return float(np.floor(score[order][at] * 1000) / 1000)


def make(kind: Kind, documents: Sequence[Document], folder: Path, settings: Settings = SETTINGS) -> Card:
    """Train, judge on held-out sources, write FOLDER/NAME.ftz with its card."""
    mine = usable(documents, kind)
    with tempfile.TemporaryDirectory() as scratch:
        judged = held_out(mine, Path(scratch), settings)
    threshold = recall_threshold(judged)
    output = folder / f"{kind.name}.ftz"
    learnt = passages([d for d in mine if d.source.trains])
    train(learnt, output, settings)
    used = Counter((p.document.source.name, p.document.good) for p in balanced(learnt))
    data = tuple(
        {"source": s.name, "licence": s.licence, "good": used[s.name, True], "bad": used[s.name, False]}
        for s in SOURCES
        if used[s.name, True] or used[s.name, False]
    )
    card = Card(
        name=kind.name, description=kind.description, positive=POSITIVE, threshold=threshold, languages=("en",),
        normalisation=settings.normalisation, sha256=sha256(output), data=data, limits=LIMITS,
        training={
            "settings": settings.json(), "bytes": output.stat().st_size,
            "command": "python -m filters.classifier.bundle.quality --data ../shared/data",
            "versions": {"fasttext-community": importlib.metadata.version("fasttext-community")},
        },
        evaluation={
            **_pooled(judged, threshold),
            "of": "whole documents of sources that the judged model did not see, folds pooled",
            "held_out_sources": table(judged, threshold),
        },
    )  # fmt: skip
    card.write(card_path(output))
    write_markdown(card, output.with_suffix(".md"))
    return card


def _pooled(judged: dict[int, tuple[list[Document], NDArray[np.float64]]], threshold: float) -> dict[str, Any]:
    documents = [d for some, _ in judged.values() for d in some]
    found = np.concatenate([f for _, f in judged.values()])
    rows = labelled(
        [d.text for d in documents],
        [POSITIVE if d.good else NEGATIVE for d in documents],
        groups=[d.group for d in documents],
    )
    return evaluation.judged(found, rows, POSITIVE, threshold, draws=200, seed=0)


def main(arguments: Sequence[str] | None = None) -> None:
    """Command line."""
    parser = argparse.ArgumentParser(description="Train the bundled quality models.")
    parser.add_argument("--data", type=Path, required=True, help="folder like shared/data (see its INDEX.md)")
    parser.add_argument("--output", type=Path, default=Path("filters/models"), help="folder for the models")
    chosen = parser.parse_args(arguments)
    chosen.output.mkdir(parents=True, exist_ok=True)
    documents = read_documents(chosen.data)
    for kind in KINDS:
        card = make(kind, documents, chosen.output)
        print(f"{kind.name}: threshold {card.threshold}, {card.training['bytes']:,} bytes, {card.evaluation['folds']}")


if __name__ == "__main__":
    main()
