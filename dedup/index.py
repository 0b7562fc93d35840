"""An index that lasts: band keys and shingle sets of documents that were kept, to dedup later crawls against.

A folder of segments, each of Parquet files with `id, url, text_hash, copies, bands, shingles`; `index.json` holds the
parameters, which all segments share, the segments in order, and how many documents were removed from each. Removed
ids lie in `removed/`. Every change writes new files first and `index.json` last, so that a killed one leaves the
index as it was; what that left behind goes with the next change. A document takes 8 bytes a band and 8 a shingle: about
1.3 times its text. Documents without a word have nothing to be found by and are left out.
"""

from __future__ import annotations

import uuid
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from pipeline.errors import ConfigError, SchemaError
from pipeline.names import check_inside
from pipeline.storage import StorePath, held, remove_tree
from pipeline.storage.lease import LOCK
from pipeline.store import locked, parquet_shards, read_json, write_json

from .hashing import text_hashes
from .minhash_parameters import MinhashParameters, with_shingles
from .removal import COPIES
from .shingles import Shingling
from .shuffle import document_batches

FORMAT = 1
NAME = "index.json"


def index_schema(bands: int) -> pa.Schema:
    """The columns of a segment's files."""
    return pa.schema(
        [
            ("id", pa.string()),
            ("url", pa.string()),
            ("text_hash", pa.string()),
            (COPIES, pa.int64()),
            ("bands", pa.list_(pa.uint64(), bands)),
            ("shingles", pa.large_list(pa.uint64())),
        ]
    )


@dataclass(frozen=True)
class Index:
    """An index's folder and what `index.json` says."""

    path: Path
    parameters: MinhashParameters
    segments: tuple[str, ...]
    removed: tuple[tuple[str, int], ...]
    """Files of removed ids, and how many segments there were then: only from these they are gone."""
    revision: str
    """Changes with every change of the index; takes part in the fingerprint of what is deduplicated against it."""

    @classmethod
    def create(cls, path: Path, parameters: MinhashParameters) -> Index:
        """A new empty index. Raises ConfigError where the folder holds anything."""
        if path.exists() and any(path.iterdir()):
            raise ConfigError(
                f"index '{path}': the folder is not empty; `add` puts documents into an index that is there"
            )
        path.mkdir(parents=True, exist_ok=True)
        return cls(path, parameters, (), (), "")._saved()

    @classmethod
    def open(cls, path: Path) -> Index:
        """Raises ConfigError where there is none, or one of another format."""
        value = read_json(path / NAME)
        if value is None:
            raise ConfigError(
                f"'{path}' is no index: there is no {NAME} in it; `gristmill dedup index build` makes one"
            )
        if value.get("format") != FORMAT:
            raise ConfigError(f"index '{path}' has format {value.get('format')}, this version reads format {FORMAT}")
        given = dict(value["parameters"])
        for name in [*value["segments"], *(file for file, _ in value["removed"])]:
            check_inside(name, path / NAME)
        parameters = MinhashParameters(**{**given, "shingling": Shingling(**given["shingling"])})
        return cls(
            path,
            parameters,
            tuple(value["segments"]),
            tuple((file, until) for file, until in value["removed"]),
            value["revision"],
        )

    def _saved(self) -> Index:
        write_json(
            self.path / NAME,
            {
                "format": FORMAT,
                "parameters": self.parameters.config(),
                "segments": list(self.segments),
                "removed": [list(one) for one in self.removed],
                "revision": self.revision,
            },
        )
        return self

    def files(self) -> list[Path]:
        """All segments' files, in order."""
        return [path for name in self.segments for path in sorted((self.path / "segments" / name).glob("*.parquet"))]

    def _removed_from(self, file: Path) -> pa.Array:
        """The ids that were removed from a segment's file."""
        segment = self.segments.index(file.parent.name)
        files = [self.path / "removed" / name for name, until in self.removed if segment < until]
        return _joined([chunk for one in files for chunk in pq.read_table(one)["id"].chunks])

    def add(self, shards: Iterable[Path]) -> Index:
        """The index with the documents of Parquet shards (`id`, `text`, perhaps `url` and `copies`) as a new segment.

        Ids that the index holds already raise ConfigError, unless they were removed.
        """
        with self.new_segment() as folder:
            for number, shard in enumerate(shards):
                write_segment(
                    folder / f"{number:05d}.parquet",
                    (table for _, table in document_batches(shard)),
                    self.parameters,
                    str(shard),
                )
            return self.with_segment(folder)

    @contextmanager
    def new_segment(self) -> Iterator[Path]:
        """An empty folder for a segment's files, for `with_segment` to take up; it is gone if the block fails.

        Raises ConfigError where another process changes the index, or has changed it since it was opened.
        """
        with self._locked():
            folder = self.path / "segments" / f"{len(self.segments):05d}-{uuid.uuid4().hex[:8]}"
            folder.mkdir(parents=True)
            try:
                yield folder
            except BaseException:
                remove_tree(folder)
                raise

    def with_segment(self, folder: Path) -> Index:
        """The index with the files in a folder of `new_segment`, saved. Raises ConfigError for ids that it holds."""
        known = self._ids()
        new = _joined([c for path in sorted(folder.glob("*.parquet")) for c in pq.read_table(path)["id"].chunks])
        again = new.filter(pc.is_in(new, value_set=known))
        if len(again):
            raise ConfigError(f"index '{self.path}' holds the document '{again[0].as_py()}' already")
        counts = new.value_counts()
        twice = counts.filter(pc.greater(counts.field("counts"), 1))
        if len(twice):
            raise ConfigError(
                f"index '{self.path}': the documents to add repeat an id, '{twice.field('values')[0].as_py()}'"
            )
        segments = (*self.segments, folder.name)
        return Index(self.path, self.parameters, segments, self.removed, uuid.uuid4().hex)._saved()

    @contextmanager
    def _locked(self) -> Iterator[None]:
        """Hold the index for a change, and clear away what killed changes left."""
        with _held(self.path):
            if Index.open(self.path).revision != self.revision:
                raise ConfigError(f"index '{self.path}' was changed meanwhile; open it again")
            for left in (self.path / "segments").glob("*"):
                if left.name not in self.segments:
                    remove_tree(left)
            yield

    def remove(self, ids: Iterable[str]) -> tuple[Index, int]:
        """The index without these documents, and how many of them it held."""
        wanted = pa.array(sorted(set(ids)), pa.string())
        with self._locked():
            held = wanted.filter(pc.is_in(wanted, value_set=self._ids()))
            if not len(held):
                return self, 0
            name = f"{len(self.removed):05d}-{uuid.uuid4().hex[:8]}.parquet"
            schema = pa.schema([("id", pa.string())])
            with parquet_shards((self.path / "removed" / name, schema)) as (out,):
                out.write(pa.table([held], schema=schema))
                out.close()
            removed = (*self.removed, (name, len(self.segments)))
            changed = Index(self.path, self.parameters, self.segments, removed, uuid.uuid4().hex)._saved()
        return changed, len(held)

    def documents(self) -> int:
        """How many documents it holds."""
        return len(self._ids())

    def size(self) -> int:
        """Bytes of all its files."""
        return sum(path.stat().st_size for path in self.path.rglob("*") if path.is_file())

    def read(self, file: Path, columns: list[str]) -> Iterator[tuple[int, pa.Table]]:
        """(number of the first row, rows) of one file, batch by batch; removed ones have a null `id`."""
        gone = self._removed_from(file)
        for start, table in document_batches(file, list(dict.fromkeys(["id", *columns]))):
            out = pc.is_in(table["id"], value_set=gone)
            ids = pc.if_else(out, pa.scalar(None, pa.string()), table["id"])
            yield start, table.set_column(table.column_names.index("id"), "id", ids)

    def find(self, ids: Iterable[str]) -> list[dict[str, Any]]:
        """`id`, `url`, `text_hash` and `copies` of documents, in the order of the index."""
        wanted = pa.array(list(ids), pa.string())
        found = []
        for file in self.files():
            for _, table in self.read(file, ["url", "text_hash", COPIES]):
                found += table.filter(pc.is_in(table["id"], value_set=wanted)).to_pylist()
        return found

    def _ids(self) -> pa.Array:
        return _joined([c for file in self.files() for _, t in self.read(file, []) for c in t["id"].drop_null().chunks])


@contextmanager
def _held(path: Path) -> Iterator[None]:
    """Keep other processes from changing the index at `path`. Raises ConfigError where one does."""
    if isinstance(path, StorePath):
        with held(path):
            yield
        return
    with locked(path / LOCK, f"index '{path}': another process is changing it; try again later"):
        yield


def write_segment(path: Path, tables: Iterable[pa.Table], parameters: MinhashParameters, where: str) -> int:
    """Write one file of a segment; `where` names the documents in errors. Returns its rows."""
    with parquet_shards((path, index_schema(parameters.bands))) as (out,):
        for table in tables:
            out.write(_described(table, parameters, where))
        return int(out.close()["rows"])


def _described(table: pa.Table, parameters: MinhashParameters, where: str) -> pa.Table:
    """A segment's rows of documents; those without a shingle are left out."""
    for name in ("id", "text"):
        if name not in table.column_names:
            raise SchemaError(f"'{where}' has no column '{name}'")
    if table["id"].null_count:
        raise SchemaError(f"'{where}' has documents without an id; an index needs one for each")
    texts = table["text"]
    keys, hashes, offsets = parameters.described(texts)
    n = table.num_rows
    rows = pa.table(
        {
            "id": table["id"].cast(pa.string()),
            "url": table["url"] if "url" in table.column_names else pa.nulls(n, pa.string()),
            "text_hash": text_hashes(texts).hex(),
            COPIES: table[COPIES] if COPIES in table.column_names else pa.array(np.ones(n, np.int64)),
            "bands": pa.FixedSizeListArray.from_arrays(pa.array(keys.reshape(-1)), parameters.bands),
            "shingles": pa.LargeListArray.from_arrays(pa.array(offsets), pa.array(hashes)),
        },
    )
    return rows.take(pa.array(with_shingles(keys)))


def _joined(chunks: list[pa.Array]) -> pa.Array:
    return pa.concat_arrays([chunk.cast(pa.string()) for chunk in chunks] or [pa.array([], pa.string())])
