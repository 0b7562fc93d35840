"""Lines or paragraphs that many documents of the corpus share, cut from all but the first of them, or from all.

A line counts once a document, so what one document repeats for itself (a refrain, `return None`) is left to other
filters. Two ways to count, both out of core, both the same whatever the order of files and the number of workers:

- `exact`: map writes each shard's line hashes with the number of its documents, partitioned by hash; reduce adds them
  up and tells each shard which of its lines are repeated.
- `bloom`: a counting Bloom filter (`dedup.sketch`) of stated size and error rate, filled in one pass and asked in the
  next. With `keep: first` its errors do no harm: the second pass counts exactly what the filter takes for repeated.

`keep: first` needs one more map and reduce over repeated lines only: each shard's first document, in the policy's
order, and of these the first of all. Last, each shard's texts are written without what is cut. A task holds the line
hashes of one shard (16 bytes a line), or of one partition, or one filter.

Lines are compared by 64-bit hashes: of n different lines n^2 / 2^65 pairs collide (3 of 10^10).

Reads `text` and the policy's columns; edits `text`, adds `cut_spans` (as an `Editor`) and `line_dedup_left` (bytes of
the text that are left, as a share). Reasons to drop: `empty`, `min_left`.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from numpy.typing import NDArray

from pipeline.errors import ConfigError, SchemaError, nearest
from pipeline.runner import Task
from pipeline.stage import CUT_SPANS
from pipeline.steps import Step, StepContext, register_step, shard_results
from pipeline.storage import local_file, place

from . import shuffle
from .keeper import HELP, KeeperPolicy
from .removal import block_of, blocks
from .shuffle import document_batches, files_in, partition_tables, read_partition, write_partitions
from .sketch import Sketch, SketchSize

if TYPE_CHECKING:
    import polars as pl

LINES_PER_PARTITION = 8_000_000
"""Line hashes that one reduce task adds up: about 400 MB."""
BYTES_PER_LINE = 50
FILTERS = 8
"""Bloom filters that are filled apart and merged then, at most: each takes the filter's size on disk."""
LEFT = "line_dedup_left"


@dataclass(frozen=True)
class LineTask:
    """One shard or one partition; `index` is its number."""

    index: int
    shards: int
    partitions: int
    folder: str
    path: str
    step: LineDedup
    size: SketchSize | None

    def file(self, folder: str) -> Path:
        """The task's own file in a folder of partitioned files."""
        return place(self.folder) / folder / f"{self.index:05d}.arrow"

    @property
    def policy(self) -> KeeperPolicy:
        return KeeperPolicy.parse(self.step.order, self.step.name)

    def told(self, folder: str) -> pa.Table:
        """What reduce tasks have to tell this shard."""
        files = files_in(place(self.folder) / folder, self.partitions)
        block = partition_tables(files, int(block_of(self.index, self.shards)))
        return pa.concat_tables([t.filter(pc.equal(t["shard"], self.index)) for t in block])


def _tell(task: LineTask, folder: str, frame: pl.DataFrame) -> dict[str, Any]:
    """Write rows with a column `shard` for these shards."""
    table = frame.sort("shard", "hash").to_arrow()
    block = block_of(table["shard"].to_numpy().astype(np.int64), task.shards)
    return write_partitions(task.file(folder), table, block, blocks(task.shards))


def map_lines(task: LineTask) -> dict[str, Any]:
    """Write `lines/` (hash and row, once a document, sorted), `contents/` (of rows), and for `exact` `counts/`."""
    from .hashing import raw_hashes
    from .linetexts import Lines

    hashes, rows, contents, seen = [np.zeros(0, np.uint64)], [np.zeros(0, np.int64)], [np.zeros(0, np.uint64)], 0
    for first, table in document_batches(task.path, ["text"]):
        lines = Lines.of(table["text"], task.step, first)
        seen += len(lines.counted)
        pair = lines.hashes[lines.counted], lines.rows[lines.counted]
        order = np.lexsort(pair[::-1])
        new = _news(pair[0][order], pair[1][order])
        hashes.append(pair[0][order][new])
        rows.append(pair[1][order][new])
        contents.append(raw_hashes(table["text"]))
    hash_, row = np.concatenate(hashes), np.concatenate(rows)
    order = np.lexsort((row, hash_))
    hash_, row = hash_[order], row[order]
    documents = pa.table({"content": np.concatenate(contents)})
    one = np.zeros
    files = [
        write_partitions(task.file("lines"), pa.table({"hash": hash_, "row": row}), one(len(row), np.int64), 1),
        write_partitions(task.file("contents"), documents, one(len(documents), np.int64), 1),
    ]
    if task.size is None:
        bounds = np.append(np.flatnonzero(_news(hash_)), len(hash_))
        shard = pa.repeat(pa.scalar(task.index, pa.int32()), len(bounds) - 1)
        counts = pa.table({"hash": hash_[bounds[:-1]], "documents": np.diff(bounds), "shard": shard})
        files.append(
            write_partitions(task.file("counts"), counts, _partition(hash_[bounds[:-1]], task), task.partitions)
        )
    return {"files": files, "n_in": len(documents), "lines": seen, "counted": len(row)}


def _news(*sorted_columns: NDArray[Any]) -> NDArray[np.bool_]:
    """Where a row of sorted columns differs from the one before."""
    new = np.ones(len(sorted_columns[0]), bool)
    if len(new):
        new[1:] = np.logical_or.reduce([column[1:] != column[:-1] for column in sorted_columns])
    return new


def _partition(hashes: NDArray[np.uint64], task: LineTask) -> NDArray[np.int64]:
    return (hashes % np.uint64(task.partitions)).astype(np.int64)


def reduce_counts(task: LineTask) -> dict[str, Any]:
    """Tell each shard which of its lines are in more than `max_count` documents: `repeated/`."""
    import polars as pl

    counts = _frame(task, "counts")
    many = pl.col("documents").sum().over("hash") > task.step.max_count
    return {"files": [_tell(task, "repeated", counts.filter(many).select("shard", "hash"))], "n_in": counts.height}


def _frame(task: LineTask, folder: str) -> pl.DataFrame:
    import polars as pl

    frame = pl.from_arrow(read_partition(files_in(place(task.folder) / folder, task.shards), task.index))
    assert isinstance(frame, pl.DataFrame)
    return frame


def fill_filter(task: LineTask) -> dict[str, Any]:
    """Count the lines of every `FILTERS`th shard from `index` on: `filters/<index>.bin`."""
    assert task.size is not None
    sketch, shards = Sketch(task.size), 0
    for path in files_in(place(task.folder) / "lines", task.shards)[task.index :: FILTERS]:
        table = read_partition([path], 0)
        sketch.add(table["hash"].to_numpy())
        shards += 1
    path = _filter(task, str(task.index))
    sketch.write(path)
    return {"files": [shuffle.entry(path, 0)], "n_in": shards}


def merge_filters(task: LineTask) -> dict[str, Any]:
    """Add the filters up: `filters/all.bin`."""
    assert task.size is not None
    sketch = Sketch(task.size)
    for index in range(min(task.shards, FILTERS)):
        sketch.merge(_filter(task, str(index)))
    path = _filter(task, "all")
    sketch.write(path)
    return {"files": [shuffle.entry(path, 0)], "filled": sketch.filled()}


def _filter(task: LineTask, name: str) -> Path:
    return place(task.folder) / "filters" / f"{name}.bin"


def repeated(task: LineTask) -> NDArray[np.uint64]:
    """Sorted hashes of the shard's lines that are repeated, or by the filter seem so."""
    if task.size is None:
        found: NDArray[np.uint64] = np.sort(task.told("repeated")["hash"].to_numpy())
        return found
    hashes = read_partition([task.file("lines")], 0, ["hash"])["hash"].to_numpy()
    hashes = hashes[_news(hashes)]
    return hashes[Sketch.open(task.size, _filter(task, "all")).estimates(hashes) > task.step.max_count]


def places(values: NDArray[Any], among: NDArray[Any]) -> tuple[NDArray[np.int64], NDArray[np.bool_]]:
    """(place in sorted `among`, whether it is there) of each value; where it is not, the place is some valid one."""
    if len(among) == 0:
        return np.zeros(len(values), np.int64), np.zeros(len(values), bool)
    at = np.minimum(np.searchsorted(among, values), len(among) - 1)
    return at, among[at] == values


def map_candidates(task: LineTask) -> dict[str, Any]:
    """Write `candidates/`: of each repeated line the shard's first document, and in how many documents it is."""
    import polars as pl

    policy = task.policy
    lines = read_partition([task.file("lines")], 0)
    hashes, rows = lines["hash"].to_numpy(), lines["row"].to_numpy()
    _, wanted = places(hashes, repeated(task))
    hashes, rows = hashes[wanted], rows[wanted]
    documents = pl.from_arrow(_documents(task, policy))
    assert isinstance(documents, pl.DataFrame)
    ranked = policy.sorted(documents, last=("content", "row"))["row"].to_numpy()
    rank = np.empty(len(ranked), np.int64)
    rank[ranked] = np.arange(len(ranked))
    order = np.lexsort((rank[rows], hashes))
    bounds = np.append(np.flatnonzero(_news(hashes)), len(hashes))  # sorted by hash either way
    best = rows[order][bounds[:-1]]
    chosen = documents[best.tolist()].with_columns(
        pl.Series("hash", hashes[bounds[:-1]], pl.UInt64),
        pl.Series("documents", np.diff(bounds), pl.Int64),
        pl.lit(task.index, pl.Int32).alias("shard"),
    )
    partition = _partition(hashes[bounds[:-1]], task)
    return {"files": [write_partitions(task.file("candidates"), chosen.to_arrow(), partition, task.partitions)],
            "n_in": len(documents)}  # fmt: skip


def _documents(task: LineTask, policy: KeeperPolicy) -> pa.Table:
    """Row, id, content and the policy's values of a shard's documents."""
    contents = read_partition([task.file("contents")], 0)["content"]
    empty = pq.read_schema(local_file(task.path)).empty_table().select(policy.reads)
    tables = [empty, *(table for _, table in document_batches(task.path, policy.reads))]
    parts = [pa.table({"id": table["id"].cast(pa.string()), **policy.values(table)}) for table in tables]
    made = pa.concat_tables(parts)
    return made.append_column("row", [np.arange(len(made))]).append_column("content", contents)


def reduce_first(task: LineTask) -> dict[str, Any]:
    """Tell each shard whose first document has a line which that is: `first/`.

    Of a line that is not repeated after all (the filter erred) all shards are told the row -1: it stays everywhere.
    """
    import polars as pl

    candidates = _frame(task, "candidates")
    ordered = task.policy.sorted(candidates, ("hash",), ("content", "shard", "row"))
    wrong = pl.col("documents").sum().over("hash") <= task.step.max_count
    first = pl.int_range(pl.len()).over("hash") == 0
    told = ordered.with_columns(wrong.alias("wrong"), first.alias("wins")).filter(pl.col("wrong") | pl.col("wins"))
    row = pl.when("wrong").then(pl.lit(-1, pl.Int64)).otherwise("row").alias("row")
    return {"files": [_tell(task, "first", told.select("shard", "hash", row))], "n_in": candidates.height}


@register_step
@dataclass(frozen=True, kw_only=True)
class LineDedup(Step):
    """Cuts lines or paragraphs that several documents share, as CCNet (Wenzek 2020) and Dolma (Soldaini 2024) do."""

    name: ClassVar[str] = "line_dedup"
    version: ClassVar[int] = 1
    needs: ClassVar[tuple[str, ...]] = ("documents",)
    edits: ClassVar[bool] = True
    sources: ClassVar[tuple[str, ...]] = (
        "Wenzek et al. 2020, section 3.1; https://arxiv.org/abs/1911.00359",
        "Soldaini et al. 2024, section 5.2; https://arxiv.org/abs/2402.00159",
        "Bloom 1970; https://doi.org/10.1145/362686.362692",
    )

    unit: str = field(
        default="line",
        metadata={"help": "line (what CCNet and Dolma call a paragraph), or paragraph (between blank lines)"},
    )
    keep: str = field(
        default="first", metadata={"help": "first: a repeated line stays in one document; none: it goes everywhere"}
    )
    max_count: int = field(default=1, metadata={"help": "lines in up to so many documents are not repeated"})
    order: tuple[str, ...] = field(
        default=("record.date",), metadata={"help": f"for keep first: {HELP.replace('copy is kept', 'is first')}"}
    )
    method: str = field(
        default="exact",
        metadata={"help": "exact: hashes counted on disk; bloom: in a filter of expected_lines and error_rate"},
    )
    expected_lines: int = field(default=100_000_000, metadata={"help": "for bloom: different lines in the corpus"})
    error_rate: float = field(
        default=0.001, metadata={"help": "for bloom: share of lines taken for repeated that are not (keep first: none)"}
    )
    normalise: str = field(
        default="ccnet",
        metadata={"help": "ccnet: compare without case and punctuation, digits as 0; space: white space alone ignored"},
    )
    min_chars: int = field(
        default=20, metadata={"help": "shorter lines stay; Chinese, Japanese and Korean characters count twice"}
    )
    min_words: int = field(
        default=4,
        metadata={
            "help": "lines of fewer words stay (ccnet: figures are none); 2 Chinese or Japanese or 4 Thai letters = 1"
        },
    )
    indented: bool = field(
        default=False, metadata={"help": "also lines that begin with a tab or two spaces (code, verse)"}
    )
    min_left: float = field(default=0.0, metadata={"help": "drop documents of which a smaller share of bytes is left"})

    def check(self) -> None:
        where = f"step '{self.name}'"
        choices = {"unit": ("line", "paragraph"), "keep": ("first", "none"), "method": ("exact", "bloom"),
                   "normalise": ("ccnet", "space")}  # fmt: skip
        for option, known in choices.items():
            value = getattr(self, option)
            if value not in known:
                raise ConfigError(
                    f"{where}: {option} can't be '{value}'{nearest(value, known)}; write {' or '.join(known)}"
                )
        for option, least in (("max_count", 1), ("min_chars", 0), ("min_words", 0), ("expected_lines", 1)):
            if getattr(self, option) < least:
                raise ConfigError(f"{where}: {option} must be at least {least}, not {getattr(self, option)}")
        if not 0 <= self.min_left <= 1:
            raise ConfigError(f"{where}: min_left must lie in [0, 1], not {self.min_left}")
        if not 0 < self.error_rate < 1:
            raise ConfigError(f"{where}: error_rate must lie between 0 and 1, not {self.error_rate}")
        if self.method == "bloom" and self.max_count > 254:
            raise ConfigError(f"{where}: bloom counts up to 254; with max_count {self.max_count} use method exact")
        KeeperPolicy.parse(self.order, where)

    def columns(self, have: set[str]) -> set[str]:
        if "text" not in have:
            raise SchemaError(f"step '{self.name}' reads 'text', which no earlier step adds; there: {sorted(have)}")
        if self.keep == "first":
            KeeperPolicy.parse(self.order, f"step '{self.name}'").check_columns(have, f"step '{self.name}'")
        return have | {CUT_SPANS, LEFT}

    def filter_size(self) -> SketchSize | None:
        """The Bloom filter's, None for `exact`."""
        if self.method == "exact":
            return None
        return SketchSize.wanted(self.expected_lines, self.error_rate, self.max_count + 1)

    def run(self, context: StepContext) -> dict[str, Any]:
        from .linetexts import write_texts

        documents, size = context.inputs["documents"], self.filter_size()
        paths = [str(documents.path / file) for file in documents.files]
        partitions = shuffle.partition_count(sum(map(_text_bytes, paths)) // BYTES_PER_LINE, LINES_PER_PARTITION)
        folder, n = str(context.folder.path), len(paths)

        def tasks(name: str, count: int) -> list[Task]:
            made = [LineTask(i, n, partitions, folder, paths[i] if i < n else "", self, size) for i in range(count)]
            return [Task(f"{name}-{task.index:05d}", task) for task in made]

        label = f"{context.step}: "
        mapped = context.map(map_lines, tasks("map", n), label=label + "hash")
        facts: dict[str, Any] = {name: sum(one[name] for one in mapped) for name in ("lines", "counted")}
        if n and size is None:
            context.map(reduce_counts, tasks("count", partitions), unit="lines", label=label + "count")
        elif n and size is not None:
            said = f"{label}Bloom filter: {size.bytes / 2**20:,.1f} MiB, {size.counters:,} counters of {size.bits} bits"
            context.progress.say(f"{said}, {size.probes} a line")
            context.map(fill_filter, tasks("fill", min(n, FILTERS)), unit="shards", label=label + "fill")
            filled = context.map(merge_filters, tasks("merge", 1), label=label + "merge")[0]["filled"]
            facts |= {"filter_bytes": size.bytes, "filter_filled": filled, "error_rate": size.error_rate(filled)}
            if facts["error_rate"] > 1.5 * self.error_rate:
                context.progress.say(
                    f"more lines than expected: error rate {facts['error_rate']:.2g}; raise expected_lines"
                )
        if n and self.keep == "first":
            context.map(map_candidates, tasks("candidates", n), label=label + "first")
            context.map(reduce_first, tasks("first", partitions), unit="lines", label=label + "choose")
        results = context.map(write_texts, tasks("apply", n), label=label + "cut")
        shuffle.remove(context.folder.path, "lines", "contents", "counts", "repeated", "candidates", "first", "filters")
        facts |= {name: sum(result[name] for result in results) for name in ("lines_cut", "bytes_in", "bytes_cut")}
        return {
            **shard_results(results),
            "line_dedup": facts,
        }


def _text_bytes(path: str) -> int:
    """Bytes of a shard's texts, by the file's own account."""
    meta = pq.ParquetFile(local_file(path)).metadata
    places_ = [i for i in range(meta.num_columns) if meta.schema.column(i).path == "text"]
    return sum(meta.row_group(g).column(i).total_uncompressed_size for g in range(meta.num_row_groups) for i in places_)
