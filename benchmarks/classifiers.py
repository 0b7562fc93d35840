"""Our classifier kernel beside the fasttext library on the same models and the same real pages; what truncation loses.

Speed: language identification, a quality model and a toxicity model on whole documents, one core. The library's side
is its own `predict` a document, with line breaks made spaces and, where the card asks for it, the text normalised
before the clock starts, which is in its favour.
"""

from __future__ import annotations

import argparse
import os
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from filters.classifier.filter import bundled_models
from filters.classifier.model import Classifier, load
from filters.classifier.texts import buffers
from filters.language import default_model, identify
from filters.quality import Quality
from filters.toxicity import Hate, Nsfw

from .common import alternate, medians, write
from .texts import real_texts

LENGTHS = (500, 1000, 2000, 5000, 10_000, 20_000)


MODELS = {"quality": "quality-en", "hate": "hate", "nsfw": "nsfw"}
"""The bundled models that run in crawl-to-shards."""


def speed(kind: str, path: Path, column: pa.Array, texts: list[str], runs: int) -> dict[str, Any]:
    """Seconds and MB/s of both sides for one model, and how far their scores are apart."""
    import fasttext

    library, ours = fasttext.load_model(str(path)), load(path)
    rule = ours.card.normalisation
    normalised = [rule.text(text) for text in texts] if rule.flags else texts
    ready = [text.replace("\n", " ") for text in normalised]
    found: dict[str, Any] = {}

    def run_ours() -> None:
        found["gristmill"] = ours.best(*ours.sums(*buffers(column)))

    def run_library() -> None:
        found["fasttext"] = [library.predict(text, k=1) for text in ready]

    seconds = alternate({"gristmill": run_ours, "fasttext": run_library}, runs)
    labels, scores = found["gristmill"]
    named = [f"__label__{ours.labels[i]}" for i in labels]
    same = np.array([a == b[0][0] for a, b in zip(named, found["fasttext"], strict=True)])
    apart = np.abs(scores - np.array([b[1][0] for b in found["fasttext"]]))[same]
    size = sum(len(text.encode()) for text in texts) / 1e6
    return {
        "model": path.name,
        "seconds": seconds,
        "mb_per_second": {k: round(size / v, 2) for k, v in medians(seconds).items()},
        "ratio": round(medians(seconds)["fasttext"] / medians(seconds)["gristmill"], 2),
        "other_label": int((~same).sum()),
        "largest_difference": float(apart.max()),
        "above_1e-5": int((apart > 1e-5).sum()),
    }


def together(column: pa.Array, languages: list[str], size: float, runs: int) -> dict[str, Any]:
    """Language, quality, hate and nsfw one after the other, as stages: whole documents, hate and nsfw by sentence too.

    Each run gets texts of its own in memory, so that nothing is remembered from the run before.
    """
    stages = {"quality": Quality(), "hate": Hate(), "nsfw": Nsfw()}
    lang = pa.array(languages)
    for stage in stages.values():  # compile and load before the clock starts
        stage.score(pa.table({"text": column[:8], "lang": lang[:8]}))

    def run(max_chars: int) -> None:
        own = pa.concat_arrays([column.slice(0, 0), column])
        own = pa.Array.from_buffers(own.type, len(own), [None, own.buffers()[1], pa.py_buffer(bytes(own.buffers()[2]))])
        identify(own, max_chars=max_chars)
        docs = pa.table({"text": own, "lang": lang})
        for stage in stages.values():
            stage.score(docs)

    seconds = alternate({"whole": lambda: run(1 << 40), "language_on_5000_characters": lambda: run(5000)}, runs)
    return {"seconds": seconds, "mb_per_second": {k: round(size / v, 2) for k, v in medians(seconds).items()}}


def truncation(paths: dict[str, Path], texts: list[str]) -> dict[str, Any]:
    """What reading only the first characters changes, against reading all: labels, decisions, scores."""
    longer = [text for text in texts if len(text) > LENGTHS[0]]
    column = pa.array(longer, pa.large_string())
    languages, whole_scores = identify(column, max_chars=1 << 40)
    wholes: dict[str, tuple[Classifier, np.ndarray]] = {
        kind: (load(path), load(path).probabilities(column)[:, 1]) for kind, path in paths.items()
    }
    rows = []
    for limit in LENGTHS:
        cut = pa.array([text[:limit] for text in longer], pa.large_string())
        codes, scores = identify(cut, max_chars=1 << 40)
        sure = [(a >= 0.65) != (b >= 0.65) for a, b in zip(scores, whole_scores, strict=True)]
        row: dict[str, Any] = {
            "max_chars": limit,
            "longer_documents": sum(len(text) > limit for text in longer),
            "language_differs": sum(a != b for a, b in zip(codes, languages, strict=True)),
            "language_decision_at_0.65_differs": sum(sure),
        }
        for kind, (model, whole) in wholes.items():
            part = model.probabilities(cut)[:, 1]
            middle = float(np.median(whole))
            row[f"{kind}_decision_at_median_differs"] = int(((part >= middle) != (whole >= middle)).sum())
            row[f"{kind}_score_mean_difference"] = round(float(np.abs(part - whole).mean()), 4)
        rows.append(row)
    return {"documents": len(longer), "rows": rows}


def main() -> None:
    """Measure and write `results/classifiers.json`."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--every", type=int, default=1, help="only each N-th page, for a first look")
    parser.add_argument("--runs", type=int, default=5)
    args = parser.parse_args()
    os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})  # one core for both sides
    texts = [text for text in real_texts()["text"].to_pylist() if text][:: args.every]
    column = pa.array(texts, pa.large_string())
    size = sum(len(text.encode()) for text in texts) / 1e6
    bundled = bundled_models()
    paths = {kind: bundled[name] for kind, name in MODELS.items()}
    for model in (default_model(), *paths.values()):  # compile and load before the clock starts
        load(model).probabilities(column[:8])
    languages, _ = identify(column)
    result = {
        "documents": len(texts),
        "megabytes": round(size, 2),
        "models": {
            kind: speed(kind, path, column, texts, args.runs)
            for kind, path in {"language": default_model(), **paths}.items()
        },
        "together": together(column, list(languages), size, args.runs),
        "truncation": truncation(paths, texts),
        "note": "whole documents; the library's texts are normalised before its clock starts, ours within it",
    }
    for kind, row in result["models"].items():  # type: ignore[attr-defined]
        print(kind, row["mb_per_second"], row["ratio"], row["largest_difference"])
    print("together", result["together"]["mb_per_second"])  # type: ignore[index]
    write("classifiers", result, ("fasttext-community", "numba", "numpy"))


if __name__ == "__main__":
    main()
