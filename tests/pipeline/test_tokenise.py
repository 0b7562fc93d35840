"""Token ids: the library's own, whatever the text; control tokens never come out of text."""

from __future__ import annotations

import gzip
import json
import random
from collections.abc import Sequence
from functools import lru_cache
from pathlib import Path

import pyarrow as pa
import pytest
from tokenizers import Tokenizer, models, pre_tokenizers

from pipeline.bpe import LoadedTokenizer, load_tokenizer, train_bpe
from pipeline.engines import reference
from pipeline.engines.encoder import Encoder, Engine
from pipeline.errors import SchemaError
from pipeline.tokenise import tokenise_table

HOSTILE = [
    "plain words, 12345 and 3.14\n\n\tindented   text  ",
    "",
    " ",
    "\x00\x01\x7f\u200b\ufeff\u202e",
    "e\u0301 vs é; ﬁ ligature; नमस्ते; สวัสดี; 한국어 조선말; 👩‍👩‍👧‍👦🏳️‍🌈",
    "a" * 5000,
    " " * 5000,
    "\r\n" * 2000,
    "<" * 3000,
    "'s 'LL don't I'D " * 50,
    "x1y22z333" * 200,
]
PUBLISHED = ["allenai_dolma2.json", "allenai_gpt-neox-olmo-dolma-v1_5.json", "deepseek_tokenizer.json"]


@lru_cache
def _published(path: Path) -> LoadedTokenizer:
    return load_tokenizer(path)


@pytest.fixture(scope="module")
def small(tmp_path_factory: pytest.TempPathFactory) -> LoadedTokenizer:
    path = tmp_path_factory.mktemp("bpe") / "tokenizer.json"
    train_bpe(HOSTILE + ["the end of text marks the end of the text"] * 5, 500).save(str(path))
    return load_tokenizer(path)


def _docs(texts: Sequence[str | None], **more: Sequence[str | None]) -> pa.Table:
    names = [f"{i:032x}" for i in range(len(texts))]
    return pa.table({"id": names, "text": pa.array(texts, pa.large_string()), **more})


@lru_cache
def _oracle(path: Path) -> Tokenizer:
    tokenizer = Tokenizer.from_file(str(path))
    tokenizer.encode_special_tokens = True
    return tokenizer


def _reference(path: Path, texts: list[str], eos: int) -> list[list[int]]:
    tokenizer = _oracle(path)
    ids = [e.ids for e in tokenizer.encode_batch_fast(texts, add_special_tokens=False)]
    return [[*i, eos] if i else [] for i in ids]


@pytest.mark.parametrize("engine", ["fast", "reference"])
def test_ids_are_the_reference_ids(small: LoadedTokenizer, engine: Engine) -> None:
    table = tokenise_table(_docs(HOSTILE), small, encoder=Encoder(small, engine))
    assert table["input_ids"].to_pylist() == _reference(small.path, HOSTILE, small.eos_id)
    assert table.schema.field("input_ids").type == pa.large_list(pa.uint16())
    assert table["title_tokens"].to_pylist() == [0] * len(HOSTILE)
    assert table["id"].to_pylist() == [f"{i:032x}" for i in range(len(HOSTILE))]


@pytest.mark.parametrize("file", PUBLISHED)
def test_published_tokenizers_on_real_and_hostile_text(shared_data: Path, file: str) -> None:
    with gzip.open(shared_data / "lid" / "udhr_529.jsonl.gz", "rt", encoding="utf-8") as lines:
        rows = [json.loads(line) for _, line in zip(range(60), lines, strict=False)]
    texts = HOSTILE + [max((v for v in row.values() if isinstance(v, str)), key=len)[:4000] for row in rows]
    loaded = _published(shared_data / "tokenizers" / file)
    table = tokenise_table(_docs(texts), loaded)
    assert table["input_ids"].to_pylist() == _reference(loaded.path, texts, loaded.eos_id)


def test_batches_do_not_change_ids(small: LoadedTokenizer, monkeypatch: pytest.MonkeyPatch) -> None:
    whole = tokenise_table(_docs(HOSTILE), small)
    monkeypatch.setattr(reference, "BATCH_CHARS", 7)
    assert tokenise_table(_docs(HOSTILE), small).equals(whole)


def test_rows_without_text_stay_without_tokens(small: LoadedTokenizer) -> None:
    table = tokenise_table(_docs(["", None, "word"]), small)
    assert [len(ids) for ids in table["input_ids"].to_pylist()][:2] == [0, 0]
    assert table["input_ids"].to_pylist()[2][-1] == small.eos_id
    assert tokenise_table(_docs([]), small).num_rows == 0


def test_control_tokens_in_text_stay_text(small: LoadedTokenizer) -> None:
    text = "before <|endoftext|> after<|endoftext|>"
    (ids,) = tokenise_table(_docs([text]), small)["input_ids"].to_pylist()
    assert ids.count(small.eos_id) == 1 and ids[-1] == small.eos_id
    assert small.decode(ids[:-1]) == text


@pytest.mark.parametrize(
    ("file", "text"),
    [
        ("qwen3_tokenizer.json", "<think>a</think><tool_call><|fim_prefix|><|im_end|>"),  # most not marked special
        ("deepseek_tokenizer.json", "<｜User｜>hi<｜end▁of▁sentence｜>｜DSML｜"),
        ("llama3_tokenizer.json", "<|begin_of_text|><|eot_id|><|reserved_special_token_3|>"),
    ],
)
def test_published_control_tokens_stay_text(shared_data: Path, file: str, text: str) -> None:
    loaded = _published(shared_data / "tokenizers" / file)
    naive = Tokenizer.from_file(str(loaded.path)).encode(text, add_special_tokens=False).ids
    assert set(naive) & set(loaded.control.values())  # without care they would be control tokens
    (ids,) = tokenise_table(_docs([text]), loaded)["input_ids"].to_pylist()
    assert not set(ids[:-1]) & set(loaded.control.values())
    assert loaded.decode(ids[:-1]) == text


def test_a_model_that_spells_control_tokens_itself(tmp_path: Path) -> None:
    pieces = [("<unk>", 0.0), ("</s>", -1.0), *((c, -3.0) for c in "</s>ab")]
    tokenizer = Tokenizer(models.Unigram(list(dict.fromkeys(pieces)), unk_id=0, byte_fallback=False))
    tokenizer.add_special_tokens(["<unk>", "</s>"])
    tokenizer.save(str(tmp_path / "t.json"))
    loaded = load_tokenizer(tmp_path / "t.json")
    assert loaded.eos_id in loaded.tokenizer.encode("a</s>b", add_special_tokens=False).ids
    (ids,) = tokenise_table(_docs(["a</s>b?"]), loaded)["input_ids"].to_pylist()
    assert [loaded.tokenizer.id_to_token(i) for i in ids] == ["a", "<", "/", "s", ">", "b", "<unk>", "</s>"]


@pytest.mark.parametrize("engine", ["fast", "reference"])
def test_titles_come_first_and_are_counted(small: LoadedTokenizer, engine: Engine) -> None:
    docs = _docs(["body one", "body two", ""], title=["A title", None, "nothing follows"])
    table = tokenise_table(docs, small, with_title=True, encoder=Encoder(small, engine))
    first, second, third = table["input_ids"].to_pylist()
    counts = table["title_tokens"].to_pylist()
    assert small.decode(first[: counts[0]]) == "A title\n" and small.decode(first[counts[0] : -1]) == "body one"
    assert second == tokenise_table(docs, small)["input_ids"].to_pylist()[1]
    assert third == [] and counts[1:] == [0, 0]
    with pytest.raises(SchemaError, match="title"):
        tokenise_table(_docs(["x"]), small, with_title=True)


def _long_texts() -> list[str]:
    draw = random.Random(5)
    words = ["miller", "stone", "x9", "12345", "été", "中文", "—", "don't", "HTTP/2", "नमस्ते"]
    return [
        " ".join(draw.choices(words, k=4000)),
        "\n".join(" ".join(draw.choices(words, k=9)) for _ in range(500)),
        "".join(draw.choices("abcXYZ0123456789+/", k=20000)),
        "a" * 9000 + " tail words here",
        " " * 9000 + "x",
    ]


def test_long_documents_are_cut_without_changing_ids(small: LoadedTokenizer, monkeypatch: pytest.MonkeyPatch) -> None:
    texts = _long_texts()
    want = _reference(small.path, texts, small.eos_id)
    monkeypatch.setattr(reference, "MAX_PIECE_CHARS", 600)
    assert [len(list(reference._pieces(t, small.tokenizer))) > 1 for t in texts[:3]] == [True] * 3
    monkeypatch.setattr(reference, "BATCH_CHARS", 1)
    assert tokenise_table(_docs(texts), small)["input_ids"].to_pylist() == want


@pytest.mark.parametrize("file", [*PUBLISHED, "llama3_tokenizer.json", "qwen3_tokenizer.json"])
def test_published_tokenizers_on_long_documents(shared_data: Path, file: str, monkeypatch: pytest.MonkeyPatch) -> None:
    loaded = _published(shared_data / "tokenizers" / file)
    texts = _long_texts()
    want = _reference(loaded.path, texts, loaded.eos_id)
    monkeypatch.setattr(reference, "MAX_PIECE_CHARS", 600)
    assert tokenise_table(_docs(texts), loaded)["input_ids"].to_pylist() == want


def test_no_cut_where_the_tokenizer_marks_the_start_of_a_text(monkeypatch: pytest.MonkeyPatch) -> None:
    vocab = {c: i for i, c in enumerate("▁\nabcdefghijklmnopqrstuvwxyz")}
    tokenizer = Tokenizer(models.BPE(vocab=vocab, merges=[]))
    tokenizer.pre_tokenizer = pre_tokenizers.Metaspace(prepend_scheme="always")
    monkeypatch.setattr(reference, "MAX_PIECE_CHARS", 50)
    assert len(list(reference._pieces("line\n" * 100, tokenizer))) == 1  # "line" at a start would gain a mark
    for text in ("line\n" * 100, "some words " * 100, "both of\nthem " * 60):
        (cut,) = reference._encode_batch([text], tokenizer)
        assert cut.tolist() == tokenizer.encode(text, add_special_tokens=False).ids
