"""The fast engine against the library: splits, merges, NFC, added tokens, and what it leaves to the reference."""

from __future__ import annotations

import gzip
import json
import random
import time
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from tokenizers import Regex, Tokenizer, pre_tokenizers

from pipeline.bpe import SPLIT_PATTERN, LoadedTokenizer, load_tokenizer, train_bpe
from pipeline.engines import classes, encoding, fast
from pipeline.engines.encoder import Encoder, Tally
from pipeline.errors import ConfigError

from .tools import (
    CL100K,
    DEEPSEEK,
    GPT2,
    O200K,
    QWEN,
    TEKKEN,
    added,
    base_spec,
    chain,
    engine_ids,
    gpt2_file,
    library_ids,
    made,
    random_texts,
)  # fmt: skip

END = added("<|endoftext|>", 0, special=True)
SPACES = [added(" " * k, 1500 + i, normalized=True) for i, k in enumerate((2, 3, 7))]
DIGITS = {"type": "Digits", "individual_digits": True}
WORD_LEVEL = {"type": "WordLevel", "vocab": {"</s>": 0, "a": 1}, "unk_token": "a"}
METASPACE = {"type": "Metaspace", "replacement": "▁", "prepend_scheme": "always", "split": True}
FAMILIES = {
    "gpt2": {"pre_tokenizer": GPT2},
    "neox": {"pre_tokenizer": GPT2, "normalizer": {"type": "NFC"}, "added_tokens": [END, *SPACES]},
    "llama3": {"pre_tokenizer": chain(CL100K), "model": {"ignore_merges": True}},
    "qwen": {"pre_tokenizer": chain(QWEN), "normalizer": {"type": "NFC"}},
    "dolma2": {"pre_tokenizer": chain(CL100K, behavior="Removed", invert=True)},
    "own": {"pre_tokenizer": chain(SPLIT_PATTERN)},
    "deepseek": {"pre_tokenizer": chain(*DEEPSEEK), "normalizer": {"type": "Sequence", "normalizers": []}},
    "gpt_oss": {"pre_tokenizer": chain(O200K, behavior="Removed", invert=True), "model": {"ignore_merges": True}},
    "tekken": {"pre_tokenizer": chain(TEKKEN)},
    "smollm": {"pre_tokenizer": {"type": "Sequence", "pretokenizers": [DIGITS, GPT2]}},
}


@pytest.fixture(scope="module")
def spec() -> dict[str, Any]:
    return base_spec()


@pytest.fixture(scope="module")
def family(spec: dict[str, Any], tmp_path_factory: pytest.TempPathFactory) -> Any:
    folder = tmp_path_factory.mktemp("families")
    found = {name: made(folder, spec, **changes) for name, changes in FAMILIES.items()}
    return found.__getitem__


def differing(tok: LoadedTokenizer, texts: list[str]) -> list[str]:
    pairs = zip(texts, library_ids(tok, texts), engine_ids(tok, texts), strict=True)
    return [text for text, want, got in pairs if want != got]


@pytest.mark.parametrize("name", FAMILIES)
def test_splits_and_merges_are_the_librarys(family: Any, name: str) -> None:
    texts = random_texts(4000, 1) + ["", " ", "\n", "'", "1234567", "a" * 300, " " * 999, "\r\n" * 50 + "x"]
    assert differing(family(name), texts) == []


@pytest.mark.parametrize("name", ["neox", "llama3", "deepseek", "gpt_oss"])
def test_the_borders_of_every_class_of_characters(family: Any, name: str) -> None:
    table = classes.unicode_classes()
    edges = np.flatnonzero(np.diff(table)) + 1
    points = sorted({int(p) for edge in edges for p in (edge - 1, edge)} - set(range(0xD800, 0xE000)))
    texts = [f"a{c}b 1{c}2 {c}{c} .{c}, \n{c}'s{c} {c}" for c in map(chr, points)]
    assert len(texts) > 3000 and differing(family(name), texts) == []


def test_classes_are_the_librarys_for_every_character() -> None:
    table = classes.unicode_classes()

    def inside(pattern: str, points: np.ndarray) -> np.ndarray:
        found = np.ones(len(points), bool)
        for _, (begin, end) in pre_tokenizers.Split(Regex(pattern), "removed").pre_tokenize_str(
            "".join(map(chr, points))
        ):
            found[begin:end] = False
        return found

    everywhere = np.array([p for p in range(classes.CODE_POINTS) if not 0xD800 <= p < 0xE000])
    assert np.array_equal(inside(r"[\p{L}\p{M}\p{N}\p{P}\p{S}\s]+", everywhere), table[everywhere] != 0)
    known = np.flatnonzero(table)
    for bit, name in enumerate((r"\p{L}", r"\p{M}", r"\p{N}", r"\p{P}", r"\p{S}", r"\s", r"[\p{Lu}\p{Lt}]", r"\p{Ll}")):
        assert np.array_equal(inside(f"{name}+", known), table[known] >> bit & 1 == 1), name


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(text=st.text(st.characters(exclude_categories=["Cs"]), max_size=80), name=st.sampled_from(sorted(FAMILIES)))
def test_any_text(family: Any, engines: dict[str, Encoder], text: str, name: str) -> None:
    tok = family(name)
    encoder = engines.setdefault(name, Encoder(tok, "fast"))
    _, ids = encoder.encode(pa.chunked_array([pa.array([text], pa.large_string())]), eos=False, tally=Tally())
    assert ids.tolist() == tok.tokenizer.encode(text, add_special_tokens=False).ids


@pytest.fixture(scope="module")
def engines() -> dict[str, Encoder]:
    return {}


def test_long_words_are_merged_as_short_ones_are(family: Any) -> None:
    draw = random.Random(3)
    tok = family("gpt2")
    letters = [chr(c) for c in range(97, 123)] + ["é", "ſ", "中"]
    texts = ["".join(draw.choices(letters, k=k)) for k in (*range(30, 70), 190, 192, 193, 400, 5000)]
    texts += ["ab" * 3000, "e" * 4097, "the" * 900, "l" * encoding.MAX_WORD, "l" * (encoding.MAX_WORD + 1)]
    assert differing(tok, texts) == [] and differing(tok, texts[::-1]) == []


def test_a_full_table_of_words_is_emptied(family: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fast, "WORD_SLOTS", 64)
    monkeypatch.setattr(fast, "WORD_BYTES", 300)
    monkeypatch.setattr(fast, "WORD_IDS", 50)
    draw = random.Random(8)
    words = ["".join(draw.choices("abcdefgh", k=draw.randint(1, 40))) for _ in range(900)]
    texts = [" ".join(draw.choices(words, k=60)) for _ in range(100)]
    assert differing(family("gpt2"), texts) == []


def test_slices_chunks_nulls_and_empty_columns(family: Any) -> None:
    tok = family("qwen")
    texts = ["one two", None, "", "e\u0301te\u0301", "three 3", "\u0301", "four"]
    whole = pa.array(["before", *texts, "after"], pa.large_string()).slice(1, len(texts))
    parts = pa.chunked_array([whole.slice(0, 3), whole.slice(3, 0), whole.slice(3)])
    encoder = Encoder(tok, "fast")
    want = library_ids(tok, [t or "" for t in texts])
    for column in (pa.chunked_array([whole]), parts, pa.chunked_array([whole.cast(pa.string())])):
        offsets, ids = encoder.encode(column, eos=True, tally=Tally())
        got = [ids[a:b].tolist() for a, b in zip(offsets[:-1], offsets[1:], strict=True)]
        assert got == [[*one, tok.eos_id] if one else [] for one in want]
    offsets, ids = encoder.encode(pa.chunked_array([], pa.large_string()), eos=True, tally=Tally())
    assert offsets.tolist() == [0] and len(ids) == 0


def test_a_million_spaces_and_a_word_of_megabytes_take_linear_time(family: Any) -> None:
    tok = family("llama3")
    encoder = Encoder(tok, "fast")
    texts = [
        " " * 1_000_000,
        " " * 1_000_000 + "x",
        "a" * 2_000_000,
        "e\u0301" * 300_000,
        "\n" * 1_000_000,
        "' " * 500_000,
    ]
    column = pa.chunked_array([pa.array(texts, pa.large_string())])
    encoder.encode(column.slice(1, 1), eos=True, tally=Tally())
    started = time.process_time()
    offsets, ids = encoder.encode(column, eos=True, tally=Tally())
    assert time.process_time() - started < 20  # about 1 s on an idle core; quadratic it would be hours
    assert ids[offsets[1] : offsets[2] - 1].tolist() == tok.tokenizer.encode(texts[1]).ids
    assert tok.decode(ids[offsets[2] : offsets[3] - 1].tolist()) == texts[2]


def test_control_tokens_in_text_are_text_and_allowed_ones_are_not(spec: dict[str, Any], tmp_path: Path) -> None:
    tokens = [
        added("<|endoftext|>", 0, special=True),
        added("<think>", 1500),
        added("|||MAIL|||", 1501),
        added("  ", 1502),
    ]
    text = "a <think> b|||MAIL|||\u0301c  <|endoftext|>  d"
    changes = {"pre_tokenizer": chain(QWEN), "normalizer": {"type": "NFC"}, "added_tokens": tokens}
    tok = made(tmp_path, spec, **changes)
    (got,) = engine_ids(tok, [text])
    assert not {0, 1500, 1501} & set(got) and got.count(1502) == 2
    assert tok.decode(got) == text
    # the library reads them; that is all the difference
    (read,) = library_ids(tok, [text])
    assert {1500, 1501} <= set(read) and 0 not in read
    allowed = made(tmp_path, spec, ["<think>", "|||MAIL|||"], **changes)
    assert engine_ids(allowed, [text]) == [read]
    only_one = made(tmp_path, spec, ["<think>"], **changes)
    (some,) = engine_ids(only_one, [text])
    assert 1500 in some and 1501 not in some
    with pytest.raises(ConfigError, match="no added token '<thin>'.*did you mean '<think>'"):
        made(tmp_path, spec, ["<thin>"], **changes)
    with pytest.raises(ConfigError, match="ends documents"):
        made(tmp_path, spec, ["<|endoftext|>"], **changes)


def test_added_tokens_found_before_nfc_leave_such_texts_to_the_reference(spec: dict[str, Any], tmp_path: Path) -> None:
    tokens = [added("<|endoftext|>", 0, special=True), added("<t>", 1500)]
    tok = made(tmp_path, spec, ["<t>"], pre_tokenizer=GPT2, normalizer={"type": "NFC"}, added_tokens=tokens)
    texts = ["<t>\u0338 x", "plain <t>", "e\u0301 without", "<t>e\u0301<t>"]
    tally = Tally()
    assert engine_ids(tok, texts, tally) == library_ids(tok, texts)
    assert (tally.fallback_documents, tally.fallback_bytes) == (2, sum(len(texts[i].encode()) for i in (0, 3)))


@pytest.mark.parametrize(
    ("changes", "why"),
    [
        ({"pre_tokenizer": {**GPT2, "add_prefix_space": True}}, "a space before each text"),
        ({"pre_tokenizer": chain(r"\w+|\W+")}, "the split pattern"),
        ({"pre_tokenizer": chain(CL100K, behavior="MergedWithNext")}, "the split behaviour"),
        ({"pre_tokenizer": METASPACE}, "isn't byte-level"),
        ({"pre_tokenizer": None}, "no pre-tokeniser"),
        ({"pre_tokenizer": GPT2, "normalizer": {"type": "Lowercase"}}, "normaliser Lowercase"),
        ({"pre_tokenizer": GPT2, "model": {"end_of_word_suffix": "</w>"}}, "end_of_word_suffix"),
        ({"pre_tokenizer": GPT2, "added_tokens": [END, added("  ", 1500, lstrip=True)]}, "neighbours"),
    ],
)  # fmt: skip
def test_what_it_does_not_know_is_the_references(
    spec: dict[str, Any], tmp_path: Path, changes: dict[str, Any], why: str
) -> None:
    tok = made(tmp_path, spec, **changes)
    with pytest.raises(ConfigError, match=why):
        Encoder(tok, "fast")
    encoder, tally = Encoder(tok), Tally()
    assert encoder.fast is None and why in encoder.note and encoder.name.startswith("tokenizers ")
    texts = ["Some text, don't", "a  b"]
    offsets, ids = encoder.encode(pa.chunked_array([pa.array(texts, pa.large_string())]), eos=False, tally=tally)
    assert [ids[: offsets[1]].tolist(), ids[offsets[1] :].tolist()] == library_ids(tok, texts)
    assert tally.fallback_bytes == tally.bytes == sum(map(len, texts))


def test_dropout_is_off_and_other_models_are_the_references(spec: dict[str, Any], tmp_path: Path) -> None:
    tok = made(tmp_path, spec, pre_tokenizer=GPT2, model={"dropout": 0.5})
    steady = made(tmp_path, spec, pre_tokenizer=GPT2)
    assert engine_ids(tok, ["some words to merge"]) == library_ids(steady, ["some words to merge"])
    word_piece = Tokenizer.from_str(json.dumps({**spec, "added_tokens": [], "model": WORD_LEVEL}))
    word_piece.save(str(tmp_path / "w.json"))
    assert "WordLevel" in Encoder(load_tokenizer(tmp_path / "w.json")).note


def test_a_probe_that_differs_keeps_the_engine_out(family: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    kinds = fast.recognise.kinds_of

    def wrong(of: Any) -> Any:
        table = kinds(of)
        table[ord("e")] = 0  # taken for punctuation
        return table

    monkeypatch.setattr(fast.recognise, "kinds_of", wrong)
    encoder = Encoder(family("llama3"))
    assert encoder.fast is None and "probe" in encoder.note


def test_what_training_makes_is_known(tmp_path: Path) -> None:
    train_bpe(random_texts(500, 2) + ["words and words of text"] * 9, 700).save(str(tmp_path / "t.json"))
    tok = load_tokenizer(tmp_path / "t.json")
    assert differing(tok, random_texts(2000, 3)) == []


PUBLISHED = ["llama3_tokenizer", "qwen3_tokenizer", "deepseek_tokenizer", "allenai_dolma2"]
PUBLISHED += ["allenai_gpt-neox-olmo-dolma-v1_5", "gpt2"]


@pytest.mark.parametrize("file", PUBLISHED)
def test_published_tokenizers(shared_data: Path, tmp_path: Path, file: str) -> None:
    folder = shared_data / "tokenizers"
    path = gpt2_file(folder, tmp_path / "gpt2.json") if file == "gpt2" else folder / f"{file}.json"
    tok = load_tokenizer(path)
    long = ["plain English words, and 12345 numbers; " * 9000, " " * 100_000 + "\n" * 999 + "x"]
    with gzip.open(shared_data / "lid" / "udhr_529.jsonl.gz", "rt", encoding="utf-8") as lines:
        rows = [json.loads(line) for line in islice(lines, 0, None, 9)]
    real = [max((v for v in row.values() if isinstance(v, str)), key=len)[:3000] for row in rows]
    texts = random_texts(2000, 5) + long + real
    tally, encoder = Tally(), Encoder(tok, "fast")
    assert engine_ids(tok, texts, tally, encoder) == library_ids(tok, texts)
    assert tally.fallback_bytes == 0
    names = [name for name in tok.control if name.strip()][:40]
    inside = [f"before{name}after {name}" for name in names]
    for got, text in zip(engine_ids(tok, inside, None, encoder), inside, strict=True):
        assert not set(got) & set(tok.control.values()) and tok.decode(got) == text


@pytest.mark.parametrize(
    ("file", "name"),
    [("deepseek_tokenizer", "<｜User｜>"), ("qwen3_tokenizer", "<think>"), ("allenai_dolma2", "|||EMAIL_ADDRESS|||")],
)
def test_the_names_that_the_library_reads_are_the_only_difference(shared_data: Path, file: str, name: str) -> None:
    path = shared_data / "tokenizers" / f"{file}.json"
    tok = load_tokenizer(path)
    ordinary = [t.content for t in Tokenizer.from_file(str(path)).get_added_tokens_decoder().values() if not t.special]
    texts = [text for one in ordinary[:30] for text in (f"a {one} b", f"{one}{one}\n", one[:-1], f"{one[0]} {one[1:]}")]
    want, got = library_ids(tok, texts), engine_ids(tok, texts)
    differ = [text for text, a, b in zip(texts, want, got, strict=True) if a != b]
    assert name in ordinary and differ == [text for text in texts if any(one in text for one in ordinary)]
    allowed = load_tokenizer(path, None, ordinary)
    assert engine_ids(allowed, texts, None, Encoder(allowed)) == want
