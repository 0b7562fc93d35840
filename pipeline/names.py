"""Names of files in manifests, which may be a stranger's: a folder of packs or a run that somebody gave away."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from .errors import SchemaError


def check_inside(name: Any, where: object) -> str:
    """The name, where it is a relative path that stays below its folder; raises SchemaError, naming `where`, else."""
    parts = name.split("/") if isinstance(name, str) else []
    if not parts or any(part in ("", ".", "..") for part in parts) or "\\" in name or "\0" in name or ":" in parts[0]:
        raise SchemaError(f"{where} names the file {str(name)[:200]!r}, which leads out of its folder; don't trust it")
    if any("\ud800" <= char <= "\udfff" for char in name):
        raise SchemaError(f"{where} names the file {ascii(name)[:200]}, which is no UTF-8")
    return str(name)


def check_entries(entries: Iterable[Any], key: str, where: object) -> None:
    """Check the names that the entries of a manifest's list have under `key`. Raises SchemaError."""
    if not isinstance(entries, list) or not all(isinstance(one, dict) for one in entries):
        raise SchemaError(f"{where} has no list of files where one should be; it is damaged")
    for one in entries:
        check_inside(one.get(key), where)
