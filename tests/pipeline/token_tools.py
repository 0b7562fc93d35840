"""What the token tests share: a small tokenizer, token tables from plain lists, whole pack sets."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pyarrow as pa
from tokenizers import Tokenizer, decoders, models, pre_tokenizers

from pipeline.bpe import LoadedTokenizer, load_tokenizer
from pipeline.packing.draws import DrawSet, default_draws, draw_shard, token_places
from pipeline.packing.tasks import PackWork, make_pack, plan_tasks
from pipeline.packs import reserved_ids, write_manifest
from pipeline.store import file_digest

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
    """A token shard with `rows` documents a record batch."""
    ids = pa.array([ids for _, ids in documents], pa.large_list(pa.uint16() if dtype == "uint16" else pa.uint32()))
    titles = pa.array([min(2, len(ids)) for _, ids in documents], pa.int32())
    names = pa.array([name for name, _ in documents], pa.string())
    table = pa.table({"id": names, "input_ids": ids, "title_tokens": titles})
    with pa.ipc.new_file(str(path), table.schema) as writer:
        writer.write_table(table, max_chunksize=rows)
    return str(path)


def drawn(
    folder: Path, paths: list[str], tokenizer: LoadedTokenizer, *, seed: int = 0, order: str = "natural",
    partitions: int = 1,
) -> DrawSet:  # fmt: skip
    """The default draws of token shards, with title tokens."""
    counts = [int(token_places(path, tokenizer.dtype)[1].sum()) for path in paths]
    made = [
        draw_shard(
            folder / "draws" / f"{i}.arrow", i, path, tokenizer.dtype, seed=seed, order=order, first=sum(counts[:i]),
            total=sum(counts), partitions=partitions, titles=True,
        )
        for i, path in enumerate(paths)
    ]  # fmt: skip
    return default_draws(folder, paths, made, tokenizer=tokenizer.path)


def pack_set(
    folder: Path, shards: list[list[Document]], length: int, per_file: int, *, rows: int = 3,
    method: str = "concatenate", order: str = "natural", seed: int = 0, partitions: int = 1,
    documents: list[str] | None = None, dtype: str = "uint16",
) -> Path:  # fmt: skip
    """Token shards and the finished pack set `folder` over them."""
    folder.mkdir(parents=True, exist_ok=True)
    tokenizer = replace(byte_tokenizer(folder / "source.json"), dtype=dtype)
    paths = [write_shard(folder / f"shard{i}.arrow", docs, rows, dtype) for i, docs in enumerate(shards)]
    draws = drawn(folder, paths, tokenizer, seed=seed, order=order, partitions=partitions)
    work = PackWork(
        (str(folder),), (length,), method, tokenizer.dtype, reserved_ids(tokenizer.vocab_size)["pad"], draws.files,
        draws.shards, body_starts=True,
    )  # fmt: skip
    made = [make_pack(work, task)["entries"][0] for task in plan_tasks(draws, method, (length,), per_file)]
    described = []
    for name in documents or []:
        described.append({"path": name, "bytes": (folder / name).stat().st_size, "blake2b": file_digest(folder / name)})
    write_manifest(
        folder, tokenizer=tokenizer, sequence_length=length, files=made, method=method, documents=described,
        empty_documents=draws.empty_documents,
    )  # fmt: skip
    return folder


TEXTS = ["The mill turns.", "", "Größe und Maß", "x" * 41, "a", "last words of all"]


def described_packs(folder: Path, length: int = 16, **how: Any) -> Path:
    """A pack set of `TEXTS` (document i has id i in hex, from https://example.org/i), with `documents/`."""
    import pyarrow.parquet as pq

    from pipeline.tokenise import tokenise_table

    folder.mkdir(parents=True, exist_ok=True)
    tokenizer = byte_tokenizer(folder / "t.json")
    names = [f"{i:032x}" for i in range(len(TEXTS))]
    table = tokenise_table(pa.table({"id": names, "text": pa.array(TEXTS, pa.large_string())}), tokenizer)
    documents: list[Document] = list(zip(names, table["input_ids"].to_pylist(), strict=True))
    (folder / "documents").mkdir()
    for part, rows in enumerate([range(0, 4), range(4, 6)]):
        columns = {
            "id": [names[i] for i in rows],
            "url": [f"https://example.org/{i}" for i in rows],
            "record": [{"file": "a.warc.gz", "offset": 100 * i} for i in rows],
            "title": [f"Title {i}" for i in rows],
        }
        pq.write_table(pa.table(columns), folder / "documents" / f"{part}.parquet")
    return pack_set(
        folder, [documents[:3], documents[3:]], length, 2, documents=["documents/0.parquet", "documents/1.parquet"],
        **how,
    )  # fmt: skip
