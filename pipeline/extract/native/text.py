"""Runs of text between two tags, and the blocks that they make."""

# numba settles the types of the kernels' variables:
# mypy: disable-error-code="assignment"
from __future__ import annotations

import numpy as np

from ...kernels import kernel_part, larger
from . import columns as y
from . import tables as t
from .references import put, reference

CLASSES, WIDE_CLASSES, HIGH_CLASSES, STOP_WORDS = t.CLASSES, t.WIDE_CLASSES, t.HIGH_CLASSES, t.STOP_WORDS
LOWERED = np.arange(256, dtype=np.uint8)
LOWERED[ord("A") : ord("Z") + 1] += 32
_STOP_SLOTS = len(STOP_WORDS)
MAX_STOP_BYTES = t.MAX_STOP_BYTES
_START = np.uint32(y.HASH_START)
_PRIME = np.uint32(0x01000193)


@kernel_part
def is_stop_word(key):
    """Whether that hash is a stop word's."""
    slot = key % _STOP_SLOTS
    while STOP_WORDS[slot] != 0:
        if STOP_WORDS[slot] == key:
            return True
        slot = (slot + 1) % _STOP_SLOTS
    return False


@kernel_part
def decode(src, i, n):
    """(bytes read, code point) of the UTF-8 sequence at i; a dropped control character for one that is none."""
    c = np.int64(src[i])
    size = 2 if c < 0xE0 else (3 if c < 0xF0 else 4)
    if c < 0xC2 or c > 0xF4 or i + size > n:
        return 1, 0x80
    point = c & (0x7F >> size)
    for k in range(i + 1, i + size):
        if src[k] & 0xC0 != 0x80:
            return 1, 0x80
        point = point << 6 | (src[k] & 63)
    surrogate = 0xD800 <= point < 0xE000
    if surrogate or point > 0x10FFFF or (size == 3 and point < 0x800) or (size == 4 and point < 0x10000):
        return 1, 0x80
    return size, point


@kernel_part
def end_block(blocks, out, stack, state, count):
    """Write the block in hand to the table if it has text; clear the counts."""
    start = state[y.BLOCK_FROM]
    o = state[y.SIZE]
    if state[y.IN_WORD]:
        state[y.IN_WORD] = 0
        if state[y.WORD_BYTES] <= MAX_STOP_BYTES and is_stop_word(np.uint32(state[y.WORD_HASH])):
            count[y.STOP_WORD_COUNT] += 1
    images, inputs = count[y.IMAGES], count[y.INPUTS]
    if count[y.CHARS] == 0:
        o = start  # images and inputs count for the text that follows
    else:
        while o > start and (out[o - 1] == 10 or out[o - 1] == 32 or out[o - 1] == 9):
            o -= 1
        nb = state[y.NB]
        row = nb * y.BLOCK_COLUMNS
        if row < len(blocks):
            count[y.ELEMENT] = stack[larger(state[y.BLOCK_SP], 0) * y.FRAME]
            count[y.TEXT0] = start
            count[y.TEXT1] = o
            count[y.TEXT_HASH] = state[y.HASH] & 0x7FFFFFFF
            for k in range(y.BLOCK_COLUMNS):
                blocks[row + k] = count[k]
            state[y.NB] = nb + 1
        else:  # no room: joined to the last one
            row -= y.BLOCK_COLUMNS
            blocks[row + y.CHARS] += count[y.CHARS]
            blocks[row + y.TEXT1] = o
            out[o] = 10
            o += 1
        images = inputs = 0
    for k in range(y.BLOCK_COLUMNS):
        count[k] = 0
    count[y.IMAGES] = images
    count[y.INPUTS] = inputs
    state[y.SIZE] = o
    state[y.BLOCK_FROM] = o
    state[y.BLOCK_SP] = -1
    state[y.LOW_SP] = state[y.SP]
    state[y.PENDING] = 0
    state[y.HASH] = y.HASH_START


@kernel_part
def text_run(src, i, n, out, state, count, flags):
    """Read text from src[i] to the next `<` (one at i itself is text) into the block in hand; returns where it ends.

    Where the state says LITERAL, all is text up to n.
    """
    literal = state[y.LITERAL] != 0
    skip = (flags & y.F_SVG) != 0
    pre = (flags & y.F_PRE) != 0
    linked = (flags & y.F_LINK) != 0
    bold = (flags & y.F_BOLD) != 0
    o = state[y.SIZE]
    block_from = state[y.BLOCK_FROM]
    sp = state[y.SP]
    pending = state[y.PENDING] != 0
    in_word = state[y.IN_WORD] != 0
    word_bytes = state[y.WORD_BYTES]
    word_hash = np.uint32(state[y.WORD_HASH])
    text_hash = np.uint32(state[y.HASH])
    first = i
    while i < n:
        c = src[i]
        if in_word and 97 <= c <= 122 and not skip:  # inside a word: most of all text
            run_from = i
            while 97 <= c <= 122:
                out[o] = c
                o += 1
                text_hash = np.uint32((text_hash ^ c) * _PRIME)
                word_hash = np.uint32((word_hash ^ c) * _PRIME)
                i += 1
                if i >= n:
                    break
                c = src[i]
            run = i - run_from
            word_bytes += run
            count[y.CHARS] += run
            count[y.LETTERS] += run
            count[y.LAST_CLASS] = t.LOWER
            if linked:
                count[y.LINK_CHARS] += run
            if bold:
                count[y.BOLD_CHARS] += run
            continue
        kind = np.int64(CLASSES[c])
        point = np.int64(c)
        second = 0
        width = 1
        spaceless = False
        if kind == t.LT:
            if i > first and not literal:
                break
            kind = t.OTHER
        elif kind == t.AMP:
            if not literal:
                width, point, second = reference(src, i, n)
            kind = t.OTHER if point < 128 else t.WIDE
            if width > 1 and point < 128:
                kind = np.int64(CLASSES[point])
                if kind == t.LT or kind == t.AMP:
                    kind = t.OTHER
        elif kind == t.WIDE:
            width, point = decode(src, i, n)
        i += width
        if kind == t.WIDE:
            kind = np.int64(WIDE_CLASSES[point] if point < 0x10000 else HIGH_CLASSES[point >> 12])
            if kind == t.DROPPED or (kind == t.PARTING and count[y.WIDE_CHARS] == 0):
                continue
            if kind == t.PARTING or kind == t.APOSTROPHE:
                kind = t.LOWER if kind == t.APOSTROPHE and in_word else t.OTHER
            spaceless = kind >= t.SPACELESS
            kind &= t.SPACELESS - 1
        if kind == t.CONTROL or skip:
            continue
        if in_word and (kind == t.SPACE or kind >= t.STOP):
            in_word = False
            if word_bytes <= MAX_STOP_BYTES and is_stop_word(word_hash):
                count[y.STOP_WORD_COUNT] += 1
        if kind == t.SPACE:
            if not pre:
                pending = True
                continue
            if (o == block_from and point != 32 and point != 9) or point == 13:
                continue  # a newline right after <pre>
            if o == block_from and state[y.BLOCK_SP] < 0:
                state[y.BLOCK_SP] = sp
                state[y.LOW_SP] = sp
                count[y.AT] = i
            out[o] = 10 if point == 10 else (9 if point == 9 else 32)
            o += 1
            pending = False
            continue
        # a visible character
        if state[y.BLOCK_SP] < 0:
            state[y.BLOCK_SP] = sp
            count[y.AT] = i
        elif state[y.LOW_SP] < state[y.BLOCK_SP]:
            state[y.BLOCK_SP] = state[y.LOW_SP]
        state[y.LOW_SP] = sp
        if state[y.LINE_BREAKS] > 0:
            state[y.LINE_BREAKS] = 0
            pending = False
            if o > block_from:
                out[o] = 10
                o += 1
                count[y.BREAKS] += 1
        if pending:
            pending = False
            if o > block_from and out[o - 1] != 10:
                out[o] = 32
                o += 1
        if count[y.FIRST_CLASS] == 0:
            count[y.FIRST_CLASS] = kind
        count[y.LAST_CLASS] = kind
        count[y.CHARS] += 1
        if linked:
            count[y.LINK_CHARS] += 1
        if bold:
            count[y.BOLD_CHARS] += 1
        if kind == t.LOWER or kind == t.UPPER or kind == t.DIGIT:
            count[y.LETTERS] += 1
            if not in_word or spaceless:  # spaceless characters are looked up one by one
                word_hash = _START
                word_bytes = 0
            if not in_word:
                in_word = True
                if not spaceless:
                    count[y.WORDS] += 1
                if kind == t.UPPER:
                    count[y.CAPITALS] += 1
            if spaceless:
                count[y.WIDE_CHARS] += 1
            if kind == t.UPPER:
                count[y.UPPERS] += 1
            elif kind == t.DIGIT:
                count[y.DIGITS] += 1
        elif kind == t.STOP:
            count[y.STOPS] += 1
        elif kind == t.COMMA:
            count[y.COMMAS] += 1
        else:
            count[y.OTHERS] += 1
        if point < 128:
            out[o] = point
            o += 1
            byte = LOWERED[point]
            text_hash = np.uint32((text_hash ^ byte) * _PRIME)
            word_hash = np.uint32((word_hash ^ byte) * _PRIME)
            word_bytes += 1
            if second == 0:
                continue
            point = second
            second = 0
        start = o
        o = put(out, o, point)
        if second != 0:
            o = put(out, o, second)
        word_bytes += o - start
        for k in range(start, o):
            text_hash = np.uint32((text_hash ^ out[k]) * _PRIME)
            word_hash = np.uint32((word_hash ^ out[k]) * _PRIME)
        if spaceless:
            in_word = False
            if is_stop_word(word_hash):
                count[y.STOP_WORD_COUNT] += 1
    state[y.SIZE] = o
    state[y.PENDING] = pending
    state[y.IN_WORD] = in_word
    state[y.WORD_BYTES] = word_bytes
    state[y.WORD_HASH] = word_hash
    state[y.HASH] = text_hash
    return i


@kernel_part
def text_begin(out, state, count, at):
    """Make ready for a visible character or formula: the block's place, line breaks and spaces before it."""
    o = state[y.SIZE]
    sp = state[y.SP]
    if state[y.BLOCK_SP] < 0:
        state[y.BLOCK_SP] = sp
        count[y.AT] = at
    elif state[y.LOW_SP] < state[y.BLOCK_SP]:
        state[y.BLOCK_SP] = state[y.LOW_SP]
    state[y.LOW_SP] = sp
    if o > state[y.BLOCK_FROM]:
        if state[y.LINE_BREAKS] > 0:
            out[o] = 10
            o += 1
            count[y.BREAKS] += 1
        elif state[y.PENDING] and out[o - 1] != 10:
            out[o] = 32
            o += 1
    state[y.LINE_BREAKS] = 0
    state[y.PENDING] = 0
    state[y.SIZE] = o


@kernel_part
def formula_end(out, state, count, end, at):
    """Take up the formula that was written at out[SIZE + 1 : end], if there is one, as a word of the block in hand."""
    written = state[y.SIZE] + 1
    if end == written:
        return
    text_begin(out, state, count, at)
    o = state[y.SIZE]
    text_hash = np.uint32(state[y.HASH])
    for k in range(written, end):
        out[o] = out[k]
        text_hash = np.uint32((text_hash ^ out[k]) * _PRIME)
        o += 1
    state[y.HASH] = text_hash
    state[y.SIZE] = o
    state[y.IN_WORD] = 0
    count[y.CHARS] += end - written
    count[y.LETTERS] += end - written
    count[y.WORDS] += 1
    if count[y.FIRST_CLASS] == 0:
        count[y.FIRST_CLASS] = t.OTHER
    count[y.LAST_CLASS] = t.LOWER
