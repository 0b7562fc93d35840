"""Documents out of packs that best fit made, of several lengths, with documents removed or drawn by a mixture."""

from __future__ import annotations

import random
from collections import Counter
from pathlib import Path

import pytest

from decontam.audit import packset
from decontam.audit.corpus import kind_of, open_corpus
from pipeline.cli import main
from pipeline.errors import ConfigError
from pipeline.packreader import open_packs
from pipeline.removal.apply import remove
from pipeline.removal.lists import read_lists
from pipeline.trace import trace
from tests.mixtures.mix_tools import make_run, random_docs
from tests.pipeline.token_tools import TEXTS

from .pack_tools import make_packs, tokenizer

V1 = Path(__file__).parents[2] / "pipeline" / "packs_v1"
WORDS = ["bell", "reef", "lantern", "渡し舟", "naïve", "🦊", "cask", "orchard"]


@pytest.fixture(scope="module")
def documents() -> list[tuple[str, str]]:
    """Documents of 1 to some 500 tokens; long and short ones are there two to four times."""
    rng = random.Random(8)
    made = [(f"doc-{n}", " ".join(rng.choices(WORDS, k=rng.choice((1, 5, 30, 120))))) for n in range(40)]
    again = [made[3], *[made[max(range(40), key=lambda n: len(made[n][1]))]] * 3, made[7], made[3]]
    return made + again


@pytest.fixture(scope="module")
def tok(tmp_path_factory: pytest.TempPathFactory):
    return tokenizer(tmp_path_factory.mktemp("tokenizer"), ["bell reef lantern cask orchard pump"] * 9)


def _batches(corpus):
    return [batch for piece in corpus.pieces for batch in piece.read()]


def _pairs(batches) -> list[tuple[str, str]]:
    return [(row["id"], row["text"]) for batch in batches for row in batch.table.to_pylist()]


@pytest.mark.parametrize("length", [1, 16, 64])
@pytest.mark.parametrize("long", [(), (96, 200)])
def test_best_fit_comes_back_whole(tmp_path, documents, tok, length, long, monkeypatch):
    """Every copy is one document again, though its pieces lie apart, in other files and in sets of other lengths."""
    folder = make_packs(
        tmp_path / "set", documents, tok, sequence_length=length, method="best_fit", long_lengths=long, per_file=7
    )
    readers = [open_packs(folder / str(n)) for n in (length, *long)] if long else [open_packs(folder)]
    cut = {i for reader in readers for row in reader for i, k in zip(row.doc_ids, row.doc_offsets, strict=True) if k}
    assert len(cut) > 3
    if long:  # pieces of one document in two sets
        held = [{i for row in reader for i in row.doc_ids} & cut for reader in readers]
        assert any(one & other for n, one in enumerate(held) for other in held[:n])
    monkeypatch.setattr(packset, "PIECE_TOKENS", 7 * length)
    monkeypatch.setattr(packset, "BATCH_TOKENS", 50)
    corpus = open_corpus([str(folder)], tmp_path / "work")
    batches = _batches(corpus)
    assert Counter(_pairs(batches)) == Counter(documents)
    assert sum(b.tokens for b in batches) == corpus.tokens == sum(reader.manifest["tokens"] for reader in readers)
    assert sum(b.fragments for b in batches) == 0
    assert corpus.kinds == ["packs"] and len(corpus.packs) == 1 and corpus.packs[0].label == ""


def test_a_set_of_one_length_alone_has_fragments(tmp_path, documents, tok):
    folder = make_packs(
        tmp_path / "set", documents, tok, sequence_length=16, method="best_fit", long_lengths=(96,), per_file=7
    )
    batches = _batches(open_corpus([str(folder / "16")], tmp_path / "work"))
    missing = [
        (name, offset)
        for row in open_packs(folder / "16")
        for name, offset in zip(row.doc_ids, row.doc_offsets.tolist(), strict=True)
        if offset
    ]
    assert sum(b.fragments for b in batches) == len(missing) > 0
    texts = dict(documents)
    for name, text in _pairs(batches):
        assert texts[name].endswith(text.lstrip("\ufffd"))


def test_places_in_sets_of_several_lengths(tmp_path, documents, tok):
    folder = make_packs(
        tmp_path / "set", documents, tok, sequence_length=16, method="best_fit", long_lengths=(96,), per_file=7
    )
    seen = Counter()
    for batch in _batches(open_corpus([str(folder)], tmp_path / "work")):
        for row, one in enumerate(batch.table.select(["id", "text"]).to_pylist()):
            raw = one["text"].encode()
            for byte in {0, len(raw) // 2, len(raw) - 1}:
                path, _, sequence, _, token = batch.place(row, byte).split()
                length, _, file = path.partition("/")
                found = trace(folder / length, int(sequence), int(token))
                assert found.document == one["id"]
                before = tok.tokenizer.encode(one["text"]).ids[: found.token_offset]
                assert len(tok.tokenizer.decode(before).rstrip("\ufffd").encode()) <= byte
                assert (folder / length / file).is_file()
                seen[length] += 1
    assert min(seen["16"], seen["96"]) > 10


def test_what_was_removed_is_no_text(tmp_path, documents, tok):
    folder = make_packs(tmp_path / "set", documents, tok, sequence_length=64, method="best_fit", per_file=7)
    gone = {documents[-1][0], documents[-3][0], "doc-11"}
    (tmp_path / "ids").write_text("\n".join(gone))
    pieces = sum(name in gone for row in open_packs(folder) for name in row.doc_ids)
    removed = remove(folder, read_lists([], [], [tmp_path / "ids"]), output=tmp_path / "new").folder
    corpus = open_corpus([str(removed)], tmp_path / "work")
    batches = _batches(corpus)
    assert Counter(_pairs(batches)) == Counter(pair for pair in documents if pair[0] not in gone)
    assert sum((b.skipped for b in batches), Counter()) == {"removed_pieces": pieces}
    assert corpus.tokens == sum(b.tokens for b in batches) < open_packs(removed).manifest["tokens"]
    (tmp_path / "all").write_text("\n".join({name for name, _ in documents}))
    empty = remove(folder, read_lists([], [], [tmp_path / "all"]), output=tmp_path / "empty").folder
    assert _pairs(_batches(open_corpus([str(empty)], tmp_path / "work2"))) == []


def test_format_1(tmp_path):
    corpus = open_corpus([str(V1)], tmp_path / "work")
    batches = _batches(corpus)
    assert [text for _, text in _pairs(batches)] == [text for text in TEXTS if text]
    assert corpus.packs[0].documents and sum(b.tokens for b in batches) == corpus.tokens


@pytest.mark.parametrize("method", ["best_fit", "concatenate"])
def test_what_a_mixture_drew(tmp_path, method):
    """Parts of documents behind control tokens, drawn by several phases; what is held out is not training text."""
    docs = random_docs("a", 40, 6, 300)
    for doc in docs:
        doc.ids = [10 + i % 80 for i in doc.ids]
    make_run(tmp_path / "a", docs)
    phases = ", ".join(f"{{name: p{i}, share: {share}}}" for i, share in enumerate((1, 0.03, 0.02, 2)))
    (tmp_path / "m.yaml").write_text(
        f"sources: {{a: {{run: {tmp_path / 'a'}, epochs: 1.8}}}}\nphases: [{phases}]\nheld_out: {{share: 0.1}}\n"
        "control: {column: quality, edges: [0.5], names: [bad, good], drop_share: 0}\n"
    )
    command = ["mix", "run", str(tmp_path / "m.yaml"), "-o", str(tmp_path / "out"), "--inline", "--quiet"]
    assert main([*command, "--sequence-length", "32", "--tolerance-tokens", "4", "--method", method]) == 0
    step = tmp_path / "out" / "02-pack"
    assert kind_of(str(tmp_path / "out")) == kind_of(str(step)) == ("packs", [str(step / "packset")])
    batches = _batches(open_corpus([str(step)], tmp_path / "work"))
    decode = packset.Decoder(packset.load_tokenizer(step / "packset" / "tokenizer.json")).tokenizer.decode
    texts = {doc.id: decode(doc.ids) for doc in docs}
    found = _pairs(batches)
    whole = Counter(name for name, text in found if text == texts[name])
    others = [(name, text) for name, text in found if text != texts[name]]
    assert len(others) <= 6 and all(text in texts[name] for name, text in others)
    assert max(whole.values()) == 2 and sum(whole.values()) > 40
    reader = open_packs(step / "packset")
    shown = sum(len(text) for _, text in found)
    control, count = reader.manifest["reserved_ids"]["control"]
    special = {reader.manifest["eos_id"], *range(control, control + count)}
    assert shown == sum(int(i) not in special for row in reader for i in row.input_ids[: row.length])
    held = _pairs(_batches(open_corpus([str(step / "sets" / "held_out")], tmp_path / "work2")))
    assert held and all(text == texts[name] for name, text in held)
    assert not {name for name, _ in held} & {name for name, _ in found}


def test_packs_named_twice_are_read_once(tmp_path, documents, tok):
    folder = make_packs(
        tmp_path / "set", documents[:9], tok, sequence_length=16, method="best_fit", long_lengths=(96,), per_file=7
    )
    assert len(open_corpus([str(folder), f"{folder}/"], tmp_path / "work").packs) == 1
    with pytest.raises(ConfigError, match="twice"):
        open_corpus([str(folder), str(folder / "96")], tmp_path / "work")
