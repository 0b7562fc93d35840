"""One pass over a page's bytes: elements with their nesting, and blocks of text with their counts.

The reading follows the HTML standard where it decides what text belongs where (tokenisation, raw text,
character references, optional end tags, void elements) and is simpler where it does not (no adoption
agency, no foster parents, no quirks). An end tag closes the nearest open element of its name unless a table
cell or the like stands between. Memory and time are linear in the page; nothing recurses.

Blocks are the runs of text between block-level tags; two line breaks end one as well. Text is UTF-8 with
white space collapsed (kept inside `pre`), character references resolved, soft hyphens and control
characters taken out, MathML as LaTeX between dollars.
"""

from __future__ import annotations

import numpy as np

from ...kernels import kernel
from . import tables as t
from .mathml import math_to_latex
from .references import put, reference

TAG_KEYS, TAG_IDS, TAG_KINDS, CLASSES = t.TAG_KEYS, t.TAG_IDS, t.TAG_KINDS, t.CLASSES
STOP_WORDS = t.STOP_WORDS
_TAG_SLOTS = len(TAG_KEYS)
_STOP_SLOTS = len(STOP_WORDS)
MAX_STOP_BYTES = t.MAX_STOP_BYTES

MAX_ELEMENTS = 250_000
"""Later elements are not told apart: their text belongs to the last that was. The largest real page has 20 721."""

MAX_BLOCKS = 120_000
"""Later text is appended to the last block."""

MAX_OPEN = 4096
"""Deeper elements are not told apart either."""

# columns of the element table
(PARENT, TAG, FLAGS, DEPTH, CLASS0, CLASS1, ID0, ID1, ROLE0, ROLE1, PROP0, PROP1, FIRST_BLOCK, END_BLOCK, NTH, CHILDREN,
 SHAPE, END, SOURCE, HREF0, HREF1) = range(21)  # fmt: skip
ELEMENT_COLUMNS = 21
# flags of an element, inherited by what is inside it
(F_HIDDEN, F_LINK, F_PRE, F_BOLD, F_HEADING, F_LIST, F_TABLE, F_QUOTE, F_CODE, F_NOSCRIPT, F_FORM, F_NAV, F_HEADER,
 F_FOOTER, F_ASIDE, F_ARTICLE, F_MAIN, F_BUTTON, F_DIALOG, F_FIGURE, F_ARIA_HIDDEN, F_RTL, F_SVG) = (
    1 << i for i in range(23)
)  # fmt: skip
# columns of the block table
(ELEMENT, TEXT0, TEXT1, CHARS, WORDS, LINK_CHARS, LINKS, STOPS, COMMAS, DIGITS, UPPERS, CAPITALS, STOP_WORD_COUNT, AT,
 BREAKS, IMAGES, BOLD_CHARS, WIDE_CHARS, TEXT_HASH, LAST_CLASS, FIRST_CLASS, INPUTS, OTHERS, LETTERS) = range(24)  # fmt: skip
BLOCK_COLUMNS = 24

_A, _P, _LI, _DD, _DT, _TR, _TD, _TH = (t.TAG[n] for n in "a p li dd dt tr td th".split())
_OPTION, _OPTGROUP, _BODY, _HTML, _HEAD, _BR = (t.TAG[n] for n in "option optgroup body html head br".split())
_UL, _OL, _DL, _TABLE, _TBODY, _THEAD, _TFOOT = (t.TAG[n] for n in "ul ol dl table tbody thead tfoot".split())
_SCRIPT, _TITLE, _PRE, _MATH, _SVG, _IMG, _INPUT = (t.TAG[n] for n in "script title pre math svg img input".split())
_TEXTAREA, _STYLE, _MENU, _DIR, _TEMPLATE = (t.TAG[n] for n in "textarea style menu dir template".split())
_WBR, _PLAINTEXT, _SELECT, _HR = (t.TAG[n] for n in "wbr plaintext select hr".split())

_OWN_FLAGS = np.zeros(len(t.TAGS), np.int32)
for _names, _flag in (
    ("a", 0), ("pre listing", F_PRE | F_CODE), ("code kbd samp tt", F_CODE), ("b strong", F_BOLD),
    ("h1 h2 h3 h4 h5 h6", F_HEADING), ("ul ol dl menu dir", F_LIST), ("table", F_TABLE), ("blockquote q", F_QUOTE),
    ("noscript noframes", F_NOSCRIPT), ("form select textarea", F_FORM), ("nav", F_NAV), ("header", F_HEADER),
    ("footer", F_FOOTER), ("aside", F_ASIDE), ("article", F_ARTICLE), ("main", F_MAIN), ("button option", F_BUTTON),
    ("dialog", F_DIALOG), ("figure figcaption", F_FIGURE), ("template object canvas audio video", F_HIDDEN),
    ("svg", F_SVG | F_HIDDEN),
):  # fmt: skip
    for _name in _names.split():
        if _name in t.TAG:
            _OWN_FLAGS[t.TAG[_name]] |= _flag

# bytes that end a tag's name
_NAME_END = np.zeros(256, np.bool_)
for _byte in b"\t\n\x0c\r />":
    _NAME_END[_byte] = True
_LOWERED = np.arange(256, dtype=np.uint8)
_LOWERED[ord("A") : ord("Z") + 1] += 32


@kernel
def _tag_id(src, start, end):
    """Id of the tag whose name is src[start:end], and the hash of the name."""
    n = len(src)
    key = np.uint32(0x811C9DC5)
    colon = -1
    for i in range(start, end):
        c = _LOWERED[src[i]]
        if c == 58:
            colon = i
        key = np.uint32((key ^ c) * np.uint32(0x01000193))
    slot = key % _TAG_SLOTS
    while TAG_KEYS[slot] != 0:
        if TAG_KEYS[slot] == key:
            return TAG_IDS[slot], key
        slot = (slot + 1) % _TAG_SLOTS
    # XHTML and MathML with a prefix; one-letter prefixes are Office's own elements
    if colon - start >= 2 and colon + 1 < end and n > 0:
        rest = np.uint32(0x811C9DC5)
        for i in range(colon + 1, end):
            rest = np.uint32((rest ^ _LOWERED[src[i]]) * np.uint32(0x01000193))
        slot = rest % _TAG_SLOTS
        while TAG_KEYS[slot] != 0:
            if TAG_KEYS[slot] == rest:
                return TAG_IDS[slot], rest
            slot = (slot + 1) % _TAG_SLOTS
    return np.uint8(0), key


@kernel
def _has(src, start, end, word):
    """Whether the ASCII bytes `word` (lower case) stand in src[start:end], case ignored."""
    m = len(word)
    first = word[0]
    for i in range(start, end - m + 1):
        if _LOWERED[src[i]] == first:
            k = 1
            while k < m and _LOWERED[src[i + k]] == word[k]:
                k += 1
            if k == m:
                return True
    return False


def _word(text: str) -> np.ndarray:
    return np.frombuffer(text.encode(), np.uint8)


_NONE, _TRUE, _LATEX, _TEX = map(_word, ("none", "true", "latex", "tex"))
_MATH_TEX, _MATHJAX, _DISPLAY, _RTL, _KATEX = map(_word, ("math/tex", "mathjax", "display", "rtl", "katex"))


@kernel
def _close_of(src, start, n, name0, name1):
    """Where `</name` begins at or after `start` (name = src[name0:name1]), n if nowhere."""
    m = name1 - name0
    i = start
    while i < n - m - 1:
        if src[i] == 60 and src[i + 1] == 47:
            k = 0
            while k < m and _LOWERED[src[i + 2 + k]] == _LOWERED[src[name0 + k]]:
                k += 1
            if k == m:
                return i
        i += 1
    return n


@kernel
def _is_stop_word(key):
    slot = key % _STOP_SLOTS
    while STOP_WORDS[slot] != 0:
        if STOP_WORDS[slot] == key:
            return True
        slot = (slot + 1) % _STOP_SLOTS
    return False


@kernel
def _end_block(blocks, nb, count, out, start, o, element, text_hash):
    """Write the block in hand, out[start:o], to the table if it has text; clear the counts."""
    if count[CHARS] == 0:
        images, inputs = count[IMAGES], count[INPUTS]
        count[:] = 0
        count[IMAGES] = images  # they count for the text that follows
        count[INPUTS] = inputs
        return nb, start
    while o > start and (out[o - 1] == 10 or out[o - 1] == 32 or out[o - 1] == 9):
        o -= 1
    if nb < len(blocks):
        blocks[nb, :] = count
        blocks[nb, ELEMENT] = element
        blocks[nb, TEXT0] = start
        blocks[nb, TEXT1] = o
        blocks[nb, TEXT_HASH] = np.int32(text_hash & np.uint32(0x7FFFFFFF))
        nb += 1
    else:  # no room: joined to the last one
        blocks[nb - 1, CHARS] += count[CHARS]
        blocks[nb - 1, TEXT1] = o
        out[o] = 10
        o += 1
    count[:] = 0
    return nb, o


@kernel
def _find_open(elements, stack, sp, one, other, until, or_until):
    """Stack position of the innermost open element `one` or `other` above the nearest `until`; 0 if none."""
    at = sp
    for _ in range(256):
        if at == 0:
            return 0
        tag = elements[stack[at], TAG]
        if tag == one or tag == other:
            return at
        if tag == until or tag == or_until or tag == _TABLE:
            return 0
        at -= 1
    return 0


@kernel
def _copy_math(src, start, stop, out, o, display):
    """Append LaTeX source between dollars, references resolved and white space collapsed; nothing if it is empty."""
    while start < stop and src[start] <= 32:
        start += 1
    while stop > start and src[stop - 1] <= 32:
        stop -= 1
    if stop <= start:
        return o
    bare = src[start] != 36  # some sources carry their own dollars
    if bare:
        out[o] = 36
        o += 1
        if display:
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
        else:
            out[o] = c
            o += 1
        i += 1
    if bare:
        out[o] = 36
        o += 1
        if display:
            out[o] = 36
            o += 1
    return o


@kernel
def scan(src, elements, blocks, out, stack, title):
    """Fill the element and block tables and the text; returns (elements, blocks, bytes of text).

    src: uint8[n], UTF-8. elements: int32[E, 21], blocks: int32[B, 24], out: uint8[at least 1.3 n + 256],
    stack: int32[MAX_OPEN], title: int64[2], gets the range of the first title's source.
    """
    n = len(src)
    max_elements = len(elements)
    max_blocks = len(blocks)
    max_open = len(stack)
    open_count = np.zeros(512, np.int32)
    missing = np.zeros(256, np.bool_)  # raw elements whose end tag is not to come any more
    title[0] = 0
    title[1] = 0
    # the root stands for the document
    for c in range(ELEMENT_COLUMNS):
        elements[0, c] = 0
    elements[0, PARENT] = -1
    elements[0, END] = 1
    ne = 1
    sp = 0
    stack[0] = 0
    overflow = 0
    nb = 0
    o = 0
    # the block being filled
    block_from = 0
    block_sp = -1
    low_sp = 0
    pending = False
    in_word = False
    word_hash = np.uint32(0)
    word_bytes = 0
    count = np.zeros(BLOCK_COLUMNS, np.int32)
    text_hash = np.uint32(0x811C9DC5)
    run_breaks = 0
    saw_dquote_end = True
    saw_squote_end = True
    saw_comment_end = True
    i = 0
    while i < n:
        c = src[i]
        is_text = True
        if c == 60 and i + 1 < n:
            d = src[i + 1]
            dl = _LOWERED[d]
            if (97 <= dl <= 122) or (d == 47 and i + 2 < n and 97 <= _LOWERED[src[i + 2]] <= 122) or d == 33 or d == 63:
                is_text = False
            elif d == 47 and i + 2 < n:  # `</` and no letter: a bogus comment
                is_text = False
        if is_text:
            flags = elements[stack[sp], FLAGS]
            skip = (flags & F_SVG) != 0
            pre = (flags & F_PRE) != 0
            linked = (flags & F_LINK) != 0
            bold = (flags & F_BOLD) != 0
            first = True
            while i < n:
                c = src[i]
                if in_word and 97 <= c <= 122 and not skip:  # inside a word: most of all text
                    run_from = i
                    while 97 <= c <= 122:
                        out[o] = c
                        o += 1
                        text_hash = np.uint32((text_hash ^ c) * np.uint32(0x01000193))
                        word_hash = np.uint32((word_hash ^ c) * np.uint32(0x01000193))
                        i += 1
                        if i >= n:
                            break
                        c = src[i]
                    run = i - run_from
                    word_bytes += run
                    count[CHARS] += run
                    count[LETTERS] += run
                    count[LAST_CLASS] = t.LOWER
                    if linked:
                        count[LINK_CHARS] += run
                    if bold:
                        count[BOLD_CHARS] += run
                    first = False
                    continue
                kind = CLASSES[c]
                point = np.uint32(c)
                second = np.uint32(0)
                width = 1
                if kind == t.LT:
                    if not first:
                        break
                    kind = t.OTHER
                first = False
                if kind == t.AMP:
                    width, point, second = reference(src, i, n)
                    if width == 1:
                        kind = t.OTHER
                    elif point < 128:
                        kind = CLASSES[point]
                        if kind == t.LT or kind == t.AMP:
                            kind = t.OTHER
                    else:
                        kind = t.WIDE
                elif kind == t.WIDE:
                    if c >= 0xF0 and i + 3 < n:
                        high = np.uint32(((c & 7) << 18) | ((src[i + 1] & 63) << 12))
                        point = np.uint32(high | ((src[i + 2] & 63) << 6) | (src[i + 3] & 63))
                        width = 4
                    elif c >= 0xE0 and i + 2 < n:
                        point = np.uint32(((c & 15) << 12) | ((src[i + 1] & 63) << 6) | (src[i + 2] & 63))
                        width = 3
                    elif c >= 0xC0 and i + 1 < n:
                        point = np.uint32(((c & 31) << 6) | (src[i + 1] & 63))
                        width = 2
                    else:
                        i += 1
                        continue
                i += width
                spaceless = False
                if kind == t.WIDE:
                    kind = t.LOWER  # a letter unless told otherwise
                    if point < 0xC0:
                        if point == 0xA0:
                            kind = t.SPACE
                        elif point < 0xA0 or point == 0xAD:
                            continue
                        elif point != 0xAA and point != 0xB5 and point != 0xBA:
                            kind = t.OTHER
                    elif point < 0x590:
                        if point == 0xD7 or point == 0xF7 or point == 0x37E:
                            kind = t.OTHER
                    elif point < 0x2000:
                        if point == 0x61F or point == 0x6D4 or point == 0x964 or point == 0x965 or point == 0x1362:
                            kind = t.STOP
                        elif point == 0x60C or point == 0x61B:
                            kind = t.COMMA
                        elif (0xE00 <= point < 0x10A0) or (0x1780 <= point < 0x1800):
                            spaceless = True
                        elif point == 0x1680:
                            kind = t.SPACE
                    elif point < 0x2C00:
                        kind = t.OTHER
                        if point <= 0x200A or point == 0x2028 or point == 0x2029 or point == 0x202F or point == 0x205F:
                            kind = t.SPACE
                        elif point == 0x200B:  # Thai, Khmer and their neighbours part words by it
                            if count[WIDE_CHARS] == 0:
                                continue
                        elif point == 0x200C or point == 0x200D:
                            kind = t.LOWER
                        elif point == 0x2026 or point == 0x203C or point == 0x203D:
                            kind = t.STOP
                        elif point == 0x2019:
                            kind = t.LOWER if in_word else t.OTHER
                    elif 0x3000 <= point < 0x3040:
                        kind = t.OTHER
                        if point == 0x3000:
                            kind = t.SPACE
                        elif point == 0x3002:
                            kind = t.STOP
                        elif point == 0x3001:
                            kind = t.COMMA
                        elif point == 0x3005:
                            spaceless = True
                            kind = t.LOWER
                    elif 0x3040 <= point < 0xA000:
                        spaceless = True
                    elif 0xF900 <= point < 0xFB00:
                        spaceless = point < 0xFB00
                    elif 0xFE30 <= point < 0xFE70:
                        kind = t.OTHER
                    elif point == 0xFEFF or point == 0xFFFE or point == 0xFFFF or 0xFFF9 <= point <= 0xFFFB:
                        continue
                    elif 0xFF00 <= point < 0xFF66:
                        if point == 0xFF01 or point == 0xFF0E or point == 0xFF1F or point == 0xFF61:
                            kind = t.STOP
                        elif point == 0xFF0C or point == 0xFF1A or point == 0xFF1B or point == 0xFF64:
                            kind = t.COMMA
                        elif point <= 0xFF0F or 0xFF1A <= point <= 0xFF20 or point >= 0xFF5B or 0xFF3B <= point <= 0xFF40:
                            kind = t.OTHER
                        elif 0xFF10 <= point <= 0xFF19:
                            kind = t.DIGIT
                    elif 0xD800 <= point < 0xE000:
                        continue
                    elif 0xE000 <= point < 0xF900:
                        kind = t.OTHER
                    elif 0x1F000 <= point < 0x20000:
                        kind = t.OTHER
                    elif 0x20000 <= point < 0x40000:
                        spaceless = True
                if kind == t.CONTROL or skip:
                    continue
                if in_word and (kind == t.SPACE or kind >= t.STOP):
                    in_word = False
                    if word_bytes <= MAX_STOP_BYTES and _is_stop_word(word_hash):
                        count[STOP_WORD_COUNT] += 1
                if kind == t.SPACE:
                    if not pre:
                        pending = True
                        continue
                    if o == block_from and point != 32 and point != 9:
                        continue  # a newline right after <pre>
                    if point == 13:
                        continue
                    if o == block_from:
                        pending = False
                        if block_sp < 0:
                            block_sp = sp
                            count[AT] = i
                            low_sp = sp
                    out[o] = 10 if point == 10 else (9 if point == 9 else 32)
                    o += 1
                    pending = False
                    continue
                # a visible character
                if block_sp < 0:
                    block_sp = sp
                    count[AT] = i
                elif low_sp < block_sp:
                    block_sp = low_sp
                low_sp = sp
                if run_breaks > 0:
                    if o > block_from:
                        out[o] = 10
                        o += 1
                        count[BREAKS] += 1
                    run_breaks = 0
                    pending = False
                if pending:
                    pending = False
                    if o > block_from and out[o - 1] != 10:
                        out[o] = 32
                        o += 1
                if count[FIRST_CLASS] == 0:
                    count[FIRST_CLASS] = kind
                count[LAST_CLASS] = kind
                count[CHARS] += 1
                if linked:
                    count[LINK_CHARS] += 1
                if bold:
                    count[BOLD_CHARS] += 1
                if kind == t.LOWER or kind == t.UPPER or kind == t.DIGIT:
                    count[LETTERS] += 1
                    if spaceless:
                        count[WIDE_CHARS] += 1
                    if not in_word:
                        in_word = True
                        if not spaceless:
                            count[WORDS] += 1
                        word_hash = np.uint32(0x811C9DC5)
                        word_bytes = 0
                        if kind == t.UPPER:
                            count[CAPITALS] += 1
                    if kind == t.UPPER:
                        count[UPPERS] += 1
                    elif kind == t.DIGIT:
                        count[DIGITS] += 1
                    if spaceless:  # each character is looked up by itself
                        in_word = True
                        word_hash = np.uint32(0x811C9DC5)
                        word_bytes = 0
                elif kind == t.STOP:
                    count[STOPS] += 1
                elif kind == t.COMMA:
                    count[COMMAS] += 1
                else:
                    count[OTHERS] += 1
                if point < 128:
                    out[o] = np.uint8(point)
                    o += 1
                    low = _LOWERED[point]
                    text_hash = np.uint32((text_hash ^ low) * np.uint32(0x01000193))
                    if in_word:
                        word_hash = np.uint32((word_hash ^ low) * np.uint32(0x01000193))
                        word_bytes += 1
                else:
                    start_out = o
                    o = put(out, o, point)
                    if second != 0:
                        o = put(out, o, second)
                    for k in range(start_out, o):
                        text_hash = np.uint32((text_hash ^ out[k]) * np.uint32(0x01000193))
                        if in_word:
                            word_hash = np.uint32((word_hash ^ out[k]) * np.uint32(0x01000193))
                            word_bytes += 1
                    if spaceless:
                        in_word = False
                        if _is_stop_word(word_hash):
                            count[STOP_WORD_COUNT] += 1
            continue
        # markup
        d = src[i + 1]
        if d == 33 or d == 63 or (d == 47 and not (97 <= _LOWERED[src[i + 2]] <= 122)):
            if d == 33 and i + 3 < n and src[i + 2] == 45 and src[i + 3] == 45:
                j = i + 4
                if j < n and src[j] == 62:
                    i = j + 1
                    continue
                if j + 1 < n and src[j] == 45 and src[j + 1] == 62:
                    i = j + 2
                    continue
                found = False
                if saw_comment_end:
                    while j + 2 < n:
                        if src[j] == 45 and src[j + 1] == 45:
                            if src[j + 2] == 62:
                                found = True
                                j += 3
                                break
                            if src[j + 2] == 33 and j + 3 < n and src[j + 3] == 62:
                                found = True
                                j += 4
                                break
                        j += 1
                    saw_comment_end = found
                if found:
                    i = j
                    continue
                j = i + 4  # never closed: taken to end at the first `>`
            else:
                j = i + 2
            while j < n and src[j] != 62:
                j += 1
            i = j + 1
            continue
        closing = d == 47
        name0 = i + 2 if closing else i + 1
        j = name0
        while j < n and not _NAME_END[src[j]]:
            j += 1
        name1 = j
        tag, key = _tag_id(src, name0, name1)
        tag_at = i
        kinds = TAG_KINDS[tag]
        class0 = class1 = id0 = id1 = role0 = role1 = prop0 = prop1 = href0 = href1 = 0
        alt0 = alt1 = type0 = type1 = 0
        own = _OWN_FLAGS[tag]
        self_closing = False
        # attributes
        while j < n:
            c = src[j]
            if c == 62:
                break
            if c == 47:
                self_closing = j + 1 < n and src[j + 1] == 62
                j += 1
                continue
            if c <= 32:
                j += 1
                continue
            a0 = j
            j += 1
            while j < n and not _NAME_END[src[j]] and src[j] != 61:
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
                    quote = src[j]
                    seen = saw_dquote_end if quote == 34 else saw_squote_end
                    k = j + 1
                    if seen:
                        while k < n and src[k] != quote:
                            k += 1
                        if k >= n:
                            if quote == 34:
                                saw_dquote_end = False
                            else:
                                saw_squote_end = False
                    if not seen or k >= n:  # never closed: taken to end with the tag
                        k = j + 1
                        while k < n and src[k] != 62:
                            k += 1
                        v0 = j + 1
                        v1 = k
                        j = k
                    else:
                        v0 = j + 1
                        v1 = k
                        j = k + 1
                elif j < n and src[j] != 62:
                    while j < n and src[j] > 32 and src[j] != 62:
                        j += 1
                    v1 = j
            if closing:
                continue
            la = a1 - a0
            f = _LOWERED[src[a0]]
            if la == 5 and f == 99:  # class
                if class1 == 0 and _LOWERED[src[a0 + 1]] == 108:
                    class0 = v0
                    class1 = v1
            elif la == 5 and f == 115:  # style
                if _has(src, v0, v1, _NONE) and _has(src, v0, v1, _DISPLAY):
                    own |= F_HIDDEN
            elif la == 2 and f == 105:  # id
                if id1 == 0:
                    id0 = v0
                    id1 = v1
            elif la == 4 and f == 104 and tag == _A:  # href
                own |= F_LINK
                href0 = v0
                href1 = v1
            elif la == 4 and f == 114:  # role
                role0 = v0
                role1 = v1
            elif la == 8 and f == 105:  # itemprop
                prop0 = v0
                prop1 = v1
            elif la == 6 and f == 104:  # hidden
                if _LOWERED[src[a0 + 1]] == 105:
                    own |= F_HIDDEN
            elif la == 11 and f == 97:  # aria-hidden
                if _has(src, v0, v1, _TRUE):
                    own |= F_ARIA_HIDDEN
            elif la == 3 and f == 97:  # alt
                alt0 = v0
                alt1 = v1
            elif la == 7 and f == 97 and tag == _MATH:  # alttext
                alt0 = v0
                alt1 = v1
            elif la == 3 and f == 100:  # dir
                if _has(src, v0, v1, _RTL):
                    own |= F_RTL
            elif la == 4 and f == 116:  # type
                type0 = v0
                type1 = v1
        after = min(j + 1, n)
        if j >= n and not closing:  # the page ends inside a tag
            i = n
            continue
        # the text that a block has so far is cut off at a block-level tag
        is_break = (kinds & t.BLOCK) != 0
        if tag == _BR:
            run_breaks += 1
            pending = False
            in_word = False
            if run_breaks >= 2 and (elements[stack[sp], FLAGS] & F_PRE) == 0:
                is_break = True
        if is_break:
            if in_word:
                in_word = False
                if word_bytes <= MAX_STOP_BYTES and _is_stop_word(word_hash):
                    count[STOP_WORD_COUNT] += 1
            nb, o = _end_block(blocks, nb, count, out, block_from, o, stack[max(block_sp, 0)], text_hash)
            block_from = o
            block_sp = -1
            low_sp = sp
            pending = False
            text_hash = np.uint32(0x811C9DC5)
            if tag != _BR:
                run_breaks = 0
        if closing:
            i = after
            if tag == _BODY or tag == _HTML:
                continue  # what follows them belongs to the body still
            slot = tag if tag != 0 else 256 + (key & 127)
            if open_count[slot] == 0:
                if overflow > 0 and tag == 0:
                    overflow -= 1
                continue
            if overflow > 0:
                overflow -= 1
                continue
            # up the stack to the nearest open one of this name
            at = sp
            steps = 0
            block_end = (kinds & t.BLOCK) != 0
            while at > 0:
                e = stack[at]
                open_tag = elements[e, TAG]
                if open_tag == tag and (tag != 0 or elements[e, SHAPE] == np.int32(key & 0x7FFFFFFF)):
                    break
                if TAG_KINDS[open_tag] & t.BARRIER and not (
                    (kinds & t.BARRIER) or tag == _TR or tag == _TBODY or tag == _THEAD or tag == _TFOOT or tag == _BODY
                ):
                    at = 0
                    break
                if not block_end and (TAG_KINDS[open_tag] & t.BLOCK) and tag != _A and tag != 0:
                    at = 0  # an inline end tag does not close blocks
                    break
                steps += 1
                if steps > 256:
                    at = 0
                    break
                at -= 1
            if at == 0:
                continue
            while sp >= at:
                e = stack[sp]
                elements[e, END] = ne
                elements[e, END_BLOCK] = nb
                open_tag = elements[e, TAG]
                open_count[open_tag if open_tag != 0 else 256 + (elements[e, SHAPE] & 127)] -= 1
                sp -= 1
            if sp < low_sp:
                low_sp = sp
            continue
        # a start tag
        if tag == _IMG:
            count[IMAGES] += 1
            if alt1 > alt0 and (_has(src, class0, class1, _LATEX) or _has(src, class0, class1, _TEX)) and not (
                elements[stack[sp], FLAGS] & (F_HIDDEN | F_ARIA_HIDDEN)
            ):
                start_out = o
                if o > block_from:
                    out[o] = 32
                    o += 1
                start_math = o
                o = _copy_math(src, alt0, alt1, out, o, False)
                if o > start_math:
                    if block_sp < 0:
                        block_sp = sp
                        count[AT] = i
                    count[CHARS] += o - start_math
                    count[WORDS] += 1
                    pending = True
                else:
                    o = start_out
        elif tag == _INPUT:
            count[INPUTS] += 1
        elif tag == _WBR or tag == _BR:
            i = after
            continue
        if kinds & t.VOID:
            i = after
            continue
        parent_flags = elements[stack[sp], FLAGS]
        if tag == _MATH and not self_closing:
            stop = _close_of(src, after, n, name0, name1) if not missing[tag] else n
            if stop == n:
                missing[tag] = True
            else:
                if pending and o > block_from:
                    out[o] = 32
                    o += 1
                pending = False
                before = o
                o = math_to_latex(src, after, stop, alt0, alt1, out, o)
                if o > before:
                    if block_sp < 0:
                        block_sp = sp
                        count[AT] = i
                    count[CHARS] += o - before
                    count[WORDS] += 1
                    count[LETTERS] += o - before
                    if count[FIRST_CLASS] == 0:
                        count[FIRST_CLASS] = t.OTHER
                    count[LAST_CLASS] = t.LOWER
                i = stop
                while i < n and src[i] != 62:
                    i += 1
                i += 1
                continue
        if kinds & t.RAW:
            stop = n
            if not missing[tag]:
                stop = _close_of(src, after, n, name0, name1)
                if stop == n:
                    missing[tag] = True
            if stop == n:  # never closed: scripts and styles take the rest, others nothing
                if tag == _SCRIPT or tag == _STYLE:
                    i = n
                else:
                    i = after
                continue
            if tag == _TITLE:
                if title[1] == 0 and not (parent_flags & F_SVG):
                    title[0] = after
                    title[1] = stop
            elif tag == _SCRIPT and type1 > type0 and _has(src, type0, type1, _MATH_TEX):
                if pending and o > block_from:
                    out[o] = 32
                    o += 1
                pending = False
                before = o
                o = _copy_math(src, after, stop, out, o, _has(src, type0, type1, _DISPLAY))
                if o > before:
                    if block_sp < 0:
                        block_sp = sp
                        count[AT] = i
                    count[CHARS] += o - before
                    count[WORDS] += 1
                    count[LETTERS] += o - before
                    if count[FIRST_CLASS] == 0:
                        count[FIRST_CLASS] = t.OTHER
                    count[LAST_CLASS] = t.LOWER
            i = stop
            while i < n and src[i] != 62:
                i += 1
            i += 1
            continue
        i = after
        if (tag == _BODY or tag == _HTML or tag == _HEAD) and open_count[tag] > 0:
            continue
        # optional end tags
        close_to = 0
        if tag == _LI and open_count[_LI] > 0:
            close_to = _find_open(elements, stack, sp, _LI, _LI, _UL, _OL)
        elif (tag == _DD or tag == _DT) and (open_count[_DD] > 0 or open_count[_DT] > 0):
            close_to = _find_open(elements, stack, sp, _DD, _DT, _DL, _DL)
        elif (tag == _TD or tag == _TH) and (open_count[_TD] > 0 or open_count[_TH] > 0):
            close_to = _find_open(elements, stack, sp, _TD, _TH, _TABLE, _TABLE)
        elif tag == _TR and open_count[_TR] > 0:
            close_to = _find_open(elements, stack, sp, _TR, _TR, _TABLE, _TABLE)
        elif (tag == _TBODY or tag == _TFOOT or tag == _THEAD) and open_count[_TABLE] > 0:
            close_to = _find_open(elements, stack, sp, _TBODY, _THEAD, _TABLE, _TABLE)
            if close_to == 0:
                close_to = _find_open(elements, stack, sp, _TR, _TFOOT, _TABLE, _TABLE)
        elif (tag == _OPTION or tag == _OPTGROUP) and open_count[_OPTION] > 0:
            close_to = _find_open(elements, stack, sp, _OPTION, _OPTION, _SELECT, _SELECT)
        elif tag == _A and open_count[_A] > 0:
            close_to = _find_open(elements, stack, sp, _A, _A, _TABLE, _TD)
        elif (kinds & t.NO_P) and open_count[_P] > 0:
            close_to = _find_open(elements, stack, sp, _P, _P, _TD, _TH)
        if tag == _BODY and open_count[_HEAD] > 0:
            close_to = _find_open(elements, stack, sp, _HEAD, _HEAD, _HTML, _HTML)
        if close_to > 0 and overflow == 0:
            while sp >= close_to:
                e = stack[sp]
                elements[e, END] = ne
                elements[e, END_BLOCK] = nb
                open_tag = elements[e, TAG]
                open_count[open_tag if open_tag != 0 else 256 + (elements[e, SHAPE] & 127)] -= 1
                sp -= 1
            if sp < low_sp:
                low_sp = sp
        if self_closing and (parent_flags & F_SVG or tag == _MATH or tag == _SVG):
            continue
        if ne >= max_elements or sp + 1 >= max_open or overflow > 0:
            overflow += 1
            continue
        parent = stack[sp]
        row = elements[ne]
        row[PARENT] = parent
        row[TAG] = tag
        if class1 > class0 and _has(src, class0, min(class1, class0 + 40), _MATHJAX):
            own |= F_SVG  # MathJax's rendering of what stands beside it as source
        row[FLAGS] = elements[parent, FLAGS] | own
        if own & F_ARIA_HIDDEN and class1 > class0 and src[class0] == 107 and _has(src, class0, class1, _KATEX):
            row[FLAGS] |= F_SVG
        row[DEPTH] = elements[parent, DEPTH] + 1
        row[CLASS0] = class0
        row[CLASS1] = class1
        row[ID0] = id0
        row[ID1] = id1
        row[ROLE0] = role0
        row[ROLE1] = role1
        row[PROP0] = prop0
        row[PROP1] = prop1
        row[FIRST_BLOCK] = nb
        row[END_BLOCK] = nb
        row[NTH] = elements[parent, CHILDREN]
        elements[parent, CHILDREN] += 1
        row[CHILDREN] = 0
        shape = key
        if tag != 0:
            for k in range(class0, min(class1, class0 + 64)):
                shape = np.uint32((shape ^ src[k]) * np.uint32(0x01000193))
        row[SHAPE] = np.int32(shape & np.uint32(0x7FFFFFFF))
        row[END] = ne + 1
        row[SOURCE] = tag_at
        row[HREF0] = href0
        row[HREF1] = href1
        sp += 1
        stack[sp] = ne
        open_count[tag if tag != 0 else 256 + (key & 127)] += 1
        ne += 1
        if own & F_LINK:
            count[LINKS] += 1
    # what is left in hand
    nb, o = _end_block(blocks, nb, count, out, block_from, o, stack[max(block_sp, 0)], text_hash)
    for k in range(sp + 1):
        elements[stack[k], END] = ne
        elements[stack[k], END_BLOCK] = nb
    return ne, nb, o
