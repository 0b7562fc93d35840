"""Values of options held against the types that their fields declare, before anything runs.

A field's annotation is read as written (`float | None`, `tuple[str, ...]`); types not listed here are not checked.
"""

from __future__ import annotations

import dataclasses
import math
import reprlib
from collections.abc import Callable
from typing import Any

from .errors import ConfigError

MAX_WHOLE = 1 << 53
"""Whole numbers below this are exact in double precision and fit every kernel's int64."""


def _whole(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and abs(value) < MAX_WHOLE


def is_number(value: Any) -> bool:
    """Whether a value is a finite number that float64 holds exactly (and no bool)."""
    return _whole(value) or (isinstance(value, float) and math.isfinite(value))


def _texts(value: Any) -> bool:
    return isinstance(value, tuple) and all(isinstance(one, str) for one in value)


_KINDS: dict[str, tuple[Callable[[Any], bool], str]] = {
    "bool": (lambda value: isinstance(value, bool), "true or false"),
    "int": (_whole, "a whole number"),
    "float": (is_number, "a number"),
    "str": (lambda value: isinstance(value, str), "a text"),
    "tuple[str, ...]": (_texts, "a list of texts"),
}


def check_types(cls: type, config: dict[str, Any], where: str) -> None:
    """Raise ConfigError for an option whose value has not the declared type; `where` says what is configured.

    NaN and infinity are no numbers here: as thresholds they would switch a rule off unseen, which is what null is for.
    """
    declared = {f.name: str(getattr(f.type, "__name__", f.type)) for f in dataclasses.fields(cls)}
    for key, value in config.items():
        kind = declared.get(key, "")
        nullable = kind.endswith(" | None")
        check, what = _KINDS.get(kind.removesuffix(" | None"), (None, ""))
        if check is None or (nullable and value is None) or check(value):
            continue
        shown = reprlib.repr(list(value) if isinstance(value, tuple) else value)
        raise ConfigError(
            f"{where}: {key} must be {what}{' or null' if nullable else ''}, not {shown}{_way_out(value, what)}"
        )


def _way_out(value: Any, what: str) -> str:
    if what == "a number" and isinstance(value, float):
        return "; null switches a threshold off"
    if what in ("a number", "a whole number") and isinstance(value, str):
        try:
            plain = float(value)
        except ValueError:
            return ""
        if not math.isfinite(plain) or (what == "a whole number" and not plain.is_integer()):
            return ""
        shown = repr(int(plain) if what == "a whole number" else plain)
        shown = shown if "." in shown else shown.replace("e", ".0e")  # YAML 1.1 takes 1e-08 for a text, too
        return f"; YAML takes it for a text, so write {shown}"
    if what == "a text" or (what == "a list of texts" and isinstance(value, tuple)):
        return "; quote what YAML takes for something else (no, on, 1, null)"
    if what == "a list of texts" and isinstance(value, str):
        return f"; write [{value}]"
    return ""
