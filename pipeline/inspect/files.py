"""Plain files that `gristmill filter ... -o KEPT --dropped DROPPED` wrote, made into a step that can be inspected.

Parquet files say in their metadata with which options their stages ran; JSON lines can't, so that the defaults are
shown there, and said to be defaults.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from pipeline.documents import EXTRA, DocumentSplit, is_parquet, list_files, read_documents
from pipeline.errors import ConfigError
from pipeline.schema import DOCUMENT
from pipeline.stage import CUT_SPANS, DROP_FILTER, DROP_REASON, SPAN, STAGES_RUN, Filter, registered

from ..storage import local_file, place
from .facts import schema_of
from .runs import Found, StageRun, StepFiles

_STRINGS = ("lang", "lang_hint", "page_type", DROP_FILTER, DROP_REASON)


def find_files(paths: Sequence[Path], work: Path) -> Found:
    """What some document files hold; a file with `drop_filter` in it holds dropped documents.

    JSON lines are first written as Parquet into `work`. Raises ConfigError where no filter left anything in them.
    """
    kept: list[Path] = []
    dropped: list[Path] = []
    config: dict[str, tuple[int, dict[str, Any]]] = {}
    for number, (path, name, size) in enumerate(list_files([str(p) for p in paths])):
        local = place(path)
        file = local if is_parquet(path) else _as_parquet(DocumentSplit(path, name, size), work / f"{number}.parquet")
        types = schema_of([file])
        (dropped if DROP_FILTER in types else kept).append(file)
        for stage, version, options in json.loads(
            (pq.read_schema(local_file(file)).metadata or {}).get(STAGES_RUN, b"[]")
        ):
            config[stage] = (version, options)
    types = schema_of([*kept, *dropped])
    names = list(config)
    names += [n for n in _named(dropped) if n not in names]
    for name, cls in registered().items():
        column = getattr(cls, "score_column", None) if issubclass(cls, Filter) else None
        if isinstance(column, str) and column in types and name not in names:
            names.append(name)
    if not names:
        raise ConfigError(
            f"{', '.join(map(str, paths))}: no filter left a score or a drop in these files; "
            "name what `gristmill filter ... -o KEPT --dropped DROPPED` wrote, or a run's folder"
        )
    stages = tuple(StageRun("files", n, *config.get(n, (None, None))) for n in names)
    found = Found(", ".join(map(str, paths)), [StepFiles("files", stages, tuple(kept), tuple(dropped))], None)
    defaults = [s.name for s in stages if s.config is None and s.rules]
    if defaults:
        found.notes.append(
            f"the files don't say with which options {', '.join(defaults)} ran: the thresholds shown are the defaults"
        )
    if not dropped:
        found.notes.append("no file with dropped documents was given (option --dropped of `gristmill filter`)")
    if len(config) < len(stages) and len(stages) > 1:
        found.notes.append("the files don't say in which order the stages ran")
    return found


def _named(files: Sequence[Path]) -> list[str]:
    import polars as pl

    if not files:
        return []
    frame = pl.scan_parquet(
        [local_file(file) for file in files], glob=False, missing_columns="insert", extra_columns="ignore"
    )
    return sorted(n for (n,) in frame.select(pl.col(DROP_FILTER).unique()).collect(engine="streaming").iter_rows() if n)


def _as_parquet(split: DocumentSplit, target: Path) -> Path:
    """A file of JSON lines as Parquet: the columns that inspection knows, whatever else the lines hold."""
    kinds: dict[str, pa.DataType] = {name: pa.string() for name in _STRINGS}
    kinds[CUT_SPANS] = pa.list_(SPAN)
    for cls in registered().values():
        if issubclass(cls, Filter) and isinstance(cls.score_column, str) and cls.score_column not in kinds:
            measures = getattr(cls, "measures", None)
            double = pa.struct([(f.name, pa.float64()) for f in measures]) if measures is not None else pa.float64()
            kinds[cls.score_column] = double
    present = _keys(split) & set(kinds)
    schema = pa.schema([*DOCUMENT, *((name, kinds[name]) for name in kinds if name in present)])
    with pq.ParquetWriter(target, schema) as writer:
        for batch in read_documents(split):
            rows = []
            for row in batch.table.to_pylist():
                extra = json.loads(row.pop(EXTRA) or "{}")
                rows.append({**row, **{k: _fit(extra.get(k, row.get(k)), kinds[k]) for k in present}})
            writer.write_table(pa.Table.from_pylist(rows, schema))
    return target


def _keys(split: DocumentSplit) -> set[str]:
    found: set[str] = set()
    for batch in read_documents(split):
        found |= set(batch.table.column_names)
        for extra in batch.table[EXTRA].to_pylist():
            found |= set(json.loads(extra or "{}"))
    return found


def _fit(value: Any, kind: pa.DataType) -> Any:
    """The value if it can stand in such a column, else None: files come from anywhere."""
    if pa.types.is_string(kind):
        return value if isinstance(value, str) else None
    if pa.types.is_integer(kind):
        return value if type(value) is int and abs(value) < 2**63 else None
    if pa.types.is_floating(kind):
        return float(value) if isinstance(value, (int, float)) and not isinstance(value, bool) else None
    if pa.types.is_struct(kind):
        return {f.name: _fit(value.get(f.name), f.type) for f in kind} if isinstance(value, dict) else None
    return [_fit(v, kind.value_type) for v in value] if isinstance(value, list) else None
