"""The kernel behind `segments.sentences`: UAX #29, sentence boundary rules SB1 to SB998."""

from __future__ import annotations

from pipeline.kernels import kernel_part, plain_kernel

from . import tables as t
from .line_breaks import trim_left, trim_right
from .reading import char_bytes, properties

IGNORED = 1 << t.S_EXTEND | 1 << t.S_FORMAT
ENDS = 1 << t.S_ATERM | 1 << t.S_STERM
PARTINGS = 1 << t.S_SEP | 1 << t.S_CR | 1 << t.S_LF
LETTERS = 1 << t.S_UPPER | 1 << t.S_LOWER
STOPS_SEARCH = 1 << t.S_OLETTER | LETTERS | PARTINGS | ENDS
EVENTS = ENDS | PARTINGS


@kernel_part
def sentence_class(data, i, size, first, blocks):  # type: ignore[no-untyped-def]
    """The Sentence_Break class of the character at i."""
    return properties(data, i, size, first, blocks) >> t.SENTENCE_SHIFT & 15


@kernel_part
def skip_class(data, i, end, classes, first, blocks):  # type: ignore[no-untyped-def]
    """The position after characters of these classes and of ignored ones (SB5) from i on."""
    while i < end:
        size = char_bytes(data, i, end)
        if not (classes | IGNORED) >> sentence_class(data, i, size, first, blocks) & 1:
            break
        i += size
    return i


@kernel_part
def parting_end(data, i, end, first, blocks):  # type: ignore[no-untyped-def]
    """The position after a paragraph separator at i (SB3), or i if there is none."""
    if i >= end:
        return i
    size = char_bytes(data, i, end)
    now = sentence_class(data, i, size, first, blocks)
    if not PARTINGS >> now & 1:
        return i
    i += size
    return i + 1 if now == t.S_CR and i < end and data[i] == 10 else i


@kernel_part
def lower_follows(data, i, end, first, blocks):  # type: ignore[no-untyped-def]
    """SB8: whether a lower-case letter is the first of letters, separators and sentence ends from i on."""
    while i < end:
        size = char_bytes(data, i, end)
        now = sentence_class(data, i, size, first, blocks)
        if STOPS_SEARCH >> now & 1:
            return now == t.S_LOWER
        i += size
    return False


@kernel_part
def ends_after(data, i, end, before, ends, first, blocks):  # type: ignore[no-untyped-def]
    """(position from which to go on, whether a sentence ends there) after a sentence end of class `ends` before i.

    `before` is the class before the sentence end. SB6 to SB11.
    """
    i = skip_class(data, i, end, 0, first, blocks)
    if i >= end:
        return i, True
    now = sentence_class(data, i, char_bytes(data, i, end), first, blocks)
    if ends == t.S_ATERM and (now == t.S_NUMERIC or (now == t.S_UPPER and LETTERS >> before & 1)):
        return i, False
    i = skip_class(data, i, end, 1 << t.S_CLOSE, first, blocks)
    i = skip_class(data, i, end, 1 << t.S_SP, first, blocks)
    if i >= end:
        return i, True
    now = sentence_class(data, i, char_bytes(data, i, end), first, blocks)
    if (ENDS | 1 << t.S_CONTINUE) >> now & 1:
        return i, False
    if PARTINGS >> now & 1:
        return parting_end(data, i, end, first, blocks), True
    return i, not (ends == t.S_ATERM and lower_follows(data, i, end, first, blocks))


@kernel_part
def sentence_end(data, i, end, first, blocks):  # type: ignore[no-untyped-def]
    """The end of the sentence that begins at i, before i's document ends."""
    before = t.S_OTHER + 0
    while i < end:
        b = data[i]
        size = 1
        if b < 0x80:
            now = blocks[b] >> t.SENTENCE_SHIFT & 15
        else:
            size = char_bytes(data, i, end)
            now = sentence_class(data, i, size, first, blocks)
        if not EVENTS >> now & 1:
            if not IGNORED >> now & 1:
                before = now + 0
            i += size
        elif PARTINGS >> now & 1:
            return parting_end(data, i, end, first, blocks)
        else:
            i, over = ends_after(data, i + size, end, before, now, first, blocks)
            if over:
                return i
            before = t.S_OTHER + 0
    return i


@plain_kernel
def sentence_spans(data, offsets, document, first, blocks, starts, ends, counts):  # type: ignore[no-untyped-def]
    """As `word_breaks.word_spans`, for sentences without the white space around them."""
    k = counts[document]
    for d in range(document, len(offsets) - 1):
        i = offsets[d]
        end = offsets[d + 1]
        while i < end:
            after = sentence_end(data, i, end, first, blocks)
            start = trim_left(data, i, after, first, blocks)
            if start < after:
                if k == len(starts):
                    return d
                starts[k] = start
                ends[k] = trim_right(data, start, after, first, blocks)
                k += 1
            i = after
        counts[d + 1] = k
    return len(offsets) - 1
