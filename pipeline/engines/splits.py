"""Where a pre-token ends: the split patterns of published byte-level BPE tokenizers, by hand.

Each function takes the position of a pre-token's first byte and the end of its stretch of text, and returns
the position behind its last byte. `kinds` is uint8[0x110000], made by `recognise`. The patterns stand in
`recognise.PATTERNS`; alternatives are tried in their order, as a regular expression does.
"""

from __future__ import annotations

from ..kernels import kernel_part

OTHER, LETTER, NUMBER, SPACE, NEWLINE, REST, UPPER, LOWER = range(8)
"""Kinds of characters: punctuation and the like, letters, numbers, white space without and with a line end's
characters, (where the pattern has a class for punctuation) what is none of these, and (where it looks at case)
upper and lower case."""
MARK = 9
"""A combining mark, where the pattern takes it for a letter and for none."""
HAN = 8
"""Added to a kind: the character is in the class that DeepSeek's chain splits off."""
GPT2, CL100K, DEEPSEEK, O200K, TEKKEN = range(5)
"""The families; from `O200K` on, that of o200k."""

_CODE_POINTS = 0x110000
_LOWER_CLASS = 1 << LOWER | 1 << LETTER | 1 << MARK
_UPPER_CLASS = 1 << UPPER | 1 << LETTER | 1 << MARK
_LEADING_CLASS = 1 << SPACE | 1 << OTHER | 1 << MARK
"""Sets of kinds of o200k: of `[\\p{Ll}\\p{Lm}\\p{Lo}\\p{M}]`, its like for upper case, and what may lead a word."""


@kernel_part
def look(src, i, end, kinds):  # type: ignore[no-untyped-def]
    """The character at `i`: its kind, plus 16 times its length in bytes."""
    lead = src[i]
    if lead < 0x80:
        return kinds[lead] + 16
    if lead < 0xC0 or i + 1 >= end:
        return OTHER + 16  # no character starts so: this is no UTF-8
    if lead < 0xE0:
        return kinds[(lead & 31) << 6 | src[i + 1] & 63] + 32
    if i + 2 >= end:
        return OTHER + 16
    if lead < 0xF0:
        return kinds[(lead & 15) << 12 | (src[i + 1] & 63) << 6 | src[i + 2] & 63] + 48
    if i + 3 >= end:
        return OTHER + 16
    point = (lead & 7) << 18 | (src[i + 1] & 63) << 12 | (src[i + 2] & 63) << 6 | src[i + 3] & 63
    return (kinds[point] if point < _CODE_POINTS else OTHER) + 64


@kernel_part
def run(src, i, end, kinds, kind):  # type: ignore[no-untyped-def]
    """The end of the characters of one kind from `i` on."""
    while i < end:
        if src[i] < 0x80:
            if kinds[src[i]] != kind:
                break
            i += 1
        else:
            seen = look(src, i, end, kinds)
            if seen & 15 != kind:
                break
            i += seen >> 4
    return i


@kernel_part
def white(src, i, end, kinds):  # type: ignore[no-untyped-def]
    r"""`\\s*[\\r\\n]+|\\s+(?!\\S)|\\s+` from a white character on."""
    begin = i
    last = i
    line = 0
    while i < end:
        seen = look(src, i, end, kinds)
        kind = seen & 7
        if kind == NEWLINE:
            line = i + 1
        elif kind != SPACE:
            break
        last = i
        i += seen >> 4
    if line:
        return line
    return last if last > begin and i < end else i


@kernel_part
def contraction(src, i, end, fold):  # type: ignore[no-untyped-def]
    """`'s|'t|'re|'ve|'m|'ll|'d` at an apostrophe, the case ignored with `fold`: its end, or `i`."""
    if i + 1 >= end:
        return i
    a = src[i + 1] | fold
    if a == 115 or a == 116 or a == 109 or a == 100:
        return i + 2
    if i + 2 >= end:
        return i
    b = src[i + 2] | fold
    if (a == 114 or a == 118) and b == 101 or a == 108 and b == 108:
        return i + 3
    if fold and src[i + 1] == 0xC5 and src[i + 2] == 0xBF:  # the long s, which folds to s
        return i + 3
    return i


@kernel_part
def gpt2(src, i, end, kinds):  # type: ignore[no-untyped-def]
    """GPT-2's pattern."""
    if src[i] == 39:
        found = contraction(src, i, end, 0)
        if found > i:
            return found
    start = i + 1 if src[i] == 32 and i + 1 < end else i
    seen = look(src, start, end, kinds)
    if seen & 15 != SPACE:
        return run(src, start + (seen >> 4), end, kinds, seen & 15)
    return white(src, i, end, kinds)


@kernel_part
def cl100k(src, i, end, kinds, digits):  # type: ignore[no-untyped-def]
    """The pattern of cl100k, with numbers of up to `digits` characters."""
    if src[i] == 39:
        found = contraction(src, i, end, 32)
        if found > i:
            return found
    seen = look(src, i, end, kinds)
    kind = seen & 15
    after = i + (seen >> 4)
    if kind == LETTER:
        return run(src, after, end, kinds, LETTER)
    if kind == NUMBER:
        return numbers(src, i, end, kinds, digits)
    follows = look(src, after, end, kinds) & 15 if after < end else REST
    if kind != NEWLINE and follows == LETTER:
        return run(src, after, end, kinds, LETTER)
    return marks(src, i, after, end, kinds, kind, follows)


@kernel_part
def numbers(src, i, end, kinds, digits):  # type: ignore[no-untyped-def]
    """Up to `digits` numbers from `i` on."""
    for _ in range(digits):
        if i >= end:
            break
        seen = look(src, i, end, kinds)
        if seen & 15 != NUMBER:
            break
        i += seen >> 4
    return i


@kernel_part
def marks(src, i, after, end, kinds, kind, follows):  # type: ignore[no-untyped-def]
    r"""` ?[punctuation]+[\\r\\n]*`, else white space. `kind` is the character's at `i`, `follows` the next one's."""
    if kind == OTHER or src[i] == 32 and follows == OTHER:
        j = run(src, after, end, kinds, OTHER)
        while j < end and (src[j] == 10 or src[j] == 13):
            j += 1
        return j
    return white(src, i, end, kinds)


@kernel_part
def ascii_letter(c):  # type: ignore[no-untyped-def]
    """Whether a byte is one of A-Z and a-z."""
    return 97 <= c | 32 <= 122


@kernel_part
def stretch_end(src, i, end, kinds):  # type: ignore[no-untyped-def]
    """The end of the text without numbers that is all in or all out of the class of `HAN`."""
    han = look(src, i, end, kinds) & HAN
    while i < end:
        seen = look(src, i, end, kinds)
        if seen & 7 == NUMBER or seen & HAN != han:
            break
        i += seen >> 4
    return i


@kernel_part
def deepseek(src, i, end, kinds):  # type: ignore[no-untyped-def]
    """DeepSeek's third pattern, inside one stretch of the first two."""
    c = src[i]
    seen = look(src, i, end, kinds)
    kind = seen & 7
    after = i + (seen >> 4)
    han = seen & HAN
    follows = look(src, after, end, kinds) & 7 if after < end else SPACE
    if c < 0x80 and kind == OTHER and after < end and ascii_letter(src[after]):
        while after < end and ascii_letter(src[after]):
            after += 1
        return after
    if kind == LETTER or (follows == LETTER and kind != OTHER and kind != NEWLINE):
        return run(src, after, end, kinds, LETTER + han)
    if kind == REST:  # no alternative: what lies between matches is one pre-token
        while after < end and follows == REST:
            ahead = after + (look(src, after, end, kinds) >> 4)
            beyond = look(src, ahead, end, kinds) & 7 if ahead < end else SPACE
            if beyond == LETTER:
                break
            after = ahead
            follows = beyond
        return after
    if han and kind == OTHER:
        return run(src, after, end, kinds, OTHER + han)
    return marks(src, i, after, end, kinds, kind, follows)


@kernel_part
def cased(src, i, end, kinds, upper):  # type: ignore[no-untyped-def]
    """`[upper]*[lower]+`, with `upper` `[upper]+[lower]*`; letters without case and marks are both. Its end, or `i`."""
    begin = i
    both = 0
    while i < end:
        seen = look(src, i, end, kinds)
        kind = seen & 15
        if _LOWER_CLASS >> kind & 1:
            both = i + (seen >> 4)
        if not _UPPER_CLASS >> kind & 1:
            break
        i += seen >> 4
    if both > i:  # a lower-case letter follows
        i = both
        while i < end:
            seen = look(src, i, end, kinds)
            if not _LOWER_CLASS >> (seen & 15) & 1:
                break
            i += seen >> 4
        return i
    if upper:
        return i
    return both if both else begin


@kernel_part
def o200k(src, i, end, kinds, digits, contractions):  # type: ignore[no-untyped-def]
    """The pattern of o200k: words end where lower case is followed by upper case, and take contractions with them."""
    seen = look(src, i, end, kinds)
    kind = seen & 15
    after = i + (seen >> 4)
    if kind == NUMBER:
        return numbers(src, i, end, kinds, digits)
    if kind != NEWLINE:
        leads = _LEADING_CLASS >> kind & 1
        for upper in range(2):
            start = after if leads else i
            found = cased(src, start, end, kinds, upper)
            if found == start and kind == MARK:
                start = i
                found = cased(src, start, end, kinds, upper)
            if found > start:
                if contractions and found < end and src[found] == 39:
                    found = contraction(src, found, end, 32)
                return found
    j = after if kind == OTHER else i
    if src[i] == 32:
        j = after
    begin = j
    while j < end:
        seen = look(src, j, end, kinds)
        if seen & 15 != OTHER and seen & 15 != MARK:
            break
        j += seen >> 4
    if kind == OTHER or (src[i] == 32 and j > begin):
        while j < end and (src[j] == 10 or src[j] == 13 or src[j] == 47):
            j += 1
        return j
    return white(src, i, end, kinds)
