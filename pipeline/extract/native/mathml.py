"""MathML as LaTeX: the source that many pages carry along, else the presentation markup written out.

A `<math>` element gives, in this order, its `<annotation encoding="application/x-tex">`, its `alttext`, or
its tokens with `^`, `_`, `\\frac` and `\\sqrt` where the markup says so. Between dollars.
"""

# ruff: noqa: SIM108, SIM109  (said the way that numba compiles best)
# numba settles the types of the kernels' variables:
# mypy: disable-error-code="assignment"
from __future__ import annotations

import numpy as np

from ...kernels import kernel_part
from . import columns as y
from . import tables as t
from .references import put, reference
from .text import LOWERED, decode


def _word(text: str) -> np.ndarray:
    return np.frombuffer(text.encode(), np.uint8)


_ANNOTATION, _TEX, _FRAC, _SQRT = _word("annotation"), _word("x-tex"), _word("\\frac"), _word("\\sqrt")
_SUP, _SUB, _SUBSUP, _FRACTION, _ROOT, _ROOT_INDEX, _ROW, _SKIPPED = range(1, 9)
_KEYS = np.array(
    [t.name_hash(name) for name in (
        b"msup", b"mover", b"msub", b"munder", b"msubsup", b"munderover", b"mfrac", b"msqrt", b"mroot", b"mrow",
        b"annotation", b"annotation-xml", b"mtd", b"mtr", b"mstyle", b"mpadded", b"mphantom",
    )], np.uint32,
)  # fmt: skip
_KINDS = np.array(
    [_SUP, _SUP, _SUB, _SUB, _SUBSUP, _SUBSUP, _FRACTION, _ROOT, _ROOT_INDEX, _ROW, _SKIPPED, _SKIPPED, _ROW, _ROW,
     _ROW, _ROW, _SKIPPED], np.uint8,
)  # fmt: skip
_TOKENS = np.array([t.name_hash(n) for n in (b"mi", b"mo", b"mn", b"mtext", b"ms")], np.uint32)


@kernel_part
def _find(src, start, stop, word):
    m = len(word)
    for i in range(start, stop - m + 1):
        k = 0
        while k < m and src[i + k] == word[k]:
            k += 1
        if k == m:
            return i
    return -1


@kernel_part
def _append(out, o, word):
    for c in word:
        out[o] = c
        o += 1
    return o


@kernel_part
def _text(src, start, stop, out, o):
    """Append src[start:stop] with references resolved and white space collapsed."""
    i = start
    while i < stop:
        c = src[i]
        if c == 38:
            width, point, second = reference(src, i, stop)
            i += width
            if point == 0x2061 or point == 0x2062 or point == 0x2063 or point == 0x200B:
                continue  # invisible operators
            o = put(out, o, point)
            if second != 0:
                o = put(out, o, second)
            continue
        if c <= 32:
            if out[o - 1] != 32 and out[o - 1] != 36:
                out[o] = 32
                o += 1
        elif c < 128:
            out[o] = c
            o += 1
        else:
            width, point = decode(src, i, stop)
            i += width
            if point > 0x9F and point != 0x200B and not 0x2061 <= point <= 0x2063:
                o = put(out, o, point)
            continue
        i += 1
    return o


@kernel_part
def _trim(out, o, start):
    while o > start and out[o - 1] == 32:
        o -= 1
    return o


@kernel_part
def math_to_latex(src, start, stop, alt0, alt1, out, o, state):
    """Append the formula whose content is src[start:stop]; returns the new length of out. Nothing for an empty one."""
    first = o
    out[o] = 36
    o += 1
    body = o
    at = start
    while True:  # the source that was carried along
        at = _find(src, at, stop, _ANNOTATION)
        if at < 0:
            break
        end = at
        while end < stop and src[end] != 62:
            end += 1
        if _find(src, at, end, _TEX) >= 0:
            close = end
            while close < stop and src[close] != 60:
                close += 1
            o = _trim(out, _text(src, end + 1, close, out, o), body)
            break
        at = end
    if o == body and alt1 > alt0:
        o = _trim(out, _text(src, alt0, alt1, out, o), body)
    if o == body:
        o = _written_out(src, start, stop, out, o, state)
        o = _trim(out, o, body)
    if o == body:
        return first
    out[o] = 36
    return o + 1


@kernel_part
def _written_out(src, start, stop, out, o, state):
    state[y.MATH_KINDS] = state[y.MATH_CHILDREN] = 0
    sp = 0
    skipped = 0  # depth at which a part is left out, 0 if none
    i = start
    while i < stop:
        if src[i] != 60:
            if sp > 0 and skipped == 0 and state[y.MATH_KINDS + sp] == 0:
                end = i
                while end < stop and src[end] != 60:
                    end += 1
                o = _text(src, i, end, out, o)
                i = end
            else:
                i += 1
            continue
        closing = i + 1 < stop and src[i + 1] == 47
        j = i + 2 if closing else i + 1
        key = np.uint32(0x811C9DC5)
        while j < stop and src[j] > 32 and src[j] != 62 and src[j] != 47:
            if src[j] == 58:  # a prefix
                key = np.uint32(0x811C9DC5)
            else:
                key = np.uint32((key ^ LOWERED[src[j]]) * np.uint32(0x01000193))
            j += 1
        while j < stop and src[j] != 62:
            j += 1
        empty = src[j - 1] == 47 if j > i else False
        i = j + 1
        if closing:
            if sp > 0:
                kind = state[y.MATH_KINDS + sp]
                if skipped == sp:
                    skipped = 0
                if skipped == 0 and (kind == _ROOT or (kind == _FRACTION and state[y.MATH_CHILDREN + sp] > 0)):
                    out[o] = 125
                    o += 1
                sp -= 1
                if skipped == 0 and sp > 0 and _braced(state[y.MATH_KINDS + sp], state[y.MATH_CHILDREN + sp]):
                    out[o] = 125
                    o += 1
            continue
        if sp + 1 >= y.MAX_MATH_NESTING:
            return o
        kind = _ROW
        for k in range(len(_KEYS)):
            if _KEYS[k] == key:
                kind = np.int64(_KINDS[k])
        for k in range(len(_TOKENS)):
            if _TOKENS[k] == key:
                kind = 0
        if sp > 0 and skipped == 0:
            state[y.MATH_CHILDREN + sp] += 1
            above = state[y.MATH_KINDS + sp]
            if state[y.MATH_CHILDREN + sp] == 2:
                if above == _SUP:
                    out[o] = 94
                    o += 1
                elif above == _SUB or above == _SUBSUP:
                    out[o] = 95
                    o += 1
                elif above == _FRACTION:
                    out[o] = 125
                    out[o + 1] = 123
                    o += 2
            elif state[y.MATH_CHILDREN + sp] == 3 and above == _SUBSUP:
                out[o] = 94
                o += 1
            if _braced(above, state[y.MATH_CHILDREN + sp]):
                out[o] = 123
                o += 1
        if empty:
            if sp > 0 and skipped == 0 and _braced(state[y.MATH_KINDS + sp], state[y.MATH_CHILDREN + sp]):
                out[o] = 125
                o += 1
            continue
        sp += 1
        state[y.MATH_KINDS + sp] = kind
        state[y.MATH_CHILDREN + sp] = 0
        if kind == _SKIPPED and skipped == 0:
            skipped = sp
        if skipped == 0:
            if kind == _FRACTION:
                o = _append(out, o, _FRAC)
                out[o] = 123
                o += 1
            elif kind == _ROOT:
                o = _append(out, o, _SQRT)
                out[o] = 123
                o += 1
            elif kind == _ROOT_INDEX:
                o = _append(out, o, _SQRT)
    return o


@kernel_part
def _braced(kind, child):
    """Whether that child of a script or root stands in braces."""
    return child >= 2 and (kind == _SUP or kind == _SUB or kind == _SUBSUP) or kind == _ROOT_INDEX and child == 1


@kernel_part
def copy_latex(src, start, stop, out, o, dollars):
    """Append LaTeX source between so many dollars, references resolved, white space collapsed; nothing if empty."""
    while start < stop and src[start] <= 32:
        start += 1
    while stop > start and src[stop - 1] <= 32:
        stop -= 1
    if stop <= start:
        return o
    if src[start] == 36:  # some sources carry their own
        dollars = 0
    for _ in range(dollars):
        out[o] = 36
        o += 1
    i = start
    while i < stop:
        c = src[i]
        if c == 38:
            width, point, second = reference(src, i, stop)
            o = put(out, o, point)
            if second != 0:
                o = put(out, o, second)
            i += width
            continue
        if c <= 32:
            if out[o - 1] != 32:
                out[o] = 32
                o += 1
        elif c < 128:
            out[o] = c
            o += 1
        else:
            width, point = decode(src, i, stop)
            i += width
            if point > 0x9F:
                o = put(out, o, point)
            continue
        i += 1
    for _ in range(dollars):
        out[o] = 36
        o += 1
    return o
