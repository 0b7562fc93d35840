"""What the toxicity models are made of: fastText's features, the same bytes twice, no near copies across the split."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from filters.classifier.bundle import toxicity_weak as weak
from filters.classifier.bundle.linear import Features, LinearSettings, fit_weights, write
from filters.classifier.bundle.toxicity_texts import Example, labelled_sets, masked, split
from filters.classifier.card import sha256
from filters.classifier.model import load

SMALL = LinearSettings(bucket=1 << 12, words=20, min_texts=1)


def made(folder: Path, name: str) -> tuple[Features, np.ndarray, Path]:
    texts = [f"good tea number {i} naïve" for i in range(20)] + [f"bad {i} 坏话 coffee!" for i in range(20)]
    features = Features(texts, SMALL)
    weights = fit_weights(features.matrix(texts), np.arange(40) >= 20, np.ones(40), SMALL)
    path = folder / name
    write(features, weights, path)
    return features, weights, path


def test_written_model_scores_as_the_regression(tmp_path: Path) -> None:
    import fasttext

    features, weights, path = made(tmp_path, "a.bin")
    model, theirs = load(path), fasttext.load_model(str(path))
    for text in ["bad coffee!", "a good tea", "坏话", "unseen Words"]:
        logit = float((features.matrix([text]) @ weights)[0])
        expected = 1 / (1 + np.exp(-logit))
        assert model.scores([text], "toxic", SMALL.normalisation)[0] == pytest.approx(expected, abs=3e-5)
        labels, found = theirs.predict([SMALL.normalisation.text(text)], k=2)
        assert dict(zip(labels[0], found[0], strict=True))["__label__toxic"] == pytest.approx(expected, abs=3e-5)
    assert model.scores(["bad"], "toxic")[0] > 0.5 > model.scores(["good tea"], "toxic")[0]


def test_same_bytes_twice(tmp_path: Path) -> None:
    assert sha256(made(tmp_path, "a.bin")[2]) == sha256(made(tmp_path, "b.bin")[2])


def test_masks() -> None:
    assert masked("!!! RT @name: so &amp; so http://t.co/x #tag 😀!!!") == "! : so so tag !"
    assert masked("नमस्ते दुनिया") == "नमस्ते दुनिया"


def test_retweets_and_quotes_stay_on_one_side() -> None:
    base = "one two three four five six seven eight nine ten"
    texts = [f"{i} {base} {i}" for i in range(50)] + [f"{a}{b} alone" for a in "abcdefghijklmn" for b in "opqrstuvwxyz"]
    found = split([Example(masked(t), False, "davidson", "en") for t in texts], test_share=0.5)
    sides = {e.test for e in found if base in e.text}
    assert len(sides) == 1
    assert 30 < sum(e.test for e in found if "alone" in e.text) < 140
    copies = split(
        [Example("Hello there, You", True, "davidson", "en"), Example("hello there you", True, "kocohub", "ko")]
    )
    assert len(copies) == 1


def test_evaluation_sets_never_train(shared_data: Path) -> None:
    sets = labelled_sets(shared_data)
    assert all(e.test for e in sets if e.source in ("olid", "ethos", "cold_test"))
    held = {e.group for e in sets if e.test}
    assert not any(e.group in held for e in sets if not e.test)


def test_identity_sentences_cover_all_languages() -> None:
    terms = weak.bundled("identity_terms")
    assert set(terms) == set(weak.bundled("toxicity_sentences"))
    assert all(len(groups) == 7 for groups in terms.values())
    train = {e.text for e in weak.identity("neutral", "train")}
    assert not train & {e.text for e in weak.identity("neutral", "test")}
