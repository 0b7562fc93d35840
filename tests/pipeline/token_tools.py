"""What the token tests share: a small tokenizer, token tables from plain lists, whole pack sets."""

from __future__ import annotations

from pathlib import Path

import pyarrow as pa
from tokenizers import Tokenizer, decoders, models, pre_tokenizers

from pipeline.bpe import LoadedTokenizer, load_tokenizer
from pipeline.packing import plan_packs, write_pack
from pipeline.packs import reserved_ids, write_manifest

Document = tuple[str, list[int]]  # id, token ids


def byte_tokenizer(path: Path) -> LoadedTokenizer:
    """Every byte a token (ids 0 to 255 in some order), 256 the end of a document."""
    alphabet = sorted(pre_tokenizers.ByteLevel.alphabet())
    tokenizer = Tokenizer(models.BPE(vocab={c: i for i, c in enumerate(alphabet)}, merges=[]))
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    tokenizer.add_special_tokens(["<|endoftext|>"])
    tokenizer.save(str(path))
    return load_tokenizer(path)


def write_shard(path: Path, documents: list[Document], rows: int, dtype: str = "uint16") -> str:
    """A token shard with `rows` documents a record batch (Arrow IPC, or Parquet by the name)."""
    ids = pa.array([ids for _, ids in documents], pa.large_list(pa.uint16() if dtype == "uint16" else pa.uint32()))
    titles = pa.array([min(2, len(ids)) for _, ids in documents], pa.int32())
    table = pa.table({"id": [name for name, _ in documents], "input_ids": ids, "title_tokens": titles})
    if path.suffix == ".parquet":
        import pyarrow.parquet as pq

        pq.write_table(table, path, row_group_size=rows)
    else:
        with pa.ipc.new_file(str(path), table.schema) as writer:
            writer.write_table(table, max_chunksize=rows)
    return str(path)


def pack_set(
    folder: Path, shards: list[list[Document]], length: int, per_file: int, *, suffix: str = ".arrow", rows: int = 3
) -> Path:
    """Token shards and the finished pack set `folder` over them."""
    folder.mkdir(parents=True, exist_ok=True)
    tokenizer = byte_tokenizer(folder / "source.json")
    paths = [write_shard(folder / f"shard{i}{suffix}", docs, rows) for i, docs in enumerate(shards)]
    tasks = plan_packs([sum(len(ids) for _, ids in docs) for docs in shards], length, per_file)
    entries = [
        write_pack(
            task, paths, folder / task.path, sequence_length=length, dtype=tokenizer.dtype,
            pad_id=reserved_ids(tokenizer.vocab_size)["pad"], body_starts=True,
        )
        for task in tasks
    ]  # fmt: skip
    write_manifest(folder, tokenizer=tokenizer, sequence_length=length, files=entries)
    return folder
