"""Gopher's and FineWeb's rules against the published rules in plain Python, and at their boundary values."""

import dataclasses
import math
import random
import subprocess

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from filters.fineweb_quality import FineWebQuality
from filters.gopher_quality import GopherQuality
from filters.gopher_repetition import GopherRepetition
from filters.kernels import measures, segments
from filters.stopwords import ENGLISH
from pipeline.errors import ConfigError
from pipeline.stage import DROP_REASON
from tests.filters import gopher_oracle as oracle

PIECES = [
    "the", "be", "of", "a", "b", "cat", "sat", "on", "#", "...", "…", ". . .", "-", "•", "*", ".", "!", ",", "7", "½",
    "你", "好", "的", "です", "ไทย", "não", "и", "\n", "\n\n", "\r", " ", "  ", "\t", "\x1c", "\u2028", "\x00", "😀",
    "the cat sat on the mat ", "a b a b a b a b ", "a line that is long enough not to be short.\n", "- item\n", "…\n",
]  # fmt: skip
texts = st.one_of(
    st.text(max_size=40),
    st.lists(st.sampled_from(PIECES), max_size=40).map(" ".join),
    st.lists(st.sampled_from(PIECES), max_size=60).map("".join),
).map(lambda text: text.replace("\r\n", "\n"))


def table(*values, lang=None):
    docs = pa.table({"text": pa.array(values, pa.large_string())})
    return docs if lang is None else docs.append_column("lang", pa.array([lang] * len(values)))


def words_of(docs, which):
    cut = segments.words if which == "unicode" else segments.whitespace_words
    return segments.text_of(docs["text"]).strings(cut(docs["text"]))


def check(found, expected):
    assert list(found) == list(expected)
    for name, value in expected.items():
        if isinstance(value, float) and math.isnan(value):
            assert math.isnan(found[name]), name
        else:
            assert found[name] == pytest.approx(value, rel=1e-12, abs=0), name


def weight(word):
    if oracle.regex.match(r"\p{L}", word) and oracle.SPACELESS.match(word):
        script = next(n for n in segments.tables.SCRIPTS[1:7] if oracle.regex.match(rf"\p{{Script={n}}}", word))
        return 1 / segments.CHARACTERS_PER_WORD[script]
    return 1


@pytest.mark.parametrize("words", ["unicode", "whitespace"])
@pytest.mark.parametrize("flavour", ["fineweb", "dclm"])
@settings(max_examples=150, deadline=None)
@given(docs=st.lists(texts, min_size=1, max_size=3))
@example(docs=["", "a", "\n", "\na\n", "a b c d e f g h i j k " * 4])
def test_repetition_as_the_oracle(flavour, words, docs):
    docs = table(*docs)
    found = GopherRepetition(flavour=flavour, words=words).score(docs).to_pylist()
    for text, one, split in zip(docs["text"].to_pylist(), found, words_of(docs, words), strict=True):
        check(one, oracle.repetition(text, split, flavour))


@pytest.mark.parametrize("flavour", ["fineweb", "dclm"])
def test_repetition_of_long_texts(flavour):
    """Many repeated n-grams of all lengths, over several documents that share the scratch arrays."""
    random.seed(5)
    docs = []
    for size, vocabulary in ((500, 3), (400, 12), (30, 2), (600, 60), (3, 1), (300, 1)):
        docs.append(" ".join(random.choice([f"w{k}" for k in range(vocabulary)]) for _ in range(size)))
    docs.append(" ".join(f"u{k}" for k in range(300)) + " and then again " + " ".join(f"u{k}" for k in range(80)))
    docs = table(*docs)
    found = GopherRepetition(flavour=flavour).score(docs).to_pylist()
    for text, one, split in zip(docs["text"].to_pylist(), found, words_of(docs, "unicode"), strict=True):
        check(one, oracle.repetition(text, split, flavour))


@pytest.mark.parametrize("words", ["unicode", "whitespace"])
@settings(max_examples=150, deadline=None)
@given(docs=st.lists(texts, min_size=1, max_size=3), marks_count=st.booleans())
def test_quality_as_the_oracle(words, docs, marks_count):
    docs = table(*docs)
    weigh = weight if words == "unicode" else (lambda word: 1)
    found = GopherQuality(words=words, marks_count=marks_count).score(docs).to_pylist()
    for text, one, split in zip(docs["text"].to_pylist(), found, words_of(docs, words), strict=True):
        check(one, oracle.quality(text, split, weigh, ENGLISH, marks_count))


@settings(max_examples=150, deadline=None)
@given(docs=st.lists(texts, min_size=1, max_size=3))
def test_fineweb_as_the_oracle(docs):
    docs = table(*docs)
    found = FineWebQuality().score(docs).to_pylist()
    for text, one, split in zip(docs["text"].to_pylist(), found, words_of(docs, "unicode"), strict=True):
        check(one, oracle.fineweb(text, sum(map(weight, split))))


PROSE = "the be " + "word " * 48


def fill(n, word="abcde"):
    return " ".join(["the", "of"] + [f"{word}{k % 7}" for k in range(n - 2)])


def lines(hits, total, hit, other):
    return "\n".join([hit.format(k) for k in range(hits)] + [other.format(k) for k in range(total - hits)])


def unique(n):
    return " ".join(f"x{k:03d}" for k in range(n))


CASES = [
    # (stage, text that is just kept, text that is just dropped, the option that drops it)
    (GopherQuality(), fill(50), fill(49), "min_words"),
    (GopherQuality(max_words=60), fill(60), fill(61), "max_words"),
    (GopherQuality(), "the of " + "abc " * 97 + "abcd", "the of " + "abc " * 98, "min_mean_word_chars"),
    (GopherQuality(), "the of " + "a" * 11 + " " + ("a" * 10 + " ") * 96 + "a" * 24, "the of " + "a" * 11 + " "
     + ("a" * 10 + " ") * 96 + "a" * 25, "max_mean_word_chars"),
    (GopherQuality(words="whitespace"), fill(90) + " #" * 10, fill(89) + " #" * 11, "max_hashes_per_word"),
    (GopherQuality(words="whitespace"), fill(90) + " ..." * 9 + " …", fill(89) + " …" * 11, "max_ellipses_per_word"),
    (GopherQuality(), lines(9, 10, "- the of word word word {}", "• the of word word{}").replace("•", "x"),
     lines(10, 10, " • the of word word word {}", ""), "max_bullet_line_share"),
    (GopherQuality(), lines(3, 10, "the of word word word w{}… ", "the of word word word w{}"),
     lines(4, 10, "the of word word word w{}...", "the of word word word w{}"), "max_ellipsis_line_share"),
    (GopherQuality(), "the of " + "word " * 78 + "1234 " * 20, "the of " + "word " * 77 + "1234 " * 21,
     "min_alpha_word_share"),
    (GopherQuality(), PROSE, PROSE.replace("be", "the"), "min_stop_words"),
    (FineWebQuality(), lines(3, 25, "line number {}.", "a line that is long {}"),
     lines(2, 17, "line number {}.", "a line that is long {}"),
     "min_terminal_line_share"),
    (FineWebQuality(), lines(67, 100, "exactly thirty characters! {:02}!", "more than thirty characters here {:02}."),
     lines(68, 100, "exactly thirty characters! {:02}!", "more than thirty characters here {:02}."),
     "max_short_line_share"),
    (FineWebQuality(max_short_line_share=None), "ab." + "\nab." + "\n" + "x y " * 73 + "z.", "ab." + "\nab." + "\n"
     + "x y " * 72 + "z.", "max_dup_line_char_share"),
    (FineWebQuality(max_short_line_share=None, min_terminal_line_share=None), "a b c\n\n\nd e f g h i j",
     "a b c\n\n\nd e f g h i", "max_newlines_per_word"),
    (FineWebQuality(), "A single line of some length that ends.", " \n\t", "min_lines"),
    (GopherRepetition(), "x", "", "min_chars"),
    (GopherRepetition(max_dup_para_char_share=None, max_dup_line_share=None, max_dup_line_char_share=None),
     "\n\n".join(["a"] * 4 + ["b", "c", "d d d", "e e e", "f f f", "g g g"]),
     "\n\n".join(["a"] * 4 + ["b", "c", "d d d", "e e e", "f f f"]), "max_dup_para_share"),
    (GopherRepetition(max_dup_line_char_share=None), "\n".join(["a"] * 4 + ["b", "c", "d", "e", "f", "g g g g g"]),
     "\n".join(["a"] * 4 + ["b", "c", "d", "e", "g g g g g"]), "max_dup_line_share"),
    (GopherRepetition(), "\n".join(["12345678"] * 2 + ["a1 b2 c3 d4 e5 f6 g7 h"]),
     "\n".join(["12345678"] * 2 + ["a1 b2 c3 d4 e5 f6 g78"]), "max_dup_line_char_share"),
    (GopherRepetition(max_dup_line_char_share=None), "12345678\n\n12345678\n\na1 b2 c3 d4 e5 f6 gh",
     "12345678\n\n12345678\n\na1 b2 c3 d4 e5 f6 g", "max_dup_para_char_share"),
]  # fmt: skip
for n, share in ((2, 0.2), (3, 0.18), (4, 0.16)):
    gram = " ".join(f"g{k}" for k in range(n))  # 3n - 1 characters, twice there
    need = round(2 * (3 * n - 1) / share)
    text = f"{gram} {unique(5)} {gram} {unique(60)[30:]}"
    CASES.append((GopherRepetition(), text[:need], text[: need - 1], f"max_top_{n}gram_char_share"))
for n, share in zip(range(5, 11), (0.15, 0.14, 0.13, 0.12, 0.11, 0.1), strict=True):
    gram = " ".join(f"g{k}" for k in range(n))  # 2n characters of words, the second time
    keep, drop = math.ceil(2 * n / share), math.ceil(2 * n / share) - 1
    text = f"{gram} {unique(5)} {gram} "
    only = {f"max_dup_{k}gram_char_share": None for k in range(5, 11) if k != n}
    stage = GopherRepetition(**only, max_top_2gram_char_share=None, max_top_3gram_char_share=None,
                             max_top_4gram_char_share=None)  # fmt: skip
    CASES.append((stage, text.ljust(keep, "y"), text.ljust(drop, "y"), f"max_dup_{n}gram_char_share"))


@pytest.mark.parametrize("case", CASES, ids=lambda case: case[3])
def test_boundaries(case):
    stage, kept, dropped, option = case
    stage = dataclasses.replace(stage, **{r.option: None for r in stage.rules if r.option != option})
    assert stage(table(kept, dropped))[DROP_REASON].to_pylist() == [None, option]
    off = dataclasses.replace(stage, **{option: None})
    assert off(table(dropped))[DROP_REASON].to_pylist() == [None]


def test_every_rule_has_a_boundary_case():
    for cls in (GopherRepetition, GopherQuality, FineWebQuality):
        assert {rule.option for rule in cls.rules} == {c[3] for c in CASES if isinstance(c[0], cls)}


def test_published_thresholds():
    """Rae et al. 2021, table A1 and section A.1.1; Penedo et al. 2024, section 3.5."""
    r = GopherRepetition()
    assert [getattr(r, rule.option) for rule in r.rules] == [
        1, 0.3, 0.2, 0.3, 0.2, 0.2, 0.18, 0.16, 0.15, 0.14, 0.13, 0.12, 0.11, 0.1,
    ]  # fmt: skip
    q = GopherQuality()
    assert [getattr(q, rule.option) for rule in q.rules] == [50, 100_000, 3, 10, 0.1, 0.1, 0.9, 0.3, 0.8, 2]
    f = FineWebQuality()
    assert [getattr(f, rule.option) for rule in f.rules] == [1, 0.12, 0.67, 0.01, 0.3]
    assert f.short_line_chars == 30 and set(ENGLISH) == {"the", "be", "to", "of", "and", "that", "have", "with"}


def test_no_terminal_line_at_all_may_be_kept():
    text = lines(0, 10, "", "a line that is long enough not to be short {}")
    kept = FineWebQuality(exclude_zero_terminal=True)(table(text, text + "."))
    assert kept[DROP_REASON].to_pylist() == [None, "min_terminal_line_share"]


def test_stop_words_by_language(tmp_path):
    path = tmp_path / "words.yaml"
    path.write_text("de: [der, und, die]\nzh: [的, 我们, 因为]\nth: [และ, ที่]\n")
    stage = GopherQuality(stop_words=str(path))
    stage.check()
    assert stage.reads == ("text", "lang")
    texts = ["der und der", "我们说的话", "因 为", "และที่", "the of and"]
    docs = pa.table(
        {"text": pa.array([*texts, "der"], pa.large_string()), "lang": ["de", "zh", "zh", "th", "xx", None]}
    )
    assert stage.score(docs).field("stop_words").to_pylist() == [2, 2, 0, 2, 0, 0]
    before = stage.fingerprint()
    path.write_text("de: [der]\n")
    assert stage.fingerprint() != before


@pytest.mark.parametrize(
    ("options", "says"),
    [
        ({"stop_words": "englich"}, "english"),
        ({"stop_words": "missing.yaml"}, "no file"),
        ({"words": "white"}, "whitespace"),
        ({"min_words": "50"}, "min_words"),
    ],
)
def test_options_that_cannot_work(options, says):
    with pytest.raises(ConfigError, match=says):
        GopherQuality(**options).check()
    with pytest.raises(ConfigError, match="fineweb"):
        GopherRepetition(flavour="finweb").check()
    with pytest.raises(ConfigError, match="short_line_chars"):
        FineWebQuality(short_line_chars=-1).check()


def test_stop_word_lists_must_be_lists_of_words(tmp_path):
    path = tmp_path / "words.yaml"
    path.write_text("no: [og, på, no]\n")
    with pytest.raises(ConfigError, match="quote"):
        GopherQuality(stop_words=str(path)).check()


@pytest.mark.parametrize(
    "text",
    ["", "x" * 2_000_000, "a\n" * 200_000, "a " * 300_000, "ab " * 100_000 + "c", "你" * 300_000, "\x00" * 100_000,
     "a b c d e f g h i j k\n\n" * 20_000],
    ids=["empty", "one word", "lines", "one word again", "n-grams", "han", "nul", "paragraphs"],
)  # fmt: skip
def test_hostile_texts(text):
    reasons = []
    for stage in (GopherRepetition(), GopherRepetition(flavour="dclm"), GopherQuality(), FineWebQuality()):
        out = stage(table("a", text, None))
        assert out.num_rows == 3 and out[stage.score_column].null_count == 0
        reasons.append(out[DROP_REASON][1].as_py())
    assert any(reasons)


def test_an_empty_table():
    for stage in (GopherRepetition(), GopherQuality(), FineWebQuality()):
        assert stage(table()).num_rows == 0


def test_character_classes():
    text = "Aé9½.,+$ \n你あไ\u0301"
    found = measures.classes(pa.array(["", text], pa.large_string()))
    got = {name: getattr(found, name).tolist() for name in found.__dataclass_fields__}
    assert got == {
        "characters": [0, 14], "letters": [0, 5], "numbers": [0, 2], "punctuation": [0, 2], "symbols": [0, 2],
        "spaces": [0, 2], "upper": [0, 1], "lower": [0, 1], "marks": [0, 1], "spaceless": [0, 3],
    }  # fmt: skip


def test_decisions_as_datatrove(shared_data):
    """On a few gold texts of real pages with spaCy's words; benchmarks/filter_parity.py does all pages."""
    import gzip
    import json

    from benchmarks.filter_parity import compare, peer_decisions
    from benchmarks.texts import PEER

    imports = [str(PEER), "-c", "import datatrove, spacy"]
    if not PEER.is_file() or subprocess.run(imports, capture_output=True).returncode:
        pytest.skip("needs datatrove and spacy in .venv-peers (make peers)")
    with gzip.open(shared_data / "html" / "gold" / "wcxb.jsonl.gz", "rt") as rows:
        texts = [json.loads(line)["text"] for line in rows][:1400:14]
    docs = pa.table({"text": pa.array(texts, pa.large_string()), "url": [str(k) for k in range(len(texts))]})
    for found in compare(docs, peer_decisions(docs)).values():
        assert found["same_words"]["other_decision"] == found["same_words"]["other_reason"] == 0
        assert np.isfinite(found["own_words"]["share_of_other_decisions"])
