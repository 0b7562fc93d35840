"""Words counted by what an editor took, and measures taken from the rows of an earlier column, against reading anew."""

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from filters.kernels import origins, segments
from filters.kernels.columns import text_of, view
from pipeline.stage import make

from .test_segments import MARKED

LINES = [
    "One line of some plain words.", "Share this", "12 likes", "use of cookies here and there",
    "as he said[12] there.",
    "foo[1]bar and others", "\u4f60\u597d\u4e16\u754c", "\x1f", "\x1c", " \u0301abc and more words", "a.", "\u200d",
    " \u200d\U0001f469 is one of them", "x\x1c\u0301y is not it", "A\u2028B", "{", "\x85",
    "javascript is on", "\ufeff \xa0",
]  # fmt: skip
texts = st.lists(st.one_of(st.sampled_from(LINES), st.lists(st.sampled_from(MARKED), max_size=9).map("".join)))
EDITORS = [
    ("c4_lines", {}), ("c4_lines", {"terminal_punctuation": False}),
    ("c4_lines", {"min_words": 0, "indentation": True}),
    ("refinedweb_lines", {}),
]  # fmt: skip


def table(docs):
    return pa.table({"text": pa.array(docs, pa.large_string())})


def counted(column):
    """Words of each kind, from words that are cut anew."""
    spans = segments.words(view(column))
    pairs = zip(spans.offsets[:-1], spans.offsets[1:], strict=True)
    return [np.bincount(spans.kinds[a:b], minlength=segments.KINDS) for a, b in pairs]


@pytest.mark.parametrize("name, options", EDITORS)
@settings(max_examples=150, deadline=None)
@given(docs=st.lists(texts.map("\n".join), min_size=1, max_size=3))
@example(docs=["\n".join(LINES), "\r\n".join(reversed(LINES)), ""])
def test_words_of_what_an_editor_left(name, options, docs):
    before = table(docs)
    segments.words(before["text"])
    after = make(name, options)(before)["text"]
    assert "cuts" in text_of(after).found
    np.testing.assert_array_equal(origins.word_kinds(text_of(after)), counted(after))


def test_whole_lines_are_not_cut_anew():
    before = table(
        ["One line of plain words here.\nShare this\nAnd one more of them.", "A second text, all of it kept."]
    )
    segments.words(before["text"])
    text = text_of(make("c4_lines", {})(before)["text"])
    assert origins.word_counts(text).tolist() == [13, 9]
    assert "words" not in text.found


def prose(n):
    return [f"The {i} and the {k} are of {i * k} words. " * (6 + k) for i in range(n) for k in range(3)]


@settings(max_examples=60, deadline=None)
@given(st.data())
def test_rows_of_an_earlier_column(data):
    docs = data.draw(st.lists(st.sampled_from(["", "a", "b", "ab", "a\u0301 b"]), min_size=1, max_size=12))
    keep = data.draw(st.lists(st.booleans(), min_size=len(docs), max_size=len(docs)))
    before = table(docs)
    text_of(before["text"])
    after = before.filter(pa.array(keep))
    found = origins.rows_of(text_of(after["text"]))
    kept = [doc for doc, stays in zip(docs, keep, strict=True) if stays]
    if found is not None:
        assert [found[0].array[row].as_py() for row in found[1]] == kept
        assert (np.diff(found[1]) > 0).all()
    elif any(kept):
        assert before["text"].combine_chunks().buffers() == after["text"].combine_chunks().buffers()


def test_a_column_that_is_no_part_has_no_rows():
    before = table(["one", "two", "three"])
    text_of(before["text"])
    assert origins.rows_of(text_of(table(["two", "one"])["text"])) is None
    assert origins.rows_of(text_of(table(["one", "twa"])["text"])) is None


@pytest.mark.parametrize("name, options", [
    ("gopher_quality", {}), ("gopher_quality", {"stop_words": "fineweb2"}), ("gopher_quality", {"words": "whitespace"}),
    ("gopher_repetition", {"flavour": "dclm"}),
])  # fmt: skip
def test_measures_of_the_rows_that_a_filter_left(name, options):
    docs = table(["x", *prose(8), "y " * 90, *prose(3)])
    docs = docs.append_column("lang", pa.array((["en", "fr", None] * docs.num_rows)[: docs.num_rows]))
    words = {"words": options["words"]} if "words" in options else {}
    make("gopher_repetition", words)(docs)
    kept = docs.filter(pc.not_equal(docs["text"], "x"))
    stage = make(name, options)
    text, rows = origins.read_before(text_of(kept["text"]), "whitespace_tokens" if words else "word_tokens")
    assert rows is not None and rows[0] == 1 and text is not text_of(kept["text"])
    expected = stage.measure(view(kept["text"]), *([kept["lang"].to_pylist()] if "stop_words" in options else []))
    assert stage.score(kept).equals(expected)


def test_few_rows_are_read_anew():
    docs = table(prose(8))
    make("gopher_repetition", {})(docs)
    assert (
        origins.read_before(text_of(docs["text"].slice(20).combine_chunks().take(pa.array([0]))), "word_tokens")[1]
        is None
    )
