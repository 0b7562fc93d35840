"""The kernels behind `segments.words` and `segments.whitespace_words`."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from pipeline.kernels import kernel_part, plain_kernel

from . import tables as t
from .hashing import BYTE, EXACT, mixed, number_spans, span_hash
from .reading import char_bytes, properties

WORD, NUMBER, MARKS, CHARACTER = 1, 2, 3, 4
"""Kinds of words, see `segments`. From CHARACTER on: CHARACTER - 1 + the script's number in `tables.SCRIPTS`."""
HAS_WORD, STARTS_ALNUM = 1, 2
"""Bits of a token's `holds` beside the flags of `tables`: a character that is not NO_WORD; the first one is a letter
or a number."""
FLAGS = t.NO_WORD - t.LETTER
PAST_FIRST = ~STARTS_ALNUM
LETTERS, CHARACTERS, DIGITS, OTHERS, MIDDLE, NOT_ASCII = 4, 8, 16, 32, 64, 128
"""What a segment holds; with CHARACTERS the script's number above bit 8."""
RUN_BITS = LETTERS | DIGITS | OTHERS
SCRIPT_BITS = 8

RUN = 1 << t.W_ALETTER | 1 << t.W_HEBREW | 1 << t.W_NUMERIC | 1 << t.W_EXTENDNUMLET
"""Any two of these stay together (WB5, 8, 9, 10, 13a, 13b)."""
LETTER_CLASSES = 1 << t.W_ALETTER | 1 << t.W_HEBREW
IGNORED = 1 << t.W_EXTEND | 1 << t.W_FORMAT | 1 << t.W_ZWJ
LETTER_MIDDLES = 1 << t.W_MIDLETTER | 1 << t.W_MIDNUMLET | 1 << t.W_SINGLE
NUMBER_MIDDLES = 1 << t.W_MIDNUM | 1 << t.W_MIDNUMLET | 1 << t.W_SINGLE
MIDDLES = LETTER_MIDDLES | NUMBER_MIDDLES | 1 << t.W_DOUBLE
MIDDLE_OF = LETTER_CLASSES | 1 << t.W_NUMERIC


@kernel_part
def skip_ignored(data, i, end, first, blocks):  # type: ignore[no-untyped-def]
    """The position after Extend, Format and ZWJ from i on (WB4)."""
    while i < end:
        size = char_bytes(data, i, end)
        if not IGNORED >> (properties(data, i, size, first, blocks) & t.WORD_MASK) & 1:
            break
        i += size
    return i


@kernel_part
def middle_end(data, i, end, last, first, blocks):  # type: ignore[no-untyped-def]
    """Where the character after a middle at i begins if the middle joins it to class `last`, else -1.

    These are WB6 and 7, 11 and 12, 7b and 7c.
    """
    size = char_bytes(data, i, end)
    middle = properties(data, i, size, first, blocks) & t.WORD_MASK
    after = skip_ignored(data, i + size, end, first, blocks)
    if after >= end:
        return -1
    following = properties(data, after, char_bytes(data, after, end), first, blocks) & t.WORD_MASK
    if LETTER_CLASSES >> last & 1:
        if LETTER_MIDDLES >> middle & 1 and LETTER_CLASSES >> following & 1:
            return after
        if last == t.W_HEBREW and middle == t.W_DOUBLE and following == t.W_HEBREW:
            return after
    elif NUMBER_MIDDLES >> middle & 1 and following == t.W_NUMERIC:
        return after
    return -1


@kernel_part
def joins(last, before, now, word, regionals):  # type: ignore[no-untyped-def]
    """Whether class `now` stays with `last` (the last that is not ignored) and `before` (the very one before it)."""
    if RUN >> last & 1 and RUN >> now & 1 or IGNORED >> now & 1:
        return True
    if now == t.W_KATAKANA:
        return last == t.W_KATAKANA or last == t.W_EXTENDNUMLET
    if now == t.W_EXTENDNUMLET:
        return last == t.W_KATAKANA
    if now == t.W_SINGLE:
        return last == t.W_HEBREW
    if now == t.W_REGIONAL:
        return last == t.W_REGIONAL and regionals & 1 == 1
    if now == t.W_SPACE:
        return before == t.W_SPACE
    return before == t.W_ZWJ and word & t.PICTURE != 0


@kernel_part
def content(word):  # type: ignore[no-untyped-def]
    """What a character adds to what its segment holds."""
    if word & t.LETTER:
        script = word >> t.SCRIPT_SHIFT & 15
        return CHARACTERS | script << SCRIPT_BITS if script > 0 and script <= t.LAST_SPACELESS else LETTERS
    return DIGITS if word & t.NUMBER else (0 if word & t.SPACE else OTHERS)


@kernel_part
def segment_end(data, i, end, first, blocks):  # type: ignore[no-untyped-def]
    """(end of the UAX #29 word segment that begins at i, what it holds)."""
    size = char_bytes(data, i, end)
    word = properties(data, i, size, first, blocks)
    last = word & t.WORD_MASK
    before = last
    i += size
    holds = content(word)
    if last == t.W_CR or last == t.W_LF or last == t.W_NEWLINE:
        return i + 1 if last == t.W_CR and i < end and data[i] == 10 else i, holds
    regionals = 1 if last == t.W_REGIONAL else 0
    while i < end:
        size = char_bytes(data, i, end)
        word = properties(data, i, size, first, blocks)
        now = word & t.WORD_MASK
        if MIDDLES >> now & 1 and MIDDLE_OF >> last & 1:
            after = middle_end(data, i, end, last, first, blocks)
            if after >= 0:
                i = after
                size = char_bytes(data, i, end)
                word = properties(data, i, size, first, blocks)
                now = word & t.WORD_MASK
            elif not joins(last, before, now, word, regionals):
                break
        elif not joins(last, before, now, word, regionals):
            break
        if now == t.W_REGIONAL:
            regionals += 1
        if not IGNORED >> now & 1:
            last = now
        before = now
        i += size
        holds |= content(word)
    return i, holds


@kernel_part
def kind_of(holds):  # type: ignore[no-untyped-def]
    """The kind of a segment, 0 for white space alone."""
    if holds & LETTERS:
        return WORD
    if holds & CHARACTERS:
        return CHARACTER - 1 + (holds >> SCRIPT_BITS & 7)
    return NUMBER if holds & DIGITS else (MARKS if holds else 0)


@kernel_part
def span_facts(data, i, end, first, blocks):  # type: ignore[no-untyped-def]
    """(characters, what they hold, hash) of a span: see `segments.Tokens`."""
    count = 0
    held = 0
    h = span_hash(data, i, end)
    while i < end:
        b = data[i]
        size = 1
        if b < 0x80:
            word = blocks[b] + 0
        else:
            size = char_bytes(data, i, end)
            word = properties(data, i, size, first, blocks)
        i += size
        if count == 0 and word & (t.LETTER | t.NUMBER):
            held = STARTS_ALNUM
        count += 1
        held |= (word & FLAGS) | (0 if word & t.NO_WORD else HAS_WORD)
    return count, held, h


@plain_kernel
def word_spans(
    data, offsets, document, ascii, first, blocks, slots, starts, ends, kinds, counts, chars, holds, ids, hashes
):  # type: ignore[no-untyped-def]  # fmt: skip
    """Write the spans of documents from `document` on; counts[i + 1] is the number of all up to document i.

    Returns the number of the document for which there was no room; its spans are to be written anew.
    `ascii` is uint32[256]: what an ASCII byte holds, and its RUN_BITS; NOT_ASCII for others. Where `slots` is not
    empty, chars, holds, ids and hashes are filled too; they and the slots are as in `token_tables.describe_spans`.
    """
    k = counts[document]
    describes = len(slots) > 0
    for d in range(document, len(offsets) - 1):
        i = offsets[d]
        end = offsets[d + 1]
        while i < end:
            held = ascii[data[i]] + 0
            j = i + 1
            kind = 0
            packed = np.uint64(data[i])
            plain = not held & NOT_ASCII
            if held & RUN_BITS:
                after = 0
                while j < end:
                    after = ascii[data[j]] + 0
                    if not after & RUN_BITS:
                        break
                    held |= after & PAST_FIRST
                    packed = packed << BYTE | data[j]
                    j += 1
                if j < end and after & (MIDDLE | NOT_ASCII):
                    plain = not after & NOT_ASCII and (
                        j + 1 == end or not ascii[data[j + 1]] & (RUN_BITS | MIDDLE | NOT_ASCII)
                    )
                kind = WORD if held & LETTERS else (NUMBER if held & DIGITS else MARKS)
            elif plain:
                if data[i] == 32:
                    while j < end and data[j] == 32:
                        j += 1
                elif not held & t.SPACE:
                    kind = MARKS + 0
                plain = j == end or data[j] < 0x80
            if not plain:
                j, content_bits = segment_end(data, i, end, first, blocks)
                kind = kind_of(content_bits)
            if kind:
                if k == len(starts):
                    return d
                starts[k] = i
                ends[k] = j
                kinds[k] = kind
                if describes:
                    size = j - i
                    if not plain:
                        size, held, hashes[k] = span_facts(data, i, j, first, blocks)
                    else:
                        hashes[k] = mixed(packed, size) if size <= EXACT else span_hash(data, i, j)
                    chars[k] = size
                    holds[k] = held & (FLAGS | HAS_WORD | STARTS_ALNUM)
                k += 1
            i = j
        if describes:
            number_spans(data, starts, ends, counts[d], k, slots, ids, hashes)
        counts[d + 1] = k
    return len(offsets) - 1


def ascii_table(blocks: NDArray[np.uint32]) -> NDArray[np.uint32]:
    """uint32[256] for `word_spans`."""
    out = np.full(256, NOT_ASCII, np.uint32)
    for byte in range(128):
        word = int(blocks[byte])
        now = word & t.WORD_MASK
        held = word & FLAGS | (0 if word & t.NO_WORD else HAS_WORD)
        held |= STARTS_ALNUM if word & (t.LETTER | t.NUMBER) else 0
        if RUN >> now & 1:
            held |= LETTERS if LETTER_CLASSES >> now & 1 else (DIGITS if now == t.W_NUMERIC else OTHERS)
        elif MIDDLES >> now & 1:
            held |= MIDDLE
        out[byte] = held
    return out


@plain_kernel
def whitespace_spans(data, offsets, document, first, blocks, starts, ends, counts):  # type: ignore[no-untyped-def]
    """As `word_spans`, for runs of what is no white space."""
    k = counts[document]
    for d in range(document, len(offsets) - 1):
        i = offsets[d]
        end = offsets[d + 1]
        start = -1
        while i <= end:
            space = i == end
            size = 1
            if i < end:
                size = char_bytes(data, i, end)
                word = blocks[data[i]] + 0 if data[i] < 0x80 else properties(data, i, size, first, blocks)
                space = word & t.SPACE != 0
            if space:
                if start >= 0:
                    if k == len(starts):
                        return d
                    starts[k] = start
                    ends[k] = i
                    k += 1
                start = -1
            elif start < 0:
                start = i
            i += size
        counts[d + 1] = k
    return len(offsets) - 1
