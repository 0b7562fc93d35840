"""Cutting sources into splits: byte ranges that workers read independently.

A plan depends on the sources' names and sizes and on `split_bytes` alone; no file is opened. What a
split owns is found by its reader (see `members` and `framing`):

- gzip with members: the members that begin a record at an offset in `[start, end)`;
- uncompressed WARC and ARC: the records whose offset lies in `[start, end)`. A reader hops from header to header
  from the file's beginning, without reading payloads, so that a WARC inside a payload can't be mistaken for records;
- anything else (single-member gzip, zstd, bzip2, lz4, WACZ): the first split owns all, the others nothing.

Whatever `split_bytes` is, the splits of a file together yield the records of the whole file, each once.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from ..errors import ConfigError


@dataclass(frozen=True)
class Source:
    """One input file. `path` is where it lies (path or URL), `name` what ids and provenance use, `size` its bytes.

    `mark` is what its server called this version of it (an ETag), so that a change under a run is noticed.
    """

    path: str
    name: str
    size: int
    mark: str = ""


@dataclass(frozen=True)
class Split:
    """Bytes `[start, end)` of a source."""

    source: Source
    start: int
    end: int

    @property
    def bytes(self) -> int:
        """Bytes to read."""
        return self.end - self.start


@dataclass(frozen=True)
class RecordSplit:
    """Single records, picked from one or more files by an index. `source` is the first file.

    `records` are (number of the file in `files`, offset, compressed bytes), by file and offset; the files' sizes
    aren't known (-1).
    """

    source: Source
    files: tuple[Source, ...]
    records: tuple[tuple[int, int, int], ...]

    @property
    def bytes(self) -> int:
        """Bytes to read."""
        return sum(length for _, _, length in self.records)


def plan_splits(sources: Iterable[Source], split_bytes: int = 32 << 20) -> list[Split]:
    """Splits of `split_bytes` in the order of the sources; an empty file has one empty split.

    The last split of a file is stretched rather than followed by one of less than half `split_bytes`.
    Raises ConfigError unless `split_bytes` is positive.
    """
    if split_bytes <= 0:
        raise ConfigError(f"split_bytes must be positive, not {split_bytes}")
    splits = []
    for source in sources:
        pieces = max(1, (source.size + split_bytes // 2) // split_bytes)
        for k in range(pieces):
            end = source.size if k == pieces - 1 else (k + 1) * split_bytes
            splits.append(Split(source, k * split_bytes, end))
    return splits


MAX_SPLIT_RECORDS = 2048


def plan_record_splits(
    base: str, names: Sequence[str], offsets: Sequence[int], lengths: Sequence[int], split_bytes: int = 32 << 20
) -> list[RecordSplit]:
    """Splits of records in their order, of about `split_bytes` and at most MAX_SPLIT_RECORDS records each.

    `names` are the files' paths below the URL `base`, one a record; records of one file stand together.
    """
    splits: list[RecordSplit] = []
    files: list[Source] = []
    records: list[tuple[int, int, int]] = []
    total = 0

    def close() -> None:
        nonlocal total
        if records:
            splits.append(RecordSplit(files[0], tuple(files), tuple(records)))
        files.clear()
        records.clear()
        total = 0

    for name, offset, length in zip(names, offsets, lengths, strict=True):
        if not files or files[-1].name != name:
            files.append(Source(f"{base}/{name}", name, -1))
        records.append((len(files) - 1, offset, length))
        total += length
        if total >= split_bytes or len(records) >= MAX_SPLIT_RECORDS:
            close()
    close()
    return splits
