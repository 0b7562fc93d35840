"""Runs of text between two tags, and the blocks that they make."""

# ruff: noqa: SIM102, SIM103, SIM108, SIM109, SIM114  (said the way that numba compiles best)
from __future__ import annotations

import numpy as np

from ...kernels import kernel_part
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
            count[y.ELEMENT] = stack[max(state[y.BLOCK_SP], 0) * y.FRAME]
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
    """Read text from src[i] to the next `<` (one at i itself is text) into the block in hand; returns where it ends."""
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
            if i > first:
                break
            kind = t.OTHER
        elif kind == t.AMP:
            width, point, second = reference(src, i, n)
            kind = t.OTHER if point < 128 else t.WIDE
            if width > 1 and point < 128:
                kind = np.int64(CLASSES[point])
                if kind == t.LT or kind == t.AMP:
                    kind = t.OTHER
        elif kind == t.WIDE:
            if c >= 0xF0 and i + 3 < n:
                point = (point & 7) << 18 | (src[i + 1] & 63) << 12 | (src[i + 2] & 63) << 6 | (src[i + 3] & 63)
                width = 4
            elif c >= 0xE0 and i + 2 < n:
                point = (point & 15) << 12 | (src[i + 1] & 63) << 6 | (src[i + 2] & 63)
                width = 3
            elif c >= 0xC0 and i + 1 < n:
                point = (point & 31) << 6 | (src[i + 1] & 63)
                width = 2
            else:
                point = 0x80  # a stray byte
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
def formula_begin(out, state):
    """Make room for a formula: a space if one is pending."""
    if state[y.PENDING] and state[y.SIZE] > state[y.BLOCK_FROM]:
        out[state[y.SIZE]] = 32
        state[y.SIZE] += 1
    state[y.PENDING] = 0


@kernel_part
def formula_end(state, count, o, at, letters):
    """Count the formula that ends at `o` of the text as one word, if there is one."""
    size = o - state[y.SIZE]
    if size == 0:
        return
    state[y.SIZE] = o
    if state[y.BLOCK_SP] < 0:
        state[y.BLOCK_SP] = state[y.SP]
        count[y.AT] = at
    count[y.CHARS] += size
    count[y.WORDS] += 1
    if letters:
        count[y.LETTERS] += size
        if count[y.FIRST_CLASS] == 0:
            count[y.FIRST_CLASS] = t.OTHER
        count[y.LAST_CLASS] = t.LOWER
