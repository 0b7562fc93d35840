"""The stage contract: a stage is a callable from table to table with declared columns.

Three kinds: a `Stage` adds columns, a `Filter` scores and then decides, an `Editor` makes new text
and says which spans it took. All run without Ray and without a run folder: `stage(table)`.
A row that a stage wants dropped carries a reason in the column `drop_reason` (null = kept); the
runner splits the table there, so that a stage never loses a row by itself.
"""

from __future__ import annotations

import dataclasses
import hashlib
import json
from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar, Literal, Protocol, TypeVar

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from .errors import ConfigError, SchemaError, nearest
from .option_types import check_types
from .schema import require

DROP_REASON = "drop_reason"
DROP_FILTER = "drop_filter"
SCORED_BY = b"gristmill.scored_by"
STAGES_RUN = b"gristmill.stages"
"""Metadata of an exported Parquet file: JSON [[name, version, options], ...] of the stages that it went through."""


@dataclass(frozen=True, kw_only=True)
class Stage:
    """Base of everything that maps a table of documents to a table of documents, shard by shard.

    Subclasses are frozen keyword-only dataclasses; their fields are their configuration.
    `reads`, `adds` and `removes` are checked before a run starts; `version` goes up with every
    change of behaviour and, with the configuration, makes the fingerprint.
    """

    name: ClassVar[str]
    version: ClassVar[int] = 1
    reads: ClassVar[tuple[str, ...]] = ()
    adds: ClassVar[tuple[str, ...]] = ()
    removes: ClassVar[tuple[str, ...]] = ()
    sources: ClassVar[tuple[str, ...]] = ()
    """The papers, specifications or systems that the stage follows; shown by `gristmill filters`."""
    log: ClassVar[str] = ""
    """Folder of the step's in which `shard_session` may leave `<shard>.jsonl`, which the manifest then names."""
    memory_bytes: ClassVar[int] = 0
    """What a task with this stage reserves of a machine's memory, where that is more than the step's (`Step`)."""
    cpus: ClassVar[float] = 1.0

    def __call__(self, docs: pa.Table) -> pa.Table:
        """The table with `adds` added, `removes` gone and, if rows are to go, `drop_reason` set."""
        raise NotImplementedError

    def check(self) -> None:
        """Raise ConfigError if the configuration can't work (missing model, bad threshold). Before any run."""

    def prepare(self, say: Callable[[str], None]) -> None:
        """Make what all workers share (an index). Once, in the process that drives the run, before a step's tasks;
        `say` shows a line to the user."""
        return None

    def only_scored(self, docs: pa.Table) -> pa.Table:
        """What `all_scores` runs over rows that an earlier filter has dropped; nothing is logged or cut there."""
        return self(docs)

    @classmethod
    def edits(cls, config: Mapping[str, Any]) -> bool:
        """Whether the stage, with this configuration, gives new text and `cut_spans`."""
        return False

    def shard_session(self, folder: Path, shard: str) -> AbstractContextManager[object]:
        """Put around all batches of one shard by the runner; `folder` is the step's. For state that must
        outlive a killed run (the fates of pages that hit the time limit)."""
        return nullcontext()

    def config(self) -> dict[str, Any]:
        """The configuration as plain JSON values; files that it names enter by their content."""
        return {f.name: getattr(self, f.name) for f in dataclasses.fields(self)}

    def fingerprint(self) -> str:
        """Hash of name, version and configuration."""
        blob = json.dumps([self.name, self.version, self.config()], sort_keys=True, default=str)
        return hashlib.blake2b(blob.encode(), digest_size=16).hexdigest()


@dataclass(frozen=True)
class Rule:
    """One comparison of a filter: a document is kept if `measure` `keep` the value of `option`."""

    option: str  # the option that holds the threshold; None there = the rule is off
    measure: str  # a field of the score struct, or "" for the score column itself
    keep: Literal[">=", ">", "<=", "<"]


@dataclass(frozen=True, kw_only=True)
class Filter(Stage):
    """Scores, then decides. The score stays as column `score_column`, so a new threshold never re-scores."""

    score_column: ClassVar[str]
    rules: ClassVar[tuple[Rule, ...]] = ()
    """The comparisons that decide, in order; what `inspect` draws thresholds and histograms from."""
    decides: ClassVar[tuple[str, ...]] = ()
    """Options that only decide: another value of theirs leaves the scores as they are."""

    def score(self, docs: pa.Table) -> pa.Array | pa.ChunkedArray:
        """One score per document."""
        raise NotImplementedError

    def keep(self, score: pa.Array | pa.ChunkedArray) -> pa.Array | pa.ChunkedArray:
        """Boolean mask, one per document, from the scores alone."""
        raise NotImplementedError

    def decide(self, docs: pa.Table) -> pa.Array | pa.ChunkedArray:
        """The mask for a scored table; overridden where the decision needs more columns than the score."""
        return self.keep(docs[self.score_column])

    def reason(self, docs: pa.Table) -> pa.Array | pa.ChunkedArray | str:
        """Why a document that is not kept goes: one string for all or one per document (scored table)."""
        return self.name

    def scored_by(self) -> str:
        """Hash of the filter, its version and the options that scores hang on."""
        options = {k: v for k, v in self.config().items() if k not in self.decides}
        blob = json.dumps([self.name, self.version, options], sort_keys=True, default=str)
        return hashlib.blake2b(blob.encode(), digest_size=16).hexdigest()

    def score_field(self, name: str, kind: pa.DataType) -> pa.Field:
        """The field of a score column; its metadata says by which filter, version and options it was scored."""
        return pa.field(name, kind, metadata={SCORED_BY: self.scored_by()})

    def has_score(self, docs: pa.Table) -> bool:
        """Whether the table's score column was made by this filter with these options; only then it is taken over."""
        if self.score_column not in docs.column_names:
            return False
        field = docs.schema.field(self.score_column)
        return field.metadata == self.score_field(field.name, field.type).metadata

    def scored(self, docs: pa.Table) -> pa.Table:
        """The table with the score column (taken over if it is there already, see `has_score`)."""
        if self.has_score(docs):
            return docs
        require(docs, self.reads, f"filter '{self.name}'")
        if self.score_column in docs.column_names:
            docs = docs.drop_columns([self.score_column])
        score = self.score(docs)
        return docs.append_column(self.score_field(self.score_column, score.type), score)

    def __call__(self, docs: pa.Table) -> pa.Table:
        docs = self.scored(docs)
        keep = pc.fill_null(self.decide(docs), False)
        reason = self.reason(docs)
        if isinstance(reason, str):
            reason = pa.scalar(reason)
        marked = pc.if_else(keep, pa.scalar(None, pa.string()), reason)
        if isinstance(marked, pa.Scalar):  # both arguments scalar: an empty table
            marked = pa.array([marked.as_py()] * docs.num_rows, pa.string())
        if DROP_REASON in docs.column_names:
            raise SchemaError(f"filter '{self.name}': the table has a column '{DROP_REASON}' already")
        return docs.append_column(DROP_REASON, marked)


CUT_SPANS = "cut_spans"
SPAN = pa.struct([("editor", pa.string()), ("start", pa.int64()), ("end", pa.int64()), ("kind", pa.string())])
"""A span that an editor took or replaced: bytes [start, end) of the text that this editor read."""


@dataclass(frozen=True, kw_only=True)
class Editor(Stage):
    """Turns text into new text plus the spans it took, `cut_spans: list<struct<editor, start, end, kind>>`.

    Several editors in a chain append to the same list. Scores made before the edit are not taken over
    by a later filter: their columns lose the mark that `Filter.has_score` looks for.
    """

    reads: ClassVar[tuple[str, ...]] = ("text",)
    adds: ClassVar[tuple[str, ...]] = (CUT_SPANS,)

    @classmethod
    def edits(cls, config: Mapping[str, Any]) -> bool:
        """As `Stage.edits`: always."""
        return True

    def edit(self, docs: pa.Table) -> tuple[pa.Array | pa.ChunkedArray, pa.Array | pa.ChunkedArray]:
        """(text: large_string, spans: list<SPAN>), one per document; unchanged documents have no spans."""
        raise NotImplementedError

    def dropped(self, docs: pa.Table) -> pa.Array | pa.ChunkedArray | None:
        """Reasons to drop edited documents (null = keep), from the table with the new text; None = keep all."""
        return None

    def __call__(self, docs: pa.Table) -> pa.Table:
        require(docs, self.reads, f"editor '{self.name}'")
        return self.edited(docs, *self.edit(docs))

    def edited(self, docs: pa.Table, text: pa.Array | pa.ChunkedArray, spans: pa.Array | pa.ChunkedArray) -> pa.Table:
        """The table with what `edit` gave, and reasons to drop; for editors that add columns of their own first."""
        docs = with_cuts(docs, text, spans)
        reasons = self.dropped(docs)
        return docs if reasons is None else docs.append_column(DROP_REASON, reasons)


def with_cuts(docs: pa.Table, text: pa.Array | pa.ChunkedArray, spans: pa.Array | pa.ChunkedArray) -> pa.Table:
    """The table with new text and its spans behind those of earlier editors; scores lose their mark (`has_score`)."""
    fields = [
        pa.field(f.name, f.type, f.nullable) if f.metadata and SCORED_BY in f.metadata else f for f in docs.schema
    ]
    docs = docs.cast(pa.schema(fields, docs.schema.metadata))
    docs = docs.set_column(docs.column_names.index("text"), pa.field("text", pa.large_string()), text)
    if CUT_SPANS not in docs.column_names:
        return docs.append_column(pa.field(CUT_SPANS, pa.list_(SPAN)), spans)
    at = docs.column_names.index(CUT_SPANS)
    return docs.set_column(at, pa.field(CUT_SPANS, pa.list_(SPAN)), _joined_lists(docs[CUT_SPANS], spans))


def _joined_lists(first: pa.ChunkedArray, second: pa.Array | pa.ChunkedArray) -> pa.Array:
    """Row by row, the items of two columns of lists (no nulls)."""
    one, two = (pa.chunked_array(c) if isinstance(c, pa.Array) else c for c in (first, second))
    a, b = one.combine_chunks(), two.combine_chunks()
    if isinstance(a, pa.ChunkedArray):
        a = pa.array([], pa.list_(SPAN))
    if isinstance(b, pa.ChunkedArray):
        b = pa.array([], pa.list_(SPAN))
    n = len(a)
    counts_a, counts_b = pc.list_value_length(a).to_numpy(), pc.list_value_length(b).to_numpy()
    rows = np.concatenate([np.repeat(np.arange(n), counts_a), np.repeat(np.arange(n), counts_b)])
    items = pa.concat_arrays([a.flatten(), b.flatten()]).take(pa.array(np.argsort(rows, kind="stable")))
    offsets = np.concatenate([[0], np.cumsum(counts_a + counts_b)]).astype(np.int32)
    return pa.ListArray.from_arrays(pa.array(offsets), items)


_REGISTRY: dict[str, type[Stage]] = {}
S = TypeVar("S", bound=type[Stage])


def register(cls: S) -> S:
    """Class decorator: makes a stage known to recipes and to the command line under its `name`."""
    if cls.name in _REGISTRY and _REGISTRY[cls.name].__qualname__ != cls.__qualname__:
        raise ConfigError(f"two stages are named '{cls.name}'")
    _REGISTRY[cls.name] = cls
    return cls


def registered() -> dict[str, type[Stage]]:
    """All known stages by name (imports the bundled ones first)."""
    from . import builtin  # noqa: F401  registers on import

    return dict(sorted(_REGISTRY.items()))


class Configurable(Protocol):
    """A frozen dataclass whose fields are options: a stage, a step or a source."""

    def check(self) -> None:
        """Raise ConfigError if the options can't work."""


C = TypeVar("C", bound=Configurable)


def configured(cls: type[C], config: dict[str, Any], where: str) -> C:
    """An instance with these options, checked; an unknown option is an error that names the nearest one.

    `where` says what is configured (`recipe, step 3: stage 'url'`). Lists become tuples.
    """
    options = [f.name for f in dataclasses.fields(cls)]  # type: ignore[arg-type]
    for key in config:
        if key not in options:
            raise ConfigError(f"{where} has no option '{key}'{nearest(key, options)}")
    values = {k: tuple(v) if isinstance(v, list) else v for k, v in config.items()}
    check_types(cls, values, where)
    try:
        made = cls(**values)
        made.check()
    except (TypeError, ValueError) as error:
        raise ConfigError(f"{where}: {error}") from error
    return made


def make(name: str, config: dict[str, Any], where: str = "recipe") -> Stage:
    """A stage from its name and its configuration; a typo in either is an error naming the nearest."""
    known = registered()
    if name not in known:
        raise ConfigError(f"{where}: no stage is called '{name}'{nearest(name, known)}")
    return configured(known[name], config, f"{where}: stage '{name}'")


def check_columns(stages: list[Stage], have: set[str]) -> set[str]:
    """Walk a chain of stages; raise SchemaError where one reads a column that is not there by then.

    Returns the columns that stand after the last stage.
    """
    have = set(have)
    for stage in stages:
        missing = [c for c in stage.reads if c not in have]
        if missing:
            adding = [name for name, cls in registered().items() if set(_declared(cls)) & set(missing)]
            raise SchemaError(
                f"stage '{stage.name}' reads {missing}, which no earlier step adds; there by then: {sorted(have)}"
                + (f"; added by {', '.join(adding)}" if adding else "")
            )
        have |= set(stage.adds)
        if isinstance(stage, Filter):
            have.add(stage.score_column)
        have -= set(stage.removes)
    return have


def _declared(cls: type[Stage]) -> tuple[str, ...]:
    """The columns that a class adds, whatever its options."""
    return cls.adds if isinstance(cls.adds, tuple) else ()


def split(docs: pa.Table, stage: Stage) -> tuple[pa.Table, pa.Table]:
    """(kept, dropped) of a table that has been through `stage`; dropped rows name their filter and reason."""
    if DROP_REASON not in docs.column_names:
        return docs, docs.slice(0, 0).append_column(DROP_FILTER, pa.array([], pa.string())).append_column(
            DROP_REASON, pa.array([], pa.string())
        )
    reasons = docs[DROP_REASON]
    docs = docs.drop_columns([DROP_REASON])
    gone = pc.is_valid(reasons)
    dropped = docs.filter(gone)
    dropped = dropped.append_column(DROP_FILTER, pa.array([stage.name] * dropped.num_rows, pa.string()))
    dropped = dropped.append_column(DROP_REASON, reasons.filter(gone))
    return docs.filter(pc.invert(gone)), dropped
