"""The token steps: the training sample's size, empty documents, packs against the documents' own tokens."""

from __future__ import annotations

import json

import pyarrow as pa
import pyarrow.parquet as pq

from pipeline.bpe import load_tokenizer
from pipeline.packreader import open_packs
from pipeline.packstep import find_packs
from pipeline.tokensteps import TOKENIZER_FILE, _sample, described, described_schema
from pipeline.trace import trace


def kept_shards(sample_run):
    return tuple(str(p) for p in sorted((sample_run / "05-pii" / "kept").glob("*.parquet")))


def test_the_training_sample_is_as_large_as_asked_for(sample_run):
    shards = kept_shards(sample_run)
    whole = [t for batch in _sample(shards, 1 << 40) for t in batch]
    total = sum(len(t.encode()) for t in whole)
    assert total > 500_000
    part = [t for batch in _sample(shards, total // 4) for t in batch]
    assert 0.1 * total < sum(len(t.encode()) for t in part) < 0.45 * total
    assert set(part) <= set(whole)


def texts_ids(sample_run):
    """Ids of each kept document by the library itself, and the end-of-document id."""
    tokenizer = load_tokenizer(find_packs(sample_run) / TOKENIZER_FILE)
    want = {}
    for shard in kept_shards(sample_run):
        for row in pq.read_table(shard, columns=["id", "text"]).to_pylist():
            ids = tokenizer.tokenizer.encode(row["text"], add_special_tokens=False).ids
            want[row["id"]] = [*ids, tokenizer.eos_id]
    return want


def pieces_of(packs):
    """(offset, ids) of all pieces of each document."""
    pieces = {}
    for row in packs:
        ends = [*row.doc_starts[1:], row.length]
        for name, offset, start, end in zip(row.doc_ids, row.doc_offsets, row.doc_starts, ends, strict=True):
            pieces.setdefault(name, []).append((int(offset), row.input_ids[start:end].tolist()))
    return pieces


def test_packs_hold_what_the_mixture_drew(sample_run):
    """Pieces of each document, put together, are the ids of its text, each once; none is cut needlessly.

    Each document is in one of the sets, and the counts are within a sequence of the target.
    """
    packs = open_packs(find_packs(sample_run))
    want, length = texts_ids(sample_run), packs.sequence_length
    drawn = pq.read_table(sorted((find_packs(sample_run) / "documents").glob("*.parquet")), columns=["id", "draws"])
    times = dict(zip(drawn["id"].to_pylist(), drawn["draws"].to_pylist(), strict=True))
    pieces = pieces_of(packs)
    assert set(pieces) == set(times) and set(times.values()) == {1}
    for name, parts in pieces.items():
        whole = [(at, want[name][at : at + length]) for at in range(0, len(want[name]), length)]
        assert sorted(parts) == sorted(whole)
    assert packs.manifest["truncated_documents"] == sum(len(want[name]) > length for name in times)
    assert packs.manifest["utilisation"] > 0.99
    packs.verify()
    report = json.loads((sample_run / "08-mix" / "manifest.json").read_text())["report"]
    (row,) = report["drawn"]
    counted = sum(len(ids) for parts in pieces.values() for _, ids in parts)
    assert abs(counted - row["wanted_tokens"]) < length and row["divided"] == 0
    held = [set(pieces_of(open_packs(sample_run / "09-pack" / "sets" / name))) for name in ("held_out", "fresh")]
    assert all(held) and not held[0] & held[1] and not (held[0] | held[1]) & set(pieces)
    fates = {row["fate"]: row["documents"] for row in report["fates"]}
    assert fates == {"train": len(pieces), "held_out": len(held[0]), "fresh": len(held[1])}
    assert set(pieces) | held[0] | held[1] == set(want)


def test_every_token_leads_back_to_its_record(sample_run):
    packs = find_packs(sample_run)
    rows = {}
    for shard in kept_shards(sample_run):
        rows.update({r["id"]: r for r in pq.read_table(shard, columns=["id", "url", "record"]).to_pylist()})
    reader = open_packs(packs)
    for sequence in range(0, len(reader), 37):
        found = trace(packs, sequence, reader[sequence].length - 1)
        row = rows[reader[sequence].doc_ids[-1]]
        assert (found.url, found.record["file"], found.record["offset"]) == (
            row["url"],
            row["record"]["file"],
            row["record"]["offset"],
        )


def test_manifest_agrees_with_the_report(sample_run):
    manifest = json.loads((find_packs(sample_run) / "manifest.json").read_text())
    report = json.loads((sample_run / "report.json").read_text())
    assert report["tokens"]["tokens"] == manifest["tokens"]
    assert report["tokens"]["documents"] == manifest["documents"]
    fates = sum(row["documents"] for row in report["mixture"]["fates"])
    assert fates == report["kept"] and report["mixture"]["unique_documents"] <= report["kept"]


def test_columns_of_the_users_that_only_have_the_name_of_a_label() -> None:
    """A year in `published`, numbers in `lang`, a struct or a list in `extra`: kept once as text, or left out."""
    columns = {
        "id": ["a", "b"],
        "text": ["x", None],
        "published": [1999, None],
        "lang": pa.array(["en", None]).dictionary_encode(),
        "extra": [{"k": "words"}, None],
        "lang_hint": [["en"], []],
        "hate": [{"document": 0.5}, {"document": None}],
        "bad": [b"x", b""],
    }
    docs = pa.table(columns)
    schema = described_schema(docs.schema)
    assert schema.names[6:] == ["lang", "published", "hate"] and len(set(schema.names)) == len(schema.names)
    made = described(docs, pa.array([3, 0]), schema)
    assert made["published"].to_pylist() == ["1999", None] and made["lang"].to_pylist() == ["en", None]
    assert made["text_bytes"].to_pylist() == [1, 0]
