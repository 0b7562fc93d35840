"""What the tasks of each step ask of a machine: the classes' hints, and what a recipe says in their place.

    resources:
      extract: {memory: 2GB}
      minhash_dedup: {memory: 6GB, cpus: 2}

Only scheduling reads it: no fingerprint does, and no byte of the output changes with it.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping
from functools import reduce
from operator import or_
from typing import Any

from .errors import ConfigError, nearest
from .mapstep import MapStep
from .runner import Resources
from .steps import Step

KEYS = ("memory", "cpus")
_UNITS = {"": 1, "k": 10**3, "m": 10**6, "g": 10**9, "t": 10**12, "ki": 2**10, "mi": 2**20, "gi": 2**30, "ti": 2**40}


def read_bytes(value: Any, where: str) -> int:
    """Bytes of `2GB`, `512MiB` or a plain number. Raises ConfigError."""
    match = re.fullmatch(r"\s*(\d+(?:\.\d+)?)\s*([kmgt]i?)?b?\s*", str(value), re.IGNORECASE)
    if match is None or isinstance(value, bool) or float(match[1]) <= 0:
        raise ConfigError(f"{where}: write an amount of memory as 2GB, 512MiB or a number of bytes, not {value!r}")
    return int(float(match[1]) * _UNITS[(match[2] or "").lower()])


def read_resources(given: Any, known: Collection[str], where: str) -> dict[str, Resources]:
    """A recipe's `resources`: what tasks of the steps named ask for. Raises ConfigError."""
    if not isinstance(given, dict):
        raise ConfigError(f"{where}: `resources` maps a step to its {' and '.join(KEYS)}")
    found = {}
    for name, wants in given.items():
        here = f"{where}, resources of '{name}'"
        if name not in known:
            raise ConfigError(f"{here}: the recipe has no such step{nearest(str(name), known)}")
        if not isinstance(wants, dict) or not wants:
            raise ConfigError(f"{here}: write {{memory: 2GB, cpus: 1}}, one of them or both")
        for key in wants:
            if key not in KEYS:
                raise ConfigError(f"{here}: no key is called '{key}'{nearest(str(key), KEYS)}")
        cpus = wants.get("cpus", Resources().cpus)
        if isinstance(cpus, bool) or not isinstance(cpus, int | float) or not 0 < cpus <= 1024:
            raise ConfigError(f"{here}: `cpus` must be a number above 0, not {cpus!r}")
        memory = read_bytes(wants["memory"], here) if "memory" in wants else 0
        found[str(name)] = Resources(memory, float(cpus))
    return found


def asked_by(step: Step, given: Mapping[str, Resources]) -> Resources:
    """What the tasks of a step ask for: of stages that run in one pass, the largest."""
    parts: list[Any] = [step, *step.stages] if isinstance(step, MapStep) else [step]

    def of(part: Any) -> Resources:
        said = given.get(part.name)
        if said is None:
            return Resources(part.memory_bytes, part.cpus)
        return Resources(said.memory_bytes or part.memory_bytes, said.cpus)

    return reduce(or_, map(of, parts))
