"""SHA-256 (FIPS 180-4) of short strings in a kernel, a byte at a time.

Scratch space, made once for all strings: `state` uint32[8], `schedule` uint32[64], `block` uint8[64].
"""

# mypy: disable-error-code="no-untyped-def"
from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from pipeline.kernels import kernel_part

_2, _3, _6, _7, _10, _11, _13, _17, _18, _19, _22, _25 = (
    np.uint32(i) for i in (2, 3, 6, 7, 10, 11, 13, 17, 18, 19, 22, 25)
)
_8, _16S, _24, _32 = (np.uint32(i) for i in (8, 16, 24, 32))
_U1, _U2, _U3, _U7, _15, _16, _64 = (np.uint64(i) for i in (1, 2, 3, 7, 15, 16, 64))
WORD_BITS = np.uint64(32)


@kernel_part
def turned(x, n):
    """A 32-bit word turned right by n."""
    return np.uint32(np.uint32(x >> n) | np.uint32(x << np.uint32(_32 - n)))


@kernel_part
def compress(block, schedule, state, rounds):
    """Take one block of 64 bytes into the state. Indices are unsigned: numba then looks for none from the end."""
    for i in range(_16):
        at = i << _U2
        word = np.uint32(block[at]) << _24 | np.uint32(block[at + _U1]) << _16S
        schedule[i] = np.uint32(word | np.uint32(block[at + _U2]) << _8 | np.uint32(block[at + _U3]))
    for i in range(_16, _64):
        x = np.uint32(schedule[i - _15])
        y = np.uint32(schedule[i - _U2])
        low = np.uint32(turned(x, _7) ^ turned(x, _18) ^ np.uint32(x >> _3))
        high = np.uint32(turned(y, _17) ^ turned(y, _19) ^ np.uint32(y >> _10))
        schedule[i] = np.uint32(schedule[i - _16] + low + schedule[i - _U7] + high)
    a, b, c, d = np.uint32(state[0]), np.uint32(state[1]), np.uint32(state[2]), np.uint32(state[3])
    e, f, g, h = np.uint32(state[4]), np.uint32(state[5]), np.uint32(state[6]), np.uint32(state[7])
    for i in range(_64):
        big = np.uint32(turned(e, _6) ^ turned(e, _11) ^ turned(e, _25))
        choice = np.uint32(g ^ (e & (f ^ g)))
        one = np.uint32(h + big + choice + rounds[i] + schedule[i])
        small = np.uint32(turned(a, _2) ^ turned(a, _13) ^ turned(a, _22))
        two = np.uint32(small + np.uint32((a & b) | (c & (a | b))))
        h = g
        g = f
        f = e
        e = np.uint32(d + one)
        d = c
        c = b
        b = a
        a = np.uint32(one + two)
    state[0] = np.uint32(state[0] + a)
    state[1] = np.uint32(state[1] + b)
    state[2] = np.uint32(state[2] + c)
    state[3] = np.uint32(state[3] + d)
    state[4] = np.uint32(state[4] + e)
    state[5] = np.uint32(state[5] + f)
    state[6] = np.uint32(state[6] + g)
    state[7] = np.uint32(state[7] + h)


@kernel_part
def begin(state, initial):
    """A new string."""
    for i in range(8):
        state[i] = initial[i]


@kernel_part
def add_bytes(data, i, end, size, block, schedule, state, rounds):
    """Take in bytes i to end behind `size` bytes; returns the size with them."""
    while i < end:
        block[size & 63] = data[i]
        size += 1
        if size & 63 == 0:
            compress(block, schedule, state, rounds)
        i += 1
    return size


@kernel_part
def add_byte(byte, size, block, schedule, state, rounds):
    """Take in one byte behind `size` bytes; returns the size with it."""
    block[size & 63] = byte
    size += 1
    if size & 63 == 0:
        compress(block, schedule, state, rounds)
    return size


@kernel_part
def remainder(size, modulus, block, schedule, state, rounds):
    """End the string of `size` bytes: its digest, read as one number with the first byte highest, modulo `modulus`.

    `modulus` lies below 2^32.
    """
    bits = np.uint64(size) << np.uint64(3)
    size = add_byte(128, size, block, schedule, state, rounds)
    while size & 63 != 56:
        size = add_byte(0, size, block, schedule, state, rounds)
    for k in range(8):
        size = add_byte(np.uint8(bits >> np.uint64(56 - 8 * k) & np.uint64(255)), size, block, schedule, state, rounds)
    rest = np.uint64(0)
    divisor = np.uint64(modulus)
    for i in range(8):
        rest = (rest << WORD_BITS | np.uint64(state[i])) % divisor
    return np.int64(rest)


def _primes(count: int) -> list[int]:
    found: list[int] = []
    number = 2
    while len(found) < count:
        if all(number % prime for prime in found):
            found.append(number)
        number += 1
    return found


def _cube_root(value: int) -> int:
    root = round(value ** (1 / 3))
    while root**3 > value:
        root -= 1
    while (root + 1) ** 3 <= value:
        root += 1
    return root


def constants() -> tuple[NDArray[np.uint32], NDArray[np.uint32]]:
    """(uint32[8] initial state, uint32[64] round constants): 32 bits of the fractions of the first primes' roots."""
    primes = _primes(64)
    initial = [math.isqrt(p << 64) & 0xFFFFFFFF for p in primes[:8]]
    rounds = [_cube_root(p << 96) & 0xFFFFFFFF for p in primes]
    return np.array(initial, np.uint32), np.array(rounds, np.uint32)
