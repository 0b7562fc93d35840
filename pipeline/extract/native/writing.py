"""The writer behind `render`: carries out a list of operations, for the most part "copy this block", into a buffer."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from ...kernels import kernel_part, plain_kernel
from . import structure as y

MAX_BOX_BYTES = 12
"""What one list item or quotation puts before a line, at most."""

# forms of a block's text
PLAIN, PARAGRAPH, CODE, HEADING, CELL_PLAIN, CELL = range(6)

# Operations: four int64 each, the code and what it is about.
CHARS = 0  # byte, how often
BARS = 1  # -, how often ` |`
RULES = 2  # -, how often ` --- |`
LINE = 3  # end the line, begin the next within so many boxes
BLANK = 4  # end the line, and the next is an empty one within so many boxes
OPEN = 5  # box number (0 the outermost), the marker's last character, number
TEXT = 6  # start, end in the page's text, form + 16 x boxes
SOURCE = 7  # start, end in the page's source
JOIN = 8  # two blocks in one cell
FENCE = 9  # to become CHARS: first block, code block (0: the closing one)
OPERATION = 4

_PATTERNS = np.zeros((3, 6), np.uint8)
_PATTERNS[BARS, :2] = list(b" |")
_PATTERNS[RULES] = list(b" --- |")
_SIZES = np.array([1, 2, 6], np.int64)
# what a line's first byte can be the start of: > and |; code fences; headings; list items (and rules); numbered items;
# HTML; link definitions; rules and underlines
_STARTS = np.zeros(256, np.uint8)
for _kind, _bytes in enumerate((b">|", b"`~", b"#", b"-+*", b"0123456789", b"<", b"[", b"_=:"), 1):
    _STARTS[list(_bytes)] = _kind
_STARTS[[byte + 128 for byte in b"!/?abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"]] = 6  # after <
_RULING = np.zeros(256, np.bool_)
_RULING[list(b"-:|")] = True
_BREAK = np.frombuffer(b"<br>", np.uint8).copy()


@kernel_part
def _escape_at(text, i, end):
    """Where in the line from text[i] a backslash must go lest it be read as Markdown's markup; -1 for nowhere."""
    c = text[i]
    kind = _STARTS[c] if c < 128 else 0
    if kind == 0 or kind == 1:
        return i if kind == 1 else -1
    j = i
    while j < end and (text[j] == c or (kind == 5 and 48 <= text[j] <= 57)):
        j += 1
    run = j - i
    ends = j == end or text[j] == 32 or text[j] == 10
    found = i
    if kind == 2:
        return i if run >= 3 else -1
    if kind == 3:
        return i if run <= 6 and ends else -1
    if kind == 5:
        found = j
        j += 1
        ends = j >= end or text[j] == 32 or text[j] == 10
        return found if run <= 9 and j <= end and (text[found] == 46 or text[found] == 41) and ends else -1
    if kind == 6:
        return i if run == 1 and j < end and text[j] < 128 and _STARTS[text[j] + 128] == 6 else -1
    if kind == 4 and run == 1 and ends:
        return i
    if kind == 7:
        while j < end and text[j] != 10 and (text[j] != 58 or text[j - 1] != 93):
            j += 1
        return i if j < end and text[j] == 58 else -1
    # a line of nothing else: a rule, an underline, the second row of a table
    while j < end and (text[j] == c or text[j] == 32 or (_RULING[c] and _RULING[text[j]])):
        j += 1
    return i if (j == end or text[j] == 10) else -1


@kernel_part
def _block(text, start, end, buf, o, prefix, width, form):
    """Append the block text[start:end]; each of its further lines begins with prefix[:width]."""
    begins = True
    k = start
    while k < end:
        c = text[k]
        if begins and form == PARAGRAPH:
            at = _escape_at(text, k, end)
            if at >= 0:
                for j in range(k, at):
                    buf[o] = text[j]
                    o += 1
                buf[o] = 92
                o += 1
                k = at
                c = text[k]
        begins = False
        if c != 10:
            if form == CELL and c == 124:
                buf[o] = 92
                o += 1
            buf[o] = c
            o += 1
        elif HEADING <= form <= CELL_PLAIN:
            buf[o] = 32
            o += 1
        elif form == CELL:
            for j in range(len(_BREAK)):
                buf[o] = _BREAK[j]
                o += 1
        else:
            if form == PARAGRAPH:  # a line break that counts
                buf[o] = 32
                buf[o + 1] = 32
                o += 2
            buf[o] = 10
            o += 1
            for j in range(width):
                buf[o] = prefix[j]
                o += 1
            if form == CODE and k + 1 < end and text[k + 1] == 10:
                while buf[o - 1] == 32:
                    o -= 1
            begins = True
        k += 1
    if form == HEADING and end > start and text[end - 1] == 35:
        k = end
        while k > start and text[k - 1] == 35:
            k -= 1
        if k == start or text[k - 1] == 32:  # a run of # at the end would be dropped
            buf[o] = 35
            buf[o - 1] = 92
            o += 1
    return o


@plain_kernel
def _write(src, text, operations, first, buf, o, prefix, widths, markdown):
    """Carry out operations[first:] onto buf[:o] as far as there is room.

    Returns which operation is the next, how many bytes are used, and how many more that operation may need.
    """
    for at in range(first, len(operations), OPERATION):
        code = operations[at]
        a = operations[at + 1]
        b = operations[at + 2]
        c = operations[at + 3]
        width = np.int64(0)
        need = len(prefix) + 16
        if code <= RULES:
            need += 6 * b
        elif TEXT <= code <= SOURCE:
            width = widths[c >> 4]
            need += 2 * (b - a)
            if code == TEXT:
                for k in range(a, b):
                    if text[k] == 10:
                        need += width + 8
        if o + need > len(buf):
            return at, o, need
        if code == TEXT:
            o = _block(text, a, b, buf, o, prefix, width, c & 15)
        elif LINE <= code <= BLANK:
            if o > 0:
                buf[o] = 10
                o += 1
            for k in range(widths[a]):
                buf[o] = prefix[k]
                o += 1
            while code == BLANK and o > 0 and buf[o - 1] == 32:
                o -= 1
        elif code <= RULES:
            size = _SIZES[code]
            for _ in range(b):
                for k in range(size):
                    buf[o] = a if code == CHARS else _PATTERNS[code, k]
                    o += 1
        elif code == OPEN:
            start = o
            if b == 46 or b == 41:
                power = 1
                while power * 10 <= c:
                    power *= 10
                while power > 0:
                    buf[o] = 48 + (c // power) % 10
                    o += 1
                    power //= 10
            buf[o] = b
            buf[o + 1] = 32
            o += 2
            width = widths[a]
            widths[a + 1] = width + (o - start if markdown else 2)
            for k in range(width, widths[a + 1]):
                prefix[k] = 62 if b == 62 and k == width else 32
        elif code == SOURCE:
            for k in range(a, b):
                buf[o] = src[k]
                o += 1
        elif markdown:
            for k in range(len(_BREAK)):
                buf[o] = _BREAK[k]
                o += 1
        else:
            buf[o] = 32
            o += 1
    return len(operations), o, 0


def write(
    src: NDArray[np.uint8],
    text: NDArray[np.uint8],
    operations: NDArray[np.int64],
    buf: NDArray[np.uint8],
    markdown: bool,
) -> tuple[NDArray[np.uint8], int]:
    """Carry out the operations (int64, four each); returns `buf` or a larger buffer, and how many bytes are used."""
    prefix = np.empty((y.MAX_NESTING + 1) * MAX_BOX_BYTES, np.uint8)
    widths = np.zeros(y.MAX_NESTING + 2, np.int64)
    at, o, need = _write(src, text, operations, 0, buf, 0, prefix, widths, markdown)
    while at < len(operations):
        larger = np.empty(2 * len(buf) + need, np.uint8)
        larger[:o] = buf[:o]
        buf = larger
        at, o, need = _write(src, text, operations, at, buf, o, prefix, widths, markdown)
    return buf, o
