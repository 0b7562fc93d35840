"""What the payloads of a step have in common, taken out of them so that it travels once.

A step's payloads mostly hold the same objects: its stages, its options, the list of all shards. A payload that
carried them would grow with the number of shards. `common` finds the objects that two payloads hold alike (the same
object, not an equal one), `dumps` pickles a payload with a number in place of each, and `loads` puts them back. A
worker unpickles the common part once and gives it to all its tasks, which must not change it: payloads are frozen.
"""

from __future__ import annotations

import dataclasses
import io
import pickle
from collections.abc import Iterator, Sequence
from typing import Any

DEPTH = 3  # levels of dataclasses, tuples and dicts that are looked through
_PLAIN = (int, float, bool, type(None), str, bytes, type)


def _parts(value: Any, depth: int = 0) -> Iterator[Any]:
    """The objects in a payload worth sharing, outer ones first; what is in one that is shared isn't visited twice."""
    if isinstance(value, _PLAIN) or depth > DEPTH:
        return
    yield value
    if dataclasses.is_dataclass(value):
        for field in dataclasses.fields(value):
            yield from _parts(getattr(value, field.name, None), depth + 1)
    elif isinstance(value, dict) and len(value) <= 64:
        for one in value.values():
            yield from _parts(one, depth + 1)
    elif isinstance(value, (tuple, list)) and len(value) <= 64:
        for one in value:
            yield from _parts(one, depth + 1)


def common(payloads: Sequence[Any]) -> list[Any]:
    """The objects that the first and the last payload both hold."""
    if len(payloads) < 2:
        return []
    last = {id(part) for part in _parts(payloads[-1])}
    found = {id(part): part for part in _parts(payloads[0]) if id(part) in last}
    return list(found.values())


def _pickler(file: io.BytesIO, numbers: dict[int, int]) -> Any:
    """cloudpickle's pickler (functions of `__main__` travel too) that writes the number of a common object."""
    from ray import cloudpickle

    class Pickler(cloudpickle.CloudPickler):  # type: ignore[misc]
        def persistent_id(self, value: Any) -> int | None:
            return numbers.get(id(value))

    return Pickler(file, protocol=pickle.HIGHEST_PROTOCOL)


class _Unpickler(pickle.Unpickler):
    def __init__(self, file: io.BytesIO, shared: Sequence[Any]) -> None:
        super().__init__(file)
        self._shared = shared

    def persistent_load(self, number: Any) -> Any:
        return self._shared[number]


class Packer:
    """Pickles the payloads of one step; `shared` is what a worker needs to read them, itself pickled."""

    def __init__(self, function: Any, payloads: Sequence[Any]) -> None:
        from ray import cloudpickle

        self._kept = common(payloads)  # keeps the objects alive, and so their ids
        self._numbers = {id(value): number for number, value in enumerate(self._kept)}
        self.shared: bytes = cloudpickle.dumps((function, self._kept), protocol=pickle.HIGHEST_PROTOCOL)

    def dumps(self, payload: Any) -> bytes:
        """A payload without what is shared."""
        file = io.BytesIO()
        _pickler(file, self._numbers).dump(payload)
        return file.getvalue()


def loads(blob: bytes, shared: Sequence[Any]) -> Any:
    """A payload again."""
    return _Unpickler(io.BytesIO(blob), shared).load()
