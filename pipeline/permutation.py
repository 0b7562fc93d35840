"""A pseudo-random permutation of range(n), entered at any place, without an array of n."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

_ROUNDS = 8
_GOLDEN = 0x9E3779B97F4A7C15
_MASK64 = (1 << 64) - 1


def permute(positions: npt.NDArray[np.int64], n: int, seed: int, epoch: int) -> npt.NDArray[np.int64]:
    """Where the permutation of range(n) given by (seed, epoch) sends each of `positions`.

    A Feistel network over the smallest power of two that holds n, its round function the finaliser
    of splitmix64 under a key for each round; values from n on are sent through again ("cycle
    walking", Black and Rogaway 2002) until they fall inside. Needs no memory for the rest of the
    permutation. Raises IndexError for a position outside range(n).
    """
    if len(positions) and not (positions.min() >= 0 and positions.max() < n):
        raise IndexError(f"positions must lie in 0..{n - 1}")
    if n == 1:
        return np.zeros_like(positions)
    bits = max((n - 1).bit_length(), 2)
    low_bits = np.uint64(bits // 2)
    low_mask = np.uint64((1 << (bits // 2)) - 1)
    high_mask = np.uint64((1 << (bits - bits // 2)) - 1)
    key = int(_mix(np.array([seed & _MASK64], np.uint64))[0]) ^ (epoch * _GOLDEN & _MASK64)
    keys = _mix(np.array([key + i * _GOLDEN & _MASK64 for i in range(1, _ROUNDS + 1)], np.uint64))
    values = positions.astype(np.uint64)
    todo = np.arange(len(values))
    while len(todo):
        x = values[todo]
        low, high = x & low_mask, x >> low_bits
        for i in range(0, _ROUNDS, 2):
            low ^= _mix(high ^ keys[i]) & low_mask
            high ^= _mix(low ^ keys[i + 1]) & high_mask
        values[todo] = high << low_bits | low
        todo = todo[values[todo] >= n]
    return values.astype(np.int64)


def _mix(x: npt.NDArray[np.uint64]) -> npt.NDArray[np.uint64]:
    """splitmix64's output function (Steele, Lea and Flood 2014), wrapping modulo 2^64."""
    x = x + np.uint64(_GOLDEN)
    x = (x ^ (x >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    x = (x ^ (x >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return x ^ (x >> np.uint64(31))
