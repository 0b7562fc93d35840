"""Parts that mix the bits of 64-bit numbers."""

# mypy: disable-error-code="no-untyped-def"
from __future__ import annotations

import numpy as np

from pipeline.kernels import kernel_part

S33, S16, S13 = np.uint64(33), np.uint64(16), np.uint64(13)
M1, M2 = np.uint64(0xFF51AFD7ED558CCD), np.uint64(0xC4CEB9FE1A85EC53)
LOW = np.uint64(0xFFFFFFFF)
N1, N2 = np.uint64(0x85EBCA6B), np.uint64(0xC2B2AE35)


@kernel_part
def fmix64(h):
    """MurmurHash3's finaliser, 64 bit: one to one, every bit of h moves every bit of the result."""
    h = (h ^ (h >> S33)) * M1
    h = (h ^ (h >> S33)) * M2
    return h ^ (h >> S33)


@kernel_part
def fmix32(h):
    """MurmurHash3's finaliser, 32 bit, of a number below 2^32."""
    h = (h ^ (h >> S16)) * N1 & LOW
    h = (h ^ (h >> S13)) * N2 & LOW
    return h ^ (h >> S16)
