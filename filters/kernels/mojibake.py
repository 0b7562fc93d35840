"""Finds text that was decoded with the wrong character set, by what its characters look like then.

A letter of UTF-8 is a lead byte and one to three continuation bytes; read as windows-1252, windows-1251 or KOI8-R
each byte becomes a character of its own, and the pairs and triples so made hardly occur in any language. `CLASSES`
says for each character of the first plane which byte it may stand for.
"""

# mypy: disable-error-code="no-untyped-def"
from __future__ import annotations

import numpy as np

from pipeline.kernels import kernel_part, plain_kernel

from .reading import char_bytes

LEAD2, LEAD3, LEAD4, NEXT, LEAD_1251, NEXT_1251, LEAD_KOI8, NEXT_KOI8, HIGH, HIGH_LETTER, ORDINARY = (
    1 << i for i in range(11)
)
REPLACEMENT, PRIVATE, CONTROL, SIGN = (1 << i for i in range(11, 15))
LEADS = LEAD2 | LEAD3 | LEAD4 | LEAD_1251 | LEAD_KOI8
MIN_RUN = 5
"""So many letters of Latin-1's upper half in a row are Cyrillic, Greek or Chinese in a one-byte disguise."""


def _classes() -> np.ndarray:
    """uint16[65536]: what each character may be."""
    out = np.zeros(0x10000, np.uint16)
    high = bytes(range(0x80, 0xC0))
    for codec, flag in (("cp1252", NEXT), ("latin-1", NEXT), ("cp1251", NEXT_1251), ("koi8-r", NEXT_KOI8)):
        for character in high.decode(codec, "ignore"):
            out[ord(character)] |= flag
    # leads of Latin, Greek, Cyrillic, Hebrew and Arabic; of the rest of Unicode's first plane; of emoji
    out[[0xC2, 0xC3, 0xC4, 0xC5, 0xCE, 0xCF, 0xD0, 0xD1, 0xD7, 0xD8, 0xD9]] |= LEAD2
    out[0xE0:0xF0] |= LEAD3
    out[0xF0] |= LEAD4
    out[[ord(c) for c in "РС"]] |= LEAD_1251
    out[[ord(c) for c in "пя"]] |= LEAD_KOI8
    out[0xA1:0x100] |= HIGH
    out[0xC0:0x100] |= HIGH_LETTER
    out[[0xD7, 0xF7]] &= ~np.uint16(HIGH_LETTER)
    # what may follow a letter in good text: quotation marks, dashes, dots, no-break space, soft hyphen; and signs
    marks = "\xa0\xab\xbb\xb7\xad\u2018\u2019\u201a\u201c\u201d\u201e\u2039\u203a\u2026\u2013\u2014\u2022"
    out[[ord(c) for c in marks]] |= ORDINARY
    out[[ord(c) for c in "\xa9\xae\u2122\xb0\xb2\xb3\xb9"]] |= SIGN
    out[[ord(c) for c in "\u0451\u0401\xa0"]] &= ~np.uint16(NEXT_KOI8)  # the Cyrillic io
    out[0xFFFD] |= REPLACEMENT
    out[0xE000:0xF900] |= PRIVATE
    out[0x80:0xA0] |= CONTROL
    out[0x85] = NEXT  # a line break
    return out


CLASSES = _classes()


@kernel_part
def point_at(data, i, size):
    """The code point of the character at i of `size` bytes, those above the first plane as U+FFFF."""
    if size == 1:
        return data[i] + 0
    if size == 2:
        return (data[i] & 31) << 6 | (data[i + 1] & 63)
    if size == 3:
        return (data[i] & 15) << 12 | (data[i + 1] & 63) << 6 | (data[i + 2] & 63)
    return 0xFFFF


@kernel_part
def sequence(data, i, size, start, end, classes, found):
    """Whether a broken letter begins at the character at i; found: its end, its characters, whether it is certain."""
    point = point_at(data, i, size)
    kind = classes[point]
    wanted = NEXT
    more = 0
    if kind & LEAD2:
        more = 1
    elif kind & LEAD3:
        more = 2
    elif kind & LEAD4:
        more = 3
    elif kind & LEAD_1251:
        more = 1
        wanted = NEXT_1251
    elif kind & LEAD_KOI8:
        more = 1
        wanted = NEXT_KOI8
    if more == 0:
        return False
    certain = wanted != NEXT_1251
    # signs do follow letters, but seldom the two that lead most of the broken letters of Western languages; and no
    # language has a capital after a small letter and a quotation mark after that
    odd = ORDINARY if point == 0xC2 or point == 0xC3 else ORDINARY | SIGN
    if kind & LEAD2 and i > start and data[i - 1] >= 97 and data[i - 1] <= 122:
        odd = 0
    ordinary = 0
    j = i + size
    for k in range(more):
        if j >= end or data[j] < 128:
            return False
        width = char_bytes(data, j, end)
        follower = classes[point_at(data, j, width)]
        if not follower & wanted:
            return False
        if follower & odd:
            ordinary += 1
            if k == 0:
                certain = False
        j += width
    found[0] = j
    found[1] = more + 1
    found[2] = certain and ordinary < more
    return True


@plain_kernel
def damage(data, offsets, classes, found, counts):
    """counts: int64[n, 4]: characters; those of broken letters and C1 controls; U+FFFD; private use.

    found: int64[3], room for `sequence`. A sequence that good text may hold counts where another touches it.
    """
    for d in range(len(offsets) - 1):
        i = offsets[d]
        end = offsets[d + 1]
        characters = 0
        broken = 0
        replaced = 0
        private = 0
        touching = -1  # where the last sequence ended
        waiting = 0  # characters of the sequence up to there, if it was not certain
        run = 0  # characters of Latin-1's upper half up to here
        letters = 0
        head = 0
        varied = False
        while i <= end:
            point = 0
            size = 1
            if i < end and data[i] >= 128:
                size = char_bytes(data, i, end)
                point = point_at(data, i, size)
            kind = classes[point]
            broken_letter = kind & LEADS and sequence(data, i, size, offsets[d], end, classes, found)
            if run and (broken_letter or not kind & HIGH):
                if run >= MIN_RUN and varied and 5 * letters >= 3 * run:
                    broken += run
                run = 0
                letters = 0
                varied = False
            if broken_letter:
                taken = found[1]
                if touching == i:
                    broken += taken + waiting
                    waiting = 0
                elif found[2]:
                    broken += taken
                    waiting = 0
                else:
                    waiting = taken
                characters += taken
                i = found[0]
                touching = i
                continue
            if kind & HIGH:
                if run == 0:
                    head = point
                run += 1
                letters += kind & HIGH_LETTER != 0
                varied |= point != head
            elif kind & CONTROL:
                broken += 1
            elif kind & REPLACEMENT:
                replaced += 1
            elif kind & PRIVATE:
                private += 1
            characters += i < end
            i += size
            while i < end and data[i] < 128 and run == 0:  # most of all text
                i += 1
                characters += 1
        counts[d, 0] = characters
        counts[d, 1] = broken
        counts[d, 2] = replaced
        counts[d, 3] = private
