"""Pack sets of texts, with their documents table, for any tokenizer."""

from __future__ import annotations

from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from pipeline.bpe import LoadedTokenizer, load_tokenizer, train_bpe
from pipeline.packing.tasks import PackWork, make_pack, plan_tasks
from pipeline.packs import reserved_ids, write_manifest
from pipeline.store import file_digest
from pipeline.tokenise import tokenise_table
from tests.pipeline.token_tools import drawn, write_shard


def bpe(path: Path, texts: list[str], vocab_size: int = 300) -> LoadedTokenizer:
    """A small byte-level BPE of the texts."""
    train_bpe(iter([texts]), vocab_size).save(str(path))
    return load_tokenizer(path)


def text_packs(
    folder: Path, texts: list[str], tokenizer: LoadedTokenizer, length: int, *, method: str = "best_fit",
    control: int | None = None, controls: tuple[str, ...] = (),
) -> Path:  # fmt: skip
    """The pack set `folder` of `texts`; document i has id i in hex. `control` leads each, `controls` are names."""
    (folder / "documents").mkdir(parents=True)
    names = [f"{i:032x}" for i in range(len(texts))]
    table = tokenise_table(pa.table({"id": names, "text": pa.array(texts, pa.large_string())}), tokenizer)
    tokens = table["input_ids"].to_pylist()
    columns = {
        "id": names,
        "url": [f"https://example.org/{i}" for i in range(len(texts))],
        "n_tokens": pa.array([len(one) for one in tokens], pa.int64()),
        "text_bytes": pa.array([len(text.encode()) for text in texts], pa.int64()),
    }
    pq.write_table(pa.table(columns), folder / "documents" / "0.parquet")
    if control is not None:
        tokens = [[control, *one] for one in tokens]
    shard = write_shard(folder / "shard.arrow", list(zip(names, tokens, strict=True)), 7, tokenizer.dtype)
    draws = drawn(folder, [shard], tokenizer)
    reserved = reserved_ids(tokenizer.vocab_size)
    pad, named = reserved["pad"], {one: reserved["control"][0] + i for i, one in enumerate(controls)}
    work = PackWork((str(folder),), (length,), method, tokenizer.dtype, pad, draws.files, draws.shards)
    files = [make_pack(work, task)["entries"][0] for task in plan_tasks(draws, method, (length,), 5)]
    name = "documents/0.parquet"
    entry = {"path": name, "bytes": (folder / name).stat().st_size, "blake2b": file_digest(folder / name)}
    write_manifest(
        folder, tokenizer=tokenizer, sequence_length=length, files=files, method=method, documents=[entry],
        empty_documents=draws.empty_documents, recipe={"mixture": {"control_ids": named}} if named else None,
    )  # fmt: skip
    return folder
