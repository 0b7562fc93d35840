"""Documents out of packs: against the texts that went in, whatever cuts them and wherever their pieces lie."""

from __future__ import annotations

import random
from pathlib import Path

import numpy as np
import pytest
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers

from decontam.audit import packset
from decontam.audit.corpus import open_corpus
from decontam.audit.decoding import Decoder
from pipeline.bpe import load_tokenizer
from pipeline.errors import ConfigError, SchemaError
from pipeline.packreader import open_packs
from pipeline.trace import trace

from .pack_tools import make_packs, tokenizer

WORDS = [
    "bell",
    "reef",
    "lantern",
    "渡し舟",
    "Ключ",
    "ملح",
    "naïve",
    "🦊",
    "cask",
    "orchard",
    "pump",
    "e\u0301te\u0301",
]


def _text(rng: random.Random, words: int) -> str:
    return " ".join(rng.choice(WORDS) for _ in range(words))


@pytest.fixture(scope="module")
def documents() -> list[tuple[str, str]]:
    rng = random.Random(4)
    made = [(f"doc-{n}", _text(rng, rng.choice((1, 3, 20, 60)))) for n in range(40)]
    return [*made, made[3], made[7], made[3]]  # some documents are there several times


@pytest.fixture(scope="module")
def tok(tmp_path_factory: pytest.TempPathFactory):
    return tokenizer(tmp_path_factory.mktemp("tokenizer"), ["bell reef lantern cask orchard pump"] * 9)


def _read(folder: Path, work: Path) -> list[tuple[str, str]]:
    corpus = open_corpus([str(folder)], work)
    return [
        pair
        for piece in corpus.pieces
        for batch in piece.read()
        for pair in zip(batch.table["id"].to_pylist(), batch.table["text"].to_pylist(), strict=True)
    ]


@pytest.mark.parametrize("length", [1, 3, 16, 64, 100_000])
@pytest.mark.parametrize("shuffled", [False, True])
def test_texts_come_back_whole(tmp_path, documents, tok, length, shuffled, monkeypatch):
    documents = documents[-15:] if length < 16 else documents
    per_file = 5 if length > 1 else 200
    folder = make_packs(tmp_path / "set", documents, tok, sequence_length=length, per_file=per_file)
    if shuffled:
        order = list(range(len(open_packs(folder))))
        random.Random(length).shuffle(order)
        folder = make_packs(tmp_path / "other", documents, tok, sequence_length=length, per_file=per_file, order=order)
    monkeypatch.setattr(packset, "PIECE_TOKENS", 7 * length)
    monkeypatch.setattr(packset, "BATCH_TOKENS", 50)
    found = _read(folder, tmp_path / "work")
    assert sorted(found) == sorted(documents)
    if not shuffled:
        assert found == documents
    open_packs(folder).verify()


def test_a_document_whose_beginning_is_missing_is_read_from_there_on(tmp_path, documents, tok):
    whole = make_packs(tmp_path / "whole", documents, tok, sequence_length=16)
    reader = open_packs(whole)
    gone = next(n for n in range(3, len(reader)) if reader[n].doc_offsets[0] == 0 and len(reader[n].doc_ids) == 1)
    order = [n for n in range(len(reader)) if n != gone]
    folder = make_packs(tmp_path / "part", documents, tok, sequence_length=16, order=order)
    corpus = open_corpus([str(folder)], tmp_path / "work")
    batches = [batch for piece in corpus.pieces for batch in piece.read()]
    name = reader[gone].doc_ids[0]
    expected = dict(documents)[name]
    texts = [
        t for b in batches for i, t in zip(*(b.table[c].to_pylist() for c in ("id", "text")), strict=True) if i == name
    ]
    assert sum(batch.fragments for batch in batches) == 1
    pieces = [one for one in texts if one != expected]
    assert len(pieces) == 1 and expected.endswith(pieces[0].lstrip("\ufffd")) and len(pieces[0]) > 3
    assert sum(batch.tokens for batch in batches) == open_packs(folder).manifest["tokens"]


@pytest.mark.parametrize("length", [2, 16, 64])
def test_places_are_those_that_trace_finds(tmp_path, documents, tok, length):
    folder = make_packs(tmp_path / "set", documents[: 3 * length], tok, sequence_length=length, per_file=50)
    reader = open_packs(folder)
    ids = np.concatenate([reader[n].input_ids[: reader[n].length] for n in range(len(reader))])
    checked = 0
    for piece in open_corpus([str(folder)], tmp_path / "work").pieces:
        for batch in piece.read():
            rows = zip(*(batch.table[c].to_pylist() for c in ("id", "text")), strict=True)
            for row, (name, text) in enumerate(rows):
                raw = text.encode()
                for byte in {0, len(raw) // 2, len(raw) - 1}:
                    file, _, sequence, _, token = batch.place(row, byte).split()
                    found = trace(folder, int(sequence), int(token))
                    assert found.document == name
                    at = int(sequence) * length + int(token)
                    begin = at - found.token_offset
                    before = tok.tokenizer.decode(ids[begin:at].tolist()).encode()
                    upto = tok.tokenizer.decode(ids[begin : at + 1].tolist()).encode()
                    if b"\xef\xbf\xbd" not in upto:
                        assert len(before) <= byte < len(upto)
                        checked += 1
                    entry = next(e for e in reader.manifest["files"] if e["path"] == file)
                    first = sum(e["sequences"] for e in reader.manifest["files"] if e["path"] < file)
                    assert first <= int(sequence) < first + entry["sequences"]
    assert checked > 5


def test_decoding_is_the_library_s(tok):
    rng = np.random.default_rng(5)
    ids = rng.integers(0, tok.vocab_size + 5, 5000).astype(np.uint32)
    cuts = np.sort(rng.integers(0, 5000, 400))
    offsets = np.concatenate([[0], cuts, [5000]]).astype(np.int64)
    found = Decoder(tok).texts(ids, offsets).to_pylist()
    expected = [tok.decode(ids[a:b].tolist()) for a, b in zip(offsets[:-1], offsets[1:], strict=True)]
    assert found == expected and any("\ufffd" in text for text in found)


def test_added_tokens_and_other_tokenizers(tmp_path):
    texts = ["the bell and the lantern", "a reef of salt"] * 20
    tok = tokenizer(tmp_path, texts)
    tok.tokenizer.add_tokens(["    ", "|||MAIL|||", "日本"])
    tok.tokenizer.save(str(tmp_path / "added.json"))
    added = load_tokenizer(tmp_path / "added.json")
    text = "def f():\n    return |||MAIL||| 日本 ok    "
    ids = np.array(added.tokenizer.encode(text).ids, np.uint32)
    assert Decoder(added).texts(ids, np.array([0, len(ids)])).to_pylist() == [text]

    unigram = Tokenizer(models.Unigram())
    unigram.pre_tokenizer = pre_tokenizers.Metaspace()
    unigram.decoder = decoders.Metaspace()
    unigram.train_from_iterator(
        texts, trainers.UnigramTrainer(vocab_size=60, special_tokens=["</s>", "<unk>"], unk_token="<unk>")
    )
    unigram.save(str(tmp_path / "unigram.json"))
    loaded = load_tokenizer(tmp_path / "unigram.json")
    folder = make_packs(tmp_path / "set", [("a", texts[0]), ("b", texts[1])], loaded, sequence_length=3)
    assert _read(folder, tmp_path / "work") == [("a", texts[0]), ("b", texts[1])]


def test_a_long_document_among_short_ones(tmp_path, tok):
    long = "the quick reef " * 20_000
    documents = [("a", "bell"), ("long", long), ("b", "cask")]
    folder = make_packs(tmp_path / "set", documents, tok, sequence_length=64, per_file=200)
    assert _read(folder, tmp_path / "work") == documents


def test_what_is_no_tokenizer_or_another_is_told(tmp_path, documents, tok):
    folder = make_packs(tmp_path / "set", documents[:3], tok, sequence_length=16)
    other = tokenizer(tmp_path, ["other texts altogether"] * 3, 280)
    with pytest.raises(ConfigError, match="is not the tokenizer that made"):
        open_corpus([str(folder)], tmp_path / "work", tokenizer=str(other.path))
    (folder / "tokenizer.json").write_text("{]")
    with pytest.raises(ConfigError, match="is not JSON"):
        open_corpus([str(folder)], tmp_path / "work")
    (folder / "tokenizer.json").unlink()
    with pytest.raises(ConfigError, match="--tokenizer"):
        open_corpus([str(folder)], tmp_path / "work")
    with pytest.raises(ConfigError, match="can't be read"):
        open_corpus([str(folder)], tmp_path / "work", tokenizer=str(tmp_path / "none.json"))
    assert len(open_corpus([str(folder)], tmp_path / "work", tokenizer=str(tok.path)).pieces) == 1
    (folder / "packs" / "00000.arrow").write_bytes(b"short")
    with pytest.raises(SchemaError, match="truncated or replaced"):
        open_corpus([str(folder)], tmp_path / "work", tokenizer=str(tok.path))
