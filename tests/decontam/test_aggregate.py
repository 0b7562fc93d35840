"""Coverage over a corpus: the union over documents against plain Python, in any pieces and any order."""

from __future__ import annotations

import random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from decontam.aggregate import ITEMS, CorpusCoverage
from decontam.index import build_index
from decontam.methods import method_named
from decontam.scan import Scanner
from pipeline.errors import ConfigError

from .scan_tools import EXACT, column, covered, items_of, questions, skipgram_covered
from .test_methods import case_of

WORD = [f"w{i}" for i in range(60)]


def union_of(index: object, name: str, texts: list[str], **options: object) -> CorpusCoverage:
    union = CorpusCoverage(index, method_named(name, **options))
    for evidence in Scanner(index, EXACT).evidence(column(*texts)):
        union.add(evidence)
    return union


@settings(max_examples=60, deadline=None)
@given(st.integers(0, 1 << 30), st.sampled_from(("llama2_skipgram", "llama3_8gram")))
def test_union_against_plain_python(seed: int, name: str) -> None:
    items, texts = case_of(seed)
    more = case_of(seed + 1)[1] if seed % 2 else []
    rng = random.Random(seed)
    for words in items:  # pieces of each item in documents of their own
        for _ in range(2):
            low = rng.randint(0, len(words))
            more.append(["y", *words[low : low + rng.randint(8, 15)], "z"])
    index = build_index(questions(*(" ".join(words) for words in items)))
    plain = (lambda i, t: covered(i, t, 8)) if name == "llama3_8gram" else (lambda i, t: skipgram_covered(i, t, 10, 4))
    expected = {}
    for i, item in enumerate(items):
        tokens = set().union(*(plain(item, text) for text in [*texts, *more]))
        if tokens:
            expected[f"b/test/{i}"] = len(tokens), len(tokens) / len(item)
    one, other = union_of(index, name, [" ".join(t) for t in texts]), union_of(index, name, [" ".join(t) for t in more])
    other.add_table(one.table())
    found = other.items().to_pylist()
    assert {row["item"]: (row["covered"], row["share"]) for row in found} == expected
    assert [row["tokens"] for row in found] == [len(items[int(row["item"].split("/")[2])]) for row in found]
    whole = union_of(index, name, [" ".join(t) for t in [*more[::-1], *texts[::-1]]])
    assert whole.table().equals(other.table())


def test_an_item_that_no_single_document_makes_dirty() -> None:
    index = build_index(questions(" ".join(WORD[:40])))
    halves = [" ".join(WORD[:20]), " ".join(WORD[18:40])]
    union = union_of(index, "llama3_8gram", halves)
    (row,) = union.items().to_pylist()
    assert (row["covered"], row["share"], row["verdict"]) == (40, 1.0, "dirty")
    assert [union_of(index, "llama3_8gram", [half]).items()["verdict"].to_pylist() for half in halves] == [
        ["suspect"]
    ] * 2


def test_all_parts_that_the_method_looks_for_count() -> None:
    index = build_index(
        items_of([{"question": " ".join(WORD[:10]), "passage": " ".join(WORD[10:50]), "answer": "x y"}])
    )
    text = " ".join([*WORD[:10], "filler", *WORD[10:20]])
    (row,) = union_of(index, "llama3_8gram", [text], parts=("question", "passage")).items().to_pylist()
    assert (row["tokens"], row["covered"], row["verdict"]) == (50, 20, "clean")


def test_no_documents_and_methods_without_coverage() -> None:
    index = build_index(questions(" ".join(WORD[:10])))
    union = union_of(index, "llama3_8gram", ["nothing of it"])
    assert union.items().equals(ITEMS.empty_table()) and union.table().num_rows == 0
    with pytest.raises(ConfigError, match="gpt3_13gram has no coverage"):
        CorpusCoverage(index, method_named("gpt3_13gram"))
