"""What editors took: spans, bytes and documents by kind, and examples of cut spans with what stood around them."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any, ClassVar, Protocol, runtime_checkable

import pyarrow as pa

from pipeline.errors import ConfigError
from pipeline.recipe import entry, read_recipe
from pipeline.stage import CUT_SPANS, DROP_FILTER, DROP_REASON, make

from .examples import Place, bounded, rows_at
from .facts import Facts, key_expr, scan, schema_of, sink_by_file

AROUND_BYTES = 60
SPAN_BYTES = 200


@runtime_checkable
class Edits(Protocol):
    """What edits: an `Editor`, or a filter that may cut."""

    name: ClassVar[str]

    def edit(self, docs: pa.Table) -> tuple[Any, Any]:
        """As `Editor.edit`."""


def describe_spans(facts: Facts, number: int, n: int, seed: int, lang: str | None) -> dict[str, Any]:
    """{"kinds": [{kind, spans, bytes, documents}], "examples": [...], "note": str} of an editor.

    Examples show the text that the editor read: what the step before kept, or that with the step's earlier editors run
    again over it (only where that gives the very spans that the run had).
    """
    import polars as pl

    stage = facts.step.stages[number]
    spans = _spans(facts, stage.name, lang)
    kinds = (
        spans.group_by("kind")
        .agg(
            spans=pl.len(),
            bytes=(pl.col("end") - pl.col("start")).sum(),
            documents=pl.struct("_from", "_row").n_unique(),
        )
        .sort(["spans", "kind"], descending=[True, False])
        .collect(engine="streaming")
    )
    out: dict[str, Any] = {"kinds": kinds.to_dicts(), "examples": [], "note": ""}
    if not kinds.height or n < 1:
        return out
    if not facts.step.before:
        out["note"] = "no examples: the documents before this step are not part of what is inspected"
        return out
    earlier = [_again(facts, i) for i in range(number) if facts.step.stages[i].kind == "editor"]
    own = _again(facts, number) if earlier else None
    if earlier and (own is None or None in earlier):
        out["note"] = "no examples: an editor before it can't be run again as it was (its version or files changed)"
        return out
    chosen = [
        spans.filter(pl.col("kind").eq_missing(kind))
        .with_columns(key=key_expr(seed, "spans"))
        .bottom_k(n, by=["key", "start"])
        for kind in kinds["kind"]
    ]
    found = pl.concat(pl.collect_all(chosen, engine="streaming")).sort("kind", "key", "start")
    out["examples"] = _around(facts, found, [e for e in (*earlier, own) if e is not None])
    return out


def _spans(facts: Facts, editor: str, lang: str | None) -> Any:
    """A LazyFrame of the editor's spans: _from, _row, id, start, end, kind. Written once for all editors of a step."""
    import polars as pl

    step = facts.step
    folder = facts.path / "spans"
    if not folder.exists():
        types = schema_of([*step.kept, *step.dropped])
        columns = ["id", CUT_SPANS] + ([facts.lang_column] if facts.lang_column else [])

        def query(frame: Any) -> Any:
            if lang is not None and facts.lang_column:
                frame = frame.filter(pl.col(facts.lang_column) == lang)
            some = frame.select("_from", "_row", "id", CUT_SPANS).filter(pl.col(CUT_SPANS).list.len() > 0)
            return some.explode(CUT_SPANS).unnest(CUT_SPANS)

        sink_by_file(step, [c for c in columns if c in types], types, folder, query)
    return pl.scan_parquet(folder / "*.parquet").filter(pl.col("editor") == editor)


def _again(facts: Facts, number: int) -> Edits | None:
    """The editor as it ran, made from the run's recipe; None where its version or its options' files have changed."""
    stage = facts.step.stages[number]
    if facts.step.recipe is None or stage.cls is None or stage.version != stage.cls.version:
        return None
    plain = read_recipe(str(facts.step.recipe))
    for name, options in (entry(one, "recipe") for one in plain.get("steps", [])):
        if name == stage.name:
            try:
                made = make(name, options)
            except ConfigError:  # a file that it needs is gone
                continue
            if json.loads(json.dumps(made.config(), default=str)) == stage.config and isinstance(made, Edits):
                return made
    return None


def _texts_read(facts: Facts, found: Any, editors: Sequence[Edits]) -> dict[Place, str]:
    """The text that the last of `editors` read, for each document that it edits today as it did in the run.

    With no `editors` the stage is the first editor of its step: it read what the step before kept.
    """
    import polars as pl

    before = facts.step.before
    ids = {i for i in found["id"].to_list() if i}
    texts = dict(
        scan(before, 0, ["id", "text"], schema_of(before))
        .filter(pl.col("id").is_in(sorted(ids | {i.split("#")[0] for i in ids})))
        .select("id", "text")
        .collect(engine="streaming")
        .iter_rows()
    )
    out = {}
    places = list(zip(found["_from"], found["_row"], strict=True))
    for place, row in rows_at(facts.step.kept, facts.step.dropped, places):
        key = row["id"][0].as_py()
        text = texts.get(key) if key in texts else texts.get(key.split("#")[0])
        if text is None:
            continue
        if editors:
            spans = [s for s in row[CUT_SPANS][0].as_py() if s["editor"] == editors[-1].name]
            row = row.drop_columns([c for c in (CUT_SPANS, DROP_FILTER, DROP_REASON) if c in row.column_names])
            for editor in editors:
                row = row.set_column(row.column_names.index("text"), "text", pa.array([text], pa.large_string()))
                read, (edited, taken) = text, (c.to_pylist()[0] for c in editor.edit(row))
                text = edited
            if taken != spans:
                continue
            text = read
        out[place] = text
    return out


def _around(facts: Facts, found: Any, editors: Sequence[Edits]) -> list[dict[str, Any]]:
    """The chosen spans with the bytes before and after them; `taken` None where the text isn't there any more."""
    texts = _texts_read(facts, found, editors)
    out = []
    for row in found.iter_rows(named=True):
        text = texts.get((row["_from"], row["_row"]))
        start, end = row["start"], row["end"]
        entry = {"kind": row["kind"], "id": bounded(row["id"]), "start": start, "end": end}
        if text is None:
            out.append({**entry, "before": None, "taken": None, "after": None})
            continue
        raw = text.encode()
        taken = raw[start : min(end, start + SPAN_BYTES)].decode("utf-8", "replace")
        out.append(
            {
                **entry,
                "before": raw[max(0, start - AROUND_BYTES) : start].decode("utf-8", "ignore"),
                "taken": taken + ("…" if end - start > SPAN_BYTES else ""),
                "after": raw[end : end + AROUND_BYTES].decode("utf-8", "ignore"),
            }
        )
    return out
