"""The token steps: the training sample's size, empty documents, packs against the documents' own tokens."""

from __future__ import annotations

import json

import pyarrow.parquet as pq

from pipeline.bpe import load_tokenizer
from pipeline.packreader import open_packs
from pipeline.packstep import find_packs
from pipeline.tokensteps import TOKENIZER_FILE, _sample
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


def test_packs_hold_every_document_once(sample_run):
    """Pieces of each document, put together, are the ids of its text by the tokenizer; none is cut needlessly."""
    packs = open_packs(find_packs(sample_run))
    tokenizer = load_tokenizer(find_packs(sample_run) / TOKENIZER_FILE)
    want = {}
    for shard in kept_shards(sample_run):
        for row in pq.read_table(shard, columns=["id", "text"]).to_pylist():
            ids = tokenizer.tokenizer.encode(row["text"], add_special_tokens=False).ids
            want[row["id"]] = [*ids, tokenizer.eos_id]
    pieces = {}
    for row in packs:
        ends = [*row.doc_starts[1:], row.length]
        for name, offset, start, end in zip(row.doc_ids, row.doc_offsets, row.doc_starts, ends, strict=True):
            pieces.setdefault(name, []).append((int(offset), row.input_ids[start:end].tolist()))
    assert {name: [i for _, ids in sorted(parts) for i in ids] for name, parts in pieces.items()} == want
    length = packs.sequence_length
    assert all(len(pieces[name]) == -(-len(ids) // length) for name, ids in want.items())
    assert packs.manifest["truncated_documents"] == sum(len(ids) > length for ids in want.values())
    assert packs.manifest["utilisation"] > 0.99
    packs.verify()


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
    assert report["tokens"]["documents"] == manifest["documents"] == report["kept"]
