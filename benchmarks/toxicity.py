"""How far the hate and NSFW models can be trusted: ROC-AUC on held-out sets with intervals, beside logistic regression
on character n-grams of the same split; each set scored by a model that never saw it; false positives on clean web pages
of sources that neither trained nor set a threshold, by language and by identity term; NSFW on held-out words and
sentences; speed.

    make bench-toxicity       or: python -m benchmarks.toxicity [--data FOLDER] [--quick]
"""

from __future__ import annotations

import argparse
import time
from collections import Counter, defaultdict
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from benchmarks.common import SHARED, alternate, medians, write
from filters.classifier.bundle import toxicity_build as build
from filters.classifier.bundle import toxicity_weak as weak
from filters.classifier.bundle import toxicity_web as web
from filters.classifier.bundle.toxicity_texts import Example, labelled_sets
from filters.classifier.filter import model_path
from filters.classifier.metrics import bootstrap_auc, roc_auc
from filters.classifier.model import Classifier, load

SETS = ("davidson", "cold", "cold_test", "kocohub", "mlma_en", "mlma_fr", "mlma_ar", "olid", "ethos")
ENGLISH = ("davidson", "mlma_en", "olid", "ethos")
LANGUAGE = {"davidson": "davidson", "mlma_en": "mlma_en", "cold": "cold", "cold_test": "cold", "kocohub": "kocohub",
            "mlma_fr": "mlma_fr", "mlma_ar": "mlma_ar"}  # fmt: skip


def scores_of(model: Classifier, examples: Sequence[Example]) -> np.ndarray:
    """float64[n]: the model's score of each text."""
    return np.nan_to_num(model.scores([e.text for e in examples]).astype(np.float64))


def interval(scores: np.ndarray, truth: list[bool], groups: list[str] | None = None) -> dict[str, Any]:
    """ROC-AUC with its 95 % bootstrap interval (by groups)."""
    found = bootstrap_auc(scores, truth, groups=groups, draws=500)
    return {"roc_auc": round(found.value, 4), "low": round(found.low, 4), "high": round(found.high, 4),
            "texts": len(truth), "toxic": sum(truth)}  # fmt: skip


class Baseline:
    """Logistic regression on tf-idf of character n-grams (1 to 4), scikit-learn."""

    def __init__(self, train: Sequence[Example]) -> None:
        from sklearn.feature_extraction.text import TfidfVectorizer
        from sklearn.linear_model import LogisticRegression

        self.vectorizer = TfidfVectorizer(analyzer="char_wb", ngram_range=(1, 4), sublinear_tf=True, min_df=2)
        x = self.vectorizer.fit_transform([e.text.lower() for e in train])
        self.model = LogisticRegression(C=3, max_iter=200).fit(x, [e.toxic for e in train])

    def scores(self, examples: Sequence[Example]) -> np.ndarray:
        """float64[n]: logits."""
        found: np.ndarray = self.model.decision_function(self.vectorizer.transform([e.text.lower() for e in examples]))
        return found


Limits = dict[str, float]
"""Thresholds of a model by what they are for: `threshold`, `mask_threshold`."""


def held_out(model: Classifier, sets: list[Example], limits: Limits) -> dict[str, Any]:
    """By set: the bundled model, the baseline trained on the same split of that set, recall at the thresholds."""
    found: dict[str, Any] = {}
    baselines: dict[str, Baseline] = {}
    for name in SETS:
        test = [e for e in sets if e.source == name and e.test]
        truth, scores = [e.toxic for e in test], scores_of(model, test)
        found[name] = interval(scores, truth, [e.group for e in test])
        for key, limit in limits.items():
            found[name][f"recall_at_{key}"] = round(float(np.mean(scores[np.array(truth)] >= limit)), 4)
        own = LANGUAGE.get(name)
        if own:
            if own not in baselines:
                baselines[own] = Baseline([e for e in sets if e.source == own and not e.test])
            found[name]["baseline_roc_auc"] = round(roc_auc(baselines[own].scores(test), truth), 4)
    return found


def crossed(sets: list[Example]) -> dict[str, Any]:
    """ROC-AUC of the baseline and of our method, trained on one English set, on the test part of each."""
    plain: dict[str, Any] = {}
    tests = {s: [e for e in sets if e.source == s and e.test] for s in ENGLISH}
    for trained in ENGLISH[:2]:
        model = Baseline([e for e in sets if e.source == trained and not e.test])
        plain[f"baseline on {trained}"] = {
            s: round(roc_auc(model.scores(t), [e.toxic for e in t]), 4) for s, t in tests.items()
        }
    return plain


def never_seen(sets: list[Example], texts: tuple[list[Example], list[Example]], data: Path) -> dict[str, Any]:
    """ROC-AUC on the test part of each set by models that were made without that set (all of MLMA is one).

    Made as the bundled one is, but for the second fit with the worst web sentences, which no labelled set enters.
    """
    found: dict[str, Any] = {}
    for left_out in (("davidson",), ("cold",), ("kocohub",), ("mlma_fr", "mlma_ar")):
        material = build.hate_material(sets, texts, data, leave_out=(*build.LEFT_OUT, *left_out))
        fitted = build.fit(replace(material, pool=[]), "hate")
        scored = {"davidson": ENGLISH, "cold": ("cold", "cold_test")}.get(left_out[0], left_out)
        tests = {s: [e for e in sets if e.source == s and e.test] for s in scored}
        found[f"without {' and '.join(left_out)}"] = {
            s: round(roc_auc(fitted.logits(t), [e.toxic for e in t]), 4) for s, t in tests.items()
        }
    return found


def rates(scores: np.ndarray, keys: Sequence[str], threshold: float) -> dict[str, Any]:
    """Share of scores from the threshold on, for each key."""
    n, above = Counter(keys), Counter(k for k, s in zip(keys, scores, strict=True) if s >= threshold)
    return {k: {"rate": round(above[k] / n[k], 4), "texts": n[k]} for k in sorted(n)}


def plain_rates(model: Classifier, held: list[Example], limits: Limits) -> dict[str, Any]:
    """False positives on held-out plain sentences that set no threshold; their sources trained with other sentences."""
    held = [e for e in held if not (e.source == "leipzig" and build.calibrates(e))]
    scores = scores_of(model, held)
    leipzig = [i for i, e in enumerate(held) if e.source == "leipzig"]
    return {
        key: {
            "by_source": rates(scores, [e.source for e in held], limit),
            "leipzig_by_language": rates(scores[leipzig], [held[i].lang for i in leipzig], limit),
        }
        for key, limit in limits.items()
    }


def web_rates(model: Classifier, pages: list[web.Page], data: Path, limits: Limits) -> dict[str, Any]:
    """False positives on sentences of web pages whose sources neither trained nor set a threshold.

    Sentences with a word of the public lists are not surely clean and stand apart. `upper` is the upper end of the
    95 % interval (Wilson).
    """
    listed = web.Listed(data)
    found = web.sentences(pages)
    unsure = np.array([listed(e.text) for e in found])
    scores = scores_of(model, found)
    langs = np.array([e.lang if e.lang in web.LANGUAGES else "other" for e in found])
    sources = np.array([e.source.removeprefix("web_") for e in found])
    out: dict[str, Any] = {}
    for key, limit in limits.items():
        clean = scores[~unsure] >= limit
        out[key] = {
            "clean": {**_share(clean), "upper": _upper(int(clean.sum()), len(clean))},
            "by_language": rates(scores[~unsure], langs[~unsure].tolist(), limit),
            "by_source": rates(scores[~unsure], sources[~unsure].tolist(), limit),
            "with_a_listed_word": _share(scores[unsure] >= limit),
        }
    return out


def _share(flagged: np.ndarray) -> dict[str, Any]:
    return {"rate": round(float(np.mean(flagged)), 6), "flagged": int(flagged.sum()), "texts": len(flagged)}


def _upper(k: int, n: int, z: float = 1.96) -> float:
    middle, spread = k + z * z / 2, z * (k * (n - k) / n + z * z / 4) ** 0.5
    return round((middle + spread) / (n + z * z), 6)


def identity_rates(model: Classifier, threshold: float) -> dict[str, Any]:
    """Neutral test sentences by language, group and term; hostile ones with the same terms for contrast."""
    neutral, hostile = weak.identity("neutral", "test"), weak.identity("hostile", "test")
    a, b = scores_of(model, neutral), scores_of(model, hostile)
    truth = [False] * len(a) + [True] * len(b)
    by_term = rates(a, [f"{e.lang}/{e.group}" for e in neutral], threshold)
    by_lang: dict[str, Any] = {}
    for lang in sorted({e.lang for e in neutral}):
        x = a[[e.lang == lang for e in neutral]]
        y = b[[e.lang == lang for e in hostile]]
        both = roc_auc(np.concatenate([x, y]), [False] * len(x) + [True] * len(y))
        by_lang[lang] = {"neutral_flagged": round(float(np.mean(x >= threshold)), 4),
                         "hostile_flagged": round(float(np.mean(y >= threshold)), 4),
                         "roc_auc_hostile_against_neutral": round(both, 4), "neutral": len(x)}  # fmt: skip
    return {
        "neutral_flagged": round(float(np.mean(a >= threshold)), 4), "neutral": len(a),
        "hostile_flagged": round(float(np.mean(b >= threshold)), 4),
        "roc_auc": interval(np.concatenate([a, b]), truth),
        "by_language": by_lang,
        "by_group": rates(a, [e.group.split("/")[0] for e in neutral], threshold),
        "terms_flagged": {k: v["rate"] for k, v in by_term.items() if v["rate"] > 0},
        "terms": len(by_term),
    }  # fmt: skip


def nsfw_rates(model: Classifier, data: Path, held: list[Example], threshold: float) -> dict[str, Any]:
    """Held-out written sentences and held-out words in held-out plain sentences, by language; hard negatives."""
    words = weak.list_words(data, "test", sexual=True)
    written = weak.nsfw_written("test", words)
    background = [e for e in held if e.source == "leipzig" and not build.calibrates(e)]
    listed = weak.with_words(background, words, "nsfw_lists", 0.5, 17)
    addresses = weak.addresses(data, "test")
    out: dict[str, Any] = {}
    for name, examples in (("written", written), ("addresses", addresses), ("listed_words", listed + background)):
        scores, truth = scores_of(model, examples), np.array([e.toxic for e in examples])
        out[name] = interval(scores, truth.tolist())
        out[name]["recall_at_threshold"] = round(float(np.mean(scores[truth] >= threshold)), 4)
        out[name]["false_positives_at_threshold"] = round(float(np.mean(scores[~truth] >= threshold)), 4)
    adult = [e for e in written if e.toxic]
    out["written_recall_by_language"] = rates(scores_of(model, adult), [e.lang for e in adult], threshold)
    safe = [e for e in written if not e.toxic]
    out["hard_negatives"] = {
        "flagged": round(float(np.mean(scores_of(model, safe) >= threshold)), 4), "sentences": len(safe),
    }  # fmt: skip
    return out


def documents(data: Path, pages: list[web.Page]) -> dict[str, pa.Table]:
    """Whole documents that never trained: web pages by source, WikiText's test articles."""
    wiki: list[list[str]] = []
    for line in (data / "quality" / "wikitext2_test.txt").read_text(encoding="utf-8").split("\n"):
        if line.startswith(" = ") and not line.startswith(" = = "):
            wiki.append([])
        elif wiki:
            wiki[-1].append(line.replace(" @-@ ", "-").replace("<unk>", ""))
    articles = [web.Page("\n".join(w), "en", "wikitext_articles", "") for w in wiki if len(w) > 2]
    by_source: dict[str, list[web.Page]] = defaultdict(list)
    for page in [*pages, *articles]:
        by_source[page.source].append(page)
        if page.source != "wikitext_articles":
            by_source["all web pages"].append(page)
    return {
        name: pa.table({"text": pa.array([p.text for p in own], pa.large_string()), "lang": [p.lang for p in own]})
        for name, own in by_source.items()
    }


def document_rates(data: Path, pages: list[web.Page]) -> dict[str, Any]:
    """Share of whole documents that the stages drop with their defaults, and what the editor takes."""
    from filters.toxicity import Hate, MaskToxic, Nsfw
    from pipeline.stage import CUT_SPANS, DROP_REASON

    out: dict[str, Any] = defaultdict(dict)
    for name, table in documents(data, pages).items():
        for stage in (Hate(), Nsfw(), MaskToxic()):
            done = stage(table)
            reasons = Counter(r for r in done[DROP_REASON].to_pylist() if r)
            out[name][stage.name] = {
                "dropped": round(sum(reasons.values()) / max(len(done), 1), 4),
                "reasons": dict(sorted(reasons.items())),
            }
            if isinstance(stage, MaskToxic):
                spans = [s for row in done[CUT_SPANS].to_pylist() for s in row]
                size = sum(len(t.encode()) for t in table["text"].to_pylist())
                out[name][stage.name]["share_of_bytes_taken"] = round(
                    sum(s["end"] - s["start"] for s in spans) / size, 5
                )
        out[name]["documents"] = table.num_rows
    return dict(out)


def speed(data: Path, runs: int) -> dict[str, Any]:
    """MB/s of both filters on WCXB's texts, one core; the second reuses the sentences of the first."""
    from filters.classifier.bundle.toxicity_texts import rows
    from filters.kernels import columns
    from filters.toxicity import Hate, Nsfw

    texts = [r["text"] for r in rows(data / "html" / "gold" / "wcxb.jsonl.gz")]
    size = sum(len(t.encode()) for t in texts)

    def fresh() -> pa.Table:
        columns._kept.clear()
        return pa.table({"text": pa.array(texts, pa.large_string()), "lang": ["en"] * len(texts)})

    def both() -> None:
        table = fresh()
        Hate()(table)
        Nsfw()(table)

    parts = {"hate": lambda: Hate()(fresh()), "nsfw": lambda: Nsfw()(fresh()), "hate and nsfw": both}
    both()
    raw = alternate(parts, runs)
    return {
        "bytes": size, "seconds": {k: [round(s, 3) for s in v] for k, v in raw.items()},
        "mb_per_s": {k: round(size / 1e6 / v, 2) for k, v in medians(raw).items()},
    }  # fmt: skip


def main() -> None:
    """Measure and write."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, default=SHARED)
    parser.add_argument("--quick", action="store_true", help="no models fitted anew, one run of speed")
    options = parser.parse_args()
    began = time.perf_counter()
    sets, texts = labelled_sets(options.data), build.plain_of(options.data)
    hate, nsfw = (load(model_path(name, "benchmark")) for name in ("hate", "nsfw"))
    limits: dict[str, Limits] = {
        m.card.name: {"threshold": m.card.threshold or 0.5, "mask_threshold": m.card.mask_threshold or 0.5}
        for m in (hate, nsfw)
    }
    neutral = weak.identity("neutral", "test")
    pages = web.pages(options.data, web.REPORT)
    found: dict[str, Any] = {
        "what": "test parts share no text, no 8 words in a row (12 letters in Chinese) and no group with training",
        "thresholds": limits,
        "languages_served": {m.card.name: list(m.card.languages) for m in (hate, nsfw)},
        "model_bytes": {m.card.name: m.path.stat().st_size for m in (hate, nsfw)},
        "model_sha256": {m.card.name: m.card.sha256 for m in (hate, nsfw)},
        "held_out": held_out(hate, sets, limits["hate"]),
        "english_sets_crossed": crossed(sets),
        "clean_web_sentences": {
            m.card.name: web_rates(m, pages, options.data, limits[m.card.name]) for m in (hate, nsfw)
        },
        "plain_sentences": {m.card.name: plain_rates(m, texts[1], limits[m.card.name]) for m in (hate, nsfw)},
        "identity_sentences": {
            "hate": {key: identity_rates(hate, limit) for key, limit in limits["hate"].items()},
            "nsfw": rates(scores_of(nsfw, neutral), ["neutral"] * len(neutral), limits["nsfw"]["threshold"])["neutral"],
        },
        "nsfw": {key: nsfw_rates(nsfw, options.data, texts[1], limit) for key, limit in limits["nsfw"].items()},
        "documents": document_rates(options.data, pages),
        "speed": speed(options.data, 1 if options.quick else 5),
    }  # fmt: skip
    if not options.quick:
        found["sets_never_seen"] = never_seen(sets, texts, options.data)
    found["seconds"] = round(time.perf_counter() - began)
    write("toxicity", found, ("fasttext-community", "scikit-learn", "alt-profanity-check", "numba"))


if __name__ == "__main__":
    main()
