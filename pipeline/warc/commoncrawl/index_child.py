"""Reads Parquet files of the columnar index in a process of its own. Started by `columnar`, never by hand.

A Parquet footer that is damaged, or made to harm, can abort the process that parses it (seen with pyarrow 26), so the
run's own process parses none. No network here: the parent fetches, and puts what is needed into local files.

Requests are JSON lines on stdin, answers JSON lines on stdout, one each:
{"footer": FILE} -> {"groups": [{"least", "most", "chunks": [[offset, length], ...]}, ...]}
{"file": FILE, "groups": [n, ...], "regex": ..., "to": FILE} -> {"rows": n}, the rows as Arrow IPC in the file `to`.
Either may be {"error": text}.
"""

from __future__ import annotations

import json
import os
import signal
import sys
from typing import Any

MEMORY = 6 << 30
"""Address space that the child may take beyond what it starts with, bytes."""


def groups_of(footer: str) -> dict[str, Any]:
    """What a file's row groups hold: bounds of their keys, and where the columns that are read lie."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    from .rows import NEEDED, USEFUL

    with open(footer, "rb") as file:
        metadata = pq.ParquetFile(pa.BufferReader(file.read())).metadata
    names = [metadata.schema.column(k).path for k in range(metadata.num_columns)]
    missing = [name for name in (*NEEDED, "url_surtkey") if name not in names]
    if missing:
        return {"error": f"it has no columns {', '.join(missing)}"}
    wanted = [names.index(name) for name in (*NEEDED, *USEFUL) if name in names]
    groups = []
    for number in range(metadata.num_row_groups):
        group = metadata.row_group(number)
        bounds = group.column(names.index("url_surtkey")).statistics
        known = bounds is not None and bounds.has_min_max
        chunks = []
        for k in wanted:
            column = group.column(k)
            begins = [column.data_page_offset]
            if column.has_dictionary_page and column.dictionary_page_offset is not None:
                begins.append(column.dictionary_page_offset)
            chunks.append([min(begins), column.total_compressed_size])
        groups.append(
            {
                "least": _text(bounds.min) if known else None,
                "most": _text(bounds.max) if known else None,
                "chunks": chunks,
            }
        )
    return {"groups": groups}


def _text(value: Any) -> str:
    return value.decode("utf-8", "replace") if isinstance(value, bytes) else str(value)


def rows_of(file: str, groups: list[int], regex: str, to: str) -> dict[str, Any]:
    """The wanted rows of some row groups."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    from .rows import NEEDED, ROW, USEFUL, choose

    source = pq.ParquetFile(file)
    names = [name for name in (*NEEDED, *USEFUL) if name in source.schema_arrow.names]
    found = 0
    with pa.OSFile(to, "wb") as sink, pa.ipc.new_file(sink, ROW) as writer:
        for batch in source.iter_batches(1 << 16, row_groups=groups, columns=names, use_threads=False):
            rows = choose(pa.Table.from_batches([batch]), regex)
            writer.write_table(rows)
            found += rows.num_rows
    return {"rows": found}


def main() -> int:
    from ...extract.child import die_with, limit_memory

    die_with(int(sys.argv[1]))
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C reaches the whole group; the parent decides
    answers = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(2, 1)
    import pyarrow as pa
    import pyarrow.parquet

    limit_memory(MEMORY)
    for line in sys.stdin:
        request = json.loads(line)
        try:
            answer = groups_of(request["footer"]) if "footer" in request else rows_of(**request)
        except (pa.ArrowException, OSError, ValueError, MemoryError, OverflowError, TypeError) as error:
            answer = {"error": f"{type(error).__name__}: {str(error)[:300]}"}
        print(json.dumps(answer), file=answers, flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
