"""The one small tree of errors. A message names the step, the file, the record and the way out."""

from __future__ import annotations

import difflib
from collections.abc import Iterable


class GristmillError(Exception):
    """Base of every error that Gristmill raises on purpose. `status` is the command's exit status."""

    status = 2


class ConfigError(GristmillError):
    """A recipe, an option or an input path is wrong; nothing has been run."""


class SchemaError(GristmillError):
    """A table lacks a column that a stage reads, or has it with another type."""


class CorruptRecord(GristmillError):
    """One record can't be read. `kind` is the count it falls under, `offset` its place in the file."""

    def __init__(self, kind: str, offset: int, detail: str = "") -> None:
        super().__init__(f"{kind} at offset {offset}" + (f": {detail}" if detail else ""))
        self.kind = kind
        self.offset = offset
        self.detail = detail


class StepFailed(GristmillError):
    """A step could not be completed after its retries."""


class Stopped(GristmillError):
    """A signal asked for an end, and the work was left so that the same command goes on from here."""

    def __init__(self, message: str, signal: int) -> None:
        super().__init__(message)
        self.status = 128 + signal


def nearest(word: object, known: Iterable[str]) -> str:
    """` (did you mean 'x'?)` for the closest known word, or an empty string. (YAML's keys may be anything.)"""
    match = difflib.get_close_matches(str(word), list(known), n=1)
    return f" (did you mean '{match[0]}'?)" if match else ""


def check_file_name(path: str) -> None:
    """Raise ConfigError for a file whose name is not UTF-8: neither Parquet nor JSON could say where a text is from."""
    try:
        path.encode()
    except UnicodeEncodeError as error:
        raise ConfigError(f"the name of the file {ascii(path)} is not UTF-8; rename it") from error
