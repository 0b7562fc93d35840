"""The pages that cases are put into: documents of Parquet, JSON lines or Arrow files, or of the sample crawl."""

from __future__ import annotations

import tempfile
from collections.abc import Sequence
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from pipeline.errors import ConfigError, SchemaError

COLUMNS = ("id", "text", "url")
SPLIT_BYTES = 1 << 26


def read_hosts(sources: Sequence[str], text_field: str = "text") -> pa.Table:
    """`id, text, url` of all documents of files, folders or globs, in the order of the files' names.

    Arrow files (IPC, file or stream format) end in .arrow; without an `id` it is the URL, or file and row. Raises
    ConfigError for what is not there or can't be read, SchemaError for a missing column."""
    from pipeline.documents import plan_documents, read_documents

    tables = []
    for source in sources:
        path = Path(source)
        arrow = sorted(path.rglob("*.arrow")) if path.is_dir() else [path] if path.suffix == ".arrow" else []
        if arrow:
            tables += [_arrow(file, text_field) for file in arrow]
            continue
        for split in plan_documents([source], SPLIT_BYTES):
            for batch in read_documents(split, text_field=text_field):
                tables.append(_plain(batch.table.select(list(COLUMNS))))
    return pa.concat_tables(tables)


def _arrow(path: Path, text_field: str) -> pa.Table:
    if not path.is_file():
        raise ConfigError(f"--texts '{path}' does not exist")
    try:
        with pa.memory_map(str(path)) as source:
            try:
                table = pa.ipc.open_file(source).read_all()
            except pa.ArrowInvalid:
                source.seek(0)
                table = pa.ipc.open_stream(source).read_all()
    except (pa.ArrowException, OSError) as error:
        raise ConfigError(f"--texts '{path}' is not an Arrow file: {error}") from error
    names = set(table.column_names)
    if text_field not in names:
        raise SchemaError(f"--texts '{path}': needs the column {text_field}; it has {', '.join(sorted(names))}")
    nothing = pa.nulls(table.num_rows, pa.large_string())
    url = table["url"] if "url" in names else nothing
    known = table["id"] if "id" in names else url
    rows = pa.array([f"{path.name}:{row}" for row in range(table.num_rows)], pa.large_string())
    name = pc.coalesce(known.cast(pa.large_string()), rows)
    return _plain(pa.table({"id": name, "text": table[text_field], "url": url}))


def _plain(table: pa.Table) -> pa.Table:
    return table.cast(pa.schema([(name, pa.large_string()) for name in table.column_names])).select(list(COLUMNS))


def sample_hosts() -> pa.Table:
    """The pages of the sample crawl that comes with the package, extracted here."""
    from pipeline.progress import Progress
    from pipeline.recipe import build
    from pipeline.run import execute
    from pipeline.runner import InlineRunner
    from pipeline.sources import sample_warc

    recipe = {"name": "sample-hosts", "source": {"warc": {"inputs": [str(sample_warc())]}}, "steps": [{"extract": {}}]}
    with tempfile.TemporaryDirectory(prefix="gristmill-hosts-") as folder, InlineRunner() as runner:
        result = execute(build(recipe, "the sample crawl"), Path(folder) / "run", runner, Progress(quiet=True))
        files = sorted((result.steps[-1].folder / "kept").glob("*.parquet"))
        return pa.concat_tables([_plain(pq.read_table(file, columns=list(COLUMNS))) for file in files])
