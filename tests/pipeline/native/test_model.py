"""The model's file: written and read back, the same bytes each time, and everything else refused."""

from __future__ import annotations

import pickle
import zipfile

import numpy as np
import pytest

from pipeline.errors import ConfigError
from pipeline.extract.engines import EngineOptions
from pipeline.extract.native.context import CONTEXT
from pipeline.extract.native.engine import Gristmill
from pipeline.extract.native.features import FEATURES
from pipeline.extract.native.judge import Lexicon
from pipeline.extract.native.model import Model
from pipeline.extract.native.page_type import PAGE_TYPES, VECTOR
from pipeline.extract.native.trees import Forest

PAGE = (
    "<title>The mill</title><ul class=menu><li><a href=/>Home</a><li><a href=/a>About us</a></ul>"
    "<h1>The mill</h1><p class=post>The miller grinds the grain of the farm, and the baker bakes bread of it.</p>"
)


def trees(seed: int, features: int, count: int = 3) -> Forest:
    random = np.random.default_rng(seed)
    return Forest(
        random.integers(0, features, (count, 7)).astype(np.int16),
        random.normal(size=(count, 7)).astype(np.float32),
        random.normal(size=(count, 8)).astype(np.float32),
    )


def small_model(card: dict | None = None) -> Model:
    lexicon = Lexicon({"post": 1.5, "menu": -2.0}, {"share": -1.0, "été\u2028x": 0.25}, {"related": -3.0})
    n = len(FEATURES) + len(CONTEXT)
    types = tuple(trees(10 + k, len(VECTOR)) for k in range(len(PAGE_TYPES)))
    return Model(lexicon, trees(1, len(FEATURES)), trees(2, n), types, card if card is not None else {"seed": 1})


def extract(model: Model):
    return Gristmill(EngineOptions(favor="recall"), model).extract(PAGE, None)


def test_a_model_comes_back_as_it_was_and_extracts_the_same(tmp_path):
    model = small_model({"sets": {"wcxb": {"pages": 3}}, "note": "größer"})
    model.save(tmp_path / "a.npz")
    back = Model.load(tmp_path / "a.npz")
    assert back.card == model.card
    for name in ("attributes", "own", "heading"):
        assert getattr(back.lexicon, name) == getattr(model.lexicon, name)
    for one, other in zip(
        (model.first, model.second, *model.types), (back.first, back.second, *back.types), strict=True
    ):
        for field in ("feature", "threshold", "leaf"):
            a, b = getattr(one, field), getattr(other, field)
            assert a.dtype == b.dtype and np.array_equal(a, b)
    judged, again = (Gristmill(EngineOptions(), m).judge(PAGE) for m in (model, back))
    assert judged is not None and again is not None
    assert np.array_equal(judged.second, again.second) and 0 < judged.second.min() < judged.second.max() < 1
    assert extract(model) == extract(back) and extract(back).page_type in PAGE_TYPES


def test_the_same_model_gives_the_same_bytes(tmp_path):
    for name in ("a.npz", "b.npz"):
        small_model().save(tmp_path / name)
    Model.load(tmp_path / "a.npz").save(tmp_path / "c.npz")
    assert (tmp_path / "a.npz").read_bytes() == (tmp_path / "b.npz").read_bytes() == (tmp_path / "c.npz").read_bytes()
    small_model({"seed": 2}).save(tmp_path / "d.npz")
    assert (tmp_path / "d.npz").read_bytes() != (tmp_path / "a.npz").read_bytes()


def test_a_model_without_learnt_words_and_page_types_comes_back(tmp_path):
    n = len(FEATURES) + len(CONTEXT)
    types = tuple(trees(0, 1, count=0) for _ in PAGE_TYPES)
    Model(Lexicon({}, {}, {}), trees(1, len(FEATURES)), trees(2, n), types, {}).save(tmp_path / "a.npz")
    back = Model.load(tmp_path / "a.npz")
    assert (back.lexicon.attributes, back.lexicon.own, back.lexicon.heading) == ({}, {}, {})
    assert extract(back).text


def test_no_pickle_is_ever_read(tmp_path):
    marker = tmp_path / "ran"

    class Bomb:
        def __reduce__(self):
            return (open, (str(marker), "w"))

    (tmp_path / "a.npz").write_bytes(pickle.dumps(Bomb()))
    small_model().save(tmp_path / "good.npz")
    with np.load(tmp_path / "good.npz") as good:
        arrays = {name: good[name] for name in good.files}
    np.savez(tmp_path / "b.npz", allow_pickle=True, **(arrays | {"first_leaf": np.array([Bomb()], object)}))
    for name in ("a.npz", "b.npz"):
        with pytest.raises(ConfigError, match="no model of the engine gristmill"):
            Model.load(tmp_path / name)
    assert not marker.exists()


def test_what_is_no_model_is_refused(tmp_path):
    path = tmp_path / "a.npz"
    small_model().save(path)
    data = path.read_bytes()
    for cut in (0, 1, 30, 200, len(data) // 2, len(data) - 30, len(data) - 1):
        (tmp_path / "cut.npz").write_bytes(data[:cut])
        with pytest.raises(ConfigError, match="cut.npz"):
            Model.load(tmp_path / "cut.npz")
    broken = bytearray(data)
    broken[len(data) // 3 : len(data) // 3 + 40] = bytes(40)
    (tmp_path / "broken.npz").write_bytes(bytes(broken))
    with pytest.raises(ConfigError, match="broken.npz"):
        Model.load(tmp_path / "broken.npz")
    np.savez(tmp_path / "foreign.npz", weights=np.ones(3))
    np.save(tmp_path / "array.npy", np.ones(3))
    (tmp_path / "text.npz").write_text("not a model\n")
    with zipfile.ZipFile(tmp_path / "zip.npz", "w") as file:
        file.writestr("features.npy", "no array")
    for name in ("foreign.npz", "array.npy", "text.npz", "zip.npz", "absent.npz", "."):
        with pytest.raises(ConfigError):
            Model.load(tmp_path / name)


def changed(path, **values):
    with np.load(path) as file:
        arrays = {name: file[name] for name in file.files}
    np.savez(path, **(arrays | values))


def test_a_model_for_other_features_says_to_train_anew(tmp_path):
    path = tmp_path / "a.npz"
    for name in ("features", "vector", "page_types"):
        small_model().save(path)
        changed(path, **{name: np.array(["something", "else"])})
        with pytest.raises(ConfigError, match="gristmill extract train"):
            Model.load(path)


@pytest.mark.parametrize(
    "values",
    [
        {"first_feature": np.full((3, 7), 30_000, np.int16)},
        {"second_feature": np.full((3, 7), -1, np.int16)},
        {"type_forum_feature": np.full((3, 7), len(VECTOR), np.int16)},
        {"first_threshold": np.zeros((3, 5), np.float32)},
        {"first_leaf": np.zeros((2, 8), np.float32)},
        {"first_leaf": np.zeros(8, np.float32)},
        {"second_threshold": np.zeros((3, 7), np.float64)},
        {"card": np.array("[1")},
        {"card": np.array("[1]")},
        {"own_weights": np.zeros(9, np.float32)},
    ],
    ids=lambda values: " ".join(values),
)
def test_arrays_that_would_be_read_out_of_bounds_are_refused(tmp_path, values):
    path = tmp_path / "a.npz"
    small_model().save(path)
    changed(path, **values)
    with pytest.raises(ConfigError):
        Model.load(path)
