"""The base of data selection: documents are scored, ranked over all shards, and the first are kept up to a budget.

Map: each shard's documents get a key, and what they take of the budget (`scores/<shard>.arrow`). Reduce: one task finds
where the ranking is cut (`selection_cut`). Map: each shard is split. Nothing holds a corpus, and no byte depends on
the number of workers: what chance there is comes from a hash of (seed, document id).

Reads `text`, `id` and what the method names; dropped rows get `not_selected`, or why they could not be chosen.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from numpy.typing import NDArray

from dedup.shuffle import document_batches, entry, remove
from pipeline.documents import EXTRA
from pipeline.errors import ConfigError, SchemaError, StepFailed
from pipeline.runner import Task
from pipeline.stage import DROP_FILTER, DROP_REASON
from pipeline.steps import StageCounts, Step, StepContext, shard_results
from pipeline.storage import local_file, place
from pipeline.store import atomic_path, file_digest, parquet_shards, read_json, write_json

from .selection_budget import HELP, Budget
from .selection_cut import Cut, Ranked, find_cut

if TYPE_CHECKING:
    from pipeline.engines.encoder import Encoder

TOKENS = "n_tokens"
NOT_SELECTED = "not_selected"
SCORES = "scores"
CUTS = "cuts.json"
_GOLDEN = 0x9E3779B97F4A7C15
_MASK = (1 << 64) - 1

SCORE = pa.schema(
    [
        ("key", pa.uint64()),  # the higher, the sooner kept
        ("tie", pa.uint64()),  # what parts equal keys
        ("size", pa.int64()),  # of the budget
        ("group", pa.int8()),  # which budget; -1: can't be chosen
        ("reason", pa.string()),  # why it can't be chosen
        ("value", pa.float64()),  # the column that kept and dropped rows get, where the method adds one
    ]
)


def hashed(ids: pa.Array | pa.ChunkedArray, seed: int, salt: str) -> NDArray[np.uint64]:
    """uint64[n]: xxh3-64 of each id under (seed, salt); a null id is an empty one."""
    import xxhash

    base = (seed * _GOLDEN + xxhash.xxh3_64_intdigest(salt.encode())) & _MASK
    texts = pc.fill_null(ids.cast(pa.string()), "").cast(pa.binary()).to_pylist()
    digest = xxhash.xxh3_64_intdigest
    return np.fromiter((digest(text, base) for text in texts), np.uint64, len(texts))


def gumbel(ids: pa.Array | pa.ChunkedArray, seed: int, salt: str = "gumbel") -> NDArray[np.float64]:
    """float64[n] standard Gumbel noise, -log(-log(u)), u uniform in (0, 1) from a hash of (seed, id)."""
    uniform = ((hashed(ids, seed, salt) >> np.uint64(11)).astype(np.float64) + 0.5) * 2.0**-53
    return np.fromiter((-math.log(-math.log(u)) for u in uniform.tolist()), np.float64, len(uniform))


@dataclass(frozen=True)
class ShardWork:
    """What a task needs to know of one shard; `step` is the configured step itself."""

    index: int
    path: str
    folder: str
    step: Selection
    tokenizer: str = ""

    def batches(self, columns: list[str]) -> Iterator[tuple[int, pa.Table]]:
        """(number of the first row, documents with these columns), those that the shard has."""
        names = pq.read_schema(local_file(self.path)).names
        yield from document_batches(self.path, [name for name in dict.fromkeys(columns) if name in names])

    @property
    def scores(self) -> Path:
        """The shard's file of keys."""
        return place(self.folder) / SCORES / f"{self.index:05d}.arrow"


@lru_cache(maxsize=1)
def _encoder(path: str, digest: str) -> Encoder:
    """A tokenizer and its engine, once for a worker; `digest` is of the file."""
    from pipeline.bpe import load_tokenizer
    from pipeline.engines.encoder import Encoder

    return Encoder(load_tokenizer(path))


def sizes(work: ShardWork, docs: pa.Table) -> NDArray[np.int64]:
    """int64[n]: what each document takes of the budget."""
    unit = work.step.budget.unit
    if unit == "documents":
        return np.ones(docs.num_rows, np.int64)
    if unit == "bytes":
        return np.asarray(pc.fill_null(pc.binary_length(docs["text"]), 0).to_numpy(), np.int64)
    if not work.tokenizer:
        column = pc.fill_null(docs[TOKENS].cast(pa.int64()), 0)
        return np.asarray(pc.max_element_wise(column, 0).to_numpy(), np.int64)
    from pipeline.engines.encoder import Tally

    encoder = _encoder(work.tokenizer, work.step.tokenizer_digest)
    offsets, _ = encoder.encode(docs["text"], eos=True, keys=docs["id"], tally=Tally())
    return np.diff(offsets)


def write_scores(work: ShardWork, tables: list[pa.Table]) -> dict[str, Any]:
    """Write a shard's keys, one record batch, not compressed: the cut maps it."""
    table = pa.concat_tables([SCORE.empty_table(), *tables]).combine_chunks()
    with (
        atomic_path(work.scores) as temporary,
        pa.OSFile(str(temporary), "wb") as sink,
        pa.ipc.new_file(sink, SCORE) as out,
    ):
        out.write_batch(pa.RecordBatch.from_arrays([_one(column) for column in table.columns], schema=SCORE))
    return {"files": [entry(work.scores, table.num_rows)], "n_in": table.num_rows, "sizes": _total(table)}


def _one(column: pa.ChunkedArray) -> pa.Array:
    return column.chunk(0) if column.num_chunks else pa.array([], column.type)


def _total(table: pa.Table) -> int:
    return int(pc.sum(table["size"]).as_py() or 0)


def read_scores(path: Path) -> pa.RecordBatch:
    """A shard's keys, mapped."""
    return pa.ipc.open_file(pa.memory_map(local_file(path))).get_batch(0)


@dataclass(frozen=True)
class CutWork:
    """The task that finds the cuts: `budgets` of the groups, in units."""

    folder: str
    shards: int
    budgets: tuple[int, ...]


def cut_groups(work: CutWork) -> dict[str, Any]:
    """Write `cuts/cuts.json`: for each group the first document left out, what is kept, and what there was."""
    folder = place(work.folder)

    def blocks(group: int) -> Iterator[Ranked]:
        for shard in range(work.shards):
            batch = read_scores(folder / SCORES / f"{shard:05d}.arrow")
            rows = np.flatnonzero(batch.column("group").to_numpy() == group)
            key, tie, size = (batch.column(name).to_numpy()[rows] for name in ("key", "tie", "size"))
            yield Ranked(shard, rows, key, tie, size)

    found = []
    for group, budget in enumerate(work.budgets):
        cut = find_cut(lambda group=group: blocks(group), budget)  # type: ignore[misc]
        there = [(len(block.rows), int(block.sizes.sum())) for block in blocks(group)]
        found.append({**vars(cut), "documents": sum(n for n, _ in there), "available": sum(size for _, size in there)})
    path = folder / "cuts" / CUTS
    write_json(path, found)
    return {"files": [entry(path, len(found))], "n_in": sum(one["documents"] for one in found)}


def split_shard(work: ShardWork) -> dict[str, Any]:
    """Write a shard's `kept/` and `dropped/` files."""
    folder = place(work.folder)
    fields = ("key", "tie", "shard", "row", "kept", "size")
    cuts = [Cut(*(one[name] for name in fields)) for one in read_json(folder / "cuts" / CUTS, list)]
    scores = read_scores(work.scores)
    keep = np.zeros(len(scores), bool)
    groups = scores.column("group").to_numpy()
    for group, cut in enumerate(cuts):
        rows = np.flatnonzero(groups == group)
        arrays = (scores.column(name).to_numpy()[rows] for name in ("key", "tie", "size"))
        keep[rows] = cut.before(Ranked(work.index, rows, *arrays))
    reasons = pc.fill_null(scores.column("reason"), NOT_SELECTED)
    base = pq.read_schema(local_file(work.path))
    kept_schema = work.step.with_value(base.empty_table(), scores.slice(0, 0)).schema
    told = [pa.field(name, pa.string()) for name in (DROP_FILTER, DROP_REASON)]
    name = f"{work.index:05d}.parquet"
    counts = StageCounts(work.step.name)
    watch = work.step.watcher(folder)
    with parquet_shards(
        (folder / "kept" / name, kept_schema), (folder / "dropped" / name, pa.schema([*kept_schema, *told]))
    ) as (kept_file, dropped_file):
        for first, batch in document_batches(work.path):
            n = batch.num_rows
            mask = pa.array(keep[first : first + n])
            table = work.step.with_value(batch, scores.slice(first, n))
            kept = table.filter(mask)
            kept_file.write(kept)
            watch(kept)
            gone = table.filter(pc.invert(mask))
            why = reasons.slice(first, n).filter(pc.invert(mask))
            gone = gone.append_column(told[0], pa.repeat(work.step.name, gone.num_rows))
            dropped_file.write(gone.append_column(told[1], why))
            counts.n_in += n
            counts.n_kept += kept.num_rows
            counts.dropped.update(why.to_pylist())
        files = [kept_file.close(), dropped_file.close()]
    return {"files": files, "n_in": counts.n_in, "counts": [counts.to_json()], **watch.result()}


class Watch:
    """Called with the documents that are kept, for what a method wants to say of them."""

    def __call__(self, docs: pa.Table) -> None:
        return None

    def result(self) -> dict[str, Any]:
        """What goes into the task's result."""
        return {}


def score_shard(work: ShardWork) -> dict[str, Any]:
    """Write a shard's keys. The function that workers run."""
    return write_scores(work, list(work.step.scored(work)))


@dataclass(frozen=True, kw_only=True)
class Selection(Step):
    """Base of the steps that keep a budget's worth of documents."""

    needs: ClassVar[tuple[str, ...]] = ("documents",)
    reads: ClassVar[tuple[str, ...]] = ("id", "text")
    adds: ClassVar[tuple[str, ...]] = ()
    """The column of `value`, if any."""
    sources: ClassVar[tuple[str, ...]] = ()

    keep: str | int | float = field(default="", metadata={"help": HELP})
    seed: int = field(default=0, metadata={"help": "seed of what chance there is"})
    tokenizer: str = field(
        default="", metadata={"help": "counts tokens by this tokenizer.json (default: the column n_tokens)"}
    )

    @property
    def budget(self) -> Budget:
        """What is kept. Raises ConfigError."""
        return Budget.parse(self.keep, f"step '{self.name}'")

    @property
    def tokenizer_digest(self) -> str:
        """Hash of the tokenizer's file, "" for none."""
        return file_digest(Path(self.tokenizer)) if self.tokenizer else ""

    def check(self) -> None:
        budget = self.budget
        if self.tokenizer:
            from pipeline.bpe import load_tokenizer

            load_tokenizer(self.tokenizer)
            if budget.unit != "tokens":
                raise ConfigError(
                    f"step '{self.name}': a tokenizer is for a budget of tokens, and keep is {self.keep!r}"
                )

    def config(self) -> dict[str, Any]:
        return {**super().config(), "keep": str(self.keep), "tokenizer": self.tokenizer_digest}

    def wanted(self) -> tuple[str, ...]:
        """The columns that the method reads beside `id` and `text`."""
        return ()

    def keys(self, have: set[str]) -> tuple[str, ...]:
        """See `Step.keys`: what `by` names."""
        by = str(getattr(self, "by", "")).removeprefix("-")
        return (by,) if by and EXTRA in have and by.partition(".")[0] not in have else ()

    def columns(self, have: set[str]) -> set[str]:
        known = (*have, *self.wanted()) if EXTRA in have else have  # of JSON lines they may be keys
        missing = [name for name in (*self.reads, *self.wanted()) if name not in known]
        if missing:
            raise SchemaError(f"step '{self.name}' reads {missing}, which no earlier step adds; there: {sorted(have)}")
        if self.budget.unit == "tokens" and not self.tokenizer and TOKENS not in have:
            raise SchemaError(
                f"step '{self.name}': documents have no column {TOKENS} to count tokens by; give a tokenizer "
                "(tokenizer: tokenizer.json), or keep bytes or documents"
            )
        return have | set(self.adds)

    def scored(self, work: ShardWork) -> Iterator[pa.Table]:
        """Tables of SCORE for the shard's documents, in order."""
        raise NotImplementedError

    def budgets(self, total: int) -> tuple[int, ...]:
        """The groups' budgets in units, of which `total` came in."""
        return (self.budget.of(total),)

    def with_value(self, docs: pa.Table, scores: pa.RecordBatch) -> pa.Table:
        """The documents with the column that the method adds."""
        if not self.adds:
            return docs
        column = pa.field(self.adds[0], pa.float64())
        if column.name in docs.column_names:
            return docs.set_column(docs.column_names.index(column.name), column, scores.column("value"))
        return docs.append_column(column, scores.column("value"))

    def watcher(self, folder: Path) -> Watch:
        """What looks at the kept documents of a shard."""
        return Watch()

    def prepare(self, context: StepContext, shards: list[ShardWork]) -> None:
        """What is to be done before the shards can be scored."""

    def told(self, results: Sequence[dict[str, Any]], folder: Path) -> dict[str, Any]:
        """What the report says beside the counts, from the results of the last tasks."""
        return {}

    def table(
        self,
        docs: pa.Table,
        keys: NDArray[np.uint64],
        size: NDArray[np.int64],
        *,
        group: NDArray[np.int8] | None = None,
        reasons: pa.Array | None = None,
        values: NDArray[np.float64] | None = None,
    ) -> pa.Table:
        """A table of SCORE; rows with a reason can't be chosen."""
        n = docs.num_rows
        group = np.zeros(n, np.int8) if group is None else group
        reasons = pa.nulls(n, pa.string()) if reasons is None else reasons
        group = np.where(reasons.is_null().to_numpy(zero_copy_only=False), group, -1).astype(np.int8)
        value = pa.nulls(n, pa.float64()) if values is None else pa.array(values)
        tie = hashed(docs["id"], self.seed, "tie")
        return pa.table(list(map(pa.array, (keys, tie, size, group))) + [reasons, value], schema=SCORE)

    def run(self, context: StepContext) -> dict[str, Any]:
        documents = context.inputs["documents"]
        folder = context.folder.path
        shards = [
            ShardWork(i, str(documents.path / file), str(folder), self, self.tokenizer)
            for i, file in enumerate(documents.files)
        ]
        self.prepare(context, shards)
        tasks = [Task(f"score-{work.index:05d}", work) for work in shards]
        scored = context.map(score_shard, tasks, label=f"{context.step}: score")
        budgets = self.budgets(sum(result["sizes"] for result in scored))
        cut = CutWork(str(folder), len(shards), budgets)
        context.map(cut_groups, [Task("cut", cut)], label=f"{context.step}: choose")
        cuts = read_json(folder / "cuts" / CUTS, list)
        tasks = [Task(f"split-{work.index:05d}", work) for work in shards]
        results = context.map(split_shard, tasks, label=f"{context.step}: split")
        told = self.told(results, folder)
        remove(folder, SCORES, "cuts", "features")
        if self.wanted() and documents.rows and not any(one["available"] for one in cuts):
            named = ", ".join(self.wanted())
            raise StepFailed(f"step '{context.step}': no document has a value in '{named}' that it could be chosen by")
        wanted, got = sum(budgets), sum(one["size"] for one in cuts)
        if sum(one["available"] for one in cuts) < wanted:
            context.progress.say(
                f"{context.step}: only {got:,} of {wanted:,} {self.budget.unit} could be chosen from; all are kept"
            )
        return {
            **shard_results(results),
            "selection": {"unit": self.budget.unit, "budget": list(budgets), "kept": got, "groups": cuts, **told},
            "summary": {"selection": {f"{self.budget.unit} kept": got, **told}},
        }
