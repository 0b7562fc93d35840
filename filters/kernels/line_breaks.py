"""The kernel behind `segments.lines`, `segments.breaks` and `segments.split_lines`."""

from __future__ import annotations

from pipeline.kernels import kernel_part, plain_kernel

from . import tables as t
from .reading import char_bytes, properties


@kernel_part
def break_bytes(data, i, end, every):  # type: ignore[no-untyped-def]
    """Bytes of the line break at i, 0 for none: \\n and \\r\\n, with `every` also what Python's str.splitlines has."""
    b = data[i]
    if b == 10:
        return 1
    if b == 13:
        if i + 1 < end and data[i + 1] == 10:
            return 2
        return 1 if every else 0
    if not every:
        return 0
    if b == 11 or b == 12 or (b >= 28 and b <= 30):
        return 1
    if b == 0xC2:
        return 2 if i + 1 < end and data[i + 1] == 0x85 else 0
    if b == 0xE2 and i + 2 < end and data[i + 1] == 0x80 and (data[i + 2] == 0xA8 or data[i + 2] == 0xA9):
        return 3
    return 0


@kernel_part
def trim_left(data, i, end, first, blocks):  # type: ignore[no-untyped-def]
    """The position of the first character that is no white space, from i on."""
    while i < end:
        size = char_bytes(data, i, end)
        if not properties(data, i, size, first, blocks) & t.SPACE:
            break
        i += size
    return i


@kernel_part
def trim_right(data, i, end, first, blocks):  # type: ignore[no-untyped-def]
    """The end of the last character before `end` that is no white space, not before i."""
    while i < end:
        j = end - 1
        while j > i and data[j] & 0xC0 == 0x80 and end - j < 4:
            j -= 1
        if not properties(data, j, char_bytes(data, j, end), first, blocks) & t.SPACE:
            break
        end = j
    return end


@plain_kernel
def line_spans(
    data, offsets, document, at_least, runs, every, strip, open_end, first, blocks, marks, mark_offsets, starts, ends,
    counts,
):  # type: ignore[no-untyped-def]  # fmt: skip
    """Write the parts between line breaks of documents from `document` on; counts as `word_breaks.word_spans`.

    A separator is a run of at least `at_least` breaks: all of it if `runs`, one break else. `strip` takes white space
    off the document's ends first. A part after the last separator counts even if empty, unless `open_end` is false.
    marks: of `segments.marks`, the places where a break may be.
    """
    k = counts[document]
    for d in range(document, len(offsets) - 1):
        i = offsets[d]
        end = offsets[d + 1]
        if strip:
            i = trim_left(data, i, end, first, blocks)
            end = trim_right(data, i, end, first, blocks)
        start = i
        read = i
        empty = i == end
        m = mark_offsets[d]
        last = mark_offsets[d + 1]
        while m <= last and not empty:
            after = end
            if m < last and marks[m] < end:
                i = marks[m]
                m += 1
                if i < read:
                    continue
                size = break_bytes(data, i, end, every)
                after = i
                found = 0
                while size:
                    found += 1
                    after += size
                    size = break_bytes(data, after, end, every) if runs and after < end else 0
                read = after
                if found == 0 or found < at_least:
                    continue
            else:
                m = last + 1
                i = end
                if not open_end and start == end:
                    break
            if k == len(starts):
                return d
            starts[k] = start
            ends[k] = i
            k += 1
            start = after
        counts[d + 1] = k
    return len(offsets) - 1
