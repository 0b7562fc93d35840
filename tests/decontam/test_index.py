"""The index: postings and counts against plain Python, on disk and back, segments, background."""

from __future__ import annotations

from collections import Counter, defaultdict

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from decontam.background import sample_documents
from decontam.index import PARTS, Index, N, build_index
from decontam.index_build import LEAST_ITEMS
from decontam.index_merge import merge
from decontam.normalise import Normalisation
from decontam.scan import scan
from pipeline.errors import ConfigError

from .scan_tools import EXACT, column, grams, items_of, questions

WORDS = st.lists(st.sampled_from("abcd"), max_size=14).map(" ".join)
ROWS = st.lists(
    st.fixed_dictionaries(
        {"benchmark": st.sampled_from("xyz"), "question": WORDS, "answer": st.none() | WORDS},
        optional={"passage": WORDS, "choices": st.lists(WORDS, max_size=3)},
    ),
    min_size=1,
    max_size=6,
)


@settings(max_examples=80, deadline=None)
@given(ROWS)
def test_tables_against_plain_python(rows: list[dict[str, object]]) -> None:
    index = build_index(items_of(rows))
    parts = []
    for i, row in enumerate(rows):
        for kind, name in enumerate(PARTS):
            value = row.get(name)
            parts += [(i, kind, str(one).split()) for one in (value if isinstance(value, list) else [value]) if one]
    assert list(zip(index.part_item, index.part_kind, index.part_lengths, strict=True)) == [
        (i, kind, len(words)) for i, kind, words in parts
    ]
    items, benchmarks, places = defaultdict(set), defaultdict(set), Counter()
    begins = {}
    for p, (i, _, words) in enumerate(parts):
        for k, gram in enumerate(grams(words, N)):
            begins[int(index.part_offsets[p]) + k] = gram
            items[gram].add(i)
            benchmarks[gram].add(rows[i]["benchmark"])
            places[gram] += 1
    assert {q for q in range(len(index.part_gram)) if index.part_gram[q] >= 0} == set(begins)
    assert len(index.gram_hashes) == len(items)
    for q, gram in begins.items():
        g = int(index.part_gram[q])
        posted = index.postings[index.posted[g] : index.posted[g + 1]]
        assert sorted(posted) == list(posted) and [begins[int(one)] for one in posted] == [gram] * places[gram]
        assert index.gram_items[g] == len(items[gram])
        assert index.gram_benchmarks[g] == len(benchmarks[gram])
    owners = defaultdict(set)
    for i, _, words in parts:
        for word in words:
            owners[word].add(i)
    expected = [np.log((1 + LEAST_ITEMS) / len(owners[word])) for _, _, words in parts for word in words]
    assert np.allclose(index.weights[1:], expected)


def test_saved_and_opened(tmp_path: object) -> None:
    items = items_of([{"question": "one two three four five six", "answer": "seven"}, {"question": "who was it"}])
    index = build_index(items, Normalisation(strip_accents=False)).with_background([column("one two three four five")])
    index.save(f"{tmp_path}/index")
    back = Index.open(f"{tmp_path}/index")
    assert back.items.equals(index.items) and back.normalisation == index.normalisation and back.documents == 1
    for name in Index.__dataclass_fields__:
        if isinstance(getattr(index, name), np.ndarray):
            assert np.array_equal(getattr(back, name), getattr(index, name)), name
    assert isinstance(back.postings.base, np.memmap)
    assert back.fingerprint == index.fingerprint != build_index(items, Normalisation(strip_accents=False)).fingerprint
    texts = column("who was it? one two three four five six")
    assert scan(texts, back).equals(scan(texts, index))
    before = {path.name: path.read_bytes() for path in (tmp_path / "index").iterdir()}
    build_index(items, Normalisation(strip_accents=False)).with_background([column("one two three four five")]).save(
        f"{tmp_path}/again"
    )
    assert before == {path.name: path.read_bytes() for path in (tmp_path / "again").iterdir()}


def test_a_folder_without_an_index_is_an_error(tmp_path: object) -> None:
    with pytest.raises(ConfigError, match="build one first"):
        Index.open(f"{tmp_path}")
    (tmp_path / "manifest.json").write_text('{"format": 99}')
    with pytest.raises(ConfigError, match="format 99"):
        Index.open(f"{tmp_path}")


@settings(max_examples=30, deadline=None)
@given(ROWS, ROWS)
def test_adding_items_is_building_them_all(first: list[dict[str, object]], second: list[dict[str, object]]) -> None:
    table = items_of([*first, *second])
    whole = build_index(table)
    grown = build_index(table.slice(0, len(first))).added(table.slice(len(first)))
    for name in Index.__dataclass_fields__:
        if isinstance(getattr(whole, name), np.ndarray):
            assert np.array_equal(getattr(whole, name), getattr(grown, name)), name
    assert grown.items.equals(whole.items) and grown.fingerprint == whole.fingerprint
    for benchmarks in (["x"], ["y", "z"]):
        if not set(benchmarks) <= set(table["benchmark"].to_pylist()):
            continue
        rest = build_index(table.filter(pc.invert(pc.is_in(table["benchmark"], pa.array(benchmarks)))))
        left = whole.without(*benchmarks)
        for name in Index.__dataclass_fields__:
            if isinstance(getattr(whole, name), np.ndarray):
                assert np.array_equal(getattr(rest, name), getattr(left, name)), name
        assert left.items.equals(rest.items)
    with pytest.raises(ConfigError, match="already"):
        grown.added(table.slice(0, 1))


@settings(max_examples=50, deadline=None)
@given(ROWS, st.lists(WORDS, max_size=5))
def test_background_counts_documents(rows: list[dict[str, object]], texts: list[str]) -> None:
    index = build_index(items_of(rows)).with_background([column(*texts[:2]), column(*texts[2:])])
    assert index.documents == len(texts)
    sets = [set(grams(text.split(), N)) for text in texts]
    long = [set(grams(text.split(), 13)) for text in texts]
    place = 1
    for i, row in enumerate(rows):
        for name in PARTS:
            value = row.get(name)
            for one in value if isinstance(value, list) else [value]:
                words = str(one).split() if one else []
                for k in range(len(words)):
                    if k + N <= len(words):
                        g = index.part_gram[place + k]
                        assert index.gram_documents[g] == sum(tuple(words[k : k + N]) in one for one in sets), i
                    if k + 13 <= len(words):
                        found = sum(tuple(words[k : k + 13]) in one for one in long)
                        assert index.place_documents[place + k] == found
                place += len(words)


def test_a_background_sample_is_the_same_for_any_order_and_pieces() -> None:
    texts = [f"text {i}" for i in range(200)]
    made = sample_documents([column(*texts)], 20)
    assert len(set(made.to_pylist())) == 20 and set(made.to_pylist()) < set(texts)
    pieces = [column(*texts[100:], None, ""), column(*texts[:100], *texts[:50])]  # copies and empties count for nothing
    assert sample_documents(pieces, 20).equals(made)
    assert sample_documents([pa.chunked_array(pieces)], 20).equals(made)
    assert not sample_documents([column(*texts)], 20, seed=1).equals(made)
    assert sorted(sample_documents([column(*texts)], 500).to_pylist()) == sorted(texts)
    assert sample_documents([column(*texts)], 30)[:20].equals(made)
    hits = [
        sum(f"text {i}" in sample_documents([column(*texts)], 20, seed).to_pylist() for seed in range(100))
        for i in (3, 7)
    ]
    assert all(1 <= hit <= 25 for hit in hits)  # a tenth of 100, and five standard deviations
    with pytest.raises(ConfigError, match="at least one"):
        sample_documents([column("a")], 0)


def test_indexes_that_do_not_go_together_and_unknown_benchmarks() -> None:
    a, b = build_index(questions("a b c")), build_index(questions("a b c"), Normalisation(lowercase=False))
    with pytest.raises(ConfigError, match="normalisations"):
        merge(a, b)
    with pytest.raises(ConfigError, match="no benchmark 'mmlu'"):
        a.without("mmlu")


def test_items_too_short_to_be_found_are_named() -> None:
    index = build_index(questions("one two", "one two three", "?"))
    assert index.unmatchable == ["b/test/0", "b/test/2"]
    assert scan(column("one two three"), index, options=EXACT)["item"].to_pylist() == ["b/test/1"]


def test_no_items_at_all() -> None:
    for rows in ([], [{"question": ""}], [{"question": None}]):
        index = build_index(items_of(rows))
        assert scan(column("some text of more than five words", None), index).num_rows == 0


def test_a_column_of_items_may_be_chunked() -> None:
    table = questions("one two three four five", "six seven eight nine ten eleven")
    chunked = pa.concat_tables([table.slice(0, 1), table.slice(1)])
    assert np.array_equal(build_index(chunked).gram_hashes, build_index(table).gram_hashes)
