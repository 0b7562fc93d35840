"""Runs engines side by side over gold pages, in worker processes, and keeps what each said and how long it took.

Every engine gets the same decoded page; which goes first alternates by page. Time is the CPU time of the
process, the engine's call only: decoding and clean-up are the pipeline's and the same for all.
"""

from __future__ import annotations

import itertools
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from ...errors import ConfigError, StepFailed
from ...progress import Progress
from ..charset import decode
from ..engines import Engine, EngineOptions, Favor, Trafilatura, make_engine
from ..metadata import MAX_AUTHOR_CHARS, MAX_TITLE_CHARS, scan, tidy
from ..page import clean_text
from .gold import GoldPage

CHUNK = 8
"""Pages that a worker takes at a time."""

WARM_UP = (
    "<html><head><title>One page</title></head><body><nav><a href='/'>Home</a></nav><article><h1>One page</h1>"
    "<p>It has a paragraph, long enough to be taken for text by every engine that is asked for it.</p></article></body>"
)


@dataclass(frozen=True, slots=True)
class Output:
    """What an engine said of one page. `seconds` of CPU time; `error` names what it raised, the text then is empty."""

    text: str
    seconds: float = 0.0
    error: str | None = None
    title: str | None = None
    author: str | None = None
    date: str | None = None
    page_type: str | None = None


class TrafilaturaFast(Trafilatura):
    """trafilatura without its fallbacks (`fast=True`). For comparison only: recipes can't name it."""

    name = "trafilatura-fast"

    def __init__(self, options: EngineOptions) -> None:
        super().__init__(options)
        self._options["fast"] = True


OWN_METADATA = "trafilatura metadata"
"""Name under which `run` gives trafilatura's own title, author and date."""

SCAN = "metadata.scan"
"""Name under which `run` gives those of our scan."""


def engine(name: str, options: EngineOptions) -> Engine:
    """As `make_engine`, and `trafilatura-fast`. Raises ConfigError."""
    return TrafilaturaFast(options) if name == TrafilaturaFast.name else make_engine(name, options)


def run(
    pages: Sequence[GoldPage],
    names: Sequence[str],
    *,
    favor: Favor = "balanced",
    workers: int = 1,
    own_metadata: bool = False,
    progress: Progress | None = None,
) -> dict[str, list[Output]]:
    """Engine name -> an output for each page, in order; the same for any number of workers but for `seconds`.

    There is one more entry, SCAN, with metadata and no text, and with `own_metadata` OWN_METADATA.
    Raises ConfigError (unknown engine), StepFailed (a worker died, as of a crash in an engine's native code).
    """
    if workers < 1:
        raise ConfigError("workers must be at least 1")
    for name in names:  # in this process first, so that a wrong name is one clear error
        _prepare(engine(name, EngineOptions(favor=favor)), name)
    shown = progress or Progress(quiet=True)
    work = _Work(tuple(names), favor, own_metadata)
    tasks = [
        [
            (i, pages[i].payload, pages[i].content_type, pages[i].real_url)
            for i in range(at, min(at + CHUNK, len(pages)))
        ]
        for at in range(0, len(pages), CHUNK)
    ]
    found: dict[str, list[Output]] = {name: [] for name in work.labels}
    with shown.bar("engines", total=len(pages), unit="pages") as bar:
        for rows in _mapped(work, tasks, workers):
            for row in rows:
                for name, output in zip(work.labels, row, strict=True):
                    found[name].append(output)
            bar.advance(len(rows), len(rows))
    return found


_Task = tuple[int, bytes, str | None, str | None]


class _Work:
    """What a worker does; engines are made in the worker, at the first page."""

    def __init__(self, names: tuple[str, ...], favor: Favor, own_metadata: bool) -> None:
        self.names, self.favor, self.own_metadata = names, favor, own_metadata
        self._engines: list[Engine] = []
        self._metadata: Engine | None = None

    @property
    def labels(self) -> tuple[str, ...]:
        return (*self.names, SCAN, *((OWN_METADATA,) if self.own_metadata else ()))

    def start(self) -> None:
        if not self._engines:
            self._engines = [engine(name, EngineOptions(favor=self.favor)) for name in self.names]
            for name, one in zip(self.names, self._engines, strict=True):
                _prepare(one, name)
        if self.own_metadata and self._metadata is None:
            self._metadata = make_engine("trafilatura", EngineOptions(metadata="engine"))

    def __call__(self, tasks: Sequence[_Task]) -> list[list[Output]]:
        self.start()
        return [self._page(*task) for task in tasks]

    def _page(self, number: int, payload: bytes, content_type: str | None, url: str | None) -> list[Output]:
        html = decode(payload, content_type).text
        outputs: list[Output | None] = [None] * len(self._engines)
        for turn in range(len(self._engines)):
            i = (number + turn) % len(self._engines)
            outputs[i] = _ask(self._engines[i], html, url)
        said = scan(html.encode(), url)
        row = [output for output in outputs if output is not None]
        row.append(Output("", title=said.title, author=said.author, date=said.published))
        if self._metadata is not None:
            row.append(_ask(self._metadata, html, url))
        return row


def _ask(one: Engine, html: str, url: str | None) -> Output:
    # a string of its own for each: CPython keeps a string's UTF-8 form, which the first engine would pay for
    html = (html + " ")[:-1]
    start = time.process_time()
    try:
        found = one.extract(html, url)
    except (MemoryError, ConfigError):
        raise
    except Exception as error:  # whatever a page makes an engine raise is counted against it
        return Output("", time.process_time() - start, f"{type(error).__name__}: {error}"[:200])
    seconds = time.process_time() - start
    title, author = tidy(found.title, MAX_TITLE_CHARS), tidy(found.author, MAX_AUTHOR_CHARS)
    page_type = getattr(found, "page_type", None)
    return Output(clean_text(found.text), seconds, None, title, author, found.published, page_type)


def _prepare(one: Engine, name: str) -> None:
    """Load and compile before any time is taken."""
    try:
        one.extract(WARM_UP, None)
    except ImportError as error:
        raise ConfigError(f"extract: engine '{name}' can't be loaded: {error}") from error


_work: _Work | None = None


def _begin(work: _Work) -> None:
    global _work
    _work = work
    work.start()


def _do(tasks: Sequence[_Task]) -> list[list[Output]]:
    if _work is None:
        raise StepFailed("extract eval: a worker was given pages before it was begun")
    return _work(tasks)


def _mapped(work: _Work, tasks: Sequence[Sequence[_Task]], workers: int) -> Iterator[list[list[Output]]]:
    if workers == 1 or len(tasks) < 2:
        yield from map(work, tasks)
        return
    from concurrent.futures import Future, ProcessPoolExecutor
    from concurrent.futures.process import BrokenProcessPool
    from multiprocessing import get_context

    with ProcessPoolExecutor(workers, get_context("spawn"), initializer=_begin, initargs=(work,)) as pool:
        rest = iter(tasks)
        waiting: list[Future[Any]] = [pool.submit(_do, task) for task in itertools.islice(rest, 2 * workers)]
        try:
            while waiting:
                yield waiting.pop(0).result()
                waiting += [pool.submit(_do, task) for task in itertools.islice(rest, 1)]
        except BrokenProcessPool as error:
            raise StepFailed(
                "extract eval: a worker died, most likely of a crash in an engine's native code; --workers 1 "
                "with --debug, and --every, find the page"
            ) from error
