"""Union of sets of numbers, by links."""

# mypy: disable-error-code="no-untyped-def"
from __future__ import annotations

from pipeline.kernels import kernel_part, plain_kernel


@kernel_part
def _root(parents, i):
    while parents[i] != i:
        parents[i] = parents[parents[i]]
        i = parents[i]
    return i


@plain_kernel
def union(a, b, parents):
    """Join a[k] and b[k], int64[n], for all k; in the end parents[i], int64[m], is the smallest number of i's set."""
    for k in range(len(a)):
        left = _root(parents, a[k])
        right = _root(parents, b[k])
        if left < right:
            parents[right] = left
        else:
            parents[left] = right
    for i in range(len(parents)):
        parents[i] = _root(parents, i)
