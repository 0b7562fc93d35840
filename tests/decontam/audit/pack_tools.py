"""Small pack sets for tests: packed as a run packs, or with their sequences in another order."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from pipeline.bpe import LoadedTokenizer, load_tokenizer, train_bpe
from pipeline.packing import plan_packs, write_pack
from pipeline.packs import open_packs, pack_name, reserved_ids, write_manifest
from pipeline.schema import RECORD
from pipeline.store import file_digest
from pipeline.tokenise import tokenise_table


def tokenizer(folder: Path, texts: list[str], vocab_size: int = 300) -> LoadedTokenizer:
    """A byte-level BPE; with so few tokens most letters beyond ASCII are several."""
    path = folder / "tokenizer.json"
    train_bpe(texts, vocab_size).save(str(path))
    return load_tokenizer(path)


def make_packs(
    folder: Path,
    documents: list[tuple[str, str]],
    tok: LoadedTokenizer,
    *,
    sequence_length: int,
    per_file: int = 3,
    order: list[int] | None = None,
) -> Path:
    """A pack set of (id, text); `order`: the sequences that it has, by their numbers as packed. Returns its folder."""
    folder.mkdir(parents=True)
    table = pa.table({"id": [i for i, _ in documents], "text": pa.array([t for _, t in documents], pa.large_string())})
    tokens = tokenise_table(table, tok)
    shard = folder / "shard.arrow"
    with pa.OSFile(str(shard), "wb") as sink, pa.ipc.new_file(sink, tokens.schema) as writer:
        writer.write_table(tokens)
    count = sum(len(ids) for ids in tokens["input_ids"].to_pylist())
    pad = int(reserved_ids(tok.vocab_size)["pad"])
    files = [
        write_pack(
            task, [str(shard)], folder / task.path, sequence_length=sequence_length, dtype=tok.dtype, pad_id=pad
        )
        for task in plan_packs([count], sequence_length, per_file)
    ]  # fmt: skip
    write_manifest(folder, tokenizer=tok, sequence_length=sequence_length, files=files)
    shard.unlink()
    if order is not None:
        _reorder(folder, tok, order, per_file)
    (folder / "documents").mkdir()
    rows = [
        {"id": i, "url": f"https://host{n % 3}.example/{i}", "record": {"file": f"crawl-{n % 2}.warc.gz", "offset": n}}
        for n, (i, _) in enumerate(dict(documents).items())
    ]
    schema = pa.schema([("id", pa.string()), ("url", pa.string()), ("record", RECORD)])
    pq.write_table(pa.Table.from_pylist(rows, schema), folder / "documents" / "00000.parquet")
    return folder


def _reorder(folder: Path, tok: LoadedTokenizer, order: list[int], per_file: int) -> None:
    reader = open_packs(folder)
    table = pa.Table.from_batches([block.batch for block in reader.blocks]).take(pa.array(order))
    length = reader.sequence_length
    documents = [dataclasses.asdict(reader[number]) for number in order]
    for file in (folder / "packs").iterdir():
        file.unlink()
    files = []
    for number, first in enumerate(range(0, len(order), per_file)):
        part = table.slice(first, per_file).combine_chunks()
        path = folder / pack_name(number)
        with pa.OSFile(str(path), "wb") as sink, pa.ipc.new_file(sink, part.schema) as writer:
            writer.write_table(part)
        some = documents[first : first + per_file]
        files.append(
            {
                "path": pack_name(number),
                "sequences": part.num_rows,
                "tokens": int(sum(one["length"] for one in some)),
                "documents": int(sum(np.sum(one["first_doc_offset"] == 0) for one in some)),
                "bytes": path.stat().st_size,
                "blake2b": file_digest(path),
            }
        )
    write_manifest(folder, tokenizer=tok, sequence_length=length, files=files)
