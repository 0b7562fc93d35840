"""Small pack sets for tests: packed as a run packs, or with their sequences in another order."""

from __future__ import annotations

from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from pipeline.bpe import LoadedTokenizer, load_tokenizer, train_bpe
from pipeline.packing.tasks import PackWork, make_pack, plan_tasks
from pipeline.packing.write import id_places
from pipeline.packs import pack_name, reserved_ids, write_manifest
from pipeline.schema import RECORD
from pipeline.store import file_digest
from pipeline.tokenise import tokenise_table
from tests.pipeline.token_tools import drawn, write_shard


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
    method: str = "concatenate",
    long_lengths: tuple[int, ...] = (),
) -> Path:
    """A pack set of (id, text), or several in folders by length; `order`: the sequences that it has, by their numbers
    as packed. Returns its folder."""
    folder.mkdir(parents=True)
    table = pa.table({"id": [i for i, _ in documents], "text": pa.array([t for _, t in documents], pa.large_string())})
    tokens = tokenise_table(table, tok)["input_ids"].to_pylist()
    names = [name for name, _ in documents]
    shard = write_shard(folder / "shard.arrow", list(zip(names, tokens, strict=True)), 100, tok.dtype)
    draws = drawn(folder, [shard], tok, partitions=1 if method == "concatenate" else 3)
    lengths = (sequence_length, *long_lengths)
    folders = [folder / str(length) for length in lengths] if long_lengths else [folder]
    pad = int(reserved_ids(tok.vocab_size)["pad"])
    work = PackWork(tuple(map(str, folders)), lengths, method, tok.dtype, pad, draws.files, draws.shards)
    made = [make_pack(work, task)["entries"] for task in plan_tasks(draws, method, lengths, per_file)]
    rows = [
        {"id": i, "url": f"https://host{n % 3}.example/{i}", "record": {"file": f"crawl-{n % 2}.warc.gz", "offset": n}}
        for n, i in enumerate(dict(documents))
    ]
    schema = pa.schema([("id", pa.string()), ("url", pa.string()), ("record", RECORD)])
    for number, one in enumerate(folders):
        files = [entries[number] for entries in made if entries[number]]
        if order is not None:
            files = _reorder(one, [entry["path"] for entry in files], order, per_file)
        (one / "documents").mkdir(parents=True)
        described = one / "documents" / "00000.parquet"
        pq.write_table(pa.Table.from_pylist(rows, schema), described)
        entry = {
            "path": "documents/00000.parquet",
            "bytes": described.stat().st_size,
            "blake2b": file_digest(described),
        }
        write_manifest(
            one, tokenizer=tok, sequence_length=lengths[number], files=files, method=method, documents=[entry]
        )
    return folder


def _reorder(folder: Path, names: list[str], order: list[int], per_file: int) -> list[dict]:
    """Rewrite the pack files with their sequences in another order."""
    tables = []
    for name in names:
        with pa.OSFile(str(folder / name)) as source:
            tables.append(pa.ipc.open_file(source).read_all())
    table = pa.concat_tables(tables).take(pa.array(order))
    for name in names:
        (folder / name).unlink()
    files = []
    for number, first in enumerate(range(0, len(order), per_file)):
        part = table.slice(first, per_file).combine_chunks()
        path = folder / pack_name(number)
        with pa.OSFile(str(path), "wb") as sink, pa.ipc.new_file(sink, part.schema) as writer:
            writer.write_table(part)
        offsets = [offset for row in part["doc_offsets"].to_pylist() for offset in row]
        files.append(
            {
                "path": pack_name(number),
                "sequences": part.num_rows,
                "tokens": sum(part["length"].to_pylist()),
                "documents": offsets.count(0),
                "pieces": len(offsets),
                "bytes": path.stat().st_size,
                "blake2b": file_digest(path),
                "batches": id_places(path),
            }
        )
    return files
