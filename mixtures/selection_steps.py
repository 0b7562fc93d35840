"""The steps `select_top`, `select_buckets` and `select_random`: other ways to keep a budget's worth of documents.

select_top      the highest (or lowest) values of a column, a classifier's score, say
select_buckets  a share of the budget from each bucket of a column (CCNet's head, middle and tail), chance within it
select_random   by chance: what the others are to be held against, at an equal budget of tokens

They read the column named in `by`, and drop documents without a value (`no_value`, `not_asked_for`).
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from fractions import Fraction
from typing import Any, ClassVar

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from pipeline.documents import EXTRA
from pipeline.errors import ConfigError, SchemaError
from pipeline.steps import register_step

from .selection import TOKENS, Selection, ShardWork, hashed, sizes
from .selection_cut import ordered

NO_VALUE = "no_value"
NOT_ASKED = "not_asked_for"


def _field(docs: pa.Table, path: str, kind: pa.DataType) -> pa.ChunkedArray:
    """A column, or a field of a struct column (`gopher.words`); else that key of JSON lines, where it is of `kind`."""
    name, *inner = path.split(".")
    if name not in docs.column_names:
        return pa.chunked_array([pa.array([_key(one, path, kind) for one in docs[EXTRA].to_pylist()], kind)])
    column = docs[name]
    for one in inner:
        if not pa.types.is_struct(column.type) or column.type.get_field_index(one) < 0:
            raise SchemaError(f"column '{name}' has no field '{one}'; it is {column.type}")
        column = pc.struct_field(column, one)
    return column


def _key(extra: str | None, path: str, kind: pa.DataType) -> Any:
    """The value at a path of a JSON object; None where it isn't there or not of the kind (a number, else a text)."""
    try:
        value = json.loads(extra or "{}")
    except ValueError:  # a column of the user's that only has the name
        return None
    for name in path.split("."):
        value = value.get(name) if isinstance(value, dict) else None
    if pa.types.is_floating(kind):
        return float(value) if isinstance(value, (int, float)) and not isinstance(value, bool) else None
    return value if isinstance(value, str) else None


@register_step
@dataclass(frozen=True, kw_only=True)
class SelectTop(Selection):
    """Keeps the documents with the highest values of a column, up to a budget; equal ones by chance."""

    name: ClassVar[str] = "select_top"

    by: str = field(
        default="", metadata={"help": "a column of numbers: quality, say; `-perplexity` keeps the lowest values"}
    )

    def check(self) -> None:
        super().check()
        if not self.by.removeprefix("-").strip("."):
            raise ConfigError(f"step '{self.name}': by must name a column of numbers")

    def wanted(self) -> tuple[str, ...]:
        """See `Selection.wanted`."""
        return (self.by.removeprefix("-").split(".")[0],)

    def scored(self, work: ShardWork) -> Iterator[pa.Table]:
        """See `Selection.scored`."""
        path = self.by.removeprefix("-")
        for _, docs in work.batches(["id", "text", TOKENS, *self.wanted(), EXTRA]):
            column = _field(docs, path, pa.float64())
            if not (pa.types.is_floating(column.type) or pa.types.is_integer(column.type)):
                raise SchemaError(f"step '{self.name}': column '{path}' holds {column.type}, no numbers")
            values = column.cast(pa.float64()).to_numpy()
            lacking = np.isnan(values)
            values = np.where(lacking, 0.0, -values if self.by.startswith("-") else values)
            reasons = pc.if_else(pa.array(lacking), NO_VALUE, pa.scalar(None, pa.string()))
            yield self.table(docs, ordered(values), sizes(work, docs), reasons=reasons)


@register_step
@dataclass(frozen=True, kw_only=True)
class SelectRandom(Selection):
    """Keeps documents by chance, up to a budget; by `seed` and document id, whatever the workers."""

    name: ClassVar[str] = "select_random"

    def scored(self, work: ShardWork) -> Iterator[pa.Table]:
        """See `Selection.scored`."""
        for _, docs in work.batches(["id", "text", TOKENS]):
            yield self.table(docs, hashed(docs["id"], self.seed, "random"), sizes(work, docs))


@register_step
@dataclass(frozen=True, kw_only=True)
class SelectBuckets(Selection):
    """Keeps a share of the budget from each bucket of a column, by chance within it.

    The default column is what the stage `perplexity` adds (CCNet's head, middle and tail, Wenzek et al. 2020); its
    cutoffs are that stage's, or the corpus's own by `gristmill cutoffs`.
    """

    name: ClassVar[str] = "select_buckets"
    sources: ClassVar[tuple[str, ...]] = ("Wenzek et al. 2020, CCNet; https://aclanthology.org/2020.lrec-1.494",)

    by: str = field(default="perplexity_bucket", metadata={"help": "a column of texts"})
    shares: tuple[str, ...] = field(
        default=("head=1",),
        metadata={"help": "parts of the budget by bucket, as head=0.6 middle=0.3 tail=0.1; they are made to sum to 1"},
    )

    def check(self) -> None:
        super().check()
        if not self.by.strip("."):
            raise ConfigError(f"step '{self.name}': by must name a column of texts")
        self.parts()

    def wanted(self) -> tuple[str, ...]:
        """See `Selection.wanted`."""
        return (self.by.split(".")[0],)

    def parts(self) -> dict[str, Fraction]:
        """The part of the budget of each bucket; they sum to 1. Raises ConfigError."""
        found: dict[str, Fraction] = {}
        for one in self.shares:
            name, sign, number = one.rpartition("=")
            try:
                part = Fraction(number.strip())
            except (ValueError, ZeroDivisionError) as error:
                raise ConfigError(f"step '{self.name}': shares are written as head=0.6, not '{one}'") from error
            if not sign or name.strip() in found or part <= 0:
                raise ConfigError(
                    f"step '{self.name}': shares name each bucket once, above 0, as head=0.6; not '{one}'"
                )
            found[name.strip()] = part
        if not 1 <= len(found) < 128:
            raise ConfigError(f"step '{self.name}': shares must name 1 to 127 buckets")
        total = sum(found.values())
        return {name: part / total for name, part in found.items()}

    def budgets(self, total: int) -> tuple[int, ...]:
        """See `Selection.budgets`."""
        whole = self.budget.of(total)
        return tuple(int(part * whole) for part in self.parts().values())

    def scored(self, work: ShardWork) -> Iterator[pa.Table]:
        """See `Selection.scored`."""
        names = pa.array(list(self.parts()))
        for _, docs in work.batches(["id", "text", TOKENS, *self.wanted(), EXTRA]):
            column = _field(docs, self.by, pa.string())
            if not (pa.types.is_string(column.type) or pa.types.is_large_string(column.type)):
                raise SchemaError(f"step '{self.name}': column '{self.by}' holds {column.type}, no texts")
            column = column.cast(pa.string())
            group = pc.fill_null(pc.index_in(column, names), 0).cast(pa.int8()).to_numpy()
            lacking = pc.if_else(
                pc.is_null(column),
                NO_VALUE,
                pc.if_else(pc.is_in(column, names), pa.scalar(None, pa.string()), NOT_ASKED),
            )
            reasons = lacking.combine_chunks() if isinstance(lacking, pa.ChunkedArray) else lacking
            keys = hashed(docs["id"], self.seed, "random")
            yield self.table(docs, keys, sizes(work, docs), group=group, reasons=reasons)

    def told(self, results: Sequence[dict[str, Any]], folder: Any) -> dict[str, Any]:
        """What came from each bucket."""
        from pipeline.store import read_json

        from .selection import CUTS

        cuts = read_json(folder / "cuts" / CUTS, list)
        return {f"from {name}": one["size"] for name, one in zip(self.parts(), cuts, strict=True)}
