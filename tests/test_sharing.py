"""What several worker processes of a node use alike lies in its memory once."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from filters.url import HashSet, hashes_of
from pipeline.mapped import mapped

from .decontam.scan_tools import questions
from .filters.classifier.big_model import write_model
from .sharing import Held, grown, item_text

linux = pytest.mark.skipif(not Path("/proc/self/smaps_rollup").exists(), reason="Linux says what processes share")

OWN = 0.5
"""Of a file's size, what a process may hold for itself: 9 MB of a scan's are .3 of a small index, a classifier's tables
leave nothing. A copy of its own would be 1."""


def assert_one_copy(found: list[Held], size: int) -> None:
    """Both processes have used `size` bytes, and all but a little of it is a file's, which memory holds once."""
    assert len(found) == 2
    assert max(one.resident for one in found) > 0.8 * size, "it was not used"
    for one in found:
        assert one.private < OWN * size


@linux
def test_a_large_classifier(tmp_path, monkeypatch):
    """More labels than dimensions, as lid.176.bin has: the tables are as large as the file, 208 MB."""
    monkeypatch.setenv("GRISTMILL_CACHE", str(tmp_path / "cache"))
    small = write_model(tmp_path / "small.bin", words=100, buckets=100, dim=8, labels=2)
    large = write_model(tmp_path / "large.bin", words=200_000, buckets=3_000_000, dim=16, labels=20)
    assert large.stat().st_size > 200e6
    assert_one_copy(grown("classifier", small, large), large.stat().st_size)


@linux
def test_a_large_dictionary(tmp_path, monkeypatch):
    """Two labels: of the matrix a number a row is left, but each word takes its place in tables."""
    monkeypatch.setenv("GRISTMILL_CACHE", str(tmp_path / "cache"))
    small = write_model(tmp_path / "small.bin", words=100, buckets=100, dim=8, labels=2)
    large = write_model(tmp_path / "large.bin", words=1_000_000, buckets=100_000, dim=8, labels=2)
    found = grown("classifier", small, large)
    assert max(one.private for one in found) < 10e6 < 30e6 < max(one.resident for one in found)


@linux
def test_a_decontamination_index(tmp_path):
    from decontam.index import build_index

    for name, items in (("small", 500), ("large", 12_000)):
        build_index(questions(*(item_text(number) for number in range(items)))).save(tmp_path / name)
    size = sum(path.stat().st_size for path in (tmp_path / "large").glob("*.npy"))
    assert size > 30e6
    assert_one_copy(grown("index", tmp_path / "small", tmp_path / "large"), size)


def test_mapped_tables_score_as_a_models_own(tmp_path, monkeypatch):
    from filters.classifier import model

    monkeypatch.setenv("GRISTMILL_CACHE", str(tmp_path / "cache"))
    path = write_model(tmp_path / "m.bin", words=300, buckets=1000, dim=8, labels=12)
    texts = ["w1 w2 w3", "w299 w4 unknown", ""]
    own = model.load(path).probabilities(texts)
    for _ in range(2):  # the first makes the tables, the second finds them
        model._loaded.cache_clear()
        monkeypatch.setattr(model, "LARGE", 0)
        found = model.load(path)
        assert isinstance(found.tables.values.base, np.memmap)
        np.testing.assert_array_equal(found.probabilities(texts), own)
        assert found.labels == tuple(f"l{n}" for n in range(12))
    write_model(path, words=300, buckets=1000, dim=8, labels=3)
    assert model.load(path).probabilities(texts).shape == (3, 3)
    assert len(list((tmp_path / "cache" / "classifiers").glob("*/arrays.json"))) == 2


def test_a_large_blocklist(tmp_path, monkeypatch):
    from filters import url

    monkeypatch.setenv("GRISTMILL_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(url, "LARGE", 1000)
    path = tmp_path / "domains"
    path.write_text("".join(f"d{n}.example\n" for n in range(500)))
    for _ in range(2):
        entries = HashSet.of_lists([path])
        assert len(entries) == 500 and "d7.example" in entries and "e7.example" not in entries
    (kept,) = (tmp_path / "cache" / "blocklists").glob("*/hashes.npy")
    assert np.array_equal(np.load(kept), hashes_of([path]))
    path.write_text("".join(f"e{n}.example\n" for n in range(500)))
    assert "e7.example" in HashSet.of_lists([path])


def test_arrays_are_made_once_and_again_where_they_are_damaged(tmp_path, monkeypatch):
    monkeypatch.setenv("GRISTMILL_CACHE", str(tmp_path))
    made = []

    def make() -> dict[str, np.ndarray]:
        made.append(1)
        return {"a": np.arange(1000)}

    for _ in range(3):
        assert mapped("x", "key", make)["a"].sum() == 499_500
    assert len(made) == 1
    found = mapped("x", "key", make)["a"]
    found[0] = 7  # is this process's own page
    assert mapped("x", "key", make)["a"][0] == 0
    (tmp_path / "x" / "key" / "a.npy").write_bytes(b"damaged")
    assert mapped("x", "key", make)["a"][5] == 5 and len(made) == 2
    assert mapped("x", "other", make)["a"][5] == 5 and len(made) == 3


def test_without_room_each_makes_its_own(tmp_path, monkeypatch, caplog):
    from pipeline import mapped as module

    monkeypatch.setenv("GRISTMILL_CACHE", str(tmp_path))

    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(module, "_save", full)
    assert mapped("x", "key", lambda: {"a": np.arange(3)})["a"].tolist() == [0, 1, 2]
    assert "No space left" in caplog.text
