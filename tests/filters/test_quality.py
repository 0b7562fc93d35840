"""The stage `quality` and its bundled models: cards, decisions at the threshold, recorded scores, hostile text."""

from __future__ import annotations

import dataclasses
import hashlib
import json
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from filters.classifier.filter import bundled_models
from filters.quality import Quality
from pipeline.errors import ConfigError
from pipeline.stage import DROP_REASON

MODELS = ("quality-en", "wikipedia-en")
GOOD = (
    "The tidal range of an estuary depends on its shape. Where the channel narrows towards the head, the incoming wave "
    "is squeezed between the banks and rises, while friction along the bed takes energy from it. In most estuaries the "
    "two effects nearly cancel, and the range changes little over the first kilometres. Engineers who measured the "
    "levels in the nineteenth century found that dredging reduced the friction and therefore increased the range."
)
BAD = (
    "Log in\nMy account\nView cart (0 items)\nSort by: price | newest\nShow 12 24 48 per page\nAdd to compare\n"
    "Size: S M L XL\nIn stock\nQty 1\nAdd to cart\nTel: 0555 123 456\nFax: 0555 123 457\nForgot your password?\n"
    "Remember me\nSign up for our newsletter\nCopyright 2014 All rights reserved\nBack to top\n« Previous Next »"
)

MIDDLE = (
    "Hey all, I finally fixed my bike. The brake was dragging because a spring had slipped, so I bent it back. Took me "
    "about an hour. Does anyone know where to buy spare springs? Thanks!"
)


def docs(texts: list[str | None], langs: list[str] | None = None) -> pa.Table:
    return pa.table(
        {"text": pa.array(texts, pa.large_string()), "lang": pa.array(langs or ["en"] * len(texts), pa.string())}
    )


@pytest.mark.parametrize("name", MODELS)
def test_card_belongs_to_its_model(name: str) -> None:
    path = bundled_models()[name]
    card = json.loads(path.with_suffix(".json").read_text(encoding="utf-8"))
    assert card["sha256"] == hashlib.sha256(path.read_bytes()).hexdigest()
    assert path.stat().st_size < 4 << 20
    assert card["languages"] == ["en"]
    assert 0 < card["threshold"] < 1
    assert len(card["data"]) > 5 and all(one["licence"] for one in card["data"])
    assert not any("evaluation only" in one["licence"] for one in card["data"])
    assert card["evaluation"]["held_out_sources"]["folds"]["never trained on"]["roc_auc"] > 0.9


@pytest.mark.parametrize("name", MODELS)
def test_prose_scores_above_page_furniture(name: str) -> None:
    found = Quality(model=name)(docs([GOOD, BAD]))
    good, bad = found["quality"].to_pylist()
    assert good > Quality(model=name).limit() > bad
    assert found[DROP_REASON].to_pylist() == [None, "quality"]


RECORDED = {"quality-en": (0.99997, 0.27827, 2e-05), "wikipedia-en": (1.0, 0.00169, 0.00621)}


@pytest.mark.parametrize("name", MODELS)
def test_recorded_scores(name: str) -> None:
    """The figures that the bundled model gave when it was made: a changed reader or normaliser shows here."""
    found = Quality(model=name).score(docs([GOOD, MIDDLE, BAD])).to_pylist()
    np.testing.assert_allclose(found, RECORDED[name], atol=2e-4)


def test_other_languages_pass_unscored() -> None:
    found = Quality()(docs([BAD, BAD, BAD], ["de", None, "en"]))
    assert found["quality"].is_null().to_pylist() == [True, True, False]
    assert found[DROP_REASON].to_pylist() == [None, None, "quality"]


def test_short_texts_pass_unscored() -> None:
    words = BAD.split()[:25]
    found = Quality()(docs([" ".join(words), " ".join(words[:24]), "", None]))
    assert found["quality"].is_null().to_pylist() == [False, True, True, True]
    assert found[DROP_REASON].to_pylist() == ["quality", None, None, None]
    assert Quality(min_words=0).score(docs([" ".join(words[:24])])).null_count == 0
    with pytest.raises(ConfigError, match="min_words"):
        Quality(min_words=-1).check()


def test_score_at_the_threshold_is_kept() -> None:
    score = float(Quality().score(docs([GOOD]))[0].as_py())
    assert Quality(threshold=score)(docs([GOOD]))[DROP_REASON].to_pylist() == [None]
    above = float(np.nextafter(score, 2))
    assert Quality(threshold=above)(docs([GOOD]))[DROP_REASON].to_pylist() == ["quality"]


def test_length_is_not_in_the_score() -> None:
    """The mean over a text said twice is the same, but for the pair of words at the seam."""
    one, two = Quality().score(docs([GOOD, GOOD + "\n" + GOOD])).to_pylist()
    assert abs(one - two) < 0.03


def test_unknown_model_names_the_bundled_ones() -> None:
    with pytest.raises(ConfigError, match="quality-en"):
        Quality(model="qualty-en").check()


def test_long_and_hostile_texts() -> None:
    texts = ["", "\0\n" * 10_000, "a " * 200_000, "x" * 2_000_000, "\n" * 100_000, "̀" * 50_000, "‏אבג " * 1000]
    found = Quality().score(docs(texts)).to_pylist()
    assert all(score is None or 0 <= score <= 1 for score in found)


@settings(max_examples=30, deadline=None)
@given(st.lists(st.text(max_size=200), max_size=5))
def test_any_text_and_any_slice(texts: list[str]) -> None:
    table = docs([GOOD, *texts])
    whole = Quality().score(table).to_pylist()
    assert Quality().score(table.slice(1)).to_pylist() == whole[1:]
    assert all(score is None or 0 <= score <= 1 for score in whole)


def test_training_gives_the_same_bytes_twice(tmp_path: Path) -> None:
    from filters.classifier.bundle.quality import SETTINGS, train

    small = dataclasses.replace(SETTINGS, bucket=2000, cutoff=500)
    made = []
    for number in range(2):
        path = tmp_path / f"{number}.ftz"
        train(_passages(), path, small)
        made.append(path.read_bytes())
    assert made[0] == made[1]


def _passages() -> list:
    from filters.classifier.bundle.quality_passages import passages
    from filters.classifier.bundle.quality_sources import SOURCES, Document

    good, bad = SOURCES[0], next(s for s in SOURCES if s.good is False)
    documents = [Document(good, "", f"g{i}", f"{GOOD}\nChapter {i} follows.", True) for i in range(40)]
    documents += [Document(bad, "", f"b{i}", f"{BAD}\nItem {i}", False) for i in range(40)]
    return passages(documents)
