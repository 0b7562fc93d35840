"""Repeated spans of 50 tokens or more, anywhere in the corpus, cut or marked (Lee et al. 2022).

Reads `text`, `id` and the keeper policy's columns. `cut` gives an edited `text` and adds `cut_spans`, in bytes of the
text before; `mark` adds `repeated_spans` and leaves the text as it is. What a token is, and what counts, says
`dedup.substring_windows`. White space plays no part for words, so a line broken elsewhere is no difference;
case and punctuation do.

What is a repeat. A window is the shortest run of tokens from one on that counts for `min_tokens`; each of up to four
marks that follow it without white space makes a window with it, so that full stops go with their sentences. Windows of
the same bytes are a class; one with more than `max_count` windows is repeated. `keep_one` leaves the class's first
window, by the keeper policy's order of documents and then by place, and takes all tokens of the others, but for those
that the first window itself covers: a text that repeats itself over and over keeps its first `min_tokens` tokens. So of
every token that goes, an equal one stays, in a document before it or further up. Without `keep_one` all windows of the
class go.

How. Anchors (map -> partition -> reduce) say which windows may be repeated: more than are, but none is missed. Each
shard brings these, in blocks of bounded size, into classes by a suffix array (libdivsufsort, by pydivsufsort), which
compares the text itself, and sends one record a class: 122 bits of hash, the first's rank, the count. A reduce task
joins the classes of all blocks and gives back verdicts. A line that is there ten million times costs one record a
block.

Limits. Across blocks classes are equal if their hashes are: at 10^12 distinct windows of 400 bytes two different ones
agree with a probability of about 10^-7. Nothing else is missed or added: the result is that of a suffix array over
the whole corpus. Memory a task, beside the 250 MB of the libraries: about 0.4 GB for a block or a partition of
anchors, 0.6 GB for one of classes; one document longer than a block needs about 60 bytes for each of its tokens. Disk,
until the step ends, measured on 49 MB of web text of which 12 % repeat: 3 MB of anchors, 31 MB of classes and windows,
which grow with what may be repeated. Cuts bring together what stood apart; a repeat that comes of it is not looked for.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from numpy.typing import NDArray

from filters.kernels.columns import Text
from pipeline.errors import ConfigError, SchemaError, nearest
from pipeline.runner import Task
from pipeline.stage import CUT_SPANS, DROP_FILTER, DROP_REASON, SPAN
from pipeline.steps import Step, StepContext, register_step, shard_results
from pipeline.storage import local_file, place
from pipeline.store import parquet_shards

from .keeper import HELP, KeeperPolicy
from .removal import block_of, blocks
from .shuffle import files_in, partition_count, read_partition, remove, write_partitions
from .substring_blocks import Classes, Region, blocks_of, classes_of, regions_of
from .substring_cuts import (
    EXTEND,
    SPANS,
    Found,
    SpanEditor,
    between_words,
    extended,
    found_in_block,
    span_column,
    whole_words,
)
from .substring_order import order_values, rank_all, ranks_of, write_documents
from .substring_windows import UNITS, pieces, text_bytes, text_column, windows_of

ANCHORS_PER_PARTITION = 4_000_000
CLASSES_PER_PARTITION = 4_000_000
"""Rows that one reduce task sorts, about: some 400 and 600 MB."""
ACTIONS = ("cut", "mark")


@dataclass(frozen=True)
class _Task:
    """A shard (`index` of `shards`) or a partition (`index` of `partitions`), and the step's options."""

    index: int
    shards: int
    partitions: int
    folder: str
    step: SubstringDedup
    path: str = ""
    blocks: int = 0

    def file(self, kind: str, block: int | None = None) -> Path:
        return (
            place(self.folder)
            / kind
            / (f"{self.index:05d}.arrow" if block is None else f"{self.index:05d}-{block:04d}.arrow")
        )


def map_anchors(task: _Task) -> dict[str, Any]:
    """Write `anchors/<shard>.arrow`, each anchor of the shard once, and `documents/<shard>.arrow` for their order."""
    step = task.step
    policy = KeeperPolicy.parse(step.keep, step.name)
    names = pq.read_schema(local_file(task.path)).names
    columns = [name for name in names if name in {"text", *policy.reads}]
    empty = pq.read_schema(local_file(task.path)).empty_table().select(columns)
    found, order = [np.zeros(0, np.uint64)], [order_values(empty, task.index, 0, policy)]
    windows = rows = 0
    for row, table in pieces(task.path, columns):
        made = windows_of(text_column(table), step.unit, step.min_tokens)
        found.append(made.anchors)
        order.append(order_values(table, task.index, row, policy))
        windows += len(made.anchor_of)
        rows += table.num_rows
    places = sum(len(one) for one in found)
    anchors, counts = np.unique(np.concatenate(found), return_counts=True)
    content = pa.table({"anchor": anchors, "many": counts > 1, "shard": np.full(len(anchors), task.index, np.int32)})
    files = [
        write_partitions(task.file("anchors"), content, _partition(anchors, task.partitions), task.partitions),
        write_documents(place(task.folder), task.index, order),
    ]
    return {"files": files, "n_in": rows, "windows": windows, "places": places}


def _partition(hashes: NDArray[np.uint64], partitions: int) -> NDArray[np.int64]:
    """By the low bits: anchors are smallest hashes, their high bits mostly zero."""
    return ((hashes & np.uint64(0xFFFFFFFF)) % np.uint64(partitions)).astype(np.int64)


def reduce_anchors(task: _Task) -> dict[str, Any]:
    """Write `repeated/<partition>.arrow`: for each shard, those of its anchors that the corpus has twice or more."""
    table = read_partition(files_in(place(task.folder) / "anchors", task.shards), task.index)
    anchors = table["anchor"].to_numpy()
    order = np.argsort(anchors, kind="stable")
    anchors = anchors[order]
    repeated = table["many"].to_numpy()[order]
    repeated[1:] |= anchors[1:] == anchors[:-1]
    repeated[:-1] |= anchors[:-1] == anchors[1:]
    out = table.take(pa.array(order[repeated])).select(["shard", "anchor"]).combine_chunks()
    number = block_of(out["shard"].to_numpy().astype(np.int64), task.shards)
    files = [write_partitions(task.file("repeated"), out, number, blocks(task.shards))]
    return {"files": files, "repeated": out.num_rows}


def _own(folder: Path, task: _Task) -> pa.Table:
    """The rows of a folder of reduce results that are for this shard."""
    table = read_partition(files_in(folder), int(block_of(task.index, task.shards)))
    return table.filter(pc.equal(table["shard"], task.index)).drop_columns(["shard"]).combine_chunks()


def _regions(task: _Task) -> Iterator[Region]:
    """The windows of a shard whose anchors are repeated."""
    step = task.step
    repeated = np.sort(_own(place(task.folder) / "repeated", task)["anchor"].to_numpy())
    if not len(repeated):
        return
    for row, table in pieces(task.path, ["text"]):
        made = windows_of(text_column(table), step.unit, step.min_tokens)
        at = np.minimum(np.searchsorted(repeated, made.anchors), len(repeated) - 1)
        wanted = (repeated[at] == made.anchors)[made.anchor_of]
        yield regions_of(made, wanted, row, step.unit)


def map_classes(task: _Task) -> dict[str, Any]:
    """Write, for each block, `classes/`, partitioned by hash, and `windows/`, which windows are in which class."""
    ranks = ranks_of(place(task.folder), task.index, task.shards)
    files, n = [], 0
    for n, block in enumerate(blocks_of(_regions(task)), start=1):
        made = classes_of(block, ranks)
        files += [_write_classes(task, n - 1, made, ranks), _write_windows(task, n - 1, made)]
    return {"files": files, "blocks": n, "n_in": len(ranks)}


def _write_classes(task: _Task, block: int, made: Classes, ranks: NDArray[np.int64]) -> dict[str, Any]:
    n = len(made.firsts)
    table = pa.table(
        {
            "high": made.hashes[0],
            "low": made.hashes[1],
            "rank": ranks[made.rows[made.firsts]],
            "count": made.counts,
            "shard": np.full(n, task.index, np.int32),
            "block": np.full(n, block, np.int32),
            "class": np.arange(n, dtype=np.int32),
        }
    )
    number = _partition(made.hashes[0], task.partitions)
    return write_partitions(task.file("classes", block), table, number, task.partitions)


def _write_windows(task: _Task, block: int, made: Classes) -> dict[str, Any]:
    first = np.zeros(len(made.rows), np.bool_)
    first[made.firsts] = True
    table = pa.table({"row": made.rows, "start": made.starts, "end": made.ends, "class": made.classes, "first": first})
    return write_partitions(task.file("windows", block), table, np.zeros(len(first), np.int64), 1)


def reduce_classes(task: _Task) -> dict[str, Any]:
    """Write `verdicts/<partition>.arrow`: each block's classes that are repeated, and whether it has the first."""
    files = files_in(place(task.folder) / "classes", task.blocks)
    table = read_partition(files, task.index)
    high, low = table["high"].to_numpy(), table["low"].to_numpy()
    order = np.lexsort((low, high))
    high, low = high[order], low[order]
    new = np.ones(len(order), np.bool_)
    new[1:] = (high[1:] != high[:-1]) | (low[1:] != low[:-1])
    group = np.cumsum(new) - 1
    at = np.flatnonzero(new)
    if len(at):
        total = np.add.reduceat(table["count"].to_numpy()[order], at)[group]
        rank = table["rank"].to_numpy()[order]
        first = rank == np.minimum.reduceat(rank, at)[group]
        repeated = total > task.step.max_count
        out = table.select(["shard", "block", "class"]).take(pa.array(order[repeated]))
        out = out.append_column("first", pa.array(first[repeated] & task.step.keep_one))
    else:
        out = table.select(["shard", "block", "class"]).append_column("first", pa.array([], pa.bool_()))
    number = block_of(out["shard"].to_numpy().astype(np.int64), task.shards)
    return {"files": [write_partitions(task.file("verdicts"), out.combine_chunks(), number, blocks(task.shards))]}


def found_in(task: _Task) -> Found:
    """What is repeated in a shard, in bytes of its documents."""
    nothing = np.zeros(0, np.int64)
    parts = []
    verdicts = _own(place(task.folder) / "verdicts", task) if task.blocks else None
    for b in range(task.blocks):
        assert verdicts is not None
        own = verdicts.filter(pc.equal(verdicts["block"], b))
        parts.append(found_in_block(read_partition([task.file("windows", b)], 0), own))
    joined = zip(*((p.rows, p.starts, p.ends) for p in parts), strict=True) if parts else [[nothing]] * 3
    rows, starts, ends = (np.concatenate(one) for one in joined)
    return Found(rows, starts, ends)


def apply_cuts(task: _Task) -> dict[str, Any]:
    """Write the shard's `kept/` and `dropped/` files. Dropped rows keep the text that they had."""
    step = task.step
    found = found_in(task)
    empty = pq.read_schema(local_file(task.path)).empty_table()
    kept_schema = step.edited(empty, found.of(-1, 0))[0].schema
    dropped_schema = kept_schema
    for name in (DROP_FILTER, DROP_REASON):
        dropped_schema = dropped_schema.append(pa.field(name, pa.string()))
    name = f"{task.index:05d}.parquet"
    folder = place(task.folder)
    rows = edited = spans = span_bytes = text_size = 0
    reasons: dict[str, int] = {}
    with parquet_shards((folder / "kept" / name, kept_schema), (folder / "dropped" / name, dropped_schema)) as (
        kept_file,
        dropped_file,
    ):
        for row, table in pieces(task.path):
            own = found.of(row, table.num_rows)
            text = text_column(table)
            if len(own.rows):
                own = step.fitted(text, own)
            made, reason = step.edited(table, own)
            rows += table.num_rows
            edited += len(np.unique(own.rows))
            spans += len(own.rows)
            span_bytes += int((own.ends - own.starts).sum())
            text_size += int(text.offsets[-1] - text.offsets[0])
            lost = pc.is_valid(reason)
            kept_file.write(made.filter(pc.invert(lost)))
            gone = made.set_column(made.column_names.index("text"), "text", table["text"]).filter(lost)
            gone = gone.append_column(DROP_FILTER, pa.array([step.name] * gone.num_rows, pa.string()))
            gone = gone.append_column(DROP_REASON, reason.filter(lost))
            for one in gone[DROP_REASON].to_pylist():
                reasons[one] = reasons.get(one, 0) + 1
            dropped_file.write(gone)
        files = [kept_file.close(), dropped_file.close()]
    count = {"stage": step.name, "n_in": rows, "n_split": 0, "n_kept": files[0]["rows"], "dropped": reasons}
    repeats = {"documents": edited, "spans": spans, "bytes": span_bytes, "of_bytes": text_size}
    return {"files": files, "n_in": rows, "counts": [count], "repeats": repeats}


@register_step
@dataclass(frozen=True, kw_only=True)
class SubstringDedup(Step):
    """Cuts or marks spans of text that the corpus has more than once."""

    name: ClassVar[str] = "substring_dedup"
    edits: ClassVar[bool] = True
    version: ClassVar[int] = 1
    needs: ClassVar[tuple[str, ...]] = ("documents",)
    sources: ClassVar[tuple[str, ...]] = (
        "Lee et al. 2022, section 4.1; https://arxiv.org/abs/2107.06499",
        "spans cut out of documents: Penedo et al. 2023; https://arxiv.org/abs/2306.01116",
    )

    min_tokens: int = field(default=50, metadata={"help": "the shortest span that counts as repeated"})
    unit: str = field(default="words", metadata={"help": f"what a token is: {', '.join(UNITS)}"})
    action: str = field(
        default="cut", metadata={"help": f"cut the spans out of the text, or mark them in the column {SPANS}"}
    )
    keep_one: bool = field(default=True, metadata={"help": "leave a span's first occurrence; false: take them all"})
    max_count: int = field(default=1, metadata={"help": "a span is repeated if it occurs more often than this"})
    keep: tuple[str, ...] = field(default=("record.date",), metadata={"help": HELP})
    extend: str = field(
        default="words",
        metadata={"help": "cut at the ends of words, or extend the cut to whole sentences or lines (never shorter)"},
    )
    min_words: int = field(
        default=5, metadata={"help": "drop a document that was cut and has fewer words left; one with none always goes"}
    )

    def check(self) -> None:
        """As `Step.check`."""
        where = f"step '{self.name}'"
        for option, known in (("unit", UNITS), ("action", ACTIONS), ("extend", EXTEND)):
            value = getattr(self, option)
            if value not in known:
                raise ConfigError(
                    f"{where}: {option} must be one of {', '.join(known)}, not '{value}'{nearest(str(value), known)}"
                )
        for option, least in (("min_tokens", 2), ("max_count", 1), ("min_words", 0)):
            value = getattr(self, option)
            if isinstance(value, bool) or not isinstance(value, int) or value < least:
                raise ConfigError(f"{where}: {option} must be a whole number from {least} on, not {value!r}")
        if not isinstance(self.keep_one, bool):
            raise ConfigError(f"{where}: keep_one must be true or false, not {self.keep_one!r}")
        KeeperPolicy.parse(self.keep, where)

    def columns(self, have: set[str]) -> set[str]:
        """As `Step.columns`."""
        where = f"step '{self.name}'"
        missing = [name for name in ("id", "text") if name not in have]
        if missing:
            raise SchemaError(f"{where} reads {missing}, which no earlier step adds; there: {sorted(have)}")
        KeeperPolicy.parse(self.keep, where).check_columns(have, where)
        return have | {CUT_SPANS if self.action == "cut" else SPANS}

    def fitted(self, text: Text, found: Found) -> Found:
        """What is to be cut or marked of what is repeated."""
        if self.unit != "words":
            found = whole_words(text, found)
        if self.action == "cut":
            found = between_words(text, found)
        return found if self.extend == "words" else extended(text, found, self.extend)

    def edited(self, docs: pa.Table, found: Found) -> tuple[pa.Table, pa.Array]:
        """(documents cut or marked, reasons to drop them); rows of `found` are those of `docs`."""
        if self.action == "cut":
            return SpanEditor(min_words=self.min_words).cut(docs, found)
        if SPANS in docs.column_names:
            docs = docs.drop_columns([SPANS])
        column = pa.field(SPANS, pa.list_(SPAN))
        return docs.append_column(column, span_column(docs.num_rows, found)), pa.nulls(docs.num_rows, pa.string())

    def run(self, context: StepContext) -> dict[str, Any]:
        """As `Step.run`."""
        documents = context.inputs["documents"]
        folder, n = str(context.folder.path), len(documents.files)
        paths = [documents.path / file for file in documents.files]
        size = sum(text_bytes(path) for path in paths)
        per_token = 4 if self.unit == "words" else 1
        anchors = 2 * size // (per_token * (self.min_tokens - self.min_tokens // 2))
        partitions = partition_count(anchors, ANCHORS_PER_PARTITION)

        def tasks(name: str, count: int, partitions: int, blocks: list[int] | int = 0) -> list[Task]:
            made = []
            for i in range(count):
                path = str(paths[i]) if count == n else ""
                of = blocks if isinstance(blocks, int) else blocks[i]
                made.append(Task(f"{name}-{i:05d}", _Task(i, n, partitions, folder, self, path, of)))
            return made

        def run(function: Any, label: str, todo: list[Task]) -> Sequence[dict[str, Any]]:
            return context.map(function, todo, label=f"{context.step}: {label}")

        mapped = run(map_anchors, "anchors", tasks("anchors", n, partitions))
        reduced = run(reduce_anchors, "compare", tasks("repeated", partitions if n else 0, partitions))
        if n:
            rank_all(context, n, documents.rows, self.keep)
        each = max(1.0, sum(one["windows"] for one in mapped) / max(1, sum(one["places"] for one in mapped)))
        windows = int(each * sum(one["repeated"] for one in reduced))
        partitions = partition_count(windows, CLASSES_PER_PARTITION)
        classed = run(map_classes, "suffix arrays", tasks("classes", n, partitions))
        of_shard = [one["blocks"] for one in classed]
        if sum(of_shard):
            run(reduce_classes, "choose", tasks("verdicts", partitions, partitions, sum(of_shard)))
        results = run(apply_cuts, self.action, tasks("apply", n, partitions, of_shard))
        remove(context.folder.path, *_LEFT)
        return {
            **shard_results(results),
            "repeats": {k: sum(r["repeats"][k] for r in results) for k in ("documents", "spans", "bytes", "of_bytes")},
        }


_LEFT = (
    "anchors", "documents", "bounds", "ranges", "ranks", "repeated", "classes", "windows", "verdicts"
)  # fmt: skip
