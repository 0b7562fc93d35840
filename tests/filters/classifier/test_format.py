"""Truncated and hostile model files: a ConfigError each, without a crash or a large allocation."""

from __future__ import annotations

import random
import struct
import tracemalloc

import numpy as np
import pytest

from filters.classifier.format import read_model
from filters.classifier.model import load
from filters.classifier.tables import build
from filters.language import default_model
from pipeline.errors import ConfigError

from .test_model import train

HEAD = 8 + 12 * 4 + 8  # magic, version, twelve numbers and one double
OPTIONS = {"dim": 4, "minn": 2, "maxn": 3, "bucket": 600, "wordNgrams": 2, "epoch": 1}


@pytest.fixture(scope="module")
def files(two_labels_file, tmp_path_factory):
    """The bytes of a plain model and of a quantised, pruned one."""
    folder = tmp_path_factory.mktemp("models")
    plain = train(two_labels_file, folder / "m.bin", **OPTIONS)
    pruned = train(two_labels_file, folder / "m.ftz", {"cutoff": 400, "qnorm": True}, **OPTIONS)
    return {"bin": plain.read_bytes(), "ftz": pruned.read_bytes()}


def tried(content, path):
    """Read, build and score; only ConfigError may come of it."""
    path.write_bytes(content)
    try:
        with np.errstate(all="ignore"):
            found = load(path).probabilities(["the of and", "", "größer 街角" * 20])
    except ConfigError as error:
        assert str(path) in str(error)
        return None
    return found


@pytest.mark.parametrize("kind", ["bin", "ftz"])
def test_cut_short_anywhere(kind, files, tmp_path):
    whole = files[kind]
    rng = random.Random(4)
    lengths = [0, 1, 7, 8, HEAD - 1, HEAD, HEAD + 27, HEAD + 28, len(whole) - 1, *rng.choices(range(len(whole)), k=60)]
    for i, length in enumerate(lengths):
        assert tried(whole[:length], tmp_path / f"{i}.{kind}") is None
    assert tried(whole, tmp_path / f"whole.{kind}") is not None


@pytest.mark.parametrize("kind", ["bin", "ftz"])
def test_numbers_that_lie(kind, files, tmp_path):
    """Each 4 and 8 bytes of the head and of the dictionary's head, made huge or negative, in turn."""
    whole = bytearray(files[kind])
    tracemalloc.start()
    for at in range(8, HEAD + 28, 4):
        for value in (-1, 0, 0x7FFFFFFF, -0x80000000, 1 << 24):
            changed = whole.copy()
            changed[at : at + 4] = struct.pack("<i", value)
            tried(bytes(changed), tmp_path / f"{at}-{value}.{kind}")
    assert tracemalloc.get_traced_memory()[1] < 64 << 20
    tracemalloc.stop()


@pytest.mark.parametrize("kind", ["bin", "ftz"])
def test_random_damage(kind, files, tmp_path):
    rng = random.Random(5)
    for i in range(150):
        changed = bytearray(files[kind])
        for _ in range(rng.randint(1, 4)):
            at = rng.randrange(8, len(changed) if rng.random() < 0.5 else 1000)
            changed[at] = rng.choice((0, 1, 0x7F, 0x80, 0xFF))
        tried(bytes(changed), tmp_path / f"{i}.{kind}")


def test_other_files(tmp_path):
    missing = tmp_path / "none.ftz"
    with pytest.raises(ConfigError, match="none.ftz"):
        load(missing)
    for content in (b"", b"text", b"\0" * 100, struct.pack("<ii", 793712314, 13) + b"\0" * 100):
        assert tried(content, tmp_path / "m.ftz") is None


def test_word_vectors_are_no_classifier(training_file, tmp_path):
    import fasttext

    model = fasttext.train_unsupervised(str(training_file), dim=4, epoch=1, thread=1, verbose=0, bucket=100)
    model.save_model(str(tmp_path / "v.bin"))
    with pytest.raises(ConfigError, match="word vectors"):
        load(tmp_path / "v.bin")


def test_numbers_that_are_not_finite(files, tmp_path):
    content = bytearray(files["bin"])
    content[-4:] = struct.pack("<f", float("nan"))
    assert tried(bytes(content), tmp_path / "out.bin") is None
    content = bytearray(files["bin"])
    end_of_input = -(2 * 4 * 4 + 16 + 1)  # the output matrix, its size, and the flag before it
    content[end_of_input - 4 : end_of_input] = struct.pack("<f", float("inf"))
    assert tried(bytes(content), tmp_path / "in.bin") is None


def test_version_11_has_no_letters(files, two_labels_file, tmp_path):
    """As fastText reads old classifiers: no character n-grams, whatever the head says."""
    import fasttext

    old = bytearray(files["bin"])
    old[4:8] = struct.pack("<i", 11)
    (tmp_path / "old.bin").write_bytes(old)
    model, ours = fasttext.load_model(str(tmp_path / "old.bin")), load(tmp_path / "old.bin")
    for text in ("the of and", "unheard words größer"):
        labels, scores = model.predict(text, k=2)
        row = ours.probabilities([text])[0]
        assert [row[ours.position(label)] for label in labels] == pytest.approx(list(scores), abs=1e-5)


def test_large_matrices_are_read_in_chunks(two_labels_file, tmp_path, monkeypatch):
    path = train(two_labels_file, tmp_path / "m.bin", dim=64, wordNgrams=2, bucket=20_000)
    model = read_model(path)
    whole = build(model)
    monkeypatch.setattr("filters.classifier.tables.CHUNK_BYTES", 64 * 4 * 37)
    assert np.allclose(build(model).values, whole.values, rtol=1e-5, atol=1e-7)
    tracemalloc.start()
    build(model)
    assert tracemalloc.get_traced_memory()[1] < path.stat().st_size / 4
    tracemalloc.stop()


def test_the_language_model_is_read():
    model = read_model(default_model())
    assert (model.dim, model.loss, model.minn, model.maxn, len(model.labels)) == (16, "hs", 2, 4, 176)
