"""Progress of long work: rich bars on a terminal, a line now and then elsewhere."""

from __future__ import annotations

import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Protocol, TextIO

from .terminal import plain


class Bar(Protocol):
    """A running bar."""

    def advance(self, tasks: int, items: int) -> None:
        """Say that so many tasks, holding so many items (documents, pages, tokens), are done."""
        ...

    def note(self, text: str) -> None:
        """Show a short text at the bar's end (a loss, say)."""
        ...


def duration(seconds: float) -> str:
    """`1:02:03`, or `2:03` under an hour."""
    minutes, secs = divmod(int(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02d}:{secs:02d}" if hours else f"{minutes}:{secs:02d}"


class _LineBar:
    """Prints a line at most every `every_s` seconds and one at the end."""

    def __init__(self, stream: TextIO, label: str, total: int, done: int, unit: str, every_s: float) -> None:
        self.stream, self.label, self.total, self.unit, self.every_s = stream, label, total, unit, every_s
        self.done, self.skipped, self.items, self.text = done, done, 0, ""
        self.start = self.last = time.monotonic()

    def advance(self, tasks: int, items: int) -> None:
        self.done += tasks
        self.items += items
        if time.monotonic() - self.last >= self.every_s:
            self.show()

    def note(self, text: str) -> None:
        self.text = text

    def show(self) -> None:
        self.last = time.monotonic()
        elapsed = max(self.last - self.start, 1e-9)
        fresh = self.done - self.skipped
        eta = (
            f", ETA {duration(elapsed / fresh * (self.total - self.done))}"
            if fresh > 0 and self.done < self.total
            else ""
        )
        rate = f", {self.items:,} {self.unit}, {self.items / elapsed:,.0f}/s" if self.items else ""
        resumed = f" ({self.skipped} were done before)" if self.skipped else ""
        text = f", {plain(self.text)}" if self.text else ""
        print(
            f"{plain(self.label)}: {self.done}/{self.total}{resumed}{rate}, {duration(elapsed)}{eta}{text}",
            file=self.stream,
        )


class Progress:
    """Makes bars. `quiet` prints nothing; without a terminal each bar prints lines."""

    def __init__(self, *, quiet: bool = False, stream: TextIO | None = None, every_s: float = 10.0) -> None:
        self.quiet = quiet
        self.stream = stream or sys.stderr
        self.every_s = every_s

    def say(self, text: str) -> None:
        """Print a line, unless quiet."""
        if not self.quiet:
            print(plain(text), file=self.stream)

    @contextmanager
    def bar(self, label: str, *, total: int, done: int = 0, unit: str = "documents") -> Iterator[Bar]:
        """A bar over `total` tasks, `done` of which an earlier run finished."""
        if not self.quiet and self.stream.isatty():
            with self._rich(label, total, done, unit) as bar:
                yield bar
            return
        line = _LineBar(self.stream, label, total, done, unit, float("inf") if self.quiet else self.every_s)
        yield line
        if not self.quiet:
            line.show()

    @contextmanager
    def _rich(self, label: str, total: int, done: int, unit: str) -> Iterator[Bar]:
        from rich import progress
        from rich.console import Console

        class Rate(progress.ProgressColumn):
            def render(self, task: progress.Task) -> progress.Text:
                items, elapsed = task.fields["items"], task.elapsed or 0
                rate = f"{items / elapsed:,.0f} {unit}/s" if items and elapsed else ""
                return progress.Text(f"{items:,} {unit} {rate} {task.fields['text']}" if items else task.fields["text"])

        columns = (
            progress.TextColumn("{task.description}", markup=False),
            progress.BarColumn(bar_width=30),
            progress.MofNCompleteColumn(),
            Rate(),
            progress.TimeElapsedColumn(),
            progress.TextColumn("ETA"),
            progress.TimeRemainingColumn(),
        )
        with progress.Progress(*columns, console=Console(file=self.stream)) as display:
            task = display.add_task(plain(label), total=total, completed=done, items=0, text="")

            class RichBar:
                items = 0

                def advance(self, tasks: int, items: int) -> None:
                    self.items += items
                    display.update(task, advance=tasks, items=self.items)

                def note(self, text: str) -> None:
                    display.update(task, text=plain(text))

            yield RichBar()
