"""Parts that read one character of UTF-8, for all kernels here. Positions past the end are never read."""

from __future__ import annotations

from pipeline.kernels import kernel_part


@kernel_part
def char_bytes(data, i, end):  # type: ignore[no-untyped-def]
    """How many bytes the character at i has, cut at `end`; a stray continuation byte counts as one."""
    b = data[i]
    if b < 0xC0:
        return 1
    size = 2 if b < 0xE0 else (3 if b < 0xF0 else 4)
    return size if i + size <= end else end - i


@kernel_part
def properties(data, i, size, first, blocks):  # type: ignore[no-untyped-def]
    """The property word of the character at i of `size` bytes (`tables`)."""
    point = data[i] + 0
    if size == 2:
        point = (point & 31) << 6 | (data[i + 1] & 63)
    elif size == 3:
        point = (point & 15) << 12 | (data[i + 1] & 63) << 6 | (data[i + 2] & 63)
    elif size == 4:
        point = (point & 7) << 18 | (data[i + 1] & 63) << 12 | (data[i + 2] & 63) << 6 | (data[i + 3] & 63)
        if point > 0x10FFFF:
            point = 0x10FFFF
    return blocks[(first[point >> 7] + 0) << 7 | (point & 127)] + 0
