"""Draws: the list of documents to pack, each with its place in a token shard, in order, out of core.

A draw set is a folder with `draws.json` and files of Arrow IPC in which record batch p holds partition p
(`dedup.shuffle`), so that no process ever holds the list. Columns of a draw:

    shard     int32    number of the token shard in `DrawSet.shards`
    row       int64    the document's row in it
    copy      int32    0 for the first time that the document is drawn, 1 for the second, ...
    n_tokens  int64    its tokens, end-of-document id included; never 0
    at        int64    byte in the shard's file at which its ids begin (`token_places`)
    key       uint64   its place in the order
    id        string   the document's id

The order is partition by partition, within one by (key, shard, row, copy). A phase is a range of
partitions that is packed by itself: no sequence holds documents of two phases. By default every document is
drawn once, in the order of a hash of (seed, id): `draw_shard`, `default_draws`.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from ..errors import ConfigError, SchemaError
from ..storage import StorePath, is_url, local_file, place, relative_url
from ..store import read_json, write_json

DRAWS = "draws.json"
DRAW = pa.schema(
    [
        ("shard", pa.int32()),
        ("row", pa.int64()),
        ("copy", pa.int32()),
        ("n_tokens", pa.int64()),
        ("at", pa.int64()),
        ("key", pa.uint64()),
        ("id", pa.string()),
    ]
)
"""Columns of a draw. Beside them may stand `title_tokens int32`, for packs with `body_starts`; `skip int64`, the tokens
of the document before `at` (a draw may be a part of it); `control int32`, an id to put before it, which `n_tokens`
counts, or -1."""

ORDERS = ("shuffle", "natural")
_GOLDEN = 0x9E3779B97F4A7C15
_MASK = (1 << 64) - 1


@dataclass(frozen=True)
class Phase:
    """Partitions [first, last) are packed together and trained on before those of the next phase."""

    name: str
    first: int
    last: int


@dataclass(frozen=True)
class DrawSet:
    """What `draws.json` says. `tokens[p]` and `documents[p]` count the draws of partition p.

    `tokenizer` is the tokenizer.json behind the ids, `eos` the name of its end-of-document token (empty: found
    by known names); `document_files` are Parquet files that describe the documents (`id, url, record, ...`).
    """

    files: tuple[str, ...]
    shards: tuple[str, ...]
    tokens: tuple[int, ...]
    documents: tuple[int, ...]
    phases: tuple[Phase, ...]
    tokenizer: str
    eos: str = ""
    document_files: tuple[str, ...] = ()
    empty_documents: int = 0
    recipe: dict[str, Any] = field(default_factory=dict)

    def write(self, folder: Path) -> None:
        """Write `draws.json`; paths within `folder` are written relative to it."""
        value = {
            "files": [_relative(file, folder) for file in self.files],
            "shards": [_relative(shard, folder) for shard in self.shards],
            "tokens": list(self.tokens),
            "documents": list(self.documents),
            "phases": [[phase.name, phase.first, phase.last] for phase in self.phases],
            "tokenizer": _relative(self.tokenizer, folder),
            "eos": self.eos,
            "document_files": [_relative(file, folder) for file in self.document_files],
            "empty_documents": self.empty_documents,
            "recipe": self.recipe,
        }
        write_json(folder / DRAWS, value)

    @classmethod
    def read(cls, folder: Path) -> DrawSet:
        """The draw set of a folder. Raises ConfigError where there is none, SchemaError where it doesn't add up."""
        value = read_json(folder / DRAWS)
        if value is None:
            raise ConfigError(f"{folder} has no {DRAWS}: it is no draw set")
        made = cls(
            files=tuple(_absolute(file, folder) for file in value["files"]),
            shards=tuple(_absolute(shard, folder) for shard in value["shards"]),
            tokens=tuple(value["tokens"]),
            documents=tuple(value["documents"]),
            phases=tuple(Phase(*phase) for phase in value["phases"]),
            tokenizer=_absolute(value["tokenizer"], folder),
            eos=value["eos"],
            document_files=tuple(_absolute(file, folder) for file in value["document_files"]),
            empty_documents=value["empty_documents"],
            recipe=value["recipe"],
        )
        made.check()
        return made

    def check(self) -> None:
        """Raise SchemaError unless the phases cover all partitions in order, none twice."""
        bounds = [0] + [phase.last for phase in self.phases]
        starts = [phase.first for phase in self.phases]
        if starts != bounds[:-1] or bounds[-1] != len(self.tokens) or len(self.tokens) != len(self.documents):
            raise SchemaError(f"draws: the phases {self.phases} don't cover {len(self.tokens)} partitions in order")


def _relative(path: str, folder: Path) -> str:
    if not is_url(path) and not isinstance(folder, StorePath):
        return os.path.relpath(path, folder)
    return relative_url(path, folder)


def _absolute(text: str, folder: Path) -> str:
    return text if is_url(text) else str(folder / text)


def order_keys(ids: pa.Array, seed: int, copy: int = 0) -> npt.NDArray[np.uint64]:
    """uint64[n]: place of each document in the shuffled order of (seed, copy): xxh3-64 of its id under both."""
    import xxhash

    base = (seed * _GOLDEN + copy * 0xD1B54A32D192ED03) & _MASK
    texts = ids.cast(pa.binary()).to_pylist()
    digest = xxhash.xxh3_64_intdigest
    return np.fromiter((digest(text, base) for text in texts), np.uint64, len(texts))


def partition_of(keys: npt.NDArray[np.uint64], partitions: int) -> npt.NDArray[np.int64]:
    """Partition of each key: equal ranges of the 64-bit numbers, ascending."""
    step = np.uint64((1 << 64) // partitions) if partitions > 1 else np.uint64(_MASK)
    return np.minimum(keys // step, np.uint64(partitions - 1)).astype(np.int64)


def token_places(path: str | Path, dtype: str) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64], pa.Table]:
    """(byte of each document's first id in the file, its tokens, `id` and `title_tokens` where there) of a token shard.

    Reads no ids. Raises SchemaError where the file is no token shard, is compressed, or holds ids of another type.
    """
    path = str(path)
    try:
        with pa.memory_map(local_file(path)) as source:
            base = source.read_buffer().address if source.size() else 0
            file = pa.ipc.open_file(source)
            places, counts, batches = [], [], []
            wanted = [name for name in ("id", "title_tokens") if name in file.schema.names]
            for number in range(file.num_record_batches):
                batch = file.get_batch(number)
                column = batch.column("input_ids")
                offsets = column.offsets.to_numpy().astype(np.int64)
                values = column.values
                if values.type != pa.from_numpy_dtype(np.dtype(dtype)):
                    raise SchemaError(f"{path} holds ids of type {values.type}, its tokenizer's are {dtype}")
                width = np.dtype(dtype).itemsize
                buffer = values.buffers()[1]
                address = 0 if buffer is None else buffer.address - base
                if len(values) and not 0 <= address <= source.size() - len(values) * width:
                    raise SchemaError(f"{path} is compressed; token shards are written without compression")
                places.append(address + (values.offset + offsets[:-1]) * width)
                counts.append(np.diff(offsets))
                batches.append(batch.select(wanted))
            schema = pa.schema([file.schema.field(name) for name in wanted])
            # Copied, for the map is closed on return.
            table = pa.Table.from_batches(batches, schema).take(pa.array(np.arange(sum(len(b) for b in batches))))
    except (pa.ArrowException, OSError, KeyError) as error:
        raise SchemaError(f"{path} can't be read as a token shard (id, input_ids): {error}") from error
    none = np.zeros(0, np.int64)
    return np.concatenate([none, *places]), np.concatenate([none, *counts]), table


def draw_table(
    shard: int, path: str | Path, dtype: str, rows: npt.NDArray[np.int64] | None = None, *, titles: bool = False
) -> pa.Table:
    """Draws (copy 0, key 0) of the rows of a token shard, all of them by default; rows without tokens are left out.

    `titles` adds the column `title_tokens`.
    """
    places, counts, table = token_places(path, dtype)
    rows = np.arange(len(counts), dtype=np.int64) if rows is None else np.asarray(rows, np.int64)
    rows = rows[counts[rows] > 0]
    n = len(rows)
    columns = [
        pa.array(np.full(n, shard, np.int32)),
        pa.array(rows),
        pa.array(np.zeros(n, np.int32)),
        pa.array(counts[rows]),
        pa.array(places[rows]),
        pa.array(np.zeros(n, np.uint64)),
        table["id"].cast(pa.string()).take(pa.array(rows)).combine_chunks(),
    ]
    made = pa.table(columns, schema=DRAW)
    if titles:
        made = made.append_column("title_tokens", table["title_tokens"].cast(pa.int32()).take(pa.array(rows)))
    return made


def write_draws(path: Path, draws: pa.Table, partition: npt.NDArray[np.int64], partitions: int) -> dict[str, Any]:
    """Write one file of a draw set; returns its entry for a mark with `tokens` and `documents` of each partition."""
    from dedup.shuffle import write_partitions

    made = write_partitions(path, draws, partition, partitions)
    tokens = np.zeros(partitions, np.int64)
    np.add.at(tokens, partition, draws["n_tokens"].to_numpy())
    documents = np.bincount(partition, minlength=partitions)
    return {**made, "tokens": tokens.tolist(), "documents": documents.tolist()}


def read_draws(files: Sequence[str], partitions: Sequence[int]) -> pa.Table:
    """The draws of some partitions, in order."""
    from dedup.shuffle import read_partition

    parts = []
    for partition in partitions:
        table = read_partition([place(file) for file in files], partition)
        keys = [table[name].to_numpy() for name in ("copy", "row", "shard", "key")]
        parts.append(table.take(pa.array(np.lexsort(keys))))
    return pa.concat_tables(parts).combine_chunks()


def draw_shard(
    target: Path,
    shard: int,
    path: str,
    dtype: str,
    *,
    seed: int,
    order: str,
    first: int,
    total: int,
    partitions: int,
    titles: bool = False,
) -> dict[str, Any]:
    """Write the default draws of one token shard: each document once. Returns the file's entry (`write_draws`).

    `order` shuffle: by a hash of (seed, id); natural: as the shards stand, where `first` of `total` tokens
    lie in the shards before this one. `titles` adds `title_tokens`.
    """
    draws = draw_table(shard, path, dtype, titles=titles)
    if order == "shuffle":
        keys = order_keys(draws["id"].combine_chunks(), seed)
        draws = draws.set_column(draws.schema.get_field_index("key"), DRAW.field("key"), pa.array(keys))
        partition = partition_of(keys, partitions)
    else:
        counts = draws["n_tokens"].to_numpy()
        starts = first + np.cumsum(counts) - counts
        partition = starts * partitions // max(1, total)
    made = write_draws(target, draws, partition, partitions)
    return {**made, "empty": _rows(path) - draws.num_rows}


def _rows(path: str) -> int:
    with pa.memory_map(local_file(path)) as source:
        file = pa.ipc.open_file(source)
        return sum(file.get_batch(i).num_rows for i in range(file.num_record_batches))


def default_draws(
    folder: Path,
    shards: Sequence[str],
    made: Sequence[dict[str, Any]],
    *,
    tokenizer: str | Path,
    eos: str = "",
    document_files: Sequence[str] = (),
) -> DrawSet:
    """The draw set over the results of `draw_shard` for `shards`, in order, whose files lie in `folder`."""
    tokens = [sum(part) for part in zip(*(one["tokens"] for one in made), strict=True)] or [0]
    documents = [sum(part) for part in zip(*(one["documents"] for one in made), strict=True)] or [0]
    return DrawSet(
        files=tuple(str(folder / one["file"]) for one in made),
        shards=tuple(shards),
        tokens=tuple(tokens),
        documents=tuple(documents),
        phases=(Phase("all", 0, len(tokens)),),
        tokenizer=str(tokenizer),
        eos=eos,
        document_files=tuple(document_files),
        empty_documents=sum(one["empty"] for one in made),
    )
