"""Draws from decisions: which rows of a token shard come how often, in which phase and order.

Each shard is drawn by itself from its catalogue and the decisions, in any process and any order.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.parquet as pq

from pipeline.storage import local_file, place
from pipeline.store import parquet_shards

from .catalogue import epoch_keys, scan
from .planning import TRAIN, Decisions, read_decisions, with_fate, with_stratum
from .positions import Cut
from .recipe import Mixture
from .same_ids import prefixed

if TYPE_CHECKING:
    import polars as pl

Ints = npt.NDArray[np.int64]
DECISIONS = "decisions.json"
_PHASES = 1 << 40
"""Orders of phases are hashed apart from those of epochs."""
_CONTROL = 1 << 41


@dataclass(frozen=True)
class DrawTask:
    """One token shard to draw from. `partitions[set]`: how many each phase of the set has."""

    shard: int
    tokens: str
    documents: str
    catalogue: str
    labels: str | None
    folder: str
    dtype: str
    mixture: Mixture
    partitions: dict[str, tuple[int, ...]]
    first_control: int


@dataclass(frozen=True)
class Taken:
    """Rows of a shard's catalogue that are drawn, one for each draw."""

    row: Ints  # place in the catalogue's rows of this shard
    copy: Ints
    phase: Ints
    skip: Ints  # tokens of the document that this draw leaves out at its begin
    tokens: Ints

    @classmethod
    def joined(cls, parts: list[Taken]) -> Taken:
        names = ("row", "copy", "phase", "skip", "tokens")
        none = np.zeros(0, np.int64)
        return cls(*(np.concatenate([none, *(getattr(part, name) for part in parts)]) for name in names))


def draw_shard(task: DrawTask) -> dict[str, Any]:
    """Write `draws/<set>/<shard>.arrow` and `documents/<set>/<shard>.parquet`. The function that workers run."""
    import polars as pl

    made, mixture = read_decisions(place(task.folder) / DECISIONS), task.mixture
    frame = scan([task.catalogue], task.labels, task.shard)
    frame = with_stratum(with_fate(frame, mixture, made.held, made.caps), mixture, made.edges, made.groups)
    rows = frame.collect().sort("row")
    files, results = [], {}
    for name in task.partitions:
        own = rows.filter(pl.col("fate") == name)
        taken = _train(own, made, task.shard) if name == TRAIN else _once(own)
        entries, result = _write(task, name, own, taken)
        files += entries
        results[name] = result
    return {"files": files, "n_in": rows.height, "sets": results}


def _once(rows: pl.DataFrame) -> Taken:
    zero = np.zeros(rows.height, np.int64)
    return Taken(np.arange(rows.height), zero, zero, zero, rows["n_tokens"].to_numpy().astype(np.int64))


def _train(rows: pl.DataFrame, made: Decisions, shard: int) -> Taken:
    """All draws of a shard's documents, stratum by stratum and phase by phase."""
    keys = rows["key"].to_numpy()
    number = {(s.source, s.group, s.bucket): i for i, s in enumerate(made.strata)}
    triples = zip(rows["source"], rows["group"], rows["bucket"], strict=True)
    stratum = np.fromiter((number[triple] for triple in triples), np.int64, rows.height)
    place, sizes = rows["row"].to_numpy(), rows["n_tokens"].to_numpy().astype(np.int64)
    parts = []
    for i in np.unique(stratum).tolist():
        own = np.flatnonzero(stratum == i)
        start = Cut(0)
        for k, end in enumerate(made.cuts[i]):
            parts.append(_between(start, end, k, own, keys, place, sizes, shard))
            start = end
    return Taken.joined(parts)


def _between(
    start: Cut, end: Cut, phase: int, own: Ints, keys: npt.NDArray[np.uint64], place: Ints, sizes: Ints, shard: int
) -> Taken:
    """The draws of a stratum's documents `own` between two cuts of its stream."""
    rows: list[Ints] = []
    copies: list[Ints] = []
    skips: list[Ints] = []
    tokens: list[Ints] = []
    for epoch, some in _whole(start, end, own, keys, place, shard):
        rows.append(some)
        copies.append(np.full(len(some), epoch, np.int64))
        skips.append(np.zeros(len(some), np.int64))
        tokens.append(sizes[some])
    for cut, skip, last in _divided(start, end):
        if cut.shard == shard and last > skip:
            rows.append(own[place[own] == cut.row])
            copies.append(np.array([cut.epoch]))
            skips.append(np.array([skip]))
            tokens.append(np.array([last - skip]))
    none = np.zeros(0, np.int64)
    row = np.concatenate([none, *rows])
    return Taken(
        row, np.concatenate([none, *copies]), np.full(len(row), phase, np.int64), np.concatenate([none, *skips]),
        np.concatenate([none, *tokens]),
    )  # fmt: skip


def _whole(
    start: Cut, end: Cut, own: Ints, keys: npt.NDArray[np.uint64], place: Ints, shard: int
) -> Iterator[tuple[int, Ints]]:
    """(epoch, documents) that lie wholly between two cuts."""
    for epoch in range(start.epoch, end.epoch + 1):
        if epoch == end.epoch and end.key is None:
            return
        order = epoch_keys(keys[own], epoch)
        some = np.ones(len(own), bool)
        if epoch == start.epoch and start.key is not None:
            some &= _compared(order, place[own], shard, start) > 0
        if epoch == end.epoch:
            some &= _compared(order, place[own], shard, end) < 0
        yield epoch, own[some]


def _compared(order: npt.NDArray[np.uint64], place: Ints, shard: int, cut: Cut) -> Ints:
    """-1, 0 or 1 for each document that comes before the one at the cut, is it, or comes after it."""
    key = np.uint64(cut.key or 0)
    row = np.sign(place - cut.row) if shard == cut.shard else np.full(len(place), np.sign(shard - cut.shard))
    return np.where(order < key, -1, np.where(order > key, 1, row))


def _divided(start: Cut, end: Cut) -> list[tuple[Cut, int, int]]:
    """(cut, first token, end) of the parts of the documents at two cuts that lie between them."""
    if start.key is not None and start.document == end.document:
        return [(start, start.given, end.given)]
    return [
        (cut, *part) for cut, part in ((start, (start.given, start.size)), (end, (0, end.given))) if cut.key is not None
    ]


def _write(task: DrawTask, name: str, rows: pl.DataFrame, taken: Taken) -> tuple[list[dict[str, Any]], dict[str, Any]]:
    """The files of one set, and its counts by phase."""
    from pipeline.packing.draws import draw_table, partition_of, write_draws

    folder = place(task.folder)
    stem = f"{task.shard:05d}"
    places = rows["row"].to_numpy()
    drawn = np.unique(taken.row)
    table = _renamed(task, rows, draw_table(task.shard, task.tokens, task.dtype, places[drawn]))
    index = np.searchsorted(drawn, taken.row)
    draws = table.take(pa.array(index))
    width = np.dtype(task.dtype).itemsize
    keys = rows["key"].to_numpy()[taken.row]
    order = epoch_keys(keys, _PHASES + (taken.phase << 20) + taken.copy)
    tokens = taken.tokens
    if task.mixture.control is not None:
        control = _controls(task, rows, taken, keys)
        tokens = tokens + (control >= 0)
        draws = draws.append_column("control", pa.array(control.astype(np.int32)))
    at = draws["at"].to_numpy() + taken.skip * width
    for column, values in (("copy", taken.copy.astype(np.int32)), ("n_tokens", tokens), ("at", at), ("key", order)):
        draws = draws.set_column(draws.schema.get_field_index(column), column, pa.array(values))
    draws = draws.append_column("skip", pa.array(taken.skip))
    counts = task.partitions[name]
    first = np.cumsum([0, *counts])
    partition = np.zeros(len(order), np.int64)
    for phase, count in enumerate(counts):
        of_phase = taken.phase == phase
        partition[of_phase] = first[phase] + partition_of(order[of_phase], count)
    made = write_draws(folder / "draws" / name / f"{stem}.arrow", draws, partition, int(first[-1]))
    file = {key: made.pop(key) for key in ("rows", "bytes", "blake2b")}
    described = _described(task, rows, taken, drawn)
    target = folder / "documents" / name / f"{stem}.parquet"
    with parquet_shards((target, described.schema)) as (shard,):
        shard.write(described)
        written = shard.close()
    entries = [
        {"file": f"draws/{name}/{stem}.arrow", **file},
        {**written, "file": f"documents/{name}/{stem}.parquet"},
    ]  # fmt: skip
    by_phase = [
        {
            "documents": int((taken.phase == phase).sum()),
            "tokens": int(taken.tokens[taken.phase == phase].sum()),
            "divided": int((taken.tokens != rows["n_tokens"].to_numpy()[taken.row])[taken.phase == phase].sum()),
        }
        for phase in range(len(counts))
    ]
    return entries, {
        "tokens": made["tokens"],
        "documents": made["documents"],
        "phases": by_phase,
        "control_tokens": int(tokens.sum() - taken.tokens.sum()),
        "unique_documents": len(drawn),
        "unique_tokens": int(rows["n_tokens"].to_numpy()[drawn].sum()),
    }


def _controls(task: DrawTask, rows: pl.DataFrame, taken: Taken, keys: npt.NDArray[np.uint64]) -> Ints:
    """The control id of each draw, -1 for none."""
    how = task.mixture.control
    assert how is not None
    score = rows["control"].to_numpy().astype(np.float64)[taken.row]
    bucket = np.searchsorted(np.array(how.edges, np.float64), score, side="right")
    chance = epoch_keys(keys, _CONTROL + taken.copy) / float(1 << 64)
    return np.where(np.isnan(score) | (chance < how.drop_share), -1, task.first_control + bucket)


def _renamed(task: DrawTask, rows: pl.DataFrame, table: pa.Table) -> pa.Table:
    """The table of documents of the shard with their ids as the packs have them."""
    if not rows.height:
        return table
    name, at = rows["source"][0], table.schema.get_field_index("id")
    ids = prefixed(name, task.mixture.sources[name], table["id"])
    return table.set_column(at, table.schema.field(at), ids)


def _described(task: DrawTask, rows: pl.DataFrame, taken: Taken, drawn: Ints) -> pa.Table:
    """The documents table of what is drawn, with `source, domain, bucket, draws, drawn_tokens`."""
    table = _renamed(
        task, rows, pq.read_table(local_file(task.documents)).take(pa.array(rows["row"].to_numpy()[drawn]))
    )
    times = np.bincount(np.searchsorted(drawn, taken.row), minlength=len(drawn))
    tokens = np.bincount(np.searchsorted(drawn, taken.row), weights=taken.tokens, minlength=len(drawn))
    added = {
        "source": pa.array(rows["source"].to_list(), pa.string()).take(pa.array(drawn)),
        "domain": pa.array(rows["domain"].to_list(), pa.string()).take(pa.array(drawn)),
        "bucket": pa.array(rows["bucket"].to_numpy()[drawn].astype(np.int32)),
        "draws": pa.array(times.astype(np.int32)),
        "drawn_tokens": pa.array(tokens.astype(np.int64)),
    }
    for name, values in added.items():
        if name in table.column_names:
            table = table.drop_columns([name])
        table = table.append_column(name, values)
    return table
