"""What runs in a Ray worker: a batch of tasks, and keeping the process's memory from creeping up."""

from __future__ import annotations

import pickle
import time
import traceback
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any

from ..errors import GristmillError
from ..malloc import calm_malloc, trim_malloc
from .base import call
from .shared import loads

TRIM_EVERY_S = 2.0


class SharedLost(Exception):
    """The object with what payloads have in common can't be had any more; the driver puts it again."""


@dataclass(frozen=True)
class Failure:
    """A task's error, as it travels: an error of ours whole, any other as text, for it may not be picklable."""

    text: str
    ours: bytes | None = None
    trace: str = ""

    @classmethod
    def of(cls, error: BaseException) -> Failure:
        text = f"{type(error).__name__}: {error}"
        ours = pickle.dumps(error) if isinstance(error, GristmillError) else None
        return cls(text, ours, traceback.format_exc())


@dataclass(frozen=True)
class Outcome:
    """What became of one task of a batch: the pickled result, or why there is none; and the seconds that it took."""

    seconds: float
    result: bytes = b""
    failure: Failure | None = None


_shared: dict[str, tuple[Any, list[Any]]] = {}  # of the last step only


def _load_shared(key: str, reference: Any) -> tuple[Any, list[Any]]:
    import ray

    if key not in _shared:
        try:
            blob = ray.get(reference, timeout=120)
        except (ray.exceptions.ObjectLostError, ray.exceptions.GetTimeoutError) as error:
            raise SharedLost(str(error)) from error
        _shared.clear()
        _shared[key] = pickle.loads(blob)
    return _shared[key]


def run_batch(key: str, references: Sequence[Any], payloads: Sequence[bytes]) -> list[Outcome]:
    """Run the payloads one after the other; `references[0]` holds the function and what the payloads share.

    (Within a list, for Ray would fetch a bare reference before every task.) Raises SharedLost.
    """
    calm_malloc()
    function, shared = _load_shared(key, references[0])
    outcomes = []
    for blob in payloads:
        start = time.perf_counter()
        try:
            result = pickle.dumps(call(function, loads(blob, shared), _node()), protocol=pickle.HIGHEST_PROTOCOL)
            outcomes.append(Outcome(time.perf_counter() - start, result))
        except Exception as error:
            outcomes.append(Outcome(time.perf_counter() - start, failure=Failure.of(error)))
    _trim()
    return outcomes


@cache
def _node() -> str:
    import ray

    return str(ray.get_runtime_context().get_node_id())


_last_trim = 0.0


def _trim(clock: Callable[[], float] = time.monotonic) -> None:
    """Give free pages back to the system, every TRIM_EVERY_S at most."""
    global _last_trim
    if clock() - _last_trim >= TRIM_EVERY_S:
        trim_malloc()
        _last_trim = clock()
