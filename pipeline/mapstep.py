"""Fused per-shard steps: a source of tables and a chain of stages, one pass a shard, written once.

Each shard gives `kept/<shard>.parquet`, `dropped/<shard>.parquet` (whole rows with the scores so far,
the filter and the reason; the raw payload is left in the WARC file), where records were damaged
`skips/<shard>.jsonl` with kind and offset, and what stages log (`Stage.log`).
"""

from __future__ import annotations

import json
import queue
import threading
import time
from collections import Counter
from collections.abc import Generator, Iterator, Sequence
from contextlib import ExitStack, closing, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar, Literal, Protocol

import pyarrow as pa
import pyarrow.compute as pc

from .errors import ConfigError, SchemaError, StepFailed
from .inputs import forget_changed, note_inputs, shard_name
from .runner import Task
from .schema import PAGE
from .sources import Source
from .stage import DROP_FILTER, DROP_REASON, Editor, Filter, Stage, check_columns, split
from .steps import Artefact, StageCounts, Step, StepContext, shard_results
from .storage import place
from .store import atomic_path, digest, file_digest, parquet_shards

PAYLOAD_COLUMNS = ("payload",)
"""Columns that no dropped row keeps: they lie in the WARC file, and `record` says where."""


MAX_DAMAGED_SHARE = 0.5
"""A run stops where more of its records than this are damaged (or of its pages, where the engine fails)."""

MAX_LOGGED = 100_000
"""Damaged records of a shard that its log names; all are counted."""

_ENOUGH = 20

Mode = Literal["early_exit", "all_scores"]
"""How far a document goes that a filter drops: no further, or on through all filters and editors of its step."""

MODES: tuple[Mode, ...] = ("early_exit", "all_scores")


class Batch(Protocol):
    """What a source yields: rows, the number of records read for them, and the records that gave none."""

    table: pa.Table
    records: int
    skips: Sequence[Any]


@dataclass(frozen=True)
class ShardTask:
    """All that a worker needs to know of one shard."""

    shard: str
    folder: str
    source: Source
    split: Any
    stages: tuple[Stage, ...]
    mode: Mode = "early_exit"


def apply_stages(
    stages: Sequence[Stage],
    table: pa.Table,
    counts: Sequence[StageCounts],
    seconds: Counter[str],
    mode: Mode = "early_exit",
) -> tuple[pa.Table, list[pa.Table]]:
    """Run the stages over a table; returns the kept rows and, for each stage that dropped some, these.

    With `all_scores` rows that a filter drops go through the later stages as well, apart from the kept ones: kept rows,
    counts and decisions (the first filter that drops, and its reason) are those of `early_exit`. Final are drops by
    stages that are no filters. Dropped rows don't go through stages that remove columns (extraction) or add none.
    What an editor drops keeps the text that it came with: with its spans one sees why it went.
    """
    gone: list[pa.Table] = []
    for stage, count in zip(stages, counts, strict=True):
        n_in = table.num_rows
        start = time.perf_counter()
        if mode == "all_scores" and not stage.removes and (stage.adds or isinstance(stage, Filter)):
            gone = [_only_scored(stage, rows) for rows in gone]
        before, table = table, stage(table)
        if isinstance(stage, Editor):
            table = _dropped_as_they_came(table, before)
        seconds[stage.name] += int((time.perf_counter() - start) * 1e6)
        missing = [c for c in stage.adds if c not in table.column_names]
        if missing:
            raise SchemaError(f"stage '{stage.name}' declares that it adds {missing}, but did not")
        table, dropped = split(table, stage)
        count.n_in += n_in
        count.n_split += max(0, table.num_rows + dropped.num_rows - n_in)
        count.n_kept += table.num_rows
        if dropped.num_rows:
            count.dropped.update(dropped[DROP_REASON].to_pylist())
            final = not isinstance(stage, Filter)
            gone.append(dropped.append_column(_FINAL, pa.repeat(final, dropped.num_rows)))
    return table, [rows.drop_columns([_FINAL]) for rows in gone]


def _dropped_as_they_came(table: pa.Table, before: pa.Table) -> pa.Table:
    """An editor's table with the texts of before in the rows that it drops."""
    if DROP_REASON not in table.column_names or table[DROP_REASON].null_count == table.num_rows:
        return table
    text = table["text"]
    whole = pc.if_else(pc.is_valid(table[DROP_REASON]), before["text"].cast(text.type), text)
    return table.set_column(table.column_names.index("text"), table.schema.field("text"), whole)


_FINAL = "__final"


def _only_scored(stage: Stage, rows: pa.Table) -> pa.Table:
    """Dropped rows with what a later stage adds; filter and reason stay as they are."""
    final = rows[_FINAL]
    done, going = rows.filter(final), rows.filter(pc.invert(final))
    if going.num_rows == 0:
        return rows
    decided = going.select([DROP_FILTER, DROP_REASON])
    place = pa.chunked_array([pa.array(range(going.num_rows), pa.int64())])
    scored = stage.only_scored(going.drop_columns([DROP_FILTER, DROP_REASON, _FINAL]).append_column(_PLACE, place))
    ends = pa.repeat(False, scored.num_rows)
    if DROP_REASON in scored.column_names:
        if not isinstance(stage, Filter):
            ends = pc.is_valid(scored[DROP_REASON])
        scored = scored.drop_columns([DROP_REASON])
    decided = decided.take(scored[_PLACE].combine_chunks())  # a stage may split a row
    scored = scored.drop_columns([_PLACE])
    for name in (DROP_FILTER, DROP_REASON):
        scored = scored.append_column(name, decided[name])
    return pa.concat_tables([done, scored.append_column(_FINAL, ends)], promote_options="default")


_PLACE = "__place"


def _dropped_schema(stages: Sequence[Stage], empty: pa.Table, kept: pa.Schema) -> pa.Schema:
    fields = {f.name: f for f in empty.schema if f.name not in PAYLOAD_COLUMNS}
    fields.update({f.name: f for f in kept})
    fields[DROP_FILTER] = pa.field(DROP_FILTER, pa.string())
    fields[DROP_REASON] = pa.field(DROP_REASON, pa.string())
    return pa.schema(list(fields.values()))


def _conform(table: pa.Table, schema: pa.Schema) -> pa.Table:
    columns = [
        table[f.name].cast(f.type) if f.name in table.column_names else pa.nulls(table.num_rows, f.type) for f in schema
    ]
    return pa.table(columns, schema=schema)


def map_shard(task: ShardTask) -> dict[str, Any]:
    """Read one shard's source, run the stages, write its files. The function that workers run."""
    folder = place(task.folder)
    stages = task.stages
    counts = [StageCounts(stage.name) for stage in stages]
    seconds: Counter[str] = Counter()
    content = _content(task, seconds)
    skipped: Counter[str] = Counter()
    damage: list[str] = []
    records = documents = 0
    empty = task.source.schema(task.split).empty_table()
    kept_schema = apply_stages(stages, empty, [StageCounts(s.name) for s in stages], Counter())[0].schema
    dropped_schema = _dropped_schema(stages, empty, kept_schema)
    name = f"{task.shard}.parquet"
    with ExitStack() as stack:
        for stage in stages:
            stack.enter_context(stage.shard_session(folder, task.shard))
        kept_file, dropped_file = stack.enter_context(
            parquet_shards((folder / "kept" / name, kept_schema), (folder / "dropped" / name, dropped_schema))
        )
        for batch in stack.enter_context(closing(_ahead(_timed(task.source.read(task.split), seconds)))):
            records += batch.records
            documents += batch.table.num_rows
            for skip in batch.skips:
                skipped[skip.kind] += 1
                if _is_damage(skip.kind) and len(damage) < MAX_LOGGED:
                    line = {"kind": skip.kind, "offset": skip.offset, "detail": skip.detail}
                    damage.append(json.dumps(line, ensure_ascii=False, sort_keys=True))
            kept, gone = apply_stages(stages, batch.table, counts, seconds, task.mode)
            kept_file.write(kept)
            for dropped in gone:
                dropped_file.write(_conform(dropped, dropped_schema))
        files = [kept_file.close(), dropped_file.close()]
    for log in dict.fromkeys(stage.log for stage in stages if stage.log):
        file = folder / log / f"{task.shard}.jsonl"
        if file.exists():
            files.append({"file": f"{log}/{file.name}", **_facts(file)})
    if damage:
        with atomic_path(folder / "skips" / f"{task.shard}.jsonl") as temporary:
            temporary.write_text("\n".join([json.dumps({"file": task.source.name_of(task.split)}), *damage]) + "\n")
    for count in counts:
        count.check()
    return {
        "files": files,
        "records": records,
        "n_in": documents,
        "skipped": dict(sorted(skipped.items())),
        "counts": [count.to_json() for count in counts],
        "seconds": {name: value / 1e6 for name, value in seconds.items()},
        **content,
    }


def _content(task: ShardTask, seconds: Counter[str]) -> dict[str, str]:
    """The digest of the shard's part of a local file, taken before it is read (`pipeline/inputs.py`)."""
    extent = task.source.extent(task.split)
    if extent is None:
        return {}
    start = time.perf_counter()
    try:
        return {"content": extent.digest()}
    except OSError as error:
        raise ConfigError(f"can't open '{extent.path}': {error}") from error
    finally:
        seconds["read"] += int((time.perf_counter() - start) * 1e6)


def _facts(file: Path) -> dict[str, Any]:
    """Lines, size and checksum of a file, as `ParquetShard.close` gives them."""
    with open(file, "rb") as handle:
        rows = sum(1 for _ in handle)
    return {"rows": rows, "bytes": file.stat().st_size, "blake2b": file_digest(file)}


def _ahead(batches: Iterator[Batch]) -> Generator[Batch, None, None]:
    """The same batches, the next one read in a thread while this one is worked on (extraction waits for its child)."""
    ready: queue.Queue[Batch | BaseException | None] = queue.Queue(maxsize=1)
    stop = threading.Event()

    def put(item: Batch | BaseException | None) -> None:
        while not stop.is_set():
            with suppress(queue.Full):
                ready.put(item, timeout=0.5)
                return

    def read() -> None:
        try:
            for batch in batches:
                put(batch)
                if stop.is_set():
                    return
            put(None)
        except BaseException as error:  # handed to the reader of the batches, who raises it
            put(error)

    thread = threading.Thread(target=read, daemon=True)
    thread.start()
    try:
        while (item := ready.get()) is not None:
            if isinstance(item, BaseException):
                raise item
            yield item
    finally:
        stop.set()
        thread.join()


def _timed(batches: Iterator[Batch], seconds: Counter[str]) -> Iterator[Batch]:
    while True:
        start = time.perf_counter()
        batch = next(batches, None)
        seconds["read"] += int((time.perf_counter() - start) * 1e6)
        if batch is None:
            return
        yield batch


def _check_input(
    step: str, records: int, documents: int, skipped: Counter[str], counts: Sequence[dict[str, Any]]
) -> None:
    """Raise StepFailed where the input gave nothing, or mostly damage: a wrong file, option or installation."""
    kinds = ", ".join(f"{kind} ({n:,})" for kind, n in skipped.most_common(3))
    if records == 0:
        raise StepFailed(f"step '{step}': the input holds no records; is it the right kind of file?")
    if documents == 0:
        hint = "; name the text column with --text-field" if "no_text" in skipped else ""
        raise StepFailed(f"step '{step}': none of the input's {records:,} records is a document: {kinds}{hint}")
    damaged = sum(n for kind, n in skipped.items() if _is_damage(kind))
    if records >= _ENOUGH and damaged > MAX_DAMAGED_SHARE * records:
        raise StepFailed(f"step '{step}': {damaged:,} of {records:,} records are damaged: {kinds}; see {step}/skips/")
    for count in counts:
        errors = count["dropped"].get("extractor_error", 0)
        if count["n_in"] >= _ENOUGH and errors > MAX_DAMAGED_SHARE * count["n_in"]:
            raise StepFailed(f"step '{step}': the engine failed on {errors:,} of {count['n_in']:,} pages; is it whole?")


def _is_damage(kind: str) -> bool:
    """Whether a skip says that a record is broken, rather than that it is none of ours."""
    return not kind.startswith(("type:", "status:", "media_type:"))


@dataclass(frozen=True, kw_only=True)
class MapStep(Step):
    """A source (or the documents of the step before) and the stages fused behind it."""

    name: ClassVar[str] = "map"
    source: Source | None
    stages: tuple[Stage, ...]
    mode: Mode = "early_exit"

    @property
    def needs(self) -> tuple[str, ...]:  # type: ignore[override]
        return () if self.source and self.source.initial else ("documents",)

    def folder_name(self) -> str:
        return self.stages[-1].name if self.stages else "read"

    def columns(self, have: set[str]) -> set[str]:
        return check_columns(list(self.stages), self.source.columns() if self.source else have)

    def config(self) -> dict[str, Any]:
        stages = [[s.name, s.version, s.config()] for s in self.stages]
        return {"source": self.source.config() if self.source else None, "stages": stages, "mode": self.mode}

    def fingerprint(self, inputs: Sequence[Artefact]) -> str:
        own = self.source.fingerprint() if self.source else None
        return digest(super().fingerprint(inputs), own)

    def forget_changed(self, context: StepContext, fingerprint: str) -> None:
        if self.source:
            forget_changed(context.folder, self.source, fingerprint, context.runner, context.progress, context.step)

    def run(self, context: StepContext) -> dict[str, Any]:
        from .sources import ShardSource

        source = self.source or ShardSource()
        splits = source.splits(context.inputs.get("documents"))
        folder = str(context.folder.path)
        note_inputs(context.folder, source, splits)
        tasks = [
            Task(
                shard_name(i),
                ShardTask(shard_name(i), folder, source, one, self.stages, self.mode),
                size=source.bytes_of(one),
            )
            for i, one in enumerate(splits)
        ]
        unit = "pages" if source.columns() >= set(PAGE.names) else "documents"
        for stage in self.stages:
            stage.prepare(context.progress.say)
        results = context.map(map_shard, tasks, unit=unit)
        shards = shard_results(results)
        skipped: Counter[str] = Counter()
        for result in results:
            skipped.update(result["skipped"])
        records = sum(result["records"] for result in results)
        if source.initial:
            _check_input(context.step, records, shards["documents_read"], skipped, shards["counts"])
        contents = [result["content"] for result in results if "content" in result]
        content = {"content": digest(contents)} if contents else {}
        return {**shards, **content, "records": records, "skipped": dict(sorted(skipped.items()))}
