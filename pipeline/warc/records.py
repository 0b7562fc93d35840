"""Single records of remote files, by ranged requests; neighbours come in one request."""

from __future__ import annotations

from collections.abc import Generator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor

from .commoncrawl.web import WebFile
from .ranged import InMemory, Ranged
from .splits import RecordSplit

MAX_RUN = 8 << 20
"""Bytes of one request for several records."""

MAX_GAP = 1 << 16
"""Bytes between two wanted records that are fetched with them rather than asked around.

Common Crawl's files hold a request and a metadata record, some kilobytes, between two responses.
"""

AHEAD = 2
"""Requests that are under way while records are read."""

Run = list[tuple[int, int]]


def runs(records: Sequence[tuple[int, int]]) -> list[Run]:
    """Records (offset, length) of one file, by offset, put together into what is fetched at once."""
    joined: list[Run] = []
    start = end = 0
    for offset, length in records:
        if not joined or offset - end > MAX_GAP or max(end, offset + length) - start > MAX_RUN:
            joined.append([])
            start, end = offset, offset
        joined[-1].append((offset, length))
        end = max(end, offset + length)
    return joined


def open_records(split: RecordSplit) -> Generator[tuple[str, int, Ranged], None, None]:
    """(file's name, offset, the record's bytes as a file) of each record of a split, in order. Raises StepFailed."""
    planned = []
    for number, file in enumerate(split.files):
        web = WebFile(file.path)
        own = [(offset, length) for k, offset, length in split.records if k == number]
        planned += [(file, web, run) for run in runs(own)]
    pool = ThreadPoolExecutor(AHEAD)
    fetched: list[Future[bytes]] = []
    try:
        for number, (file, _, run) in enumerate(planned):
            while len(fetched) < min(len(planned), number + 1 + AHEAD):
                _, web, ahead = planned[len(fetched)]
                fetched.append(pool.submit(web.read, ahead[0][0], _end(ahead) - ahead[0][0]))
            data = fetched[number].result()
            fetched[number] = Future()  # let the bytes go
            start = run[0][0]
            for offset, length in run:
                piece = data[offset - start : offset - start + length]
                yield file.name, offset, Ranged(file.path, inner=InMemory(piece))
    finally:
        pool.shutdown(wait=False, cancel_futures=True)


def _end(run: Run) -> int:
    return max(offset + length for offset, length in run)
