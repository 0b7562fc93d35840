"""Makes filters/models/{hate,nsfw}.bin and their cards from ../shared/data: the same bytes every time.

python -m filters.classifier.bundle.toxicity_build ../shared/data filters/models
"""

from __future__ import annotations

import argparse
import sys
from collections import Counter
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..card import Card, card_path, sha256
from ..metrics import roc_auc
from . import toxicity_weak as weak
from . import toxicity_web as web
from .linear import POSITIVE, Features, LinearSettings, fit_weights, write
from .toxicity_texts import Example, labelled_sets, plain_sentences

FALSE_POSITIVES = {"threshold": (0.002, 0.01), "mask_threshold": (0.0002, 0.0015)}
"""Thresholds leave so many of the calibration sentences above: of all, and in each language of `web.LANGUAGES`."""
MASK_LOGIT = 3.0
"""Weights are scaled so that the mask's threshold lies here (.9526), or scores would crowd at 1."""
LEFT_OUT = ("mlma_en",)
"""Labels that agree with no other English set and lower the figures on all."""
SHARES = {
    "hate": {
        "davidson": 12.0, "cold": 36.0, "kocohub": 36.0, "mlma_ar": 4.0, "mlma_fr": 3.0, "taught": 8.0, "lists": 8.0,
        "identity_neutral": 24.0, "identity_hostile": 14.0, "written": 12.0, "leipzig": 36.0, "wikitext": 4.0,
        "openstax": 2.0, "eld_tweets": 4.0, "web": 60.0, "hard": 20.0, "fragments": 4.0,
    },
    "nsfw": {
        "nsfw_written": 25.0, "nsfw_lists": 12.0, "ut1": 4.0, "nsfw_safe": 6.0, "identity_neutral": 6.0,
        "davidson": 1.0, "cold": 2.0, "kocohub": 2.0, "leipzig": 20.0, "wikitext": 4.0,
        "openstax": 2.0, "eld_tweets": 2.0, "web": 60.0, "hard": 20.0, "fragments": 4.0,
    },
}  # fmt: skip
"""What each source weighs together, in thousands; half of it a label where it has both."""
SOURCES = [
    {
        "source": "davidson (hate-speech-and-offensive-language)",
        "license": "MIT",
        "models": ["hate", "nsfw"],
    },
    {"source": "COLD train and dev (thu-coai/COLDataset)", "license": "Apache-2.0", "models": ["hate", "nsfw"]},
    {"source": "korean-hate-speech train (kocohub)", "license": "CC-BY-SA-4.0", "models": ["hate", "nsfw"]},
    {"source": "MLMA fr, ar (HKUST-KnowComp/MLMA_hate_speech)", "license": "MIT", "models": ["hate"]},
    {"source": "alt-profanity-check 1.9.1, words it minds", "license": "MIT", "models": ["hate"]},
    {"source": "LDNOOBW word lists", "license": "CC-BY-4.0", "models": ["hate", "nsfw"]},
    {"source": "surge-ai/profanity", "license": "MIT", "models": ["hate", "nsfw"]},
    {"source": "UT1 addresses (olbat/ut1-blacklists)", "license": "CC-BY-SA-4.0", "models": ["nsfw"]},
    {"source": "sentences written for Gristmill", "license": "Apache-2.0", "models": ["hate", "nsfw"]},
    {"source": "Leipzig sentences by lingua (75 languages), harmless", "license": "CC-BY", "models": ["hate", "nsfw"]},
    {"source": "WikiText-2 valid, harmless", "license": "CC-BY-SA", "models": ["hate", "nsfw"]},
    {"source": "OpenStax biology and physics, harmless", "license": "CC-BY", "models": ["hate", "nsfw"]},
    {"source": "ELD tweets, taken as harmless", "license": "Apache-2.0", "models": ["hate", "nsfw"]},
    *(
        {"source": f"web pages of {name}, harmless", "license": license, "models": ["hate", "nsfw"]}
        for name, license in web.TRAIN.items()
    ),
]
ABOUT = {
    "hate": "Hate and offence by sentence: insults, slurs, contempt for groups",
    "nsfw": "Texts of adult sites by sentence: listings, escort and webcam advertisements",
}
LANGUAGES = {
    "hate": {"ar": 8.0, "fr": 16.0, "ko": 16.0, "zh": 60.0, "en": 4.0, "es": 2.0, "pl": 2.0, "sv": 2.0},
    "nsfw": {},
}
"""How much more plain sentences of a language weigh: those with sets of their own, whose letters alone would tell."""
ENGLISH_WEB = 0.2
"""The share of English web sentences that trains from the start; the worst of the others come in by `worst`."""
HARD = {"hate": 8000, "nsfw": 20_000}
"""How many of the worst harmless sentences train again."""
PENALTY = {"hate": 2.0, "nsfw": 8.0}
NGRAMS = {"hate": (1, 4), "nsfw": (2, 4)}
"""Sizes of character n-grams."""
SERVED = {
    "hate": ("ar", "de", "en", "es", "fr", "it", "ja", "ko", "nl", "pl", "pt", "ru", "zh"),
    "nsfw": ("ar", "de", "en", "es", "fr", "it", "ko", "nl", "pl", "pt", "zh"),
}
"""Languages with 300 clean sentences or more that neither trained nor set a threshold, at most .3 % of them masked, and
half or more of the held-out toxic sentences found at the sentence threshold (benchmarks/toxicity.py). Hindi has too few
clean sentences; of NSFW, Japanese and Russian are not found."""
LIMITS = {
    "hate": (
        "Words, not intentions: quoted or reported insults can score as insults, and hate in harmless words "
        "passes. Validated on labelled sets in English, Chinese and Korean, weakly in Arabic and French; in "
        "German, Spanish, Italian, Japanese, Dutch, Polish, Portuguese and Russian on five written insults each, "
        "and nearly all contempt for groups is missed there. False positives in each language: on pages of "
        "sources that neither trained nor set a threshold. Other languages are not scored. The mask's threshold "
        "leaves more than half of the insults in the labelled sets standing, so that it hardly ever cuts clean "
        "text. Figures: benchmarks/results/toxicity.json."
    ),
    "nsfw": (
        "No labelled set exists: made from word lists, addresses and written sentences, and measured on held-out "
        "ones of the same kinds, of which it finds most at the sentence threshold in the languages it serves; "
        "Japanese, Russian, Hindi and others are not scored. It tells listings of adult sites from plain text; "
        "literature, euphemisms and real adult pages are not measured. Figures: benchmarks/results/toxicity.json."
    ),
}


@dataclass(frozen=True)
class Material:
    """Texts for training, harmless ones whose worst are taken again, and held-out ones to set thresholds by."""

    train: list[Example]
    pool: list[Example]
    calibration: list[Example]


def calibrates(example: Example) -> bool:
    """Whether a held-out plain sentence sets thresholds; the other half is reported on."""
    return weak.chance(example.text, 13) < 0.5


def plain_of(data: Path) -> tuple[list[Example], list[Example]]:
    """(train, held out) plain sentences; tweets with a listed word are left out of training."""
    plain = plain_sentences(data)
    listed = {w for part in ("train", "test") for words in weak.list_words(data, part).values() for w in words}
    train = [e for e in plain if not e.test]
    train = [e for e in train if e.source != "eld_tweets" or listed.isdisjoint(e.text.lower().split())]
    return train, [e for e in plain if e.test]


def hate_material(
    sets: list[Example],
    plain: tuple[list[Example], list[Example]],
    data: Path,
    leave_out: tuple[str, ...] = LEFT_OUT,
) -> Material:
    """What the hate model is made of; `leave_out` names labelled sets."""
    train, _ = plain
    texts = [e for e in sets if not e.test and e.source not in leave_out] + train
    texts += weak.identity("neutral", "train") + weak.identity("hostile", "train") + weak.written("train")
    texts += weak.Teacher().taught(train, 11, 0.35)
    others = [e for e in train if e.lang != "en" and e.source == "leipzig"]
    texts += weak.with_words(others, weak.list_words(data, "train"), "lists", 0.1, 12)
    return _with_web(texts, plain, data)


def _with_web(texts: list[Example], plain: tuple[list[Example], list[Example]], data: Path) -> Material:
    """Web text and fragments beside `texts`; English web text in part, and all of it in the pool."""
    train, held = plain
    pages = list(web.of_role(data, tuple(web.TRAIN)))
    chosen = [replace(e, source="web") for e in pages if e.lang != "en" or weak.chance(e.text, 21) < ENGLISH_WEB]
    calibration = [*web.of_role(data, web.CALIBRATE), *(e for e in held if e.source == "leipzig" and calibrates(e))]
    pool = pages + [e for e in train if e.source == "leipzig"]
    return Material(texts + chosen + web.fragments(), pool, calibration)


def nsfw_material(sets: list[Example], plain: tuple[list[Example], list[Example]], data: Path) -> Material:
    """What the NSFW model is made of."""
    train, _ = plain
    words = weak.list_words(data, "train", sexual=True)
    texts = [e for e in sets if not e.test and not e.toxic and e.source in SHARES["nsfw"]] + train
    texts += weak.identity("neutral", "train") + weak.nsfw_written("train", words) + weak.addresses(data, "train")
    background = [e for e in train if e.source == "leipzig"]
    texts += weak.with_words(background, words, "nsfw_lists", 0.2, 16)
    return _with_web(texts, plain, data)


def sample_weights(texts: list[Example], name: str) -> NDArray[np.float64]:
    """float64[n]: each source together weighs its share, half of it a label where it has both."""
    more = [LANGUAGES[name].get(e.lang, 1.0) if e.source == "leipzig" else 1.0 for e in texts]
    counts: Counter[tuple[str, bool]] = Counter()
    for e, weight in zip(texts, more, strict=True):
        counts[e.source, e.toxic] += weight  # type: ignore[assignment]
    both = {s for s, toxic in counts if (s, not toxic) in counts}
    shares = [SHARES[name][e.source] / counts[e.source, e.toxic] / (2 if e.source in both else 1) for e in texts]
    return np.array(shares) * np.array(more)


@dataclass(frozen=True)
class Fitted:
    """A model's features, weights and thresholds (logits by their names in the card)."""

    features: Features
    weights: NDArray[np.float32]
    thresholds: dict[str, float]

    def logits(self, texts: list[Example]) -> NDArray[np.float32]:
        """float32[n]."""
        found: NDArray[np.float32] = self.features.matrix([e.text for e in texts]) @ self.weights
        return found


def fit(material: Material, name: str, settings: LinearSettings | None = None) -> Fitted:
    """Weights by the sources' shares, once more with the pool's worst sentences; thresholds by the calibration's."""
    from scipy.sparse import vstack

    texts = list(material.train)
    minn, maxn = NGRAMS[name]
    default = LinearSettings(minn=minn, maxn=maxn, c=PENALTY[name])
    features = Features([e.text for e in texts], settings or default)
    x = features.matrix([e.text for e in texts])
    first = fit_weights(x, np.array([e.toxic for e in texts]), sample_weights(texts, name), features.settings)
    weights = first
    if material.pool:
        hard = worst(material.pool, features.matrix([e.text for e in material.pool]) @ first, HARD[name])
        x, texts = vstack([x, features.matrix([e.text for e in hard])]).tocsr(), texts + hard
        weights = fit_weights(x, np.array([e.toxic for e in texts]), sample_weights(texts, name), features.settings)
    scores = features.matrix([e.text for e in material.calibration]) @ weights
    limits = {key: limit(scores, material.calibration, *shares) for key, shares in FALSE_POSITIVES.items()}
    scale = MASK_LOGIT / limits["mask_threshold"]
    return Fitted(features, (weights * scale).astype(np.float32), {k: v * scale for k, v in limits.items()})


def worst(pool: list[Example], scores: NDArray[np.float32], count: int) -> list[Example]:
    """The harmless sentences that a model minds most: `count` of all, and a tenth of it from each language."""
    found: dict[str, Example] = {}
    by_language: Counter[str] = Counter()
    for rank, i in enumerate(np.argsort(-scores, kind="stable").tolist()):
        e = pool[i]
        by_language[e.lang] += 1
        if rank < count or e.lang in web.LANGUAGES and by_language[e.lang] <= count // 10:
            found.setdefault(e.text, replace(e, source="hard"))
    return list(found.values())


def limit(scores: NDArray[np.float32], texts: list[Example], overall: float, single: float) -> float:
    """The score that at most a share `overall` of the texts lies above, and `single` in each language."""
    langs = np.array([e.lang for e in texts])
    parts = [(scores, overall), *((scores[langs == lang], single) for lang in web.LANGUAGES if lang in langs)]
    return float(max(np.quantile(part, 1 - share) for part, share in parts))


def evaluated(fitted: Fitted, name: str, sets: list[Example], data: Path) -> dict[str, Any]:
    """{source: ROC-AUC} on what was held out of each labelled set, or on held-out written sentences and addresses."""
    held = [e for e in sets if e.test]
    if name == "nsfw":
        held = weak.nsfw_written("test", weak.list_words(data, "test", sexual=True)) + weak.addresses(data, "test")
        held = [replace(e, source="written" if e.source.startswith("nsfw") else e.source) for e in held]
    found = {}
    for source in sorted({e.source for e in held}):
        texts = [e for e in held if e.source == source]
        found[source] = round(roc_auc(fitted.logits(texts), [e.toxic for e in texts]), 4)
    return {"held_out_roc_auc": found, "more": "benchmarks/results/toxicity.json"}


def save(fitted: Fitted, material: Material, name: str, folder: Path, evaluation: dict[str, Any]) -> Path:
    """Write the model and its card; returns the model's path."""
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"{name}.bin"
    write(fitted.features, fitted.weights, path)
    settings = fitted.features.settings
    counts = Counter((e.source, e.toxic) for e in material.train)
    training: dict[str, Any] = {
        "method": "logistic regression on fastText's features with tf-idf weights (bundle/toxicity_build.py)",
        "minn": settings.minn, "maxn": settings.maxn, "bucket": settings.bucket, "words": settings.words,
        "c": settings.c, "texts": {f"{s} {'toxic' if t else 'other'}": n for (s, t), n in sorted(counts.items())},
        "weights": SHARES[name], "weights_of_languages": LANGUAGES[name],
    }  # fmt: skip
    card = Card(
        name=name, description=ABOUT[name], positive=POSITIVE,
        threshold=_probability(fitted.thresholds["threshold"]),
        mask_threshold=_probability(fitted.thresholds["mask_threshold"]), languages=SERVED[name],
        normalisation=settings.normalisation, sha256=sha256(path),
        data=tuple({k: v for k, v in s.items() if k != "models"} for s in SOURCES if name in s["models"]),
        training=training,
        calibration={
            "false_positives": {k: {"overall": a, "in_a_language": b} for k, (a, b) in FALSE_POSITIVES.items()},
            "sentences": dict(sorted(Counter(e.source for e in material.calibration).items())),
        },
        evaluation=evaluation, limits=LIMITS[name],
    )  # fmt: skip
    card.write(card_path(path))
    return path


def _probability(logit: float) -> float:
    return round(float(1 / (1 + np.exp(-logit))), 4)


def main(arguments: list[str] | None = None) -> None:
    """Make the models named (both by default)."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("data", type=Path, help="the folder of shared data")
    parser.add_argument("output", type=Path, help="where the models go")
    parser.add_argument("models", nargs="*", metavar="hate|nsfw", help="both by default")
    options = parser.parse_args(arguments)
    sets, plain = labelled_sets(options.data), plain_of(options.data)
    for name in options.models or ("hate", "nsfw"):
        make = hate_material if name == "hate" else nsfw_material
        material = make(sets, plain, options.data)
        fitted = fit(material, name)
        found = evaluated(fitted, name, sets, options.data)
        path = save(fitted, material, name, options.output, found)
        sys.stdout.write(f"{path}: {path.stat().st_size:,} bytes, SHA-256 {sha256(path)}\n")


if __name__ == "__main__":
    main()
