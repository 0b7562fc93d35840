"""The prefilter of PII: one pass over the bytes of a text column that finds where a finder must look at all.

It misses nothing that the finders know (tests hold that against the finders on whole texts) and may
show too much. What it shows are windows: byte ranges of a document with a mask of what set them off.
"""

from __future__ import annotations

from pipeline.kernels import kernel_part, plain_kernel

AT, NUMBER, IPV4, IPV6, TOKEN, ALNUM, PEM, SPELLED, SHORT = (1 << i for i in range(9))
BEFORE = 96
"""Characters of context in front of a trigger: words count up to 64 in front of a number that begins with a sign."""
BEFORE_LONG = 160
"""As many in front of an `@` or a token: a local part of up to 64, and what stands before it."""
AFTER, AFTER_LONG = 64, 128
"""Bytes of context behind a trigger."""
PEM_BYTES = 16384
"""The longest key block that is looked for."""
DIGIT, UPPER, LOWER, HIGH, JOIN, OTHER = range(6)


@kernel_part
def byte_class(c):  # type: ignore[no-untyped-def]
    """DIGIT, UPPER, LOWER, HIGH (not ASCII), JOIN (what stands inside a written number) or OTHER."""
    if c >= 128:
        return HIGH
    if 97 <= c <= 122:
        return LOWER
    if 48 <= c <= 57:
        return DIGIT
    if 65 <= c <= 90:
        return UPPER
    if c == 32 or c == 40 or c == 41 or c == 43 or (45 <= c <= 47) or c == 10:
        return JOIN
    return OTHER


@kernel_part
def wide_digit(data, i, end):  # type: ignore[no-untyped-def]
    """Bytes of a decimal digit outside ASCII at `i` (full-width, Arabic, Persian, Devanagari), else 0."""
    c = data[i]
    if c == 0xEF and i + 2 < end and data[i + 1] == 0xBC and 0x90 <= data[i + 2] <= 0x99:
        return 3
    if (c == 0xD9 and i + 1 < end and 0xA0 <= data[i + 1] <= 0xA9) or (
        c == 0xDB and i + 1 < end and 0xB0 <= data[i + 1] <= 0xB9
    ):
        return 2
    if c == 0xE0 and i + 2 < end and data[i + 1] == 0xA5 and 0xA6 <= data[i + 2] <= 0xAF:
        return 3
    return 0


@kernel_part
def hexadecimal(c):  # type: ignore[no-untyped-def]
    """Whether a byte is a hexadecimal digit."""
    return 48 <= c <= 57 or 97 <= c <= 102 or 65 <= c <= 70


@kernel_part
def mail_at(data, i, size, start, end):  # type: ignore[no-untyped-def]
    """Whether the `@` of `size` bytes at `i` may stand in an address: something before it, a dotted name after it."""
    if i == start or i + size >= end:
        return False
    c = data[i - 1]
    if c <= 32 or c == 64:
        return False
    j = i + size
    limit = j + 190 if j + 190 < end else end
    first = j
    while j < limit:
        c = data[j]
        if c == 46 or (c == 0xEF and j + 2 < end and data[j + 1] == 0xBC and data[j + 2] == 0x8E):
            return j > first
        if not (c >= 128 or 48 <= c <= 57 or 65 <= c <= 90 or 97 <= c <= 122 or c == 45 or c == 95):
            return False
        j += 1
    return False


@kernel_part
def spelled_at(data, i, start, end):  # type: ignore[no-untyped-def]
    """Whether ` at `, `[at]`, `(at)` or `{at}` (any case) begins at `i`."""
    if i + 3 >= end or i == start:
        return False
    opens, closes = data[i], data[i + 3]
    if not ((opens == 32 and closes == 32) or (opens == 40 and closes == 41) or (opens == 91 and closes == 93)
            or (opens == 123 and closes == 125)):  # fmt: skip
        return False
    return (data[i + 1] | 32) == 97 and (data[i + 2] | 32) == 116


@kernel_part
def emit(data, out, n, document, start, end, low, high, mask):  # type: ignore[no-untyped-def]
    """Append the window [low, high) with its context, cut to the document; merged with what it touches."""
    far = mask & ~(NUMBER | SHORT | IPV4 | ALNUM) != 0
    most = BEFORE_LONG if far else BEFORE
    last = high + (AFTER_LONG if far else AFTER)
    if last > end:
        last = end
    floor = start
    at = 4 * n
    if n > 0 and out[at - 4] == document and out[at - 2] > start:
        floor = out[at - 2]
    first = low
    while first > floor and (most > 0 or 0x80 <= data[first] < 0xC0):
        first -= 1
        if not 0x80 <= data[first] < 0xC0:
            most -= 1
    while n > 0 and out[at - 4] == document and out[at - 2] >= first:
        n -= 1
        at -= 4
        if out[at + 1] < first:
            first = out[at + 1]
        if out[at + 2] > last:
            last = out[at + 2]
        mask |= out[at + 3]
    out[at] = document
    out[at + 1] = first
    out[at + 2] = last
    out[at + 3] = mask
    return n + 1


@kernel_part
def number_mask(digits, dots, wide):  # type: ignore[no-untyped-def]
    """What a run of digits and joining signs may be: NUMBER, SHORT (a telephone number, but no id), IPV4 or nothing.

    `dots`: gaps of one dot each; `wide`: a digit beside a letter, as in ids that begin or end with one.
    """
    mask = 0
    if dots >= 3 and digits >= 4:
        mask |= IPV4
    if digits >= 9 or (digits >= 6 and wide):
        mask |= NUMBER
    elif digits >= 7:
        mask |= SHORT
    return mask


@kernel_part
def run_mask(data, run, size, digits, upper, lower, c, prefixes):  # type: ignore[no-untyped-def]
    """What a run of letters, digits, `_` and `-` before the byte `c` may be: TOKEN, ALNUM or nothing."""
    mask = 0
    if size >= 16:
        key = (data[run] << 16) | (data[run + 1] << 8) | data[run + 2]
        for k in range(len(prefixes)):
            if prefixes[k] == key:
                mask |= TOKEN
    if lower == 0 and ((upper >= 1 and digits >= 6 and 8 <= size <= 20) or (
            upper >= 2 and digits >= 4 and 9 <= size <= 18)):  # fmt: skip
        mask |= ALNUM
    if c == 46 and ((size == 2 and data[run] == 83 and data[run + 1] == 71) or (
            size == 4 and data[run] == 121 and data[run + 1] == 97 and data[run + 3] == 57)):  # fmt: skip
        mask |= TOKEN  # SG. and ya29.
    return mask


@kernel_part
def sign_mask(data, i, c, start, end, spelled):  # type: ignore[no-untyped-def]
    """What the sign `c` at `i` may belong to: AT (also full-width or as an HTML reference), IPV6, TOKEN, SPELLED."""
    mask = 0
    if c == 64:
        if mail_at(data, i, 1, start, end):
            mask = AT
    elif c == 0xEF:
        if i + 2 < end and data[i + 1] == 0xBC and data[i + 2] == 0xA0 and mail_at(data, i, 3, start, end):
            mask = AT
    elif c == 38:  # &#64; &#x40; &commat;
        if i + 4 < end and ((data[i + 1] == 35 and (data[i + 2] == 54 or (data[i + 2] | 32) == 120)) or (
                data[i + 1] == 99 and data[i + 4] == 109)):  # fmt: skip
            mask = AT
    elif c == 58:
        if (i - start >= 4 and (data[i - 4] == 50 or data[i - 4] == 51) and hexadecimal(data[i - 3])
                and hexadecimal(data[i - 2]) and hexadecimal(data[i - 1]) and i + 1 < end
                and (hexadecimal(data[i + 1]) or data[i + 1] == 58)):  # fmt: skip
            mask = IPV6
        elif i + 2 < end and data[i + 1] == 47 and data[i + 2] == 47:
            j = i + 3
            while j < end and j < i + 200 and data[j] > 32 and data[j] != 47 and data[j] != 64:
                j += 1
            if j < end and data[j] == 64:
                mask = TOKEN
    if spelled and spelled_at(data, i, start, end):
        mask |= SPELLED
    return mask


@kernel_part
def scan(data, document, start, end, prefixes, spelled, out, n):  # type: ignore[no-untyped-def]
    """Write the windows of one document; returns the number of windows so far."""
    digits = dots = 0
    first = last = start  # of the number in hand: first byte, one past its last digit
    wide = False
    run = start  # where the run of letters, digits, `_` and `-` began
    run_size = run_digits = run_upper = run_lower = 0
    i = start
    while i <= end:
        c = data[i] if i < end else 0
        kind = byte_class(c)
        if kind == LOWER and run_size > 0 and digits == 0:
            run_size += 1
            run_lower += 1
            i += 1
            continue
        size = 1
        hit = 0
        low, high = i, i + 1
        if kind == HIGH:
            size = wide_digit(data, i, end)
            if size:
                kind = DIGIT
            else:
                size = 1
        # numbers
        if kind == DIGIT:
            if digits == 0:
                first = i
                dots = 0
                wide = (run_size > 0 and run_upper == run_size) or (
                    i - 1 > start and data[i - 1] == 32 and 65 <= data[i - 2] <= 90
                )
            elif i == last + 1 and data[last] == 46:
                dots += 1
            digits += 1
            last = i + size
        elif digits:
            ends = i - last >= 4 or i == end
            if kind == HIGH:
                ends = ends or not (0x80 <= c < 0xC0 or c == 0xE2 or c == 0xC2 or c == 0xEF)
            elif kind != JOIN:
                ends = True
                wide = wide or (kind == UPPER and i - last <= 1)
            if ends:
                hit = number_mask(digits, dots, wide)
                low = first
                digits = 0
        # runs of letters and digits
        if size == 1 and (kind <= LOWER or c == 95 or c == 45):
            if run_size == 0:
                run = i
            run_size += 1
            if kind == DIGIT:
                run_digits += 1
            elif kind == UPPER:
                run_upper += 1
                if c == 66 and run_size > 5 and data[i - 1] == 45 and data[i - 3] == 45 and data[i - 5] == 45:
                    hit |= PEM
                    high = i + PEM_BYTES if i + PEM_BYTES < end else end
            elif kind == LOWER:
                run_lower += 1
        elif run_size:
            mask = run_mask(data, run, run_size, run_digits, run_upper, run_lower, c, prefixes)
            if mask:
                hit |= mask
                low = run if run < low else low
            run_size = run_digits = run_upper = run_lower = 0
        if kind == OTHER or c == 0xEF or (spelled and (c == 32 or c == 40)):
            hit |= sign_mask(data, i, c, start, end, spelled)
        if hit:
            n = emit(data, out, n, document, start, end, low, high, hit)
        i += size
    return n


@plain_kernel
def windows(data, offsets, prefixes, spelled, out):  # type: ignore[no-untyped-def]
    """Fill `out` (document, start, end, mask a row) and return the number of rows.

    `out`: int64[4 * (bytes // 64 + 2 * documents + 2)].
    `data`: uint8 bytes, `offsets`: int64[n + 1] into them, `prefixes`: int64 first three bytes of known tokens,
    `spelled`: look for ` at ` and the like too. Windows lie on character boundaries and don't touch each other.
    """
    n = 0
    for document in range(len(offsets) - 1):
        n = scan(data, document, offsets[document], offsets[document + 1], prefixes, spelled, out, n)
    for k in range(n):
        end = offsets[out[4 * k] + 1]
        last = out[4 * k + 2]
        while last < end and 0x80 <= data[last] < 0xC0:
            last += 1
        out[4 * k + 2] = last
    return n
