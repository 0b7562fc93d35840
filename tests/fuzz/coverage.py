"""Which lines followed which, of some modules, while a call ran: coverage by `sys.settrace`.

atheris (libFuzzer) would do it faster, but asks for a wheel of the interpreter's very version; this asks for nothing.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from types import FrameType
from typing import Any


class Coverage:
    """Edges (line to line) of modules whose file has one of `parts` in its path. `new`: those that came with a call."""

    def __init__(self, parts: Sequence[str]) -> None:
        self.parts = tuple(parts)
        self.seen: set[int] = set()
        self.new = 0
        self._wanted: dict[str, bool] = {}

    def run(self, function: Callable[[bytes], object], data: bytes) -> None:
        """Call with tracing; what the call raises goes on, with `new` set all the same."""
        before = len(self.seen)
        sys.settrace(self._enter)
        try:
            function(data)
        finally:
            sys.settrace(None)
            self.new = len(self.seen) - before

    def _enter(self, frame: FrameType, event: str, arg: Any) -> Any:
        name = frame.f_code.co_filename
        wanted = self._wanted.get(name)
        if wanted is None:
            wanted = self._wanted[name] = any(part in name for part in self.parts)
        if not wanted:
            return None
        seen, base, last = self.seen, hash(name), frame.f_lineno

        def line(frame: FrameType, event: str, arg: Any) -> Any:
            nonlocal last
            seen.add(hash((base, last, frame.f_lineno, event)))
            last = frame.f_lineno
            return line

        seen.add(hash((base, 0, last)))
        return line
