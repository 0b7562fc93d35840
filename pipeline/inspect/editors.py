"""What editors took: spans, bytes and documents by kind, and examples of cut spans with what stood around them."""

from __future__ import annotations

from typing import Any

from pipeline.stage import CUT_SPANS

from .examples import bounded
from .facts import Facts, key_expr, scan, schema_of, sink_by_file

AROUND_BYTES = 60
SPAN_BYTES = 200


def describe_spans(facts: Facts, number: int, n: int, seed: int, lang: str | None) -> dict[str, Any]:
    """{"kinds": [{kind, spans, bytes, documents}], "examples": [...], "note": str} of an editor.

    Examples show the text that the editor read, which the step before kept; so only of the first editor in a step.
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
    first = all(s.kind != "editor" for s in facts.step.stages[:number])
    if not first or not facts.step.before:
        out["note"] = (
            "no examples: the text that this editor read was not written (an editor ran before it in the step)"
            if not first
            else "no examples: the documents before this step are not part of what is inspected"
        )
        return out
    chosen = [
        spans.filter(pl.col("kind").eq_missing(kind))
        .with_columns(key=key_expr(seed, "spans"))
        .bottom_k(n, by=["key", "start"])
        for kind in kinds["kind"]
    ]
    found = pl.concat(pl.collect_all(chosen, engine="streaming")).sort("kind", "key", "start")
    out["examples"] = _around(facts, found)
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


def _around(facts: Facts, found: Any) -> list[dict[str, Any]]:
    """The chosen spans with the bytes before and after them; `taken` None where the text isn't there any more."""
    import polars as pl

    before = facts.step.before
    types = schema_of(before)
    wanted = set(found["id"].to_list()) | {i.split("#")[0] for i in found["id"].to_list() if i}
    texts = dict(
        scan(before, 0, ["id", "text"], types)
        .filter(pl.col("id").is_in(sorted(wanted)))
        .select("id", "text")
        .collect(engine="streaming")
        .iter_rows()
    )
    out = []
    for row in found.iter_rows(named=True):
        text = texts.get(row["id"]) if row["id"] in texts else texts.get((row["id"] or "").split("#")[0])
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
