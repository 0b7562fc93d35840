"""The funnel: a cheap engine's text goes through the filters first, so that the dear engine reads survivors only.

Reads what `extract` reads and adds nothing; stands before a dear `extract`, after which the same filters decide again
on the dear text. A page that the cheap text's filters drop is dropped for good (reason `FILTER:REASON`), so kept
documents are those of the full run less the pages of which the two texts disagree; `margin` makes these fewer.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from filters.rules import RuleFilter

from .errors import ConfigError
from .extract.fates import fates_file
from .extract.stage import Extract
from .recipe import entry
from .stage import DROP_REASON, Filter, Stage, check_columns, make, register

_PLACE = "__place"
_FATES: ContextVar[Path | None] = ContextVar("gristmill_funnel_fates", default=None)


@register
@dataclass(frozen=True, kw_only=True)
class Funnel(Stage):
    """Drops pages by filters over a cheap engine's text, before a dear engine extracts them."""

    name: ClassVar[str] = "funnel"
    version: ClassVar[int] = 1
    reads: ClassVar[tuple[str, ...]] = ("payload", "payload_kind", "url", "record")
    sources: ClassVar[tuple[str, ...]] = ("Gristmill's own: filters over a cheap reading before a dear one",)

    engine: str = field(default="gristmill", metadata={"help": "the cheap engine: gristmill, resiliparse ..."})
    filters: tuple[Any, ...] = field(default=(), metadata={"help": "filters as in `steps`: name or {name: options}"})
    margin: float = field(
        default=0.0, metadata={"help": "loosen numeric thresholds by this share: 0.2 = a fifth lower or higher"}
    )
    no_text: bool = field(default=True, metadata={"help": "drop pages in which the cheap engine finds no text"})

    def stages(self) -> tuple[Stage, ...]:
        """The filters, configured. Raises ConfigError."""
        made = []
        for number, one in enumerate(self.filters, 1):
            name, config = entry(one, f"funnel, filter {number}")
            stage = make(name, config, f"funnel, filter {number}")
            if stage.removes or isinstance(stage, Funnel):
                raise ConfigError(f"funnel: '{name}' is no filter of documents")
            made.append(stage)
        return tuple(made)

    def check(self) -> None:
        """As `Stage.check`; the filters' columns are checked against what extraction gives."""
        if isinstance(self.margin, bool) or not isinstance(self.margin, (int, float)) or not 0 <= self.margin < 1:
            raise ConfigError(f"funnel: margin must lie in [0, 1), not {self.margin!r}")
        if not self.filters:
            raise ConfigError("funnel: name its filters, e.g. `filters: [language, gopher_quality]`")
        extract = self._extract()
        extract.check()
        check_columns([extract, *self.stages()], {"id", *self.reads})

    def config(self) -> dict[str, Any]:
        """The options, with the filters' own configurations and the engine's version."""
        stages = [[s.name, s.version, s.config()] for s in self.stages()]
        return {**super().config(), "filters": stages, "extract": self._extract().config()}

    def shard_session(self, folder: Path, shard: str) -> AbstractContextManager[object]:
        """The fates of pages that the cheap engine gave up, `fates/<shard>.funnel.jsonl`: not those of `extract`."""
        (folder / "fates").mkdir(parents=True, exist_ok=True)
        return _fates(folder / "fates" / f"{shard}.funnel.jsonl")

    def _extract(self) -> Extract:
        return Extract(engine=self.engine)

    def __call__(self, docs: pa.Table) -> pa.Table:
        place = pa.array(np.arange(docs.num_rows, dtype=np.int64))
        reasons: list[str | None] = [None] * docs.num_rows
        with fates_file(_FATES.get()):
            rows = self._extract()(docs.append_column(_PLACE, place))
        said = rows[DROP_REASON]
        rows = rows.drop_columns([DROP_REASON])
        if self.no_text:
            for at in rows[_PLACE].filter(pc.equal(said, "no_text")).to_pylist():
                reasons[at] = "extract:no_text"
        rows = rows.filter(pc.is_null(said))  # what else the cheap engine can't do is left to the dear one
        for stage in self.stages():
            rows, why = decided(stage, rows, self.margin)
            for at, reason in zip(rows[_PLACE].to_pylist(), why, strict=True):
                if reason is not None:
                    reasons[at] = f"{stage.name}:{reason}"
            rows = rows.filter(pa.array([reason is None for reason in why], pa.bool_()))
            if rows.num_rows == 0:
                break
        return docs.append_column(DROP_REASON, pa.array(reasons, pa.string()))


@contextmanager
def _fates(path: Path) -> Iterator[None]:
    token = _FATES.set(path)
    try:
        yield
    finally:
        _FATES.reset(token)


def decided(stage: Stage, docs: pa.Table, margin: float) -> tuple[pa.Table, list[str | None]]:
    """The table after a stage and why each row would go (None = kept), thresholds loosened by `margin`."""
    if margin and isinstance(stage, RuleFilter):
        scored = stage.scored(docs)
        first = stage.failed(scored, margin)
        return scored, [stage.rules[i].option if i >= 0 else None for i in first.tolist()]
    if margin and isinstance(stage, Filter):
        stage = loosened(stage, margin)
    docs = stage(docs)
    if DROP_REASON not in docs.column_names:
        return docs, [None] * docs.num_rows
    return docs.drop_columns([DROP_REASON]), docs[DROP_REASON].to_pylist()


def loosened(stage: Filter, margin: float) -> Filter:
    """A copy whose rules' thresholds are lower (`>=`, `>`) or higher (`<=`, `<`) by a share of themselves."""
    changed = {}
    for rule in stage.rules:
        value = getattr(stage, rule.option)
        if isinstance(value, (int, float)) and not isinstance(value, bool):
            changed[rule.option] = value - abs(value) * margin if rule.keep[0] == ">" else value + abs(value) * margin
    return dataclasses.replace(stage, **changed)
