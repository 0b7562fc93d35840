"""The stack of open elements: opening, closing, and the end tags that may be left out.

The innermost open element of each name, and the innermost one that ends a search, are kept at hand, so that
no search walks the stack.
"""

# ruff: noqa: SIM109  (said the way that numba compiles best)
# numba settles the types of the kernels' variables:
# mypy: disable-error-code="assignment"
from __future__ import annotations

import numpy as np

from ...kernels import kernel_part, larger, smaller
from . import columns as y
from . import tables as t

TAG_KINDS = t.TAG_KINDS
_A, _P, _LI, _DD, _DT, _TR, _TD, _TH = (t.TAG[n] for n in ["a", "p", "li", "dd", "dt", "tr", "td", "th"])
_OPTION, _OPTGROUP, _BODY, _HTML, _HEAD = (t.TAG[n] for n in ["option", "optgroup", "body", "html", "head"])
_UL, _OL, _DL, _TABLE, _TBODY, _THEAD, _TFOOT = (
    t.TAG[n] for n in ["ul", "ol", "dl", "table", "tbody", "thead", "tfoot"]
)
_SELECT, _BUTTON, _SVG, _FOREIGN = (t.TAG[n] for n in ("select", "button", "svg", "foreignobject"))
_PRIME = np.uint32(0x01000193)


def _implied() -> np.ndarray:
    """Per start tag: a set of two names that it closes, and two that stop the search for them (0: none)."""
    table = np.zeros((len(t.TAGS), 4), np.uint8)
    for number, kinds in enumerate(TAG_KINDS):
        if kinds & t.NO_P:
            table[number] = (_P, _P, _BUTTON, _BUTTON)
    for names, closed, until in (
        ("li", (_LI, _LI), (_UL, _OL)), ("dd dt", (_DD, _DT), (_DL, _DL)), ("td th", (_TD, _TH), (_TABLE, _TABLE)),
        ("tr", (_TR, _TR), (_TABLE, _TABLE)), ("tbody thead tfoot", (_TBODY, _THEAD), (_TABLE, _TABLE)),
        ("option optgroup", (_OPTION, _OPTION), (_SELECT, _SELECT)), ("a", (_A, _A), (_TABLE, _TD)),
        ("body", (_HEAD, _HEAD), (_HTML, _HTML)),
    ):  # fmt: skip
        for name in names.split():
            table[t.TAG[name]] = (*closed, *until)
    return table.reshape(-1)


_IMPLIED = _implied()


@kernel_part
def flags_here(elements, stack, state):
    """Flags of the innermost open element."""
    return elements[stack[state[y.SP] * y.FRAME] * y.ELEMENT_COLUMNS + y.FLAGS]


@kernel_part
def _innermost(state, one, other, until, or_until):
    """Stack position of the innermost open `one` or `other` above the nearest `until` or table; 0 if none."""
    at = larger(state[y.LAST + one], state[y.LAST + other])
    bar = larger(larger(state[y.LAST + until], state[y.LAST + or_until]), state[y.LAST + _TABLE])
    return at if at > bar else 0


@kernel_part
def close_from(elements, stack, state, at):
    """Close the open elements from stack position `at` up."""
    ne = state[y.NE]
    nb = state[y.NB]
    sp = state[y.SP]
    while sp >= at:
        frame = sp * y.FRAME
        row = stack[frame] * y.ELEMENT_COLUMNS
        elements[row + y.END] = ne
        elements[row + y.END_BLOCK] = nb
        state[y.LAST + stack[frame + 1]] = stack[frame + 2]
        state[y.LAST_BARRIER] = stack[frame + 3]
        state[y.LAST_BLOCK] = stack[frame + 4]
        sp -= 1
    state[y.SP] = sp
    if sp < state[y.LOW_SP]:
        state[y.LOW_SP] = sp


@kernel_part
def end_tag(elements, stack, state, tag, key):
    """Close the nearest open element of that name, if the end tag reaches it."""
    at = state[y.LAST + (tag if tag != 0 else y.UNKNOWN + (key & 255))]
    if state[y.OVERFLOW] > 0 and (at > 0 or tag == 0):
        state[y.OVERFLOW] -= 1
        return
    if tag == 0:  # names that share a slot
        for _ in range(64):
            if at == 0 or elements[stack[at * y.FRAME] * y.ELEMENT_COLUMNS + y.SHAPE] == key & 0x7FFFFFFF:
                break
            at = np.int64(stack[at * y.FRAME + 2])
        else:
            at = 0
    kinds = TAG_KINDS[tag]
    if at < state[y.LAST_BARRIER] and not (
        kinds & t.BARRIER or tag == _TR or tag == _TBODY or tag == _THEAD or tag == _TFOOT
    ):
        return
    if at < state[y.LAST_BLOCK] and not kinds & t.BLOCK and tag != _A and tag != 0:
        return  # an inline end tag does not close blocks
    if at > 0:
        close_from(elements, stack, state, at)


@kernel_part
def close_implied(elements, stack, state, tag):
    """Close what a start tag of that name ends: an open `li` at the next, an open `p` or drawing at a block."""
    svg = state[y.LAST + _SVG]
    if svg > state[y.LAST + _FOREIGN] and TAG_KINDS[tag] & t.NO_P and state[y.OVERFLOW] == 0:
        close_from(elements, stack, state, svg)
    row = tag * 4
    if _IMPLIED[row] == 0 or state[y.OVERFLOW] > 0:
        return
    one, other = np.int64(_IMPLIED[row]), np.int64(_IMPLIED[row + 1])
    at = _innermost(state, one, other, np.int64(_IMPLIED[row + 2]), np.int64(_IMPLIED[row + 3]))
    if at == 0 and (tag == _TBODY or tag == _THEAD or tag == _TFOOT):
        at = _innermost(state, _TR, _TFOOT, _TABLE, _TABLE)
    if at > 0:
        close_from(elements, stack, state, at)
    if TAG_KINDS[tag] & t.NO_P and state[y.LAST + _P] > state[y.LAST_BARRIER]:
        close_from(elements, stack, state, state[y.LAST + _P])


@kernel_part
def open_element(src, elements, stack, state, tag, key, source):
    """Add an element with the attributes in the state to the table and the stack."""
    ne = state[y.NE]
    sp = state[y.SP]
    row = ne * y.ELEMENT_COLUMNS
    parent = np.int64(stack[sp * y.FRAME])
    above = parent * y.ELEMENT_COLUMNS
    for k in range(8):
        elements[row + y.CLASS0 + k] = state[y.A_CLASS + k]
    elements[row + y.HREF0] = state[y.A_HREF]
    elements[row + y.HREF1] = state[y.A_HREF + 1]
    elements[row + y.PARENT] = parent
    elements[row + y.TAG] = tag
    elements[row + y.FLAGS] = elements[above + y.FLAGS] | state[y.A_OWN]
    elements[row + y.DEPTH] = elements[above + y.DEPTH] + 1
    elements[row + y.FIRST_BLOCK] = state[y.NB]
    elements[row + y.END_BLOCK] = state[y.NB]
    elements[row + y.NTH] = elements[above + y.CHILDREN]
    elements[above + y.CHILDREN] += 1
    elements[row + y.CHILDREN] = 0
    shape = np.uint32(key)
    if tag != 0:
        class0 = state[y.A_CLASS]
        for k in range(class0, smaller(state[y.A_CLASS + 1], class0 + 64)):
            shape = np.uint32((shape ^ src[k]) * _PRIME)
    elements[row + y.SHAPE] = np.int64(shape) & 0x7FFFFFFF
    elements[row + y.END] = ne + 1
    elements[row + y.SOURCE] = source
    state[y.NE] = ne + 1
    sp += 1
    state[y.SP] = sp
    frame = sp * y.FRAME
    slot = tag if tag != 0 else y.UNKNOWN + (key & 255)
    stack[frame] = ne
    stack[frame + 1] = slot
    stack[frame + 2] = state[y.LAST + slot]
    stack[frame + 3] = state[y.LAST_BARRIER]
    stack[frame + 4] = state[y.LAST_BLOCK]
    state[y.LAST + slot] = sp
    kinds = TAG_KINDS[tag]
    if kinds & t.BARRIER:
        state[y.LAST_BARRIER] = sp
    if kinds & t.BLOCK:
        state[y.LAST_BLOCK] = sp
