"""The base filter: score column, thresholds, languages, cards, addresses and checksums."""

from __future__ import annotations

import http.server
import json
from dataclasses import dataclass
from functools import partial
from typing import ClassVar

import pyarrow as pa
import pytest

from filters.classifier.card import Card, card_path, read_card, sha256
from filters.classifier.fetch import fetch, resolved
from filters.classifier.filter import ClassifierFilter, model_path
from filters.classifier.model import load
from filters.classifier.normalisation import Normalisation
from pipeline.errors import ConfigError
from pipeline.storage import filesystems
from tests.serving import Quiet, Server

from .test_model import train


@dataclass(frozen=True, kw_only=True)
class Good(ClassifierFilter):
    name: ClassVar[str] = "good_for_test"
    score_column: ClassVar[str] = "goodness"


@dataclass(frozen=True, kw_only=True)
class Bad(ClassifierFilter):
    name: ClassVar[str] = "bad_for_test"
    score_column: ClassVar[str] = "badness"
    keeps_above: ClassVar[bool] = False


@pytest.fixture
def model(two_labels_file, tmp_path):
    """A model with a card."""
    path = train(two_labels_file, tmp_path / "two.ftz", {"qnorm": True}, minn=2, maxn=3, bucket=500)
    card = Card(name="two", positive="a", threshold=0.5, quantiles={"0.9": 0.75}, sha256=sha256(path))
    card.write(card_path(path))
    return path


def docs(texts, **columns):
    return pa.table({"text": pa.array(texts, pa.large_string()), **columns})


TEXTS = ["the of and to in a is", "über größer Straße мир труд", "", "it was on are as"]


def test_score_decision_and_reason(model):
    out = Good(model=str(model))(docs(TEXTS))
    want = load(model).scores(TEXTS)
    assert out.schema.field("goodness").type == pa.float32()
    assert out["goodness"].to_pylist() == want.tolist()
    assert out["drop_reason"].to_pylist() == [None if s >= 0.5 else "good_for_test" for s in want]
    assert Bad(model=str(model))(docs(TEXTS))["drop_reason"].to_pylist() == [
        None if s < 0.5 else "bad_for_test" for s in want
    ]


def test_exactly_at_the_threshold(model):
    score = float(load(model).scores(TEXTS[:1])[0])
    assert Good(model=str(model), threshold=score)(docs(TEXTS[:1]))["drop_reason"].null_count == 1
    assert Good(model=str(model), threshold=score + 1e-6)(docs(TEXTS[:1]))["drop_reason"].null_count == 0
    assert Bad(model=str(model), threshold=score)(docs(TEXTS[:1]))["drop_reason"].null_count == 0


def test_a_new_threshold_takes_over_scores(model, monkeypatch):
    scored = Good(model=str(model)).scored(docs(TEXTS))
    monkeypatch.setattr(Good, "score", lambda self, docs: pytest.fail("scored again"))
    Good(model=str(model), threshold=0.9)(scored)
    with pytest.raises(pytest.fail.Exception):
        Good(model=str(model), max_bytes=5)(scored)
    with pytest.raises(pytest.fail.Exception):
        Good(model=str(model), positive="b")(scored)


def test_other_languages_pass_with_null(model):
    filter_ = Good(model=str(model), languages=("en",), threshold=1.0)
    assert filter_.reads == ("text", "lang")
    out = filter_(docs(TEXTS, lang=pa.array(["en", "de", None, "en"])))
    assert [s is None for s in out["goodness"].to_pylist()] == [False, True, True, False]
    assert [r is None for r in out["drop_reason"].to_pylist()] == [False, True, True, False]
    card = read_card(model)
    Card(**{**card.__dict__, "languages": ("de",)}).write(card_path(model))
    assert Good(model=str(model)).reads == ("text", "lang")
    assert Good(model=str(model), languages=()).reads == ("text",)


def test_quantile_needs_a_calibrated_card(model):
    assert Good(model=str(model), quantile=0.9).limit() == 0.75
    with pytest.raises(ConfigError, match="gristmill classifier calibrate"):
        Good(model=str(model), quantile=0.8).check()


def test_max_bytes(model):
    long = ["the of and to " + "größer Straße " * 50]
    short = Good(model=str(model), max_bytes=14).scored(docs(long))["goodness"].to_pylist()
    assert short == load(model).scores(["the of and to "]).tolist() != load(model).scores(long).tolist()


def test_fingerprint_follows_the_model_not_its_place(model, tmp_path):
    other = tmp_path / "copy"
    other.mkdir()
    for path in (model, card_path(model)):
        (other / path.name).write_bytes(path.read_bytes())
    assert Good(model=str(model)).fingerprint() == Good(model=str(other / "two.ftz")).fingerprint()
    before = Good(model=str(model)).fingerprint()
    card = json.loads(card_path(model).read_text())
    card_path(model).write_text(json.dumps({**card, "threshold": 0.6}))
    assert Good(model=str(model)).fingerprint() != before
    card_path(model).write_text(json.dumps({**card, "normalisation": Normalisation(lowercase=True).card()}))
    assert Good(model=str(model)).fingerprint() != before


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"model": ""}, "missing"),
        ({"model": "no-such-model"}, "bundled"),
        ({"threshold": 1.5}, r"\[0, 1\]"),
        ({"threshold": 0.5, "quantile": 0.9}, "not both"),
        ({"quantile": 1.0}, "between"),
        ({"max_bytes": -1}, "negative"),
        ({"positive": "c"}, "no label 'c'"),
        ({"model_sha256": "0" * 64}, "SHA-256"),
    ],
)
def test_wrong_options(options, message, model):
    with pytest.raises(ConfigError, match=message):
        Good(**{"model": str(model), **options}).check()


def test_without_a_card(model):
    card_path(model).unlink()
    with pytest.raises(ConfigError, match="a, b|b, a"):
        Good(model=str(model), threshold=0.5).check()
    with pytest.raises(ConfigError, match="threshold"):
        Good(model=str(model), positive="a").check()
    Good(model=str(model), positive="__label__a", threshold=0.5).check()


@pytest.mark.parametrize(
    "content", ["{", "[]", '{"threshold": "high"}', '{"normalisation": {"loud": true}}', '{"positive": 3}']
)
def test_broken_cards(content, model):
    card_path(model).write_text(content)
    with pytest.raises(ConfigError, match="two.json"):
        Good(model=str(model)).check()


class Files(Quiet, http.server.SimpleHTTPRequestHandler):
    """A folder's files."""


@pytest.fixture
def server(model):
    """The model's folder by http."""
    with Server(partial(Files, directory=str(model.parent))) as running:
        yield running.url


def test_a_model_by_address(model, server, tmp_path, monkeypatch):
    monkeypatch.setenv("GRISTMILL_CACHE", str(tmp_path / "cache"))
    path = model_path(f"{server}/two.ftz", "test", sha256=sha256(model).upper())
    assert path.read_bytes() == model.read_bytes() and tmp_path / "cache" in path.parents
    assert read_card(path) == read_card(model)
    out = Good(model=f"{server}/two.ftz")(docs(TEXTS))
    assert out["goodness"].to_pylist() == load(model).scores(TEXTS).tolist()
    model.unlink()
    assert model_path(f"{server}/two.ftz", "test") == path  # not fetched again


def test_addresses_that_fail(server, tmp_path, monkeypatch):
    monkeypatch.setattr(filesystems, "FIRST_WAIT_S", 0.001)
    monkeypatch.setenv("GRISTMILL_CACHE", str(tmp_path / "cache"))
    with pytest.raises(ConfigError, match="other.ftz.*can't be fetched"):
        fetch(f"{server}/other.ftz")
    with pytest.raises(ConfigError, match="SHA-256"):
        fetch(f"{server}/two.ftz", sha256="ab" * 32)
    with pytest.raises(ConfigError, match="does not end"):
        fetch(f"{server}/two.zip")
    with pytest.raises(ConfigError, match="can't be fetched"):
        fetch("http://127.0.0.1:9/two.ftz")
    assert not [p for p in (tmp_path / "cache").rglob("*") if p.is_file()]


def test_hub_addresses():
    assert resolved("hf://org/repo/a/m.bin") == "https://huggingface.co/org/repo/resolve/main/a/m.bin"
    assert resolved("hf://org/repo@v1/m.bin") == "https://huggingface.co/org/repo/resolve/v1/m.bin"
    for bad in ("hf://org/m.bin", "hf://datasets/a/m.bin", "hf://org//m.bin"):
        with pytest.raises(ConfigError, match="hf://organisation"):
            resolved(bad)
