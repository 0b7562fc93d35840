"""Quality models and web-spam score: held-out sources, human labels, baselines, speed.

Human labels: quality/dclm_human_agreement.jsonl.gz (Li et al. 2024), on which nothing is trained and nothing chosen;
each run of this file is a look at them. "With length" is a logistic regression of the model's logit and the logarithm
of the words, fitted on held-out predictions for our own sources, not on the human labels. Baselines are trained on
the same passages. `--data` names the data folder, `--quick` leaves out the character n-grams and the speed.
"""

from __future__ import annotations

import argparse
import dataclasses
import gzip
import json
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from benchmarks.common import SHARED, alternate, medians, write
from filters.classifier import metrics
from filters.classifier.bundle import quality as q
from filters.classifier.bundle import web_spam
from filters.classifier.bundle.logistic import fit_logistic
from filters.classifier.bundle.quality_passages import balanced, passages
from filters.classifier.bundle.quality_sources import read_documents
from filters.classifier.filter import bundled_models
from filters.classifier.model import load
from filters.quality import Quality
from filters.web_spam import WebSpam

DRAWS = 2000
LOOKS_BEFORE = 2
"""Looks at the human labels before the run at hand: none changed a model or an option."""


def log_words(texts: list[str]) -> np.ndarray:
    """The logarithm of the words between white space."""
    return np.log(np.array([max(1, len(text.split())) for text in texts], float))


def logit(scores: np.ndarray) -> np.ndarray:
    """Of probabilities, kept away from 0 and 1."""
    p = np.clip(scores, 1e-6, 1 - 1e-6)
    return np.log(p / (1 - p))


def ranks(values: np.ndarray) -> np.ndarray:
    """0 to 1 by order."""
    return np.searchsorted(np.sort(values), values) / len(values)


def length_weights(documents: list, folder: Path) -> tuple[np.ndarray, float, dict[str, Any]]:
    """Weights of logit and log words, from held-out predictions of the sources that train; and their table."""
    judged = q.held_out(documents, folder)
    rows, labels, weights = [], [], []
    for fold, (held, found) in judged.items():
        if fold:
            rows.append(np.stack([logit(found), log_words([d.text for d in held])], axis=1))
            labels.append(np.array([d.good for d in held], float))
            weights.append(np.full(len(held), 1 / len(held)))
    found, bias = fit_logistic(np.concatenate(rows), np.concatenate(labels), np.concatenate(weights))
    return found, bias, q.table(judged, Quality().limit())


def baselines(chosen: list, quick: bool) -> dict[str, Any]:
    """Logistic regressions on TF-IDF, trained on the same passages: functions from texts to scores."""
    from sklearn.feature_extraction.text import TfidfVectorizer
    from sklearn.linear_model import LogisticRegression

    kinds: dict[str, dict[str, Any]] = {"word_tfidf": {"analyzer": "word", "ngram_range": (1, 2), "min_df": 3}}
    if not quick:
        kinds["character_tfidf"] = {"analyzer": "char_wb", "ngram_range": (2, 4), "min_df": 5}
    made = {}
    for name, options in kinds.items():
        vectoriser = TfidfVectorizer(sublinear_tf=True, max_features=200_000, **options)
        x = vectoriser.fit_transform([p.text for p in chosen])
        model = LogisticRegression(C=4, max_iter=500).fit(x, [p.document.good for p in chosen])
        made[name] = lambda texts, v=vectoriser, m=model: m.predict_proba(v.transform(texts))[:, 1]
    return made


def matched(unseen: list, models: dict[str, Any]) -> dict[str, Any]:
    """ROC-AUC on passages of unseen sources, as many good as bad in each half-octave of length."""
    chosen = balanced(passages(unseen))
    texts, good = [p.text for p in chosen], np.array([p.document.good for p in chosen])
    groups = np.array([p.document.group for p in chosen])
    scored = {**{name: score(texts) for name, score in models.items()}, "length": log_words(texts)}
    found = {
        name: [round(v, 4) for v in metrics.bootstrap_auc(values, good, groups, draws=200)]
        for name, values in scored.items()
    }
    return {"passages": len(chosen), **found}


def human(data: Path, models: dict[str, Any], weights: np.ndarray) -> dict[str, Any]:
    """ROC-AUC on the human labels: alone, with length, less length, within terciles of length."""
    with gzip.open(data / "quality" / "dclm_human_agreement.jsonl.gz", "rt", encoding="utf-8") as lines:
        records = [json.loads(line) for line in lines]
    texts = [record["text"] for record in records]
    good = np.array([bool(int(record["label"])) for record in records])
    length = log_words(texts)
    cuts = np.quantile(length, [1 / 3, 2 / 3])
    third = np.searchsorted(cuts, length, "left")
    found: dict[str, Any] = {
        "documents": len(texts), "good": int(good.sum()), "terciles_end_at_words": np.exp(cuts).round().tolist(),
        "good_by_tercile": [int(good[third == t].sum()) for t in range(3)],
        "length": _figures(length, good, third),
    }  # fmt: skip
    for name, score in models.items():
        alone = score(texts)
        both = logit(alone) * weights[0] + length * weights[1]
        mean = ranks(alone) + ranks(length)
        found[name] = {
            "alone": _figures(alone, good, third),
            "with_length": _figures(both, good, third),
            "with_length_less_length": [round(v, 4) for v in metrics.paired_auc(both, length, good, draws=DRAWS)],
            "mean_rank_with_length": _figures(mean, good, third),
            "mean_rank_less_length": [round(v, 4) for v in metrics.paired_auc(mean, length, good, draws=DRAWS)],
        }
    return found


def _figures(scores: np.ndarray, good: np.ndarray, third: np.ndarray) -> dict[str, Any]:
    return {
        "roc_auc": [round(v, 4) for v in metrics.bootstrap_auc(scores, good, draws=DRAWS)],
        "within_terciles": [round(metrics.roc_auc(scores[third == t], good[third == t]), 4) for t in range(3)],
    }


def speed(documents: list) -> dict[str, Any]:
    """MB of text a second of one core, with fastText's own prediction on the same normalised text beside it."""
    import fasttext

    texts = [d.text for d in documents if not d.boilerplate][:3000]
    table = pa.table({"text": pa.array(texts, pa.large_string()), "lang": ["en"] * len(texts)})
    megabytes = sum(len(t.encode()) for t in texts) / 1e6
    model = bundled_models()["quality-en"]
    theirs = fasttext.load_model(str(model))
    normalisation = load(model).card.normalisation
    plain = [" ".join(normalisation.text(t).split()) for t in texts]
    parts = {
        "quality": lambda: Quality().score(table),
        "web_spam": lambda: WebSpam().score(table.set_column(0, "text", pa.array(list(texts), pa.large_string()))),
        "fasttext_predict_normalised_before": lambda: theirs.predict(plain, k=2),
    }
    parts["quality"]()
    parts["web_spam"]()
    seconds = alternate(parts, 5)
    return {
        "documents": len(texts), "megabytes": round(megabytes, 2), "seconds": seconds,
        "mb_per_s": {name: round(megabytes / s, 2) for name, s in medians(seconds).items()},
    }  # fmt: skip


def main() -> None:
    """Measure and write results/quality.json."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--data", type=Path, default=SHARED)
    parser.add_argument("--quick", action="store_true")
    options = parser.parse_args()
    documents = read_documents(options.data)
    mine = q.usable(documents, q.KINDS[0])
    learnt = passages([d for d in mine if d.source.trains])
    with tempfile.TemporaryDirectory() as scratch:
        weights, bias, table = length_weights(mine, Path(scratch))
        plain = q.train(learnt, Path(scratch) / "plain.ftz", q.DCLM)
        ours = {name: load(bundled_models()[name]) for name in ("quality-en", "wikipedia-en")}
        named: dict[str, Any] = {
            name: lambda texts, m=model: q.scores(m, texts)
            for name, model in {**ours, "naive_fasttext_dclm_settings": plain}.items()
        }
        named |= baselines(balanced(learnt), options.quick)
        unseen = [d for d in mine if not d.source.trains and not d.boilerplate]
        texts, good = [d.text for d in unseen], np.array([d.good for d in unseen])
        groups = np.array([d.group for d in unseen])
        beside = {
            name: [round(v, 4) for v in metrics.bootstrap_auc(score(texts), good, groups, draws=200)]
            for name, score in named.items()
        }
        beside["length"] = [round(v, 4) for v in metrics.bootstrap_auc(log_words(texts), good, groups, draws=200)]
        result = {
            "held_out_sources": table,
            "never_trained_sources_roc_auc": beside,
            "never_trained_sources_matched_in_length_roc_auc": matched(unseen, named),
            "with_length": {"logit": round(weights[0], 4), "log_words": round(weights[1], 4), "bias": round(bias, 4)},
            "human_labels": human(options.data, named, weights),
            "looks_at_human_labels_before": LOOKS_BEFORE,
            "web_spam": web_spam.make(options.data, documents)["evaluation"],
            "settings": {"ours": q.SETTINGS.json(), "naive": dataclasses.asdict(q.DCLM)},
        }
        if not options.quick:
            result["speed"] = speed(documents)
    write("quality", result, ("fasttext-community", "scikit-learn", "numpy"))


if __name__ == "__main__":
    main()
