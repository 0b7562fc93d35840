"""Texts on which a regular expression would backtrack, made from the expressions themselves.

Every repetition in a pattern without a small bound is pumped: what comes before it, then what it repeats, many times
over, then something that no pattern takes. And the way into the repetition is repeated as a whole, for searches that
begin anew at each of its places.
"""

from __future__ import annotations

import functools
import importlib
import pkgutil
import re
from collections.abc import Iterator
from re import _constants as c  # type: ignore[attr-defined]
from re import _parser as parser  # type: ignore[attr-defined]
from typing import Any

PACKAGES = ("pipeline", "filters", "dedup", "decontam", "mixtures")
NOT_FOR_PAGES = (".bundle", ".training", ".sample", ".evaluation", "__main__", ".make_tables", ".scorecard", "doc_")
CANDIDATES = " a0A-_.:/<>\"'=\n,;@+!?#&|([{é漢\t\r"
ENOUGH = 20
"""A repetition of at most so often costs nothing."""
END = "\x01\u2603"


@functools.cache
def patterns() -> dict[str, re.Pattern[Any]]:
    """All compiled patterns in the modules that read pages, by where they stand."""
    found: dict[tuple[Any, int], tuple[str, re.Pattern[Any]]] = {}

    def walk(value: Any, where: str, depth: int = 0) -> None:
        if isinstance(value, re.Pattern):
            found.setdefault((value.pattern, value.flags), (where, value))
        elif depth < 3 and isinstance(value, (list, tuple, set, frozenset)):
            for one in list(value)[:200]:
                walk(one, where, depth + 1)
        elif depth < 3 and isinstance(value, dict):
            for key, one in list(value.items())[:200]:
                walk(one, f"{where}[{key}]", depth + 1)
        elif depth < 3 and type(value).__module__.split(".")[0] in PACKAGES and hasattr(value, "__dict__"):
            for key, one in vars(value).items():
                walk(one, f"{where}.{key}", depth + 1)

    for package in PACKAGES:
        for module in pkgutil.walk_packages(importlib.import_module(package).__path__, package + "."):
            if not any(part in module.name for part in NOT_FOR_PAGES):
                for name, value in list(vars(importlib.import_module(module.name)).items()):
                    if not isinstance(value, type):
                        walk(value, f"{module.name}.{name}")
    return {f"{where} {number}": one for number, (where, one) in enumerate(found.values())}


def _in_category(char: str, category: Any) -> bool:
    name = str(category).lower()
    kind = char.isspace() if "space" in name else char.isdigit() if "digit" in name else char.isalnum() or char == "_"
    return kind != ("_not_" in name)


def _matches(char: str, items: list[Any]) -> bool:
    negate, hit = False, False
    for op, value in items:
        if op is c.NEGATE:
            negate = True
        elif op is c.LITERAL:
            hit |= ord(char) == value
        elif op is c.RANGE:
            hit |= value[0] <= ord(char) <= value[1]
        elif op is c.CATEGORY:
            hit |= _in_category(char, value)
    return hit != negate


def _of_class(items: list[Any]) -> list[str]:
    fits = [char for char in CANDIDATES if _matches(char, items)]
    first = next(
        (chr(value if op is c.LITERAL else value[0]) for op, value in items if op in (c.LITERAL, c.RANGE)), "a"
    )
    return fits[:3] or [first]


def sample(parsed: Any, choice: int = 0) -> str:
    """A short text that a parsed pattern takes, or nearly (looking around is left out)."""
    out = []
    for op, value in parsed:
        if op is c.LITERAL:
            out.append(chr(value))
        elif op is c.NOT_LITERAL:
            out.append("a" if value != ord("a") else "b")
        elif op is c.ANY:
            out.append("a")
        elif op is c.IN:
            some = _of_class(value)
            out.append(some[choice % len(some)])
        elif op is c.BRANCH:
            out.append(sample(value[1][choice % len(value[1])], choice))
        elif op is c.SUBPATTERN:
            out.append(sample(value[3], choice))
        elif op is c.ATOMIC_GROUP:
            out.append(sample(value, choice))
        elif op in (c.MAX_REPEAT, c.MIN_REPEAT, c.POSSESSIVE_REPEAT):
            out.append(sample(value[2], choice) * max(1, value[0]))
    return "".join(out)


def _pumps(parsed: Any, before: str) -> Iterator[tuple[str, str]]:
    """(what leads to it, what is repeated) of every long repetition."""
    for op, value in parsed:
        if op in (c.MAX_REPEAT, c.MIN_REPEAT, c.POSSESSIVE_REPEAT):
            low, high, inner = value
            if high is c.MAXREPEAT or high > ENOUGH:
                for choice in range(3):
                    yield before, sample(inner, choice)
            yield from _pumps(inner, before)
            before += sample(inner) * max(1, low)
        elif op is c.SUBPATTERN:
            yield from _pumps(value[3], before)
            before += sample(value[3])
        elif op is c.ATOMIC_GROUP:
            yield from _pumps(value, before)
            before += sample(value)
        elif op is c.BRANCH:
            for one in value[1]:
                yield from _pumps(one, before)
            before += sample(value[1][0])
        else:
            before += sample([(op, value)])


def attacks(size: int, modules: tuple[str, ...] = PACKAGES) -> list[str]:
    """Texts of about `size` characters from the patterns of modules, none twice."""
    found: dict[str, None] = {}
    for where, pattern in patterns().items():
        if not where.startswith(modules):
            continue
        text = pattern.pattern if isinstance(pattern.pattern, str) else pattern.pattern.decode("latin-1")
        flags = pattern.flags & ~re.UNICODE if isinstance(pattern.pattern, bytes) else pattern.flags
        for before, pump in _pumps(parser.parse(text, flags), ""):
            if pump:
                found[before + pump * (size // len(pump)) + END] = None
                found[(before + pump) * (size // len(before + pump)) + END] = None
                found[(before + pump * 50 + "\n") * (size // len(before + pump * 50 + "\n")) + END] = None
    return list(found)
