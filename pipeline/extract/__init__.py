"""Extraction: from the bytes of a page to its text. `extract_html` does it for one page."""

from __future__ import annotations

from typing import Any


def extract_html(
    payload: bytes,
    *,
    content_type: str | None = None,
    url: str | None = None,
    engine: str = "gristmill",
    isolate: bool = False,
    **options: Any,
) -> dict[str, str | None]:
    """One page's text, title, author, published, charset, charset_from and drop_reason (None: kept).

    `content_type` is the HTTP header; `options` are those of the stage `extract` (`favor`, `comments`,
    `tables`, `metadata`, limits). With `isolate` the page runs in the guarded process, as in a run.
    Raises ConfigError for an unknown engine or option.
    """
    import pyarrow as pa

    from ..errors import ConfigError, nearest
    from ..schema import PAGE
    from .stage import Extract

    known = {f for f in Extract.__dataclass_fields__ if f not in ("engine", "isolate")}
    for key in options:
        if key not in known:
            raise ConfigError(f"extract_html has no option '{key}'{nearest(key, known)}")
    record = {"content_type": content_type}
    page = {"id": "page", "url": url, "record": record, "payload": payload, "payload_kind": "html"}
    stage = Extract(engine=engine, isolate=isolate, **options)
    stage.check()
    found = stage(pa.Table.from_pylist([page], PAGE)).to_pylist()[0]
    return {name: found[name] for name in (*Extract.adds, "drop_reason")}
