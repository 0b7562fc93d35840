"""Lookups in the columnar URL index, without downloading it.

The index of a release is a Parquet table of some 300 files and 200 to 300 GB, sorted by URL key
(https://commoncrawl.org/columnar-index); `crawl-data/RELEASE/cc-index-table.paths.gz` lists its files. Fetched are the
files' footers (once; kept in the cache), then of the row groups whose least and greatest key can hold what is wanted
the few columns that say where a record lies. Parquet is parsed in a child process (`index_child`), so that a damaged
or hostile file gives an error that names it and never ends the run's own process.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
import threading
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, Self

import pyarrow as pa

from ...errors import ConfigError, StepFailed
from ...store import atomic_path
from .polite import CLOCK, Clock, note
from .release import read_listing, together
from .rows import ROW, load
from .wanted import Wanted
from .web import WebFile, base_url, tail

FIRST_TAIL = 1 << 16
"""Bytes of a file's end that are asked for first; footers of the index are smaller."""

MAX_FOOTER = 64 << 20
MAX_FILE = 64 << 30
"""Longest index file that is believed, bytes; the largest so far are some 2 GB. A list of all its pieces is made."""

PIECE = 8 << 20
"""Bytes of one request for columns."""

GAP = 1 << 18
"""Columns that lie no further apart are fetched in one piece."""

TIMEOUT_S = 900.0


def look_up(release: str, wanted: Wanted, cache: Path, work: Path, *, clock: Clock = CLOCK) -> pa.Table:
    """Rows (schema ROW) of the release's wanted pages; each index file's are kept in `work`, so that a killed lookup
    goes on.

    Raises ConfigError (the release has no such index), StepFailed (a damaged index file, a server that gives up).
    """
    listing = f"crawl-data/{release}/cc-index-table.paths.gz"
    names = [name for name in read_listing(listing, cache, clock=clock) if "/subset=warc/" in name]
    if not names:
        raise ConfigError(
            f"{listing} names no files of subset=warc: this release has no columnar index; try index: cdx"
        )
    footers = together(lambda name: _footer(name, cache, clock), names)
    found = []
    with _Child() as child:
        plans = [
            (name, footer, _planned(child, name, footer, wanted)) for name, footer in zip(names, footers, strict=True)
        ]
        plans = [plan for plan in plans if plan[2]]
        for number, (name, footer, groups) in enumerate(plans, 1):
            kept = work / f"{Path(name).name}.arrow"
            if not kept.exists():
                size = sum(length for _, chunks in groups for _, length in chunks)
                note(f"URL index of {release}: file {number} of {len(plans)}, {size / 1e6:.1f} MB")
                _fetch_rows(child, name, footer, groups, wanted, kept, clock)
            found.append(load(kept))
    return pa.concat_tables(found) if found else ROW.empty_table()


Groups = list[tuple[int, list[list[int]]]]
"""(number of a row group, [offset, length] of its columns that are read)"""


def _footer(name: str, cache: Path, clock: Clock) -> Path:
    """A file with the footer of an index file as a Parquet file without rows, and its length in `.size` beside it."""
    kept = cache / f"{name}.footer"
    if kept.exists():
        return kept
    url = f"{base_url()}/{name}"
    total, data = tail(url, FIRST_TAIL, cache, clock)
    length = int.from_bytes(data[-8:-4], "little") if len(data) >= 12 and data.endswith(b"PAR1") else -1
    if not 0 < length <= min(MAX_FOOTER, total - 12) or total > MAX_FILE:
        raise StepFailed(f"{url} is no Parquet file, or damaged; `index: cdx` does without it")
    if length + 8 > len(data):
        total, data = tail(url, length + 8, cache, clock)
    with atomic_path(kept) as temporary:
        temporary.write_bytes(total.to_bytes(8, "little") + data[-(length + 8) :])
    return kept


def _parts(footer: Path) -> tuple[int, bytes]:
    """(bytes of the index file, its footer)."""
    data = footer.read_bytes()
    return int.from_bytes(data[:8], "little"), data[8:]


def _planned(child: _Child, name: str, footer: Path, wanted: Wanted) -> Groups:
    """The row groups of a file that can hold what is wanted."""
    total, data = _parts(footer)
    with tempfile.NamedTemporaryFile(suffix=".parquet") as bare:
        bare.write(b"PAR1" + data)
        bare.flush()
        answer = child.ask({"footer": bare.name}, name, footer)
    groups: Groups = []
    for number, group in enumerate(answer["groups"]):
        if not wanted.may_hold(group["least"], group["most"]):
            continue
        for offset, length in group["chunks"]:
            if offset < 4 or length < 0 or offset + length > total - len(data):
                footer.unlink(missing_ok=True)
                raise StepFailed(f"{base_url()}/{name}: its footer names columns outside of the file; it is damaged")
        groups.append((number, group["chunks"]))
    return groups


def _fetch_rows(
    child: _Child, name: str, footer: Path, groups: Groups, wanted: Wanted, kept: Path, clock: Clock
) -> None:
    """Put the wanted rows of some row groups into the file `kept`."""
    total, data = _parts(footer)
    source = WebFile(f"{base_url()}/{name}", total, clock=clock)
    with tempfile.TemporaryDirectory(dir=kept.parent) as folder:
        sparse = Path(folder) / "index.parquet"
        descriptor = os.open(sparse, os.O_RDWR | os.O_CREAT, 0o600)
        try:
            os.ftruncate(descriptor, total)
            os.pwrite(descriptor, b"PAR1", 0)
            os.pwrite(descriptor, data, total - len(data))

            def piece(place: tuple[int, int]) -> None:
                os.pwrite(descriptor, source.read(place[0], place[1] - place[0]), place[0])

            together(piece, list(_pieces(chunk for _, chunks in groups for chunk in chunks)))
        finally:
            os.close(descriptor)
        request = {"file": str(sparse), "groups": [number for number, _ in groups], "regex": wanted.regex}
        with atomic_path(kept) as temporary:
            child.ask({**request, "to": str(temporary)}, name, footer)


def _pieces(chunks: Iterable[list[int]]) -> Iterator[tuple[int, int]]:
    """[start, end) of what is fetched for some chunks: near ones together, none longer than PIECE."""
    start = end = -1
    for offset, length in [*sorted(chunks), (1 << 62, 0)]:
        if start >= 0 and offset > end + GAP:
            yield from ((at, min(at + PIECE, end)) for at in range(start, end, PIECE))
            start = -1
        start, end = (offset, offset + length) if start < 0 else (start, max(end, offset + length))


class _Child:
    """The process that parses. One that dies is replaced; its file is told as damaged."""

    command = (sys.executable, "-m", "pipeline.warc.commoncrawl.index_child")

    def __init__(self) -> None:
        self._process: subprocess.Popen[str] | None = None

    def ask(self, request: dict[str, Any], name: str, footer: Path) -> dict[str, Any]:
        """The answer about the index file `name`. Raises StepFailed, after which its footer is fetched anew."""
        process = self._ready()
        assert process.stdin is not None and process.stdout is not None
        line = ""
        with suppress(BrokenPipeError):
            process.stdin.write(json.dumps(request) + "\n")
            process.stdin.flush()
            with _deadline(process):
                line = process.stdout.readline()
        answer = json.loads(line) if line.endswith("\n") else {"error": f"its reader died (status {self.close()})"}
        if "error" in answer:
            footer.unlink(missing_ok=True)
            raise StepFailed(
                f"{base_url()}/{name}: this file of the URL index can't be read: {answer['error']}. Run again to fetch"
                " it anew, or say `index: cdx`"
            )
        return answer  # type: ignore[no-any-return]

    def _ready(self) -> subprocess.Popen[str]:
        if self._process is None:
            root = str(Path(__file__).resolve().parents[3])
            self._process = subprocess.Popen(
                [*self.command, str(os.getpid())],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.DEVNULL,
                text=True,
                env=os.environ | {"PYTHONPATH": os.pathsep.join([root, *(p for p in sys.path if p and p != root)])},
            )
        return self._process

    def close(self) -> int:
        """End it, if it runs; its exit status."""
        if self._process is None:
            return 0
        process, self._process = self._process, None
        for pipe in (process.stdin, process.stdout):
            with suppress(BrokenPipeError):
                if pipe is not None:
                    pipe.close()
        try:
            return process.wait(10)
        except subprocess.TimeoutExpired:
            process.kill()
            return process.wait()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


@contextmanager
def _deadline(process: subprocess.Popen[str]) -> Iterator[None]:
    """Kill the process if the block takes longer than TIMEOUT_S."""
    timer = threading.Timer(TIMEOUT_S, process.kill)
    timer.daemon = True
    timer.start()
    try:
        yield
    finally:
        timer.cancel()
