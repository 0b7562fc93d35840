"""Mutations of bytes: some blind, some that know numbers, lines, tokens and other inputs."""

from __future__ import annotations

import random
from collections.abc import Sequence

BYTES = (
    0x00,
    0x01,
    0x09,
    0x0A,
    0x0D,
    0x20,
    0x22,
    0x26,
    0x2F,
    0x3C,
    0x3E,
    0x7F,
    0x80,
    0xBF,
    0xC0,
    0xE2,
    0xF4,
    0xFE,
    0xFF,
)
NUMBERS = (
    b"0",
    b"-1",
    b"1",
    b"255",
    b"65536",
    b"2147483647",
    b"2147483648",
    b"4294967295",
    b"18446744073709551616",
    b"1e308",
    b"-0",
    b"NaN",
    b"1" * 400,
)
ODD = (
    "\u202e",
    "\ud800",
    "\ufeff",
    "\u0130",
    "\u00df",
    "\U000e0041",
    "\U0010ffff",
    "e\u0301" * 3,
    "\u200d",
    "漢",
    "\x85",
    "\u2028",
)
MAX_BYTES = 1 << 16


def mutate(data: bytes, rng: random.Random, others: Sequence[bytes], tokens: Sequence[bytes]) -> bytes:
    """A changed copy, of at most MAX_BYTES."""
    out = bytearray(data)
    for _ in range(1 << rng.randrange(5)):
        _change(out, rng, others, tokens)
    return bytes(out[:MAX_BYTES])


def _change(out: bytearray, rng: random.Random, others: Sequence[bytes], tokens: Sequence[bytes]) -> None:
    at = rng.randint(0, len(out))
    span = rng.choice((1, 1, 2, 4, 8, 64, 1024))
    kind = rng.randrange(12)
    if kind == 0 and out:
        out[at % len(out)] ^= 1 << rng.randrange(8)
    elif kind == 1 and out:
        out[at % len(out)] = rng.choice(BYTES)
    elif kind == 2:
        del out[at : at + span]
    elif kind == 3:
        out[at:at] = out[at : at + span] * rng.choice((1, 1, 2, 50))
    elif kind == 4:
        out[at:at] = bytes(rng.choice(BYTES) for _ in range(min(span, 8)))
    elif kind == 5 and tokens:
        out[at:at] = rng.choice(tokens) * rng.choice((1, 1, 1, 2, 300))
    elif kind == 6 and tokens:
        token = rng.choice(tokens)
        out[at : at + len(token)] = token
    elif kind == 7:
        out[at:at] = rng.choice(ODD).encode("utf-8", "surrogatepass")
    elif kind == 8:  # another number in a number's place
        digits = next((i for i in range(at, min(len(out), at + 200)) if 48 <= out[i] <= 57), None)
        if digits is not None:
            end = digits
            while end < len(out) and 48 <= out[end] <= 57:
                end += 1
            out[digits:end] = rng.choice(NUMBERS)
    elif kind == 9 and others:
        other = rng.choice(others)
        low = rng.randint(0, len(other))
        out[at : at + rng.choice((0, span))] = other[low : low + rng.choice((16, 256, 4096))]
    elif kind == 10:  # two lines change places
        lines = bytes(out).split(b"\n")
        if len(lines) > 1:
            i, k = rng.randrange(len(lines)), rng.randrange(len(lines))
            lines[i], lines[k] = lines[k], lines[i]
            out[:] = b"\n".join(lines)
    elif kind == 11:
        del out[at:]
