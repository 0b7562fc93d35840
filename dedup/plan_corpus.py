"""How many documents files hold and how long these are: counted where the files say it, else reckoned from a sample."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow.compute as pc
import pyarrow.parquet as pq

from pipeline.documents import bounded_lines, is_parquet, open_jsonl
from pipeline.errors import ConfigError
from pipeline.storage import open_input

from .plan import Corpus
from .shingles import Shingling, shingle_hashes

if TYPE_CHECKING:
    from pipeline.sources import DocumentsSource

SAMPLED_FILES = 32
READ_BYTES = 4 << 20
"""Of a file of JSON lines, as it is on disk; a smaller one is counted whole."""


def corpus_of(source: DocumentsSource, shingling: Shingling, duplicates: float) -> tuple[Corpus, bool]:
    """(what the files hold, whether documents were counted rather than reckoned). Raises ConfigError without any."""
    splits = source.splits(None)
    documents, exact = _documents(splits)
    texts, sizes, sets = 0, 0, 0
    for split in _spread(splits):
        table = next((batch.table for batch in source.read(split) if batch.table.num_rows), None)
        if table is None:
            continue
        texts += table.num_rows
        sizes += pc.sum(pc.binary_length(table["text"])).as_py()
        sets += len(shingle_hashes(table["text"], shingling)[0])
    if not documents or not texts:
        raise ConfigError(f"{', '.join(source.inputs)}: there are no documents in these files")
    made = Corpus(
        documents=documents,
        bytes_per_document=sizes / texts,
        shingles=sets / texts,
        duplicates=duplicates,
        shards=len(splits),
    )
    return made, exact


def _spread(items: Sequence[Any]) -> list[Any]:
    """At most SAMPLED_FILES of them, evenly spread."""
    places = np.unique(np.linspace(0, len(items) - 1, min(len(items), SAMPLED_FILES)).astype(int))
    return [items[place] for place in places]


def _documents(splits: Sequence[Any]) -> tuple[int, bool]:

    total = 0
    lines: list[Any] = []
    seen: set[str] = set()
    for split in splits:
        if not is_parquet(split.path):
            lines.append(split)
        elif split.path not in seen:
            seen.add(split.path)
            with open_input(split.path) as handle:
                total += pq.ParquetFile(handle).metadata.num_rows
    if not lines:
        return total, True
    sampled = _spread(lines)
    counts = [_lines(split.path) for split in sampled]
    if len(sampled) == len(lines) and all(read >= split.size for split, (_, read) in zip(sampled, counts, strict=True)):
        return total + sum(count for count, _ in counts), True
    reckoned = sum(count * split.size / max(1, read) for split, (count, read) in zip(sampled, counts, strict=True))
    return total + round(reckoned * sum(s.size for s in lines) / max(1, sum(s.size for s in sampled))), False


def _lines(path: str) -> tuple[int, int]:
    """(lines with anything in them, bytes of the file that they took) of a file's beginning."""

    with open_input(path) as raw:
        count = 0
        try:
            for line in bounded_lines(open_jsonl(raw, path)):
                count += line is None or bool(line.strip())
                if raw.tell() >= READ_BYTES:
                    return count, raw.tell()
        except (OSError, EOFError) as error:
            raise ConfigError(f"{path} can't be read: {error}") from error
        return count, raw.tell()
