"""Words, buckets and counts of DSIR's kernel against the standard library, on any text."""

from __future__ import annotations

import hashlib
import math
import unicodedata

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mixtures.dsir_features import Featurizer, divergence, log_ratio

from . import dsir_oracle as oracle
from .texts import corpus


def column(texts: list[str | None]) -> pa.Array:
    return pa.array(texts, pa.large_string())


def check(texts: list[str], featurizer: Featurizer) -> None:
    found = featurizer(column(texts))
    assert found.words.tolist() == [len(oracle.words(text)) for text in texts]
    assert found.counts.tolist() == oracle.counts(texts, featurizer.buckets, featurizer.ngrams)
    for text, weight in zip(texts, found.weights.tolist(), strict=True):
        parts = [
            float(featurizer.differences[one]) for one in oracle.features(text, featurizer.buckets, featurizer.ngrams)
        ]
        assert weight == pytest.approx(math.fsum(parts), abs=1e-9 * (1 + sum(map(abs, parts))))


ASSIGNED = st.text(st.characters(exclude_categories=("Cs", "Cn", "Co")), max_size=60)
MIXED = st.lists(
    st.one_of(ASSIGNED, st.text("aB _.,'\n\t1é\u03a3\u0130", max_size=40), st.text("word X!", max_size=90)), max_size=6
)


@settings(max_examples=150, deadline=None)
@given(MIXED, st.integers(1, 4), st.sampled_from([2, 97, 10_000]))
def test_any_text(texts: list[str], longest: int, buckets: int) -> None:
    differences = np.random.default_rng(5).normal(size=buckets)
    check(texts, Featurizer(buckets, longest, differences))


def test_every_character_that_python_knows() -> None:
    points = [i for i in range(0x110000) if not 0xD800 <= i < 0xE000 and unicodedata.category(chr(i)) != "Cn"]
    texts = ["".join(f"a{chr(i)}b" for i in points[k : k + 2000]) for k in range(0, len(points), 2000)]
    featurizer = Featurizer()
    found = featurizer(column(texts))
    assert found.words.tolist() == [len(oracle.words(text)) for text in texts]


@pytest.mark.parametrize("length", [0, 1, 8, 9, 54, 55, 56, 63, 64, 65, 118, 119, 120, 127, 128, 1000])
def test_sha256_at_the_edges_of_blocks(length: int) -> None:
    word = "q" * length
    found = Featurizer(10_000, 1)(column([word])).counts
    expected = [] if not length else [int(hashlib.sha256(word.encode()).hexdigest(), 16) % 10_000]
    assert np.flatnonzero(found).tolist() == expected


def test_buckets_of_the_authors_package() -> None:
    """What `get_ngram_counts` of data-selection 1.0.3 (NLTK 3.9.2) gave."""
    assert np.flatnonzero(Featurizer()(column(["Hello, world"])).counts).tolist() == [4345, 4887, 4892, 7620, 8983]


def test_weights_of_the_authors_package() -> None:
    """What `compute_importance_weights` of data-selection 1.0.3 (NLTK 3.9.2) gave for these texts."""
    raw = [row["text"] for row in corpus(8)]
    raw[2] += " Ünïcode, ΟΔΥΣΣΕΥΣ; İstanbul — naïve?! 北京 x²"
    target = column([row["text"] for row in corpus(4, seed=9, topics=("sea",))])
    plain = Featurizer()
    ratio = log_ratio(plain(target).counts, plain(column(raw)).counts)
    found = Featurizer(differences=ratio)(column(raw))
    assert found.weights.tolist() == pytest.approx(
        [-641.4041028484696, -2046.9680969368633, -2671.931198211115, -1935.850796191631, -763.471667908949,
         -2265.0146425969656, -1933.5746415846002, -1662.4492106835114], rel=1e-12,
    )  # fmt: skip
    assert found.words.tolist() == [121, 136, 167, 135, 141, 146, 133, 101]


def test_a_small_memory_changes_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    texts = ["one two three two one two", "three one " * 50]
    whole = Featurizer()(column(texts))
    monkeypatch.setattr("mixtures.dsir_features._MEMORY", 2)
    small = Featurizer()(column(texts))
    assert whole.counts.tolist() == small.counts.tolist() and whole.counts.sum() == 11 + 199


def test_slices_nulls_chunks_and_empty_columns() -> None:
    featurizer = Featurizer()
    whole = column(["not this", "a b c", None, "d", "nor this"])
    part = whole.slice(1, 3)
    chunked = pa.chunked_array([column(["a b c"]), column([]), column(["", "d"])])
    for one in (part, chunked):
        found = featurizer(one)
        assert found.words.tolist() == [3, 0, 1]
        assert found.counts.tolist() == oracle.counts(["a b c", "", "d"])
    assert featurizer(column([])).counts.sum() == 0
    assert featurizer(pa.chunked_array([], pa.large_string())).words.tolist() == []


def test_hostile_texts(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("mixtures.dsir_features._CHUNK_BYTES", 1000)
    texts = ["x" * 3_000_000, "a\n" * 200_000, "\0 \0\0 \u202e\u05d0 \u0301", " " * 1_000_000, "!" * 100_000]
    found = Featurizer()(column(texts))
    assert found.words.tolist() == [1, 200_000, 2 + len(oracle.words("\u202e\u05d0 \u0301")), 0, 1]


def test_ratio_and_divergence() -> None:
    target, raw = np.array([3, 1, 0, 0]), np.array([1, 1, 2, 0])
    assert log_ratio(target, raw).tolist() == pytest.approx(oracle.differences(target.tolist(), raw.tolist()))
    assert divergence(target, raw) == pytest.approx(oracle.kl(target.tolist(), raw.tolist()))
    assert divergence(raw, raw) == 0.0
