"""Text for a terminal. Titles, URLs, file names and errors come from strangers' pages and may hold escape sequences.

What a terminal would act on in place of showing (C0 and C1 control characters, format characters such as the
right-to-left override, lone surrogates) is written out as `\\x1b`. Everything that Gristmill shows of others' text goes
through `plain`: tables (`pipeline.report.show`), messages and bars (`pipeline.progress`), errors and the log
(`pipeline.cli`).
"""

from __future__ import annotations

import json
import logging
import sys
from typing import Any


def plain(text: object, keep: str = "\n\t") -> str:
    """The text with all that isn't printable, but for `keep`, written out."""
    return "".join(c if c.isprintable() or c in keep else f"\\x{ord(c):02x}" for c in str(text))


def print_error(error: object) -> None:
    """`gristmill: error` on stderr."""
    print(f"gristmill: {plain(error)}", file=sys.stderr)


def json_text(value: Any) -> str:
    """Indented JSON for stdout: as it is for a file or a pipe, all but ASCII escaped for a terminal."""
    return json.dumps(value, ensure_ascii=sys.stdout.isatty(), indent=1, default=str)


class _Plain(logging.Filter):
    """Writes out a log record's message."""

    def filter(self, record: logging.LogRecord) -> bool:
        record.msg, record.args = plain(record.getMessage()), ()
        return True


def guard_log(logger: logging.Logger) -> None:
    """Have every message of a logger go through `plain`."""
    if not any(isinstance(one, _Plain) for one in logger.filters):
        logger.addFilter(_Plain())
