"""Byte-pair merges of one pre-token: the pair of lowest rank first, the leftmost of equals.

Pairs stand in an open-addressing table: int64[2 * slots], the two ids as a key (plus one: 0 is an empty slot)
and `rank << 32 | id of the merged token`.
"""

from __future__ import annotations

from ..kernels import kernel_part, plain_kernel

SHORT = 48
"""Up to so many bytes a pre-token is merged by looking over all of its pairs, beyond by a heap."""
_NONE = 0x7FFFFFFFFFFFFFFF


@kernel_part
def mix(x):  # type: ignore[no-untyped-def]
    """A 64-bit hash of a 64-bit number, not negative (the steps of MurmurHash3's finaliser, in signed numbers)."""
    x = (x ^ (x >> 32)) * -0x61C8864680B583EB
    x = (x ^ (x >> 29)) * -0x3B314601E57A13AD
    return (x ^ (x >> 32)) & _NONE


@plain_kernel
def fill_pairs(pairs, left, right, made, table):  # type: ignore[no-untyped-def]
    """Put merges, in the order of their ranks, into the table; returns how many pairs occur again."""
    mask = len(table) // 2 - 1
    again = 0
    for rank in range(pairs):
        key = (left[rank] << 32 | right[rank]) + 1
        slot = mix(key) & mask
        while table[2 * slot] != 0 and table[2 * slot] != key:
            slot = (slot + 1) & mask
        again += table[2 * slot] == key
        table[2 * slot] = key
        table[2 * slot + 1] = rank << 32 | made[rank]
    return again


@kernel_part
def pair(left, right, table):  # type: ignore[no-untyped-def]
    """`rank << 32 | id` of two ids' merge, or `_NONE`."""
    mask = len(table) // 2 - 1
    key = (left << 32 | right) + 1
    slot = mix(key) & mask
    while table[2 * slot] != 0:
        if table[2 * slot] == key:
            return table[2 * slot + 1]
        slot = (slot + 1) & mask
    return _NONE


@kernel_part
def merge_short(src, begin, end, byte_ids, table, ids, values, out, at):  # type: ignore[no-untyped-def]
    """Merge `src[begin:end]`, of at least one byte, and write its ids to `out` from `at` on; returns their end."""
    n = end - begin
    for k in range(n):
        ids[k] = byte_ids[src[begin + k]]
    for k in range(n - 1):
        values[k] = pair(ids[k], ids[k + 1], table)
    while n > 1:
        best = _NONE
        place = 0
        for k in range(n - 1):
            if values[k] < best:
                best = values[k]
                place = k
        if best == _NONE:
            break
        n -= 1
        ids[place] = best & 0xFFFFFFFF
        for k in range(place + 1, n):
            ids[k] = ids[k + 1]
            values[k - 1] = values[k]
        if place < n - 1:
            values[place] = pair(ids[place], ids[place + 1], table)
        if place > 0:
            values[place - 1] = pair(ids[place - 1], ids[place], table)
    for k in range(n):
        out[at + k] = ids[k]
    return at + n


@kernel_part
def push(heap, size, value):  # type: ignore[no-untyped-def]
    """Add a number to the heap's `size` numbers (the least is first)."""
    k = size
    while k > 0:
        above = (k - 1) >> 1
        if heap[above] <= value:
            break
        heap[k] = heap[above]
        k = above
    heap[k] = value


@kernel_part
def pop(heap, size):  # type: ignore[no-untyped-def]
    """Take the least of the heap's `size` numbers away."""
    value = heap[size - 1]
    size -= 1
    k = 0
    while 2 * k + 1 < size:
        child = 2 * k + 1
        if child + 1 < size and heap[child + 1] < heap[child]:
            child += 1
        if heap[child] >= value:
            break
        heap[k] = heap[child]
        k = child
    heap[k] = value


@kernel_part
def merge_long(src, begin, end, byte_ids, table, ids, before, behind, heap, out, at):  # type: ignore[no-untyped-def]
    """As `merge_short`, in n log n: a heap of `rank << 32 | place`, where what is out of date is passed over."""
    n = end - begin
    size = 0
    for k in range(n):
        ids[k] = byte_ids[src[begin + k]]
        before[k] = k - 1
        behind[k] = k + 1
    for k in range(n - 1):
        value = pair(ids[k], ids[k + 1], table)
        if value != _NONE:
            push(heap, size, value >> 32 << 32 | k)
            size += 1
    while size > 0:
        top = heap[0]
        pop(heap, size)
        size -= 1
        k = top & 0xFFFFFFFF
        right = behind[k]
        if ids[k] < 0 or right >= n:
            continue
        value = pair(ids[k], ids[right], table)
        if value == _NONE or value >> 32 != top >> 32:
            continue
        ids[k] = value & 0xFFFFFFFF
        ids[right] = -1
        far = behind[right]
        behind[k] = far
        if far < n:
            before[far] = k
            value = pair(ids[k], ids[far], table)
            if value != _NONE:
                push(heap, size, value >> 32 << 32 | k)
                size += 1
        left = before[k]
        if left >= 0:
            value = pair(ids[left], ids[k], table)
            if value != _NONE:
                push(heap, size, value >> 32 << 32 | left)
                size += 1
    k = 0
    while k < n:
        out[at] = ids[k]
        at += 1
        k = behind[k]
    return at
