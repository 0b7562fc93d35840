"""Counter-based random draws: the n-th draw is a hash of the key and n, so that no case depends on another one."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from typing import TypeVar

T = TypeVar("T")


def number_of(*key: object) -> int:
    """A number in [0, 2**64) for a key: BLAKE2b of its parts' texts, the same on every machine."""
    data = "\0".join(map(str, key)).encode("utf-8", "surrogatepass")
    return int.from_bytes(hashlib.blake2b(data, digest_size=8).digest(), "big")


class Draws:
    """Draws for one key, such as (seed, form, half, case number). The same key gives the same draws."""

    def __init__(self, *key: object) -> None:
        self._key = number_of(*key).to_bytes(8, "big")
        self._count = 0

    def below(self, limit: int) -> int:
        """A number in [0, limit); the bias is at most limit / 2**64. Raises ValueError for a limit below 1."""
        if limit < 1:
            raise ValueError(f"a draw needs a limit of at least 1, not {limit}")
        data = self._key + self._count.to_bytes(8, "big")
        self._count += 1
        return int.from_bytes(hashlib.blake2b(data, digest_size=8).digest(), "big") * limit >> 64

    def between(self, low: int, high: int) -> int:
        """A number in [low, high], both ends included."""
        return low + self.below(high - low + 1)

    def chance(self, share: float) -> bool:
        """True with this probability."""
        return self.below(1 << 32) < share * (1 << 32)

    def choice(self, values: Sequence[T]) -> T:
        """One of the values."""
        return values[self.below(len(values))]

    def sample(self, values: Sequence[T], count: int) -> list[T]:
        """`count` of the values, each place at most once, in drawn order (Fisher-Yates)."""
        pool = list(values)
        for at in range(count):
            other = at + self.below(len(pool) - at)
            pool[at], pool[other] = pool[other], pool[at]
        return pool[:count]

    def shuffled(self, values: Sequence[T]) -> list[T]:
        """All values in drawn order."""
        return self.sample(values, len(values))
