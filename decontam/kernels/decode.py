"""Kernel that writes the bytes of tokens one behind the other."""

# mypy: disable-error-code="no-untyped-def"
from __future__ import annotations

from pipeline.kernels import plain_kernel


@plain_kernel
def write_tokens(ids, data, offsets, out):
    """The bytes data[offsets[t] : offsets[t + 1]] of each token t of `ids`, in order, to `out`."""
    at = 0
    for k in range(len(ids)):
        t = ids[k]
        for i in range(offsets[t], offsets[t + 1]):
            out[at] = data[i]
            at += 1
