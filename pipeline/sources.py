"""Where a run's rows come from: WARC files, plain files of documents, or an earlier step's shards."""

from __future__ import annotations

import dataclasses
import hashlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, ClassVar

import pyarrow as pa
import pyarrow.parquet as pq

from .documents import (
    DocumentBatch,
    DocumentSplit,
    first_keys,
    input_files,
    plan_documents,
    read_documents,
    split_schema,
)
from .errors import ConfigError, nearest
from .inputs import Extent
from .schema import DOCUMENT, PAGE
from .stage import configured
from .steps import Artefact
from .storage import is_url, local_file
from .store import digest

_BATCH_BYTES = 8 << 20
"""Payload bytes in a batch: small enough for reading to run ahead of extraction."""

READERS = ("fastwarc", "warcio")
URL_INDEXES = ("columnar", "cdx")
SAMPLE = "sample"
"""The input name that stands for the sample crawl in this package."""


@dataclass(frozen=True, kw_only=True)
class Source:
    """Plans splits, deterministically and whatever the worker count, and reads each into batches."""

    name: ClassVar[str] = ""
    initial: ClassVar[bool] = True  # False: reads what the step before made

    def check(self) -> None:
        """Raise ConfigError if an option can't work."""
        split_bytes = getattr(self, "split_bytes", 1)
        if not isinstance(split_bytes, int) or split_bytes < 1:
            raise ConfigError(f"source '{self.name}': split_bytes must be a positive whole number, not {split_bytes!r}")

    def columns(self) -> set[str]:
        """Columns that are certain to be there."""
        raise NotImplementedError

    def schema(self, split: Any) -> pa.Schema:
        """The schema of the batches of a split."""
        raise NotImplementedError

    def splits(self, documents: Artefact | None) -> Sequence[Any]:
        """The work, in order."""
        raise NotImplementedError

    def read(self, split: Any) -> Iterator[Any]:
        """Batches of a split."""
        raise NotImplementedError

    def name_of(self, split: Any) -> str:
        """The file that a split belongs to, as provenance names it."""
        raise NotImplementedError

    def bytes_of(self, split: Any) -> int:
        """Bytes of a file that a split takes, as far as that is known without a look at it."""
        return 0

    def local_files(self) -> dict[str, str]:
        """The path of each file on this machine that is read, by its name (see `name_of`)."""
        return {}

    def extent(self, split: Any) -> Extent | None:
        """The part of a local file that a split stands for: those of a file's splits are all of it."""
        return None

    def config(self) -> dict[str, Any]:
        return {f.name: getattr(self, f.name) for f in dataclasses.fields(self)}

    def fingerprint(self) -> str:
        """Hash of what is read: names, sizes and what tells contents apart, never an absolute path.

        That is an ETag in a store, and here the ends of a file; for the rest of it see `pipeline/inputs.py`.
        """
        return ""


def _local(path: str) -> str | None:
    """The path of a file on this machine; None for a URL."""
    local = path.removeprefix("file://")
    return None if is_url(local) else local


def _extent(path: str, start: int, end: int) -> Extent | None:
    local = _local(path)
    return None if local is None else Extent(local, start, end)


def _content_mark(path: str, size: int) -> str:
    """Digest of the first and last 64 KiB of a local file; "" of a URL."""
    local = _local(path)
    if local is None:
        return ""
    with open(local, "rb") as handle:
        head = handle.read(1 << 16)
        handle.seek(max(0, size - (1 << 16)))
        return digest(head.hex(), handle.read(1 << 16).hex())


def _rows_mark(records: pa.Table) -> list[Any]:
    """What tells one choice of records from another."""
    files = records["file"].combine_chunks().dictionary_encode()
    numbers = [files.indices, records["offset"], records["length"]]
    marks = [hashlib.blake2b(one.to_numpy().astype("<i8").tobytes(), digest_size=16).hexdigest() for one in numbers]
    return [files.dictionary.to_pylist(), marks]


@dataclass(frozen=True, kw_only=True)
class WarcSource(Source):
    """WARC, WET and ARC files: paths, globs, folders, URLs or `CC-MAIN-YYYY-WW`."""

    name: ClassVar[str] = "warc"
    inputs: tuple[str, ...] = ()
    warcs: int | None = field(default=None, metadata={"help": "how many files of a Common Crawl release to take"})
    share: float | None = field(default=None, metadata={"help": "which share of a release's files, 0 to 1"})
    spread: bool = field(default=False, metadata={"help": "take files from all over the release, not its first ones"})
    stream: bool = field(default=False, metadata={"help": "read a release's files by ranges, without downloading them"})
    domains: tuple[str, ...] = field(default=(), metadata={"help": "only a release's pages of these domains"})
    urls: tuple[str, ...] = field(default=(), metadata={"help": "only pages whose URL matches, as *.example.org/a/*"})
    index: str = field(default="columnar", metadata={"help": "which index finds domains and urls: columnar or cdx"})
    split_bytes: int = field(default=32 << 20, metadata={"help": "bytes of a file that one task takes"})
    reader: str = field(default="fastwarc", metadata={"help": "fastwarc or warcio"})
    max_payload_bytes: int = field(default=64 << 20, metadata={"help": "skip larger payloads (decoded)"})

    def check(self) -> None:
        super().check()
        if self.reader not in READERS:
            raise ConfigError(f"source 'warc' has no reader '{self.reader}'{nearest(str(self.reader), READERS)}")
        if self.index not in URL_INDEXES:
            raise ConfigError(f"source 'warc' has no index '{self.index}'{nearest(str(self.index), URL_INDEXES)}")
        if self.picks:
            from .warc.commoncrawl.wanted import wanted

            wanted(self.domains, self.urls)

    @property
    def picks(self) -> bool:
        """Whether single records are picked through a URL index."""
        return bool(self.domains or self.urls)

    def _records(self) -> list[pa.Table]:
        """The records that the index finds, a table for each release. Raises ConfigError, StepFailed."""
        from .warc.commoncrawl import find_records, is_release

        for one in self.inputs:
            if not is_release(one):
                raise ConfigError(
                    f"domains and urls pick from a Common Crawl release (CC-MAIN-YYYY-WW); '{one}' is none"
                )
        return [
            find_records(
                one, self.domains, self.urls, self.index, warcs=self.warcs, share=self.share, spread=self.spread
            )
            for one in sorted(set(self.inputs))
        ]

    def _sources(self) -> list[Any]:
        from .warc import list_sources

        inputs = [str(sample_warc()) if one == SAMPLE else one for one in self.inputs]
        return list_sources(inputs, warcs=self.warcs, share=self.share, spread=self.spread, stream=self.stream)

    def columns(self) -> set[str]:
        return set(PAGE.names)

    def schema(self, split: Any) -> pa.Schema:
        return PAGE

    def splits(self, documents: Artefact | None) -> Sequence[Any]:
        from .warc import plan_record_splits, plan_splits
        from .warc.commoncrawl import base_url

        if self.picks:
            found = pa.concat_tables(self._records())
            names, offsets, lengths = (column.to_pylist() for column in found.columns)
            return plan_record_splits(base_url(), names, offsets, lengths, self.split_bytes)
        return plan_splits(self._sources(), split_bytes=self.split_bytes)

    def read(self, split: Any) -> Iterator[Any]:
        from .warc import read_pages

        pages = read_pages(
            split, engine=self.reader, batch_bytes=_BATCH_BYTES, max_payload_bytes=self.max_payload_bytes
        )
        return iter(pages)

    def name_of(self, split: Any) -> str:
        return str(split.source.name)

    def bytes_of(self, split: Any) -> int:
        return int(split.bytes)

    def local_files(self) -> dict[str, str]:
        sources = [] if self.picks else self._sources()
        return {s.name: local for s in sources if (local := _local(s.path)) is not None}

    def extent(self, split: Any) -> Extent | None:
        return None if self.picks else _extent(split.source.path, split.start, split.end)

    def config(self) -> dict[str, Any]:
        """Without what says which files are read and how: `fingerprint` has them by name."""
        where = ("inputs", "warcs", "share", "spread", "stream", "domains", "urls", "index")
        return {k: v for k, v in super().config().items() if k not in where}

    def fingerprint(self) -> str:
        if self.picks:
            return digest("records", [_rows_mark(records) for records in self._records()])
        return digest([(s.name, s.size, s.mark or _content_mark(s.path, s.size)) for s in self._sources()])


@dataclass(frozen=True, kw_only=True)
class DocumentsSource(Source):
    """Plain Parquet or JSON-lines files of documents."""

    name: ClassVar[str] = "documents"
    inputs: tuple[str, ...] = ()
    text_field: str = field(default="text", metadata={"help": "the column or key that holds the text"})
    split_bytes: int = field(default=128 << 20, metadata={"help": "bytes of a Parquet file that one task takes"})
    id_prefix: str = field(default="", metadata={"help": "put before each id, so that ids of several sources differ"})

    def columns(self) -> set[str]:
        splits = plan_documents(self.inputs, self.split_bytes)
        return set.intersection(*(set(split_schema(s, self.text_field).names) for s in splits))

    def schema(self, split: DocumentSplit) -> pa.Schema:
        return split_schema(split, self.text_field)

    def splits(self, documents: Artefact | None) -> Sequence[DocumentSplit]:
        return plan_documents(self.inputs, self.split_bytes)

    def first_keys(self, until: str) -> set[str]:
        """Keys of the first documents of JSON files (`rank.best` within one), file by file until one has `until`."""
        found: set[str] = set()
        for split in self.splits(None):
            found |= first_keys(split)
            if until in found:
                break
        return found

    def read(self, split: DocumentSplit) -> Iterator[DocumentBatch]:
        for made in read_documents(split, text_field=self.text_field):
            made.table = prefixed(made.table, self.id_prefix)
            yield made

    def name_of(self, split: DocumentSplit) -> str:
        return split.name

    def local_files(self) -> dict[str, str]:
        return {f.name: local for f in input_files(self.inputs) if (local := _local(f.path)) is not None}

    def extent(self, split: DocumentSplit) -> Extent | None:
        return _extent(split.path, *split.extent) if split.extent else None

    def config(self) -> dict[str, Any]:
        left = {"inputs"} if self.id_prefix else {"inputs", "id_prefix"}
        return {k: v for k, v in super().config().items() if k not in left}

    def fingerprint(self) -> str:
        splits = plan_documents(self.inputs, self.split_bytes)
        return digest([(s.name, s.size, s.mark or _content_mark(s.path, s.size)) for s in splits])


def prefixed(documents: pa.Table, prefix: str) -> pa.Table:
    """The documents with `prefix` before each id."""
    if not prefix:
        return documents
    at = documents.schema.get_field_index("id")
    ids = [prefix + one for one in documents["id"].to_pylist()]
    return documents.set_column(at, documents.schema.field(at), pa.array(ids, documents.schema.field(at).type))


@dataclass(frozen=True, kw_only=True)
class ShardSource(Source):
    """The documents that the step before kept."""

    name: ClassVar[str] = "shards"
    initial: ClassVar[bool] = False
    batch_rows: int = 1024

    def columns(self) -> set[str]:
        return set(DOCUMENT.names)

    def schema(self, split: str) -> pa.Schema:
        return pq.read_schema(local_file(split))

    def splits(self, documents: Artefact | None) -> Sequence[str]:
        if documents is None:
            raise ConfigError("this step needs documents, but nothing before it makes any")
        return [str(documents.path / file) for file in documents.files]

    def read(self, split: str) -> Iterator[DocumentBatch]:
        for batch in pq.ParquetFile(local_file(split)).iter_batches(self.batch_rows):
            yield DocumentBatch(pa.Table.from_batches([batch]), batch.num_rows, [])

    def name_of(self, split: str) -> str:
        return Path(split).name


SOURCES: dict[str, type[Source]] = {s.name: s for s in (WarcSource, DocumentsSource)}


def make_source(name: str, config: dict[str, Any], where: str) -> Source:
    """A source from its name and configuration; a typo is an error naming the nearest option."""
    return configured(SOURCES[name], config, f"{where}: source '{name}'")


def sample_warc() -> Path:
    """The folder of the sample crawl that comes with the package."""
    return Path(__file__).parent / "sample" / "crawl"
