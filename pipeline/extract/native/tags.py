"""Tags, comments and attributes: what stands between `<` and `>`."""

# ruff: noqa: SIM110  (generators do not compile)
# numba settles the types of the kernels' variables:
# mypy: disable-error-code="assignment"
from __future__ import annotations

import numpy as np

from ...kernels import kernel_part, smaller
from . import columns as y
from . import tables as t
from .text import LOWERED

TAG_KEYS, TAG_IDS = t.TAG_KEYS, t.TAG_IDS
_TAG_SLOTS = len(TAG_KEYS)
_PRIME = np.uint32(0x01000193)
_A, _TEMPLATE = t.TAG["a"], t.TAG["template"]
_SLOTS, _NAMES = t.ATTRIBUTE_SLOTS, t.ATTRIBUTE_NAMES
_HREF, _ALT, _ALTTEXT, _STYLE, _HIDDEN_ATTRIBUTE, _ARIA_HIDDEN, _DIR = (
    t.ATTRIBUTES.index(n) for n in ["href", "alt", "alttext", "style", "hidden", "aria-hidden", "dir"]
)

NAME_END = np.zeros(256, np.bool_)
"""Bytes that end a tag's name."""
for _byte in b"\t\n\x0c\r />":
    NAME_END[_byte] = True
_ATTRIBUTE_END = NAME_END.copy()
_ATTRIBUTE_END[ord("=")] = True


def word(text: str) -> np.ndarray:
    """An ASCII word as bytes, to be given to `has`."""
    return np.frombuffer(text.encode(), np.uint8)


_COMMENT, _COMMENT_END, _SCRIPT = map(word, ("<!--", "-->", "script"))
_NONE, _DISPLAY, _VISIBILITY, _HIDDEN, _TRUE, _RTL = map(
    word, ("none", "display", "visibility", "hidden", "true", "rtl")
)


@kernel_part
def tag_id(src, start, end):
    """Id of the tag whose name is src[start:end], and the hash of the name."""
    key = np.uint32(y.HASH_START)
    rest = key
    colon = end
    for i in range(start, end):
        c = LOWERED[src[i]]
        key = np.uint32((key ^ c) * _PRIME)
        rest = np.uint32((rest ^ c) * _PRIME)
        if c == 58:
            colon = i
            rest = np.uint32(y.HASH_START)
    # XHTML and MathML with a prefix; one-letter prefixes but `m` are Office's own elements
    wanted = rest if colon + 1 < end and (colon - start >= 2 or LOWERED[src[start]] == 109) else key
    slot = wanted % _TAG_SLOTS
    while TAG_KEYS[slot] != 0:
        if TAG_KEYS[slot] == wanted:
            return np.int64(TAG_IDS[slot]), np.int64(wanted)
        slot = (slot + 1) % _TAG_SLOTS
    return 0, np.int64(key)


@kernel_part
def starts_with(src, i, end, sought):
    """Whether src[i:end] begins with the ASCII bytes `sought` (lower case), case ignored."""
    m = len(sought)
    if i + m > end:
        return False
    for k in range(m):
        if LOWERED[src[i + k]] != sought[k]:
            return False
    return True


@kernel_part
def has(src, start, end, sought):
    """Whether those bytes stand anywhere in src[start:end]."""
    for i in range(start, end - len(sought) + 1):
        if starts_with(src, i, end, sought):
            return True
    return False


@kernel_part
def has_token(src, start, end, sought):
    """Whether `sought` is one of the words in src[start:end] that spaces part."""
    for i in range(start, end - len(sought) + 1):
        if (i == start or src[i - 1] <= 32) and starts_with(src, i, end, sought):
            j = i + len(sought)
            if j == end or src[j] <= 32:
                return True
    return False


@kernel_part
def find_byte(src, i, n, byte):
    """Where src[i:n] holds that byte first, n if nowhere; 32 bytes at a time. 0 <= i."""
    at = np.uint64(i)
    end = np.uint64(n)
    step = np.uint64(32)
    while at + step <= end:
        hit = np.uint8(0)
        for k in range(step):  # without an early way out, so that it is done in vectors
            hit |= src[at + k] == byte
        if hit:
            break
        at += step
    while at < end and src[at] != byte:
        at += np.uint64(1)
    return np.int64(at)


@kernel_part
def end_tag_of(src, start, n, name0, name1):
    """Where `</name` begins at or after `start` (name = src[name0:name1]), n if nowhere."""
    m = name1 - name0
    i = find_byte(src, start, n, 60)
    while i < n - m - 1:
        if src[i + 1] == 47:
            k = 0
            while k < m and LOWERED[src[i + 2 + k]] == LOWERED[src[name0 + k]]:
                k += 1
            if k == m and (i + 2 + m >= n or NAME_END[src[i + 2 + m]]):
                return i
        i = find_byte(src, i + 1, n, 60)
    return n


@kernel_part
def script_end(src, start, n, state):
    """Where the `</script>` of a script stands that begins at `start`, n if nowhere.

    By the standard one inside `<!-- <script>` ends nothing. Where no other comes, it does, and then for all
    later scripts: a page of such pieces must not be read again and again.
    """
    level = 0  # 1 in a comment, 2 in a script in it
    first = n
    i = start
    while i < n:
        if level == 0:
            i = find_byte(src, i, n, 60)
        else:
            while i < n and src[i] != 60 and src[i] != 45:
                i += 1
        if starts_with(src, i, n, _COMMENT_END):
            level = 0
        elif level == 0 and state[y.NO_SCRIPT_END] == 0 and starts_with(src, i, n, _COMMENT):
            level = 1
            i += 1  # `<!-->` ends what it begins
        else:
            closing = i + 1 < n and src[i + 1] == 47
            name = i + 2 if closing else i + 1
            if starts_with(src, name, n, _SCRIPT) and (name + 6 >= n or NAME_END[src[name + 6]]):
                if closing and level < 2:
                    return i
                if closing:
                    first = smaller(first, i)
                    level = 1
                elif level == 1:
                    level = 2
        i += 1
    state[y.NO_SCRIPT_END] = 1
    return first


@kernel_part
def after_tag(src, i, n):
    """Where the tag or bogus comment ends that src[i] is in: after the next `>`."""
    while i < n and src[i] != 62:
        i += 1
    return i + 1


@kernel_part
def skip_declaration(src, i, n, state):
    """Where the comment, doctype, processing instruction or bogus comment ends that begins at i."""
    if src[i + 1] != 33 or i + 3 >= n or src[i + 2] != 45 or src[i + 3] != 45:
        return after_tag(src, i + 2, n)
    j = i + 4
    if j < n and src[j] == 62:
        return j + 1
    if j + 1 < n and src[j] == 45 and src[j + 1] == 62:
        return j + 2
    if not state[y.NO_COMMENT_END]:
        while j + 2 < n:
            if src[j] == 45 and src[j + 1] == 45:
                if src[j + 2] == 62:
                    return j + 3
                if src[j + 2] == 33 and j + 3 < n and src[j + 3] == 62:
                    return j + 4
            j += 1
        state[y.NO_COMMENT_END] = 1
    j = i + 4  # never closed: taken to end at the next `<` or `>`
    while j < n and src[j] != 60 and src[j] != 62:
        j += 1
    return j + 1 if j < n and src[j] == 62 else j


@kernel_part
def _quoted_end(src, j, n, state):
    """Where the value ends whose quote is src[j]; n if the quote is never closed."""
    quote = src[j]
    flag = y.NO_DOUBLE_QUOTE if quote == 34 else y.NO_SINGLE_QUOTE
    if state[flag]:
        return n
    k = j + 1
    while k < n and src[k] != quote:
        k += 1
    if k >= n:
        state[flag] = 1
    return k


@kernel_part
def read_attributes(src, j, n, tag, state):
    """Read attributes from src[j] on into the state (`A_...`); returns where the tag's `>` stands, n if nowhere.

    tag: the id of a start tag, -1 for an end tag, whose attributes mean nothing.
    """
    while j < n:
        c = src[j]
        if c == 62:
            break
        if c == 47:
            state[y.A_SELF_CLOSING] = j + 1 < n and src[j + 1] == 62
            j += 1
            continue
        if c <= 32:
            j += 1
            continue
        a0 = j
        j += 1
        while j < n and not _ATTRIBUTE_END[src[j]]:
            j += 1
        a1 = j
        while j < n and src[j] <= 32:
            j += 1
        v0 = v1 = j
        if j < n and src[j] == 61:
            j += 1
            while j < n and src[j] <= 32:
                j += 1
            v0 = v1 = j
            if j < n and (src[j] == 34 or src[j] == 39):
                v0 = j + 1
                v1 = _quoted_end(src, j, n, state)
                if v1 < n:
                    j = v1 + 1
                else:  # never closed: taken to end with the tag
                    while j < n and src[j] != 62:
                        j += 1
                    v1 = j
            elif j < n and src[j] != 62:
                while j < n and src[j] > 32 and src[j] != 62:
                    j += 1
                v1 = j
        if tag >= 0:
            _attribute(src, a0, a1, v0, v1, tag, state)
    return j


@kernel_part
def _hides(src, start, end):
    """Whether a style says `display: none` or `visibility: hidden`."""
    for i in range(start, end - 11):
        c = src[i] | 32
        if c == 100 and starts_with(src, i, end, _DISPLAY):
            j = i + 7
        elif c == 118 and starts_with(src, i, end, _VISIBILITY):
            j = i + 10
        else:
            continue
        while j < end and src[j] <= 32:
            j += 1
        if j >= end or src[j] != 58:
            continue
        j += 1
        while j < end and src[j] <= 32:
            j += 1
        if starts_with(src, j, end, _NONE if c == 100 else _HIDDEN):
            return True
    return False


@kernel_part
def _attribute(src, a0, a1, v0, v1, tag, state):
    """Take up an attribute if it is one that is asked for; the first of a name counts."""
    size = a1 - a0
    if size >= t.MAX_ATTRIBUTE_NAME:
        return
    number = np.int64(_SLOTS[size * 32 + (src[a0] & 31)]) - 1
    if number < 0:
        return
    for k in range(size):
        if LOWERED[src[a0 + k]] != _NAMES[number * t.MAX_ATTRIBUTE_NAME + k]:
            return
    if number == _ALTTEXT:
        number = _ALT
    flag = 0
    if number < _ALTTEXT:
        if state[y.A_CLASS + 2 * number + 1] == 0:
            state[y.A_CLASS + 2 * number] = v0
            state[y.A_CLASS + 2 * number + 1] = v1
        if number == _HREF and tag == _A:
            flag = y.F_LINK
    elif number == _STYLE:
        if _hides(src, v0, v1):
            flag = y.F_HIDDEN
    elif number == _HIDDEN_ATTRIBUTE:
        flag = y.F_HIDDEN
    elif number == _ARIA_HIDDEN:
        if starts_with(src, v0, v1, _TRUE):
            flag = y.F_ARIA_HIDDEN
    elif number == _DIR:
        if starts_with(src, v0, v1, _RTL):
            flag = y.F_RTL
    elif tag == _TEMPLATE:  # a shadow root is shown
        state[y.A_OWN] &= ~y.F_HIDDEN
    state[y.A_OWN] |= flag
