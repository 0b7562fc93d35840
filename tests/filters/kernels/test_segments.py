"""Words, lines and sentences against UAX #29 in plain Python, the module regex and Python's own splitting."""

import re

import numpy as np
import pyarrow as pa
import pytest
import regex
from hypothesis import example, given, settings
from hypothesis import strategies as st

from filters.kernels import segments, tables
from pipeline.errors import SchemaError

from .boundaries import sentence_segments, word_segments

MARKED = [
    *"ab\u0301A\u04161\u0663_-'\".,:;!?\u2019\u00b7\u05d0\u05f4\u30ab\u30fc\uff76\u4f60\u3042\u0e44\u0e33\u1780\u17d2",
    *"\u1019\u0e81\u200d\u200c\u200b\u00ad\u200e\U0001f1e9\U0001f1eb\U0001f468\U0001f3fd\u2764\ufe0f\u0915\u093f",
    *"\u094d\u0964\u3002\uff01\u061f\r\n\t\x0b\x1c\x85\u2028\xa0\u3000\u2003()\u00bb\u00aa\u0600\x00\U0010ffff\u2024 ",
    "  ", "\r\n", "etc.", "U.S.", "3.4", "...", "\n\n",
]  # fmt: skip
texts = st.one_of(st.text(), st.lists(st.sampled_from(MARKED), max_size=24).map("".join))


def column(*values):
    return pa.array(values, pa.large_string())


def strings(spans, col):
    return segments.text_of(col).strings(spans)


def tokens(text):
    return [s for s in word_segments(text) if not (s.isspace())]


@settings(max_examples=400, deadline=None)
@given(st.lists(texts, min_size=1, max_size=3))
@example(["a.b", "a.", "a.1", "1.a", "1.1", "a'", "\u05d0'", '\u05d0"\u05d0', '\u05d0"', " \u0301", "  \u200d "])
@example(["\U0001f468\u200d\U0001f469", "\U0001f1e9\U0001f1eb\U0001f1e9", "a\u0301.\u0301b", "\u05d0'5", "a:b:c"])
def test_words_follow_uax_29(docs):
    col = column(*docs)
    assert strings(segments.words(col), col) == [tokens(d) for d in docs]


@settings(max_examples=200, deadline=None)
@given(
    st.text(alphabet=st.characters(max_codepoint=0x2FFF, categories=["L", "N", "P", "Z"], exclude_characters="'\u2019"))
)
def test_words_as_the_module_regex_cuts(text):
    """Without format characters and apostrophes, for which regex has rules of its own."""
    col = column(text)
    cut = [s for s in regex.split(r"(?V1w)\b", text) if s and not s.isspace()]
    assert strings(segments.words(col), col) == [cut]


@settings(max_examples=400, deadline=None)
@given(st.lists(texts, min_size=1, max_size=3))
@example(
    ["etc.) and", "U.S. is. It", "3.4. A", "a.\u0301 b", "What?! No", "a. 1, 2 (b", "x.\r\ny", "a.,b", "A.B", "a.B"]
)
def test_sentences_follow_uax_29(docs):
    col = column(*docs)
    expected = [[t for s in sentence_segments(d) if (t := s.strip())] for d in docs]
    assert strings(segments.sentences(col), col) == expected


@settings(max_examples=200, deadline=None)
@given(texts)
def test_plain_splits_are_pythons(text):
    col = column(text)
    plain = column(text.replace("\r", "."))
    clean = text.replace("\r", ".")
    assert strings(segments.whitespace_words(col), col) == [text.split()]
    assert strings(segments.split_lines(col), col) == [text.splitlines()]
    assert strings(segments.lines(plain), plain) == [clean.split("\n") if clean else []]
    stripped = clean.strip()
    assert strings(segments.breaks(plain), plain) == [re.split("\n{2,}", stripped) if stripped else []]
    assert strings(segments.breaks(plain, 1, strip=False), plain) == [re.split("\n+", clean) if clean else []]


def test_carriage_returns_count_with_line_feeds():
    col = column("a\r\nb\rc\n\r\nd\r\n")
    assert strings(segments.lines(col), col) == [["a", "b\rc", "", "d", ""]]
    assert strings(segments.breaks(col), col) == [["a\r\nb\rc", "d"]]


def test_kinds():
    col = column("word don't 3.14 a1 … !? 你 です カナ ไทย ລາວ ខ្មែរ မြန် 한국어 हिन्दी _ 😀 ½")
    spans = segments.words(col)
    by_kind = {k: [] for k in range(1, 10)}
    for token, kind in zip(strings(spans, col)[0], spans.kinds, strict=True):
        by_kind[kind].append(token)
    assert by_kind[segments.WORD] == ["word", "don't", "a1", "カナ", "한국어", "हिन्दी"]
    assert by_kind[segments.NUMBER] == ["3.14", "½"]
    assert by_kind[segments.MARKS] == ["…", "!", "?", "_", "😀"]
    characters = [by_kind[segments.CHARACTER + k] for k in range(6)]
    assert characters == [["你"], ["で", "す"], ["ไ", "ท", "ย"], ["ລ", "າ", "ວ"], ["ខ្", "មែ", "រ"], ["မြ", "န်"]]


@pytest.mark.parametrize("kind", [pa.string(), pa.large_string()])
def test_slices_chunks_and_nulls(kind):
    values = ["left out", "one two", None, "", "drei vier fünf", "left out"]
    whole = pa.array(values, kind)
    expected = [["one", "two"], [], [], ["drei", "vier", "fünf"]]
    for col in (
        whole.slice(1, 4),
        pa.chunked_array([whole.slice(1, 2), whole.slice(3, 2)]),
        pa.chunked_array([whole.slice(1, 4)]),
        pa.chunked_array([whole.slice(0, 0), whole.slice(1, 4)]),
    ):
        assert strings(segments.words(col), col) == expected
        assert strings(segments.whitespace_words(col), col) == expected
    for none in (pa.array([], kind), pa.chunked_array([], kind), pa.nulls(2, kind)):
        assert len(segments.words(none)) == len(segments.sentences(none)) == len(segments.lines(none)) == 0
        assert len(segments.words(none).offsets) == len(none) + 1


def test_other_types_are_an_error():
    with pytest.raises(SchemaError, match="int64"):
        segments.words(pa.array([1, 2]))


def test_a_column_is_cut_once_and_forgotten_when_others_come():
    col = column("one two", "three")
    assert segments.words(col) is segments.words(col)
    assert segments.words(pa.chunked_array([col])) is segments.words(col)
    before = segments.words(col)
    for number in range(3):
        segments.words(column(f"other {number}"))
    again = segments.words(col)
    assert again is not before and np.array_equal(again.starts, before.starts)


@pytest.mark.parametrize(
    "text",
    ["x" * 10_000_000, "a\n" * 200_000, "." * 2_000_000, "\u0301" * 1_000_000, " " * 5_000_000, "a. " * 400_000,
     "a." + " 1" * 1_000_000, "\u05d0\"" * 500_000, "\U0001f1e9" * 300_000, "\x00" * 1_000_000, "a'" * 1_000_000],
    ids=["one word", "one letter lines", "dots", "marks", "spaces", "sentences", "search", "quotes", "flags", "nul",
         "middles"],
)  # fmt: skip
def test_hostile_texts(text):
    """Linear time, nothing lost: the spans of words and what is between them make up the text."""
    col = column("a", text, "b")
    size = len(text.encode())
    for cut in (segments.words, segments.whitespace_words, segments.lines, segments.breaks, segments.sentences):
        spans = cut(col)
        a, b = spans.offsets[1], spans.offsets[2]
        starts, ends = spans.starts[a:b], spans.ends[a:b]
        assert np.all(starts <= ends) and np.all(ends[:-1] <= starts[1:])
        assert a == b or (starts[0] >= 1 and ends[-1] <= 1 + size)
        assert spans.offsets[-1] - spans.offsets[2] == 1


def test_bytes_that_are_no_utf_8_are_never_read_past():
    """An Arrow column can't hold these lawfully; the kernels read none of the bytes after a document."""
    raw = [b"\xf0", b"a\xe4\xb8", b"\xff\xfe", b"\x80\x80", b"\xf7\xbf\xbf\xbf", b"ok \xc2"]
    offsets = np.cumsum([0, *map(len, raw)])
    col = pa.LargeStringArray.from_buffers(
        len(raw), pa.py_buffer(offsets.astype(np.int64)), pa.py_buffer(b"".join(raw))
    )
    for cut in (segments.words, segments.whitespace_words, segments.lines, segments.breaks, segments.sentences):
        spans = cut(col)
        for d in range(len(raw)):
            for k in range(spans.offsets[d], spans.offsets[d + 1]):
                assert offsets[d] <= spans.starts[k] <= spans.ends[k] <= offsets[d + 1]


def test_tables_are_what_regex_says():
    """Every hundredth code point and all of the first 0x3100, each by itself."""
    points = [*range(0x3100), *range(0x3100, 0xD800, 97), *range(0xE000, 0x110000, 997)]
    assert tables.unicode_version() == "18.0.0"
    for point in points:
        word, c = tables.of(chr(point)), chr(point)
        assert regex.match(rf"\p{{Word_Break={tables.WORD_BREAK[word & 31]}}}", c)
        assert regex.match(rf"\p{{Sentence_Break={tables.SENTENCE_BREAK[word >> 5 & 15]}}}", c)
        assert bool(word & tables.LETTER) == bool(regex.match(r"\p{L}", c))
        assert bool(word & tables.SPACE) == c.isspace()
