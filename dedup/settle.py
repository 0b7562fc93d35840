"""Which documents of a component are kept: the first maximal independent set in the keeper policy's order.

Two documents are neighbours if they share a band key and their true similarity passes the threshold. The documents
are taken in the policy's order, and each is kept unless it is a neighbour of a kept one before it. So no chain of
likenesses removes anything: every removed document has a kept partner that is as similar as asked. Without
verification the first document of each component is kept and all others go, as in most other tools.

A group that doesn't fit into memory is taken in blocks, spilled to files: the result is the same, but for documents
that share keys with more than `max_compared` kept ones, for that limit then holds block by block.
"""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from pipeline.storage import place, work_folder

from .keeper import KeeperPolicy
from .lsh import row_of, shard_of, size_histogram
from .removal import COPIES, DUPLICATE_OF, write_verdicts
from .shuffle import files_in, read_partition

if TYPE_CHECKING:
    import polars as pl

BLOCK_BYTES = 384 << 20
"""Sets and band keys that a task holds of one block; two are in memory at a time."""
SIMILARITY = "similarity"
DUPLICATE_IN = "duplicate_in"
LARGEST = 20
"""Components that a report names."""
MEMBERS, SAMPLED = 8, 200
"""Documents of each that it names, the policy's first; and random components of which several documents stay."""


@dataclass(frozen=True)
class SettleTask:
    """One group of whole components."""

    index: int
    folder: str
    files: int
    shards: int
    policy: KeeperPolicy
    verify: bool
    threshold: float
    containment: bool
    max_compared: int
    block_bytes: int = BLOCK_BYTES
    sampled: int = SAMPLED
    """Components to name of those of which several documents stay."""


@dataclass
class Sets:
    """Documents to compare: band keys uint64[n * bands] and sorted sets of hashes."""

    bands: NDArray[np.uint64]
    hashes: NDArray[np.uint64]
    offsets: NDArray[np.int64]

    @property
    def n(self) -> int:
        return len(self.offsets) - 1

    @classmethod
    def of(cls, table: pa.Table) -> Sets:
        """From the columns `bands` and `shingles`."""
        table = table.select(["bands", "shingles"]).combine_chunks()
        if not table.num_rows:
            return cls(np.zeros(0, np.uint64), np.zeros(0, np.uint64), np.zeros(1, np.int64))
        sets = table["shingles"].chunk(0)
        bands = table["bands"].chunk(0).flatten().to_numpy(zero_copy_only=False)
        offsets = sets.offsets.to_numpy()
        return cls(bands, sets.flatten().to_numpy(zero_copy_only=False), offsets - offsets[0])

    def joined(self, other: Sets) -> Sets:
        """These documents and then the others."""
        return Sets(
            np.concatenate([self.bands, other.bands]),
            np.concatenate([self.hashes, other.hashes]),
            np.concatenate([self.offsets, other.offsets[1:] + self.offsets[-1]]),
        )

    def taken(self, rows: NDArray[np.int64]) -> Sets:
        """Some of the documents, in the order of `rows`."""
        width = len(self.bands) // max(1, self.n)
        counts = self.offsets[rows + 1] - self.offsets[rows]
        offsets = np.concatenate([[0], np.cumsum(counts)])
        where = np.repeat(self.offsets[rows] - offsets[:-1], counts) + np.arange(offsets[-1])
        return Sets(self.bands.reshape(self.n, width)[rows].reshape(-1), self.hashes[where], offsets)


@dataclass
class Comparison:
    """How documents are compared, and what that took."""

    threshold: float
    containment: bool
    max_compared: int
    facts: NDArray[np.int64] = field(default_factory=lambda: np.zeros(3, np.int64))
    """Pairs compared, documents with more than `max_compared` partners to compare with, similar pairs."""

    def decide(
        self, sets: Sets, fixed: int, grow: bool, partners: NDArray[np.int64], values: NDArray[np.float64]
    ) -> None:
        """See `kernels.jaccard.choose`: fills `partners` and `values`, one item a document."""
        from .kernels.jaccard import FREE, choose

        n = sets.n
        slots = 16
        while slots < 2 * len(sets.bands):
            slots *= 2
        room = [np.zeros(slots, np.uint64), np.full(slots, FREE), np.zeros(slots, np.int64)]
        room += [np.zeros(len(sets.bands), np.int64) for _ in range(2)]
        room += [np.full(n, -1), np.zeros(n, np.int64), np.zeros(n, np.int64)]
        choose(
            sets.bands, sets.hashes, sets.offsets, fixed, grow, float(self.threshold), self.containment,
            self.max_compared, *room, partners, values, self.facts,
        )  # fmt: skip


def settle(task: SettleTask) -> dict[str, Any]:
    """Write `verdicts/<group>.arrow`, and say how the group's components came apart."""
    import polars as pl

    folder = place(task.folder)
    files = files_in(folder / "groups", task.files)
    light = ["node", "root", "id", "against", "content", *task.policy.names, COPIES, *(["size"] if task.verify else [])]
    parts = [part for file in files if (part := read_partition([file], task.index, light)).num_rows]
    path = folder / "verdicts" / f"{task.index:05d}.arrow"
    if not parts:
        return {"intermediate": [write_verdicts(path, _no_verdicts(), task.shards)], "n_in": 0}
    table = pa.concat_tables(parts, promote_options="permissive")
    frame = pl.from_arrow(table)
    assert isinstance(frame, pl.DataFrame)
    frame = frame.with_row_index("place").with_columns(own=pl.col("against").is_null())
    frame = task.policy.sorted(
        frame, first=("own",), last=("content", "node")
    )  # an index's documents before all others
    if task.verify:
        comparison = Comparison(task.threshold, task.containment, task.max_compared)
        partners, values = _verified(task, files, frame, comparison)
    else:
        comparison = Comparison(0.0, False, 0)
        first = (
            frame.with_row_index("rank")
            .select(pl.col("rank").first().over("root"))
            .to_series()
            .to_numpy()
            .astype(np.int64)
        )
        stays = (first == np.arange(len(first))) | ~frame["own"].to_numpy()
        partners = np.where(stays, -1, first)
        values = np.full(len(first), np.nan)
    verdicts = _verdicts(frame, partners, values)
    return {
        "intermediate": [write_verdicts(path, verdicts, task.shards)],
        "n_in": frame.height,
        "removed": int((partners >= 0).sum()),
        "compared": int(comparison.facts[0]),
        "more_than_max_compared": int(comparison.facts[1]),
        **_shapes(frame, partners, task.sampled),
    }


def _verified(
    task: SettleTask, files: list[Path], frame: pl.DataFrame, comparison: Comparison
) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
    """Partner (a place in the frame, -1: kept) and similarity of each document, in the frame's order."""
    n, given = frame.height, int((~frame["own"]).sum())
    partners, values = np.full(n, -1), np.full(n, np.nan)
    width = 8 * (frame["size"].to_numpy() + 32)
    block = np.cumsum(width) // task.block_bytes
    bounds = np.searchsorted(block, np.unique(block))
    ends = np.append(bounds[1:], n)
    spill = work_folder(task.folder, f"{task.index:05d}")
    with _Blocks(files, task.index, frame["place"].to_numpy(), list(zip(bounds, ends, strict=True)), spill) as stored:
        for k, (a, b) in enumerate(zip(bounds.tolist(), ends.tolist(), strict=True)):
            sets, fixed = stored[k], min(max(given - a, 0), b - a)
            for j in range(k):
                kept = np.flatnonzero(partners[bounds[j] : ends[j]] == -1)
                if not len(kept):
                    continue
                before = stored[j].taken(kept)
                own = np.concatenate([np.full(before.n, -1), np.full(fixed, 0), partners[a + fixed : b]])
                likeness = np.concatenate([np.zeros(before.n), values[a:b]])
                comparison.decide(before.joined(sets), before.n, False, own, likeness)
                new = fixed + np.flatnonzero((partners[a + fixed : b] == -1) & (own[before.n + fixed :] >= 0))
                partners[a + new] = bounds[j] + kept[own[before.n + new]]
                values[a + new] = likeness[before.n + new]
            own = np.where(partners[a:b] == -1, -1, 0)
            likeness = values[a:b].copy()
            comparison.decide(sets, fixed, True, own, likeness)
            new = np.flatnonzero((partners[a:b] == -1) & (own >= 0))
            partners[a + new] = a + own[new]
            values[a + new] = likeness[new]
    return partners, values


class _Blocks:
    """The sets of a group's documents, block by block in the policy's order; in memory if there is one block."""

    def __init__(
        self, files: list[Path], partition: int, places: NDArray[Any], bounds: list[tuple[int, int]], spill: Path
    ) -> None:
        self._files, self._partition, self._bounds, self._spill = files, partition, bounds, spill
        self._rank = np.empty(len(places), np.int64)
        self._rank[places] = np.arange(len(places))

    def _tables(self) -> Iterator[tuple[pa.Table, NDArray[np.int64]]]:
        start = 0
        for file in self._files:
            table = read_partition([file], self._partition, ["bands", "shingles"])
            if table.num_rows:
                yield table, self._rank[start : start + table.num_rows]
                start += table.num_rows

    def __enter__(self) -> _Blocks:
        if len(self._bounds) > 1:
            shutil.rmtree(self._spill, ignore_errors=True)
            self._spill.mkdir(parents=True)
            starts = np.array([a for a, _ in self._bounds])
            for number, (table, rank) in enumerate(self._tables()):
                block = np.searchsorted(starts, rank, side="right") - 1
                for one in np.unique(block).tolist():
                    rows = np.flatnonzero(block == one)
                    part = table.take(pa.array(rows)).append_column("rank", pa.array(rank[rows])).combine_chunks()
                    path = str(self._spill / f"{one:05d}-{number:05d}")
                    with pa.OSFile(path, "wb") as sink, pa.ipc.new_stream(sink, part.schema) as out:
                        out.write_table(part)
        return self

    def __getitem__(self, number: int) -> Sets:
        a, b = self._bounds[number]
        if len(self._bounds) == 1:
            parts = [(table, rank) for table, rank in self._tables()]
            table = pa.concat_tables([table for table, _ in parts])
            rank = np.concatenate([rank for _, rank in parts])
        else:
            table = pa.concat_tables(
                [
                    pa.ipc.open_stream(path.read_bytes()).read_all()
                    for path in sorted(self._spill.glob(f"{number:05d}-*"))
                ]
            )
            rank = table["rank"].to_numpy()
        order = np.empty(b - a, np.int64)
        order[rank - a] = np.arange(b - a)
        return Sets.of(table).taken(order)

    def __exit__(self, *exc: object) -> None:
        shutil.rmtree(self._spill, ignore_errors=True)


EXTRA = ((SIMILARITY, pa.float32()), (DUPLICATE_IN, pa.string()))
"""What dropped documents get beside `duplicate_of`: the true similarity, and the index that holds the kept one."""


def _no_verdicts() -> pa.Table:
    from .removal import VERDICT

    return pa.table({name: pa.array([], kind) for name, kind in (*VERDICT, *EXTRA)})


def _verdicts(frame: pl.DataFrame, partners: NDArray[np.int64], values: NDArray[np.float64]) -> pa.Table:
    """Of every removed document, and of the kept ones that stand for more than before."""
    nodes, copies = frame["node"].to_numpy(), frame[COPIES].to_numpy().copy()
    gone = np.flatnonzero(partners >= 0)
    np.add.at(copies, partners[gone], frame[COPIES].to_numpy()[gone])
    heirs = np.unique(partners[gone])
    heirs = heirs[frame["own"].to_numpy()[heirs]]
    rows = np.concatenate([gone, heirs])
    ids = pc.fill_null(frame["id"].to_arrow().cast(pa.string()), "")
    names = pa.chunked_array([ids.take(pa.array(partners[gone])), pa.nulls(len(heirs), pa.string())])
    places = frame["against"].to_arrow().cast(pa.string()).take(pa.array(partners[gone]))
    similar = np.concatenate([values[gone], np.full(len(heirs), np.nan)]).astype(np.float32)
    return pa.table(
        {
            "shard": pa.array(shard_of(nodes[rows]).astype(np.int32)),
            "row": pa.array(row_of(nodes[rows])),
            COPIES: pa.array(copies[rows]),
            DUPLICATE_OF: names,
            SIMILARITY: pa.array(similar, from_pandas=True),
            DUPLICATE_IN: pa.chunked_array([places, pa.nulls(len(heirs), pa.string())]),
        }
    )


def _shapes(frame: pl.DataFrame, partners: NDArray[np.int64], sampled: int) -> dict[str, Any]:
    """Sizes of the components, and of the clusters (a kept document and those removed for it) that they came to.

    With the largest components, and some by the hashes of their first ids, whatever the order of files.
    """
    import polars as pl

    from .hashing import raw_hashes

    gone = partners >= 0
    clusters = np.unique(partners[gone], return_counts=True)[1] + 1
    components = (
        frame.select("root", "id", kept=pl.Series(~gone))
        .group_by("root", maintain_order=True)
        .agg(pl.len().alias("documents"), pl.col("kept").sum(), pl.col("id").first().alias("first"))
    )
    top = components.sort(["documents", "first"], descending=[True, False]).head(LARGEST)
    several = components.filter(pl.col("kept") > 1)
    ids = pl.Series(
        values=raw_hashes(several["first"].fill_null("").to_arrow().cast(pa.large_string())), dtype=pl.UInt64
    )
    several = several.with_columns(ids.alias("key")).sort(["key", "first"]).head(sampled)
    return {
        "component_sizes": size_histogram(components["documents"].to_numpy().astype(np.int64)),
        "cluster_sizes": size_histogram(clusters.astype(np.int64)),
        "largest_components": _named(frame, top),
        "sampled_components": _named(frame, several),
    }


def _named(frame: pl.DataFrame, components: pl.DataFrame) -> list[dict[str, Any]]:
    """Components with the ids of some of their documents, those of indexes left out."""
    import polars as pl

    own = frame.filter(pl.col("own") & pl.col("root").is_in(components["root"].implode()))
    members = own.group_by("root", maintain_order=True).agg(pl.col("id").head(MEMBERS).alias("members"))
    named = components.join(members, on="root", how="left", maintain_order="left")
    return named.select("first", "documents", "kept", pl.col("members").fill_null([])).to_dicts()
