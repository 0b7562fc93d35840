"""What the toxicity models are made of: fastText's features, the same bytes twice, no near copies across the split."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from filters.classifier.bundle import toxicity_build as build
from filters.classifier.bundle import toxicity_weak as weak
from filters.classifier.bundle import toxicity_web as web
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


def test_web_sources_stand_on_one_side_and_train_only_with_a_licence() -> None:
    sides = [set(web.TRAIN), set(web.CALIBRATE), set(web.REPORT)]
    assert sum(map(len, sides)) == len(set.union(*sides))
    assert all(web.TRAIN.values()) and not any("GPL" in license for license in web.TRAIN.values())
    assert not {"webkb", "daniel_waddle", "gne_zh"} & set(web.TRAIN)


def test_fragments_in_all_languages_have_words_enough() -> None:
    from filters.kernels.evidence import enough, evidence

    fragments = web.fragments()
    assert {e.lang for e in fragments} == set(web.LANGUAGES)
    sizes = np.array([len(e.text.encode()) for e in fragments], np.int64)
    ends: np.ndarray = np.cumsum(sizes).astype(np.int64)
    data = np.frombuffer("".join(e.text for e in fragments).encode(), np.uint8)
    assert enough(evidence(data, ends - sizes, ends)).mean() > 0.98


def test_sentences_of_pages_are_those_that_can_be_judged_each_once_a_source() -> None:
    text = "Skip\n\nThe museum opens at ten in the morning. 12:30. The museum opens at ten in the morning."
    pages = [web.Page(text, "en", source, "u") for source in ("a", "b", "a")]
    found = [(e.text, e.source, e.toxic) for e in web.sentences(pages)]
    assert found == [("The museum opens at ten in the morning.", f"web_{s}", False) for s in "ab"]


def test_limits_hold_in_all_and_in_each_language() -> None:
    texts = [Example(str(i), False, "x", "zh" if i < 100 else "en") for i in range(1000)]
    scores = np.arange(1000, dtype=np.float32)
    assert np.mean(scores > build.limit(scores, texts, 0.01, 1.0)) == pytest.approx(0.01)
    assert np.sum(scores[:100] > build.limit(np.r_[scores[:100] + 2000, scores[100:]], texts, 1.0, 0.02) - 2000) == 2


def test_the_worst_sentences_come_from_each_language() -> None:
    pool = [Example(f"t{i}", False, "x", "en" if i < 50 else "ja") for i in range(100)]
    found = build.worst(pool, -np.arange(100, dtype=np.float32), 20)
    assert [e.text for e in found] == [f"t{i}" for i in range(20)] + ["t50", "t51"]
    assert {e.source for e in found} == {"hard"}
