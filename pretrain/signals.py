"""SIGTERM and Ctrl-C while training: the step in work is finished, then the run is saved."""

from __future__ import annotations

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType


class Asked:
    """Whether an end was asked for. A second signal of the kind does what it does by itself."""

    signal: int | None = None

    @property
    def name(self) -> str:
        """The signal's name."""
        return "" if self.signal is None else signal.Signals(self.signal).name


@contextmanager
def listening() -> Iterator[Asked]:
    """Catch SIGTERM and SIGINT in the block; only Python's main thread can, elsewhere nothing is caught."""
    asked = Asked()
    if threading.current_thread() is not threading.main_thread():
        yield asked
        return
    before = {number: signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGINT)}

    def handle(number: int, frame: FrameType | None) -> None:
        asked.signal = number
        signal.signal(number, before[signal.Signals(number)])

    for number in before:
        signal.signal(number, handle)
    try:
        yield asked
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
