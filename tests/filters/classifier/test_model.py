"""Probabilities beside the fastText library's own for the same files, over all losses and file kinds."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import pytest

from filters.classifier.model import batches, load
from filters.classifier.normalisation import Normalisation
from filters.language import default_model

KINDS = {
    "plain": {},
    "bigrams": {"wordNgrams": 2, "bucket": 1000},
    "five_words": {"wordNgrams": 5, "bucket": 997},
    "letters": {"minn": 2, "maxn": 4, "bucket": 5000},
    "single_letters": {"minn": 1, "maxn": 3, "wordNgrams": 2, "bucket": 4096},
    "one_bucket": {"minn": 3, "maxn": 3, "bucket": 1},
}
QUANTISED = {
    "all": {},
    "norms": {"qnorm": True},
    "odd_parts": {"dsub": 3, "qnorm": True},
    "cut": {"cutoff": 700, "qnorm": True},
}


def train(file, path, quantised=None, **options):
    import fasttext

    model = fasttext.train_supervised(str(file), thread=1, verbose=0, **{"dim": 10, "epoch": 5, "lr": 0.5, **options})
    if quantised is not None:
        model.quantize(**quantised)
    model.save_model(str(path))
    return path


def differences(path, texts):
    """Largest difference of each text's probabilities from the library's; both must know the same texts."""
    import fasttext

    model, ours = fasttext.load_model(str(path)), load(path)
    found = ours.probabilities(texts)
    out = []
    for text, row in zip(texts, found, strict=True):
        labels, scores = model.predict(text, k=-1)
        assert bool(len(labels)) == (not np.isnan(row).any())
        out.append(max((abs(row[ours.position(a)] - b) for a, b in zip(labels, scores, strict=True)), default=0.0))
    return np.array(out)


@pytest.mark.parametrize("loss", ["softmax", "hs", "ova", "ns"])
@pytest.mark.parametrize("kind", KINDS)
def test_same_as_the_library(loss, kind, training_file, texts, tmp_path):
    found = differences(train(training_file, tmp_path / "m.bin", loss=loss, **KINDS[kind]), texts)
    # one-versus-all goes by a table of 512 steps, at whose borders single precision decides
    assert (found > 1e-5).mean() <= (0.01 if loss in ("ova", "ns") else 0)


@pytest.mark.parametrize("kind", QUANTISED)
@pytest.mark.parametrize("loss", ["softmax", "hs"])
def test_same_as_the_library_quantised(loss, kind, training_file, texts, tmp_path):
    path = train(
        training_file, tmp_path / "m.ftz", QUANTISED[kind], loss=loss, minn=2, maxn=3, wordNgrams=2, bucket=2000
    )
    assert differences(path, texts).max() <= 1e-5


@pytest.mark.parametrize("file", ["m.bin", "m.ftz"])
def test_two_labels(file, two_labels_file, texts, tmp_path):
    quantised = {"cutoff": 500, "qnorm": True} if file.endswith("ftz") else None
    path = train(two_labels_file, tmp_path / file, quantised, wordNgrams=2, bucket=3000)
    assert load(path).tables.width == 1
    assert differences(path, texts).max() <= 1e-5


@pytest.mark.parametrize("loss", ["softmax", "hs", "ova"])
def test_many_labels(loss, training_file, texts, tmp_path):
    """More labels than dimensions, and a quantised output matrix."""
    lines = training_file.read_text(encoding="utf-8").splitlines()
    many = tmp_path / "many.txt"
    many.write_text("".join(f"__label__l{i % 300}{line[10:]}\n" for i, line in enumerate(lines)), encoding="utf-8")
    path = train(many, tmp_path / "m.ftz", {"qout": True}, loss=loss, epoch=1)
    assert load(path).tables.after is not None
    assert (differences(path, texts) > 1e-5).mean() <= (0.05 if loss == "ova" else 0)


def test_language_model_on_hostile_texts(texts):
    assert differences(default_model(), texts).max() <= 1e-5


def test_end_of_text_in_a_text_hides_nothing(two_labels_file, tmp_path):
    """fastText stops reading at a literal `</s>`; here the rest counts."""
    model = load(train(two_labels_file, tmp_path / "m.bin"))
    plain, hidden = model.probabilities(["the of and", "</s> the </s> of and"])
    assert plain == pytest.approx(hidden)


def test_columns_of_all_shapes(two_labels_file, texts, tmp_path):
    model = load(train(two_labels_file, tmp_path / "m.bin", wordNgrams=2, bucket=100))
    want = model.probabilities(texts)
    column = pa.array(["before", *texts, None], pa.string())
    assert np.array_equal(model.probabilities(column[1:-1]), want, equal_nan=True)
    chunked = pa.chunked_array([column[1:5], column[5:5], column[5:]])
    assert np.array_equal(model.probabilities(chunked)[:-1], want, equal_nan=True)
    assert np.array_equal(model.probabilities(chunked)[-1:], model.probabilities([""]), equal_nan=True)
    assert model.probabilities(pa.chunked_array([], pa.large_string())).shape == (0, 2)
    assert model.probabilities(pa.array([], pa.large_string())).shape == (0, 2)


def test_spans_score_as_texts_of_their_own(two_labels_file, tmp_path):
    model = load(train(two_labels_file, tmp_path / "m.bin", wordNgrams=2, bucket=100))
    raw = "the of and. über größer Straße! 街角 面包店".encode()
    cuts = [raw.index(b"\xc3"), raw.index("街".encode())]
    starts, ends = np.array([0, cuts[0], cuts[1], 0]), np.array([cuts[0], cuts[1], len(raw), 0])
    for wanted in (Normalisation(), Normalisation(lowercase=True, split_punctuation=True)):
        sums, rows = model.sums(np.frombuffer(raw, np.uint8), starts, ends, wanted)
        parts = [raw[a:b].decode() for a, b in zip(starts, ends, strict=True)]
        assert np.array_equal(model.from_sums(sums, rows), model.probabilities(parts, wanted), equal_nan=True)


def test_batches_cover_all_texts_in_order():
    sizes = np.array([3, 0, 50, 4, 4, 4, 0])
    found = batches(sizes, 8)
    assert [a for a, _ in found] == [0, *[b for _, b in found][:-1]] and found[-1][1] == len(sizes)
    assert all(sizes[a:b].sum() <= 8 or b == a + 1 for a, b in found)
    assert batches(np.zeros(0, np.int64)) == []
