"""C4's line rules: one pass over the bytes, edited text and spans out."""

# mypy: disable-error-code="no-untyped-def"
from __future__ import annotations

import numpy as np

from pipeline.kernels import kernel_part, larger, plain_kernel

from . import tables as t
from .line_breaks import break_bytes, trim_left, trim_right
from .reading import char_bytes, copied, properties

KINDS = ("long_word", "terminal_punctuation", "min_words", "javascript", "policy", "citation")
LONG_WORD, TERMINAL, MIN_WORDS, JAVASCRIPT, POLICY, CITATION = range(6)
_NONE = -1

# classes of bytes: inside a word, white space, a break, perhaps either, a bracket, a byte that goes on with a character
_SPACE, _BREAK, _LEAD, _BRACKET, _CONTINUED = 1, 2, 3, 4, 5
_CLASSES = np.zeros(256, np.uint8)
_CLASSES[[9, 31, 32]] = _SPACE
_CLASSES[[10, 11, 12, 13, 28, 29, 30]] = _BREAK
_CLASSES[0x80:0xC0] = _CONTINUED
_CLASSES[[0xC2, 0xE1, 0xE2, 0xE3]] = _LEAD
for _pair in ("ja", "ki", "va", "f ", "ps"):  # where a phrase may be, the letter that must follow there
    _CLASSES[[ord(_pair[0]), ord(_pair[0].upper())]] = ord(_pair[1])
_CLASSES[[ord("["), ord("{")]] = _BRACKET

# what is looked for, lower case: start and length in _WORDS
_PHRASES = (
    b"javascript", b"lorem ipsum", b"terms of use", b"privacy policy", b"cookie policy", b"uses cookies",
    b"use of cookies", b"use cookies",
)  # fmt: skip
_WORDS = np.frombuffer(b"".join(_PHRASES), np.uint8)
_ENDS = np.cumsum([len(p) for p in _PHRASES])
_STARTS = _ENDS - [len(p) for p in _PHRASES]
# the letter of each phrase at which it is looked for, and its place in it; "\u212a", the Kelvin sign, is a k too
_ANCHORS = np.array([ord(c) for c in "jpfvkkkk"], np.uint8)
_BEFORE = np.array([p.index(c.encode()) for p, c in zip(_PHRASES, "jpfvkkkk", strict=True)])
_MARKS = np.frombuffer(b"edit]citation needed]", np.uint8)
_MARK_STARTS = np.array([0, 5, 21])
JAVA, LOREM, NOTICE, BRACE, MARKED = 1, 2, 4, 8, 16


@kernel_part
def letter_at(data, i, end):
    """The ASCII character at i, lower case; the Kelvin sign is a k, every other character 0."""
    if i >= end:
        return 0
    b = data[i] + 0
    if b == 0xE2 and i + 2 < end and data[i + 1] == 0x84 and data[i + 2] == 0xAA:
        return 107
    if b >= 65 and b <= 90:
        return b + 32
    return b if b < 128 else 0


@kernel_part
def phrase_flags(data, i, start, end, letter):
    """Flags of the phrases whose anchor is the `letter` at i and that lie in data[start:end]."""
    flags = 0
    for p in range(len(_ANCHORS)):
        if _ANCHORS[p] != letter:
            continue
        j = i
        found = True
        for back in range(_BEFORE[p]):  # no anchor has a k before it but in "cookie", whose k is the anchor
            j -= 1
            if j < start or letter_at(data, j, end) != _WORDS[_STARTS[p] + _BEFORE[p] - 1 - back]:
                found = False
                break
        j = i
        k = _STARTS[p] + _BEFORE[p]
        while found and k < _ENDS[p]:
            if letter_at(data, j, end) != _WORDS[k]:
                found = False
            else:
                j += 1 if data[j] < 128 else 3
            k += 1
        if found:
            flags |= JAVA if p == 0 else (LOREM if p == 1 else NOTICE)
    return flags


@kernel_part
def citation_bytes(data, i, end, first, blocks):
    """Bytes of the citation mark at the `[` of i, 0 for none: [12], [], [edit], [citation needed]."""
    for m in range(2):
        k = _MARK_STARTS[m]
        j = i + 1
        while k < _MARK_STARTS[m + 1] and j < end and data[j] == _MARKS[k]:
            j += 1
            k += 1
        if k == _MARK_STARTS[m + 1]:
            return j - i
    j = i + 1
    while j < end:
        size = char_bytes(data, j, end)
        word = properties(data, j, size, first, blocks)
        if not word & t.NUMBER or word & t.WORD_MASK != t.W_NUMERIC:  # decimal digits of every script
            break
        j += size
    return j + 1 - i if j < end and data[j] == 93 else 0


@kernel_part
def scan_line(data, i, end, facts):
    """Read a line from i on; returns where it ends. facts: words, characters of the longest word, flags."""
    words = 0
    length = 0
    longest = 0
    flags = 0
    start = i
    while i < end:
        kind = _CLASSES[data[i]]
        if kind == 0:
            run = i
            i += 1
            while i < end and _CLASSES[data[i]] == 0:
                i += 1
            length += i - run
            continue
        if kind == _CONTINUED:
            i += 1
            continue
        if kind >= 32:
            if i + 1 < end and data[i + 1] | 32 == kind:
                flags |= phrase_flags(data, i, start, end, data[i] | 32)
        elif kind == _BRACKET:
            flags |= BRACE if data[i] == 123 else MARKED
        else:
            size = 1
            space = kind == _SPACE
            if kind == _LEAD:
                size = char_bytes(data, i, end)
                if break_bytes(data, i, end, True):
                    break
                second = data[i + 1] if size > 1 else 0
                third = data[i + 2] if size > 2 else 0
                if data[i] == 0xC2:
                    space = second == 0xA0
                elif data[i] == 0xE1:
                    space = second == 0x9A and third == 0x80
                elif data[i] == 0xE3:
                    space = second == 0x80 and third == 0x80
                else:
                    space = (second == 0x80 and (third <= 0x8A or third == 0xAF)) or (second == 0x81 and third == 0x9F)
                    if second == 0x84 and third == 0xAA:
                        flags |= phrase_flags(data, i, start, end, third - 63)
            elif kind == _BREAK:
                break
            if space:
                if length:
                    words += 1
                    longest = larger(longest, length)
                    length = 0
            else:
                length += 1
            i += size
            continue
        length += 1
        i += 1
    if length:
        words += 1
        longest = larger(longest, length)
    facts[0] = words
    facts[1] = longest
    facts[2] = flags
    return i


@kernel_part
def ends_sentence(data, start, end):
    """Whether data[start:end] ends in one of . ? ! " ' and not in an ellipsis of three dots."""
    if start == end:
        return False
    b = data[end - 1]
    if b == 46:
        return not (end - start >= 3 and data[end - 2] == 46 and data[end - 3] == 46)
    return b == 63 or b == 33 or b == 34 or b == 39


@plain_kernel
def edit_lines(
    data, offsets, document, options, first, blocks, facts, out, seen, out_offsets, starts, ends, kinds, counts
):
    """Apply the line rules to documents from `document` on; returns the first that found no room for its spans.

    facts: int64[3], room for `scan_line`. options: int64[8]: the longest word allowed (-1: any), citations, terminal
    punctuation, fewest words, javascript, policy (0 or 1), the flags of what keeps a line for the document rules, and
    whether white space before lines stays.
    Writes texts to `out` and `out_offsets`, and spans relative to their document's start; those of document d are
    numbers counts[d] to counts[d + 1].
    """
    k = counts[document]
    for d in range(document, len(offsets) - 1):
        i = offsets[d]
        end = offsets[d + 1]
        o = out_offsets[d]
        while i < end:
            stop = scan_line(data, i, end, facts)
            line = i
            i = stop + break_bytes(data, stop, end, True) if stop < end else end
            words = facts[0]
            flags = facts[2]
            if words == 0 and options[3] > 0:
                continue
            if not options[7]:
                line = trim_left(data, line, stop, first, blocks)
            stop = trim_right(data, line, stop, first, blocks)
            if k + 1 + ((stop - line) // 2 if flags & MARKED else 0) > len(starts):
                return d
            before = k
            at = o
            kind = _NONE
            if options[0] >= 0 and facts[1] > options[0]:
                kind = LONG_WORD
            else:
                if o > out_offsets[d]:
                    out[o] = 10
                    at += 1
                new = at
                j = line
                if options[1] and flags & MARKED:
                    while j < stop:
                        mark = citation_bytes(data, j, stop, first, blocks) if data[j] == 91 else 0
                        if mark:
                            starts[k] = j - offsets[d]
                            ends[k] = j + mark - offsets[d]
                            kinds[k] = CITATION
                            k += 1
                            j += mark
                        else:
                            out[new] = data[j]
                            new += 1
                            j += 1
                    if k > before:
                        scan_line(seen, at, new, facts)
                        flags = facts[2]
                else:
                    new = copied(data, j, stop, out, new)
                if options[2] and not ends_sentence(seen, at, new):
                    kind = TERMINAL
                elif words < options[3]:
                    kind = MIN_WORDS
                elif flags & options[6] & LOREM:
                    kind = _NONE
                elif options[4] and flags & JAVA:
                    kind = JAVASCRIPT
                elif flags & options[6] & BRACE:
                    kind = _NONE
                elif options[5] and flags & NOTICE:
                    kind = POLICY
                if kind == _NONE:
                    o = new
            if kind != _NONE:
                k = before
            if kind != _NONE and line < stop:
                starts[k] = line - offsets[d]
                ends[k] = stop - offsets[d]
                kinds[k] = kind
                k += 1
        start = out_offsets[d] if options[7] else trim_left(seen, out_offsets[d], o, first, blocks)
        o = trim_right(seen, start, o, first, blocks)
        if start > out_offsets[d]:
            o = copied(seen, start, o, out, out_offsets[d])
        out_offsets[d + 1] = o
        counts[d + 1] = k
    return len(offsets) - 1


@plain_kernel
def document_facts(data, offsets, long_line, facts):
    """facts: int64[n, 3]: mentions of lorem ipsum, curly brackets, lines of at least `long_line` characters."""
    for d in range(len(offsets) - 1):
        start = offsets[d]
        end = offsets[d + 1]
        lorem = 0
        braces = 0
        lines = 0
        length = 0
        for i in range(start, end):
            b = data[i]
            if b == 10:
                lines += length >= long_line
                length = 0
                continue
            length += b & 0xC0 != 0x80
            if b == 123:
                braces += 1
            elif b | 32 == 112 and i + 1 < end and data[i + 1] | 32 == 115:
                lorem += 1 if phrase_flags(data, i, start, end, b | 32) & LOREM else 0
        facts[d, 0] = lorem
        facts[d, 1] = braces
        facts[d, 2] = lines + (length >= long_line)
