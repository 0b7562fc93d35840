"""What language identification reads of a text: no URLs, addresses, digits and signs of markup, single spaces.

The rules by white-space-delimited tokens, in this order (white space and digits as Unicode has them):
one that holds `x@x.x` goes whole; from `http://`, `https://` or `www.` on, with something after it, the rest goes;
digits, control characters and `_#*|<>=~\\/[](){}^` become spaces.
"""

# numba settles the types of the kernels' variables:
# mypy: disable-error-code="assignment"
from __future__ import annotations

import numpy as np

from pipeline.kernels import kernel_part, plain_kernel

from .normalise import K_ALPHA, K_DIGIT, K_NOT_UPPER, K_SPACE, K_UPPER, decode, encode, size_of

SIGNS = np.zeros(128, np.uint8)
for _sign in b"_#*|<>=~\\/[](){}^\x7f" + bytes(range(32)):
    SIGNS[_sign] = 1
CAPITALS_WINDOW = 500
"""Characters of the cleaned text whose capitals are counted."""


@kernel_part
def kind_of(point, kinds):
    """The kinds of a code point; letters behind the table are Han."""
    if point < len(kinds):
        return np.int64(kinds[point])
    return K_ALPHA if 0x20000 <= point < 0x40000 else 0


@kernel_part
def is_address(data, at, stop):
    """Whether the token data[at:stop] holds something, `@`, something, `.`, something."""
    sign = at
    while sign < stop and (data[sign] != 64 or sign == at):
        sign += 1
    if sign >= stop:
        return False
    dot = stop - 1
    while dot > sign and data[dot] != 46:
        dot -= 1
    if dot == stop - 1:  # nothing after the last dot: the one before it counts
        dot -= 1
        while dot > sign and data[dot] != 46:
            dot -= 1
    return dot >= sign + 2


@kernel_part
def is_url(data, at, stop):
    """Whether a URL begins at data[at], with something behind its beginning."""
    if data[at] == 119:
        return at + 4 < stop and data[at + 1] == 119 and data[at + 2] == 119 and data[at + 3] == 46
    if data[at] != 104 or at + 7 >= stop:
        return False
    if data[at + 1] != 116 or data[at + 2] != 116 or data[at + 3] != 112:
        return False
    k = at + 5 if data[at + 4] == 115 else at + 4
    return k + 3 < stop and data[k] == 58 and data[k + 1] == 47 and data[k + 2] == 47


@plain_kernel
def clean(data, starts, ends, max_chars, kinds, out, out_starts, out_ends, shouted):
    """Each text data[starts[i]:ends[i]], its first `max_chars` characters, cleaned into out; returns the bytes written.

    `out` needs room for the bytes and one more a text. shouted[i]: whether it is (nearly) all capitals.
    """
    o = 0
    for i in range(len(starts)):
        at = starts[i]
        stop = ends[i]
        out_starts[i] = o
        chars = 0
        seen = 0  # characters written
        letters = 0
        uppers = 0
        some_upper = False
        some_other = False
        pending = False
        while at < stop and chars < max_chars:
            # a run of white space, then a token
            begin = at
            while at < stop and chars < max_chars:
                size = size_of(data[at])
                if at + size > stop or not kind_of(decode(data, at, size), kinds) & K_SPACE:
                    break
                at += size
                chars += 1
            if at > begin:
                pending = seen > 0
            begin = at
            while at < stop and chars < max_chars:
                size = size_of(data[at])
                if at + size > stop:
                    at = stop
                elif kind_of(decode(data, at, size), kinds) & K_SPACE:
                    break
                else:
                    at += size
                    chars += 1
            if is_address(data, begin, at):
                pending = seen > 0
                continue
            p = begin
            while p < at:
                if is_url(data, p, at):
                    pending = seen > 0
                    break
                size = size_of(data[p])
                if p + size > at:
                    break
                point = decode(data, p, size)
                p += size
                kind = kind_of(point, kinds)
                if kind & K_DIGIT or (point < 128 and SIGNS[point]):
                    pending = seen > 0
                    continue
                if pending:
                    out[o] = 32
                    o += 1
                    seen += 1
                    pending = False
                o = encode(point, out, o)
                if seen < CAPITALS_WINDOW and kind & K_ALPHA:
                    letters += 1
                    uppers += kind & K_UPPER != 0
                seen += 1
                some_upper = some_upper or kind & K_UPPER != 0
                some_other = some_other or kind & K_NOT_UPPER != 0
        out_ends[i] = o
        shouted[i] = (some_upper and not some_other) or (letters > 0 and 10 * uppers > 7 * letters)
    return o
