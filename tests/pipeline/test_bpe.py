"""Tokenizers: training doesn't depend on order or threads; loading refuses what it can't use."""

from __future__ import annotations

import json
import pickle
import random
import time
from pathlib import Path

import pytest
from tokenizers import Tokenizer, models, pre_tokenizers

from pipeline.bpe import _cut_long_runs, load_tokenizer, train_bpe
from pipeline.errors import ConfigError

TEXTS = [
    f"Document {i}: the miller of {place} ground {i * 7} sacks, नमस्ते दुनिया, 中文字符 and naïve cafés.\n\n  indented {i}"
    for i, place in enumerate(["Ulm", "Bruges", "Cork", "Lviv", "Porto", "Graz"] * 30)
]


@pytest.mark.parametrize("threads", ["false", "true"])
def test_training_ignores_order_batching_and_threads(threads: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TOKENIZERS_PARALLELISM", threads)
    reference = train_bpe(iter(TEXTS), 700).to_str()
    shuffled = random.Random(3).sample(TEXTS, len(TEXTS))
    assert train_bpe([shuffled[i : i + 17] for i in range(0, len(shuffled), 17)], 700).to_str() == reference
    assert train_bpe(reversed(TEXTS), 700).to_str() == reference


def test_trained_tokenizer_round_trips_what_it_never_saw(tmp_path: Path) -> None:
    tokenizer = train_bpe(iter(TEXTS), 500, special_tokens=("<|endoftext|>", "<|x|>"))
    assert tokenizer.token_to_id("<|endoftext|>") == 0 and tokenizer.token_to_id("<|x|>") == 1
    assert 258 < tokenizer.get_vocab_size() <= 500
    hostile = "🦀\u202e\x00\x07 \u0301 عربى ไทย\r\n\t  ￿" + "z" * 999
    assert tokenizer.decode(tokenizer.encode(hostile).ids) == hostile


def test_long_runs_do_not_stall_training() -> None:
    letters = "".join(random.Random(1).choices("abcdefghij", k=200_000))
    started = time.process_time()
    train_bpe(["a few words here", letters, " " * 100_000], 600)
    # Left whole, 100 000 letters take 6 s and 300 000 take 51 s; the bound only tells quadratic from linear.
    assert time.process_time() - started < 20


@pytest.mark.parametrize(
    "text", ["", "short", "a" * 256, "a" * 257, " " * 600, "ab " * 300, "x" * 700 + " y " + "\n" * 300]
)
def test_cutting_loses_nothing(text: str) -> None:
    pieces = _cut_long_runs(text)
    assert "".join(pieces) == text
    assert all(len(run) <= 256 for piece in pieces for run in piece.split())


def test_vocabulary_too_small() -> None:
    with pytest.raises(ConfigError, match="256 bytes"):
        train_bpe(TEXTS, 256)


def _saved(path: Path, tokens: list[str], **changes: object) -> Path:
    tokenizer = Tokenizer(models.BPE(vocab={c: i for i, c in enumerate("abc")}, merges=[]))
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.add_special_tokens(tokens)
    spec = {**json.loads(tokenizer.to_str()), **changes}
    path.write_text(json.dumps(spec))
    return path


def test_end_of_document_is_found_or_named(tmp_path: Path) -> None:
    path = _saved(tmp_path / "t.json", ["<pad>", "</s>", "<mine>"])
    found = load_tokenizer(path)
    assert (found.eos, found.eos_id, found.vocab_size, found.dtype) == ("</s>", 4, 6, "uint16")
    assert load_tokenizer(path, "<mine>").eos_id == 5
    with pytest.raises(ConfigError, match="did you mean '<mine>'"):
        load_tokenizer(path, "<mime>")
    with pytest.raises(ConfigError, match="ordinary text"):
        load_tokenizer(path, "a")
    with pytest.raises(ConfigError, match="no known end-of-document token"):
        load_tokenizer(_saved(tmp_path / "u.json", ["<pad>"]))


def test_fingerprint_is_the_content_and_pickling_keeps_it(tmp_path: Path) -> None:
    one = load_tokenizer(_saved(tmp_path / "a.json", ["</s>"]))
    same = load_tokenizer(_saved(tmp_path / "b.json", ["</s>"]))
    other = load_tokenizer(_saved(tmp_path / "c.json", ["</s>", "<x>"]))
    assert one.fingerprint == same.fingerprint != other.fingerprint
    again = pickle.loads(pickle.dumps(one))
    assert (again.fingerprint, again.eos_id) == (one.fingerprint, one.eos_id)
    assert again.tokenizer.encode_special_tokens


def test_truncation_and_padding_of_the_file_are_off(tmp_path: Path) -> None:
    source = Tokenizer.from_file(str(_saved(tmp_path / "a.json", ["</s>"])))
    source.enable_truncation(4)
    source.enable_padding(length=8)
    source.save(str(tmp_path / "b.json"))
    encoded = load_tokenizer(tmp_path / "b.json").tokenizer.encode_batch_fast(["abcabc", "a"], add_special_tokens=False)
    assert [len(e) for e in encoded] == [6, 1]


@pytest.mark.parametrize("content", [b"", b"{", b"[]", b'{"a": 1}', b'{"model": {"type": "Nope"}}', b"\xff\xfe"])
def test_bad_files(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "t.json").write_bytes(content)
    with pytest.raises(ConfigError, match="t.json"):
        load_tokenizer(tmp_path / "t.json")


def test_missing_file(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="can't be read"):
        load_tokenizer(tmp_path / "none.json")


@pytest.mark.parametrize(
    ("file", "eos", "vocab_size", "dtype"),
    [
        ("allenai_dolma2.json", "<|endoftext|>", 100278, "uint32"),
        ("allenai_gpt-neox-olmo-dolma-v1_5.json", "<|endoftext|>", 50280, "uint16"),
        ("deepseek_tokenizer.json", "<｜end▁of▁sentence｜>", 129280, "uint32"),
        ("llama3_tokenizer.json", "<|end_of_text|>", 128256, "uint32"),
        ("qwen3_tokenizer.json", "<|endoftext|>", 151669, "uint32"),
    ],
)
def test_published_tokenizers(shared_data: Path, file: str, eos: str, vocab_size: int, dtype: str) -> None:
    loaded = load_tokenizer(shared_data / "tokenizers" / file)
    assert (loaded.eos, loaded.vocab_size, loaded.dtype) == (eos, vocab_size, dtype)
