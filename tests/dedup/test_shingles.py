"""Shingles against plain Python: `str`, `re` and `unicodedata` for the text, sets of strings for the hashes."""

from __future__ import annotations

import re
import unicodedata

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import dedup.shingles as shingles
from dedup.kernels import normalise as kernel
from dedup.kernels.foldings import PUNCTUATION, folding
from dedup.presets import PRESETS
from dedup.shingles import Shingling, jaccard, normalised, shingle_hashes, shingle_strings
from filters.kernels import segments
from filters.kernels.columns import view
from pipeline.errors import ConfigError, SchemaError

FINEWEB = PRESETS["fineweb"].shingling
OPTIONS = ("lowercase", "numbers_to_zero", "strip_punctuation", "collapse_space", "strip_accents")
REORDERED = [chr(i) for i in range(0x20000) if unicodedata.combining(chr(i)) and unicodedata.category(chr(i)) != "Mn"]
"""Marks that NFD may put in another order and that stay: 25 signs of few scripts, of which we keep the order."""
TEXT = st.text(
    st.one_of(
        st.sampled_from("aB cß.,;'1٣２\n\t\u00a0\u0301\u03a3\u03c3İǅ각が文ִ́-_€"),
        st.characters(exclude_categories=["Cs"], exclude_characters=REORDERED),
    ),
    max_size=60,
)


def column(*texts: str | None) -> pa.Array:
    return pa.array(texts, pa.large_string())


def plain_normalised(text: str, s: Shingling) -> str:
    """The same by Python's own means, one step after the other."""
    if s.lowercase:
        text = text.lower()
    if s.numbers_to_zero:
        text = re.sub(r"\d+([.,،٫⎖⎗⎘]\d+)?", "0", text)
    if s.strip_punctuation:
        text = text.translate({ord(sign): " " for sign in PUNCTUATION})
    if s.collapse_space:
        text = re.sub(r"\s+", " ", text.strip())
    if s.strip_accents:
        text = "".join(c for c in unicodedata.normalize("NFD", text) if unicodedata.category(c) != "Mn")
    return text.strip() if s.collapse_space else text


def plain_units(text: str, s: Shingling) -> list[str]:
    if s.unit == "characters":
        return list(text)
    if s.splitter == "whitespace":
        return text.split()
    if s.splitter == "alnum":
        return re.findall(r"\w+", text)
    own = view(column(text))
    return own.strings(segments.words(own))[0]


def plain_shingles(text: str, s: Shingling) -> list[tuple[str, ...]]:
    units = plain_units(plain_normalised(text, s), s)
    if len(units) < s.n:
        return [tuple(units)] if units else []
    return [tuple(units[i : i + s.n]) for i in range(len(units) - s.n + 1)]


def normalised_strings(texts: list[str], s: Shingling) -> list[str]:
    made = normalised(view(column(*texts)), s)
    raw = made.data.tobytes()
    return [raw[a:b].decode() for a, b in zip(made.offsets[:-1], made.offsets[1:], strict=True)]


def sets(texts: pa.Array | pa.ChunkedArray, s: Shingling) -> list[set[int]]:
    hashes, offsets = shingle_hashes(texts, s)
    assert hashes.dtype == np.uint64 and offsets.dtype == np.int64
    found = []
    for a, b in zip(offsets[:-1], offsets[1:], strict=True):
        part = hashes[a:b].tolist()
        assert part == sorted(set(part))
        found.append(set(part))
    return found


SHINGLINGS = [
    Shingling(n=1), Shingling(n=3, splitter="whitespace", lowercase=False), Shingling(n=2, splitter="alnum"), FINEWEB,
    Shingling(unit="characters", n=4), Shingling(unit="characters", n=24, lowercase=False),
    Shingling(unit="characters", n=1, collapse_space=True, strip_accents=True),
    Shingling(n=2, splitter="alnum", lowercase=False, strip_punctuation=True, numbers_to_zero=True),
]  # fmt: skip


@pytest.mark.parametrize("s", SHINGLINGS, ids=lambda s: s.text)
@settings(max_examples=60, deadline=None)
@given(texts=st.lists(TEXT, max_size=5))
def test_as_in_plain_python(s: Shingling, texts: list[str]) -> None:
    """The shingles, and which of them are equal, within and between texts."""
    if s.splitter == "alnum":  # Python's Unicode is older than the kernels'
        texts = ["".join(c for c in t if unicodedata.category(c) != "Cn") for t in texts]
    expected = [plain_shingles(text, s) for text in texts]
    joiner = "" if s.unit == "characters" else " "
    assert shingle_strings(column(*texts), s) == [[joiner.join(one) for one in text] for text in expected]
    found = sets(column(*texts), s)
    for hashes, strings in zip(found, expected, strict=True):
        assert len(hashes) == len(set(strings))
    for i, a in enumerate(found):
        for j, b in enumerate(found):
            assert len(a & b) == len(set(expected[i]) & set(expected[j]))


WORD_BREAKS = st.text(
    st.sampled_from("aZ1_'.,:;\"\u00b7\u2019\u0301\u200d\u00ad \t\n\r\x0b\x00\x85\u3000カ文א🇩🏽€-éñ"), max_size=40
)
"""What the rules of UAX #29 look at, in every neighbourhood."""


@pytest.mark.parametrize("splitter", ["uax29", "whitespace", "alnum"])
@settings(max_examples=500, deadline=None)
@given(texts=st.lists(WORD_BREAKS, min_size=1, max_size=3))
def test_cut_and_hashed_at_once(splitter: str, texts: list[str]) -> None:
    """The kernels that hash words cut where those cut that give spans."""
    s = Shingling(n=1, splitter=splitter, lowercase=False)
    strings = [one for text in shingle_strings(column(*texts), s) for one in text]
    hashes = [one for part, _ in shingles.hash_chunks(column(*texts), s) for one in part.tolist()]
    assert len(strings) == len(hashes)
    assert len(set(zip(strings, hashes, strict=True))) == len(set(strings)) == len(set(hashes))


@pytest.mark.parametrize("chosen", range(32))
@settings(max_examples=25, deadline=None)
@given(texts=st.lists(TEXT, min_size=1, max_size=4))
def test_normalisation_as_in_plain_python(chosen: int, texts: list[str]) -> None:
    s = Shingling(**{name: bool(chosen >> i & 1) for i, name in enumerate(OPTIONS)})  # type: ignore[arg-type]
    assert normalised_strings(texts, s) == [plain_normalised(text, s) for text in texts]


@settings(max_examples=300, deadline=None)
@given(st.text(st.sampled_from("\u03a3\u03c3aA.'\u0301 \u00ad1ʰⅣ\n-İ")))
def test_final_sigma(text: str) -> None:
    assert normalised_strings([text], Shingling()) == [text.lower()]


def test_every_character() -> None:
    """Alone and between letters, and none is longer than the room for it."""
    chars = [chr(i) for i in range(0x110000) if not 0xD800 <= i < 0xE000]
    for s in (Shingling(lowercase=True), FINEWEB):
        texts = ["a" + "b".join(chars[i : i + 64]) + "a" for i in range(0, len(chars), 64)]
        assert normalised_strings(texts, s) == [plain_normalised(text, s) for text in texts]
    own = column(*(c for c in chars if unicodedata.category(c) != "Cn"))
    letters = [bool(one) for one in shingle_strings(own, Shingling(n=1, splitter="alnum", lowercase=False))]
    plain = [re.match(r"\w", c) is not None for c in own.to_pylist()]
    assert sum(a != b for a, b in zip(letters, plain, strict=True)) <= 2  # one category changed since Unicode 14
    for options in ((True,) * 5, (True, False, False, False, False)):
        table = folding(*options)
        lengths = table.entries >> kernel.LENGTH_SHIFT & 15
        sizes = [len(c.encode("utf-8", "surrogatepass")) for c in map(chr, range(kernel.PLAIN_POINTS))]
        assert np.all(lengths[: kernel.PLAIN_POINTS] <= kernel.LARGEST_GROWTH * np.array(sizes))


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("Hello,  World! It's 3.14 o'clock\u2026", "hello world it s 0 o clock"),
        ("\uff11\uff12,\uff15 and 1.2.3 or 1,000,000 (x2)", "0 and 0 0 or 0 0 x0"),
        ("ΟΔΟΣ ΣΊΣΥΦΟΣ, Σ. ΑΣ'Α", "οδος σισυφος σ ασ α"),
        ("\u0130STANBUL'da \xc7OK g\xfczel na\xefve caf\xe9", "istanbul da cok guzel naive cafe"),
        ("\uac01\ud558 テスト「がぎぐ」", "\u1100\u1161\u11a8\u1112\u1161 テスト かきく"),
        ("\u0663\u066b\u0665 \u05e9\u05b8\u05c1\u05dc\u05d5\u05b9\u05dd", "0 \u05e9\u05dc\u05d5\u05dd"),
        ("a\u0301\u0301 \u0301 b  \xa0\u2003c\tend\x00\x1f.", "a  b c end"),
        ("\xb2\xbd\u2163 x\u2082 \u20ac5 \u2022 \xa9", "\xb2\xbd\u2173 x\u2082 \u20ac0 \u2022 \xa9"),
        ("", ""), (" . ", ""), ("\u0301 a ", "a"), ("a \u0301", "a"),
    ],
)  # fmt: skip
def test_fineweb_as_datatrove(text: str, expected: str) -> None:
    """What datatrove 0.10.1's `simplify_text` gave for these."""
    assert normalised_strings([text], FINEWEB) == [expected]


@pytest.mark.parametrize("unit", ["words", "characters"])
@pytest.mark.parametrize("n", [1, 2, 5, 6, 7, 100])
def test_number_of_shingles(unit: str, n: int) -> None:
    """Six units: 7 - n shingles, and one of all six where n is more."""
    text = "a b c d e f" if unit == "words" else "abcdef"
    strings = shingle_strings(column(text), Shingling(unit=unit, n=n))[0]
    assert len(strings) == max(7 - n, 1)
    assert len(sets(column(text), Shingling(unit=unit, n=n))[0]) == max(7 - n, 1)
    if n >= 6:
        assert strings == [text]


def test_short_texts_differ_from_long_ones() -> None:
    s = Shingling(n=3)
    a, b, c, d = sets(column("a b", "a b c", "b a", "a b c"), s)
    assert not a & b and not a & c and b == d


def test_words_are_not_their_letters() -> None:
    """The borders of words count, and their order."""
    found = sets(column("ab c", "a bc", "abc", "c ab", "ab c ab"), Shingling(n=2))
    assert len(set.union(*found)) == 4
    assert found[0] | found[3] == found[4]


@pytest.mark.parametrize(
    "texts",
    [
        column("one two three", None, "", "four five six").slice(1, 3),
        pa.chunked_array([column("x y z"), column(), column("one two", None)]),
        pa.chunked_array([], pa.large_string()),
        pa.array(["a b c", "d"], pa.string()),
        pa.array([None, None], pa.null()),
    ],
)
def test_kinds_of_columns(texts: pa.Array | pa.ChunkedArray) -> None:
    plain = [text or "" for text in texts.to_pylist()]
    for s in (Shingling(n=2), Shingling(unit="characters", n=2, lowercase=False)):
        assert sets(texts, s) == sets(column(*plain), s)
        assert shingle_strings(texts, s) == [
            [("" if s.unit == "characters" else " ").join(one) for one in plain_shingles(text, s)] for text in plain
        ]
    with pytest.raises(SchemaError):
        shingle_hashes(pa.array([1, 2]), Shingling())


def test_chunks_change_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    texts = column(*(" ".join(f"w{i * j % 97}" for j in range(i % 40)) for i in range(200)))
    whole = shingle_hashes(texts, FINEWEB), shingle_strings(texts, FINEWEB)
    monkeypatch.setattr(shingles, "CHUNK_BYTES", 100)
    parts = shingle_hashes(texts, FINEWEB), shingle_strings(texts, FINEWEB)
    assert whole[1] == parts[1]
    assert all(np.array_equal(a, b) for a, b in zip(whole[0], parts[0], strict=True))


def test_hashes_are_of_good_quality() -> None:
    """Of 400 000 similar shingles none collide, every bit is set in half, and one letter turns half of the bits."""
    words = column(*(f"page {i} of the list item{i % 977}" for i in range(100_000)))
    hashes = np.unique(np.concatenate([shingle_hashes(words, Shingling(n=n))[0] for n in (5, 6)]))
    assert len(hashes) == 300_000  # two of five words and one of six each
    chars = shingle_hashes(column(" ".join(f"{i:05d}" for i in range(20_000))), Shingling(unit="characters", n=11))[0]
    assert len(chars) == 20_000 * 6 - 1 - 10
    for sample in (hashes, chars):
        bits = sample[:, None] >> np.arange(64, dtype=np.uint64) & np.uint64(1)
        assert np.all(np.abs(bits.mean(0) - 0.5) < 5 * 0.5 / np.sqrt(len(sample)))
    triples = [chr(97 + i % 26) + chr(97 + i // 26 % 26) + chr(97 + i // 676) for i in range(26**3)]
    small = column(
        " ".join(triples), " ".join(map(str, range(300_000))), " ".join(chr(i) for i in range(0xAC00, 0xD7A4))
    )
    assert len(shingle_hashes(small, Shingling(n=1, splitter="whitespace"))[0]) == 26**3 + 300_000 + 0xD7A4 - 0xAC00
    a, b = (
        shingle_hashes(column(*(f"{w}{i} two three" for i in range(2000))), Shingling(n=3))[0].reshape(-1) for w in "xz"
    )
    turned = np.array([int(x ^ y).bit_count() for x, y in zip(a, b, strict=True)])
    assert abs(turned.mean() - 32) < 5 * 4 / np.sqrt(2000)


@pytest.mark.parametrize("s", [FINEWEB, Shingling(unit="characters", n=24), Shingling(splitter="alnum")])
def test_hostile_texts(s: Shingling) -> None:
    """Long ones of one kind take no more than their length's time, and NULs are characters like others."""
    texts = ["x" * 3_000_000, "a\n" * 200_000, "\0" * 100_000, "1." * 100_000, "\u03a3'" * 50_000, "\u0301" * 100_000,
             "\u202e\u05d0 " * 1000, "文" * 100_000, "Σ" + "'" * 100_000 + "Σ", " " * 100_000]  # fmt: skip
    found = sets(column(*texts), s)
    assert [len(one) for one in found] == [len(set(one)) for one in shingle_strings(column(*texts), s)]
    assert max(map(len, found)) < 100


def test_jaccard() -> None:
    a, b, c = (np.array(v, np.uint64) for v in ([1, 2, 3, 4], [3, 4, 5], []))
    assert jaccard(a, b) == 2 / 5 and jaccard(a, a) == 1 and jaccard(a, c) == 0 and jaccard(c, c) == 1


@pytest.mark.parametrize("options", [{"unit": "lines"}, {"splitter": "spacy"}, {"n": 0}])
def test_wrong_options(options: dict[str, str]) -> None:
    with pytest.raises(ConfigError, match=next(iter(options))):
        Shingling(**options)  # type: ignore[arg-type]
