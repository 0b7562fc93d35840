"""One pass over a page's bytes: elements with their nesting, and blocks of text with their counts.

The reading follows the HTML standard where it decides what text belongs where (tokenisation, raw text,
character references, optional end tags, void elements) and is simpler where it does not (no adoption
agency, no foster parents, no quirks). An end tag closes the nearest open element of its name unless a table
cell or the like stands between. Memory and time are linear in the page; nothing recurses.

Blocks are the runs of text between block-level tags; two line breaks end one as well. Text is UTF-8 with
white space collapsed (kept inside `pre`), character references resolved, soft hyphens and control
characters taken out, MathML as LaTeX between dollars.
"""

# ruff: noqa: SIM109  (said the way that numba compiles best)
# numba settles the types of the kernels' variables:
# mypy: disable-error-code="assignment"
from __future__ import annotations

import numpy as np

from ...kernels import kernel_part, plain_kernel
from . import columns as y
from . import tables as t
from .columns import *  # noqa: F403  (readers of the tables name the columns as this module's)
from .mathml import copy_latex, math_to_latex
from .nesting import close_from, close_implied, end_tag, flags_here, open_element
from .tags import (
    NAME_END,
    after_tag,
    end_tag_of,
    has,
    has_token,
    read_attributes,
    script_end,
    skip_declaration,
    starts_with,
    tag_id,
    word,
)
from .text import LOWERED, end_block, formula_end, text_run

TAG_KINDS = t.TAG_KINDS
_BODY, _HTML, _HEAD, _BR, _XMP = (t.TAG[n] for n in ("body", "html", "head", "br", "xmp"))
_SCRIPT, _STYLE, _TITLE, _MATH, _SVG, _IMG, _INPUT = (
    t.TAG[n] for n in ["script", "style", "title", "math", "svg", "img", "input"]
)
_TEX, _LATEX, _MATH_TEX, _DISPLAY, _MATHJAX, _MJX, _KATEX, _FALLBACK = map(
    word, ("tex", "latex", "math/tex", "display", "mathjax", "mjx-chtml", "katex", "mwe-math-fallback")
)

_OWN_FLAGS = np.zeros(len(t.TAGS), np.int32)
for _names, _flag in (
    ("pre listing xmp", y.F_PRE | y.F_CODE), ("code kbd samp tt", y.F_CODE), ("b strong", y.F_BOLD),
    ("h1 h2 h3 h4 h5 h6", y.F_HEADING), ("ul ol dl menu dir", y.F_LIST), ("table", y.F_TABLE),
    ("blockquote q", y.F_QUOTE), ("noscript noframes", y.F_NOSCRIPT), ("form select textarea", y.F_FORM),
    ("nav", y.F_NAV), ("header", y.F_HEADER), ("footer", y.F_FOOTER), ("aside", y.F_ASIDE),
    ("article", y.F_ARTICLE), ("main", y.F_MAIN), ("button option", y.F_BUTTON), ("dialog", y.F_DIALOG),
    ("figure figcaption", y.F_FIGURE), ("template object canvas audio video", y.F_HIDDEN),
    ("svg", y.F_SVG | y.F_HIDDEN),
):  # fmt: skip
    for _name in _names.split():
        _OWN_FLAGS[t.TAG[_name]] |= _flag


@kernel_part
def _raw_end(src, after, n, name0, name1, tag, state):
    """Where the end tag stands of an element that holds no markup, n if nowhere: sought only until missed."""
    if state[y.MISSING + tag]:
        return n
    stop = script_end(src, after, n, state) if tag == _SCRIPT else end_tag_of(src, after, n, name0, name1)
    state[y.MISSING + tag] = stop == n
    return stop


@kernel_part
def _script_formula(src, start, stop, out, state, count, at):
    """The formula in a `<script type="math/tex">`, unless MathJax left its `<math>` right before it."""
    type0, type1 = state[y.A_TYPE], state[y.A_TYPE + 1]
    if has(src, type0, type1, _MATH_TEX) and state[y.FORMULA_SIZE] != state[y.SIZE]:
        end = copy_latex(src, start, stop, out, state[y.SIZE] + 1, np.int64(1 + has(src, type0, type1, _DISPLAY)))
        formula_end(out, state, count, end, at)


@kernel_part
def _image_formula(src, out, state, count, at):
    """The formula that is an image's text (WordPress, older Wikipedia), unless its `<math>` stands right before it."""
    class0, class1 = state[y.A_CLASS], state[y.A_CLASS + 1]
    alt0, alt1 = state[y.A_ALT], state[y.A_ALT + 1]
    if alt1 == alt0 or class1 == class0 or state[y.FORMULA_SIZE] == state[y.SIZE]:
        return
    if (
        has_token(src, class0, class1, _LATEX)
        or has_token(src, class0, class1, _TEX)
        or starts_with(src, class0, class1, _FALLBACK)
    ):
        formula_end(out, state, count, copy_latex(src, alt0, alt1, out, state[y.SIZE] + 1, np.int64(1)), at)


@kernel_part
def _is_rendering(src, state):
    """Whether the element is MathJax's or KaTeX's rendering of what stands beside it as source."""
    class0, class1 = state[y.A_CLASS], state[y.A_CLASS + 1]
    if class1 - class0 < 5:
        return False
    if src[class0] == 77 and class1 - class0 >= 7 and src[class0 + 4] == 74:  # `mathjax` is what authors say
        after = src[class0 + 7] if class0 + 7 < class1 else 32
        return starts_with(src, class0, class1, _MATHJAX) and (after == 32 or after == 95)
    if starts_with(src, class0, class1, _MJX):
        return True
    return state[y.A_OWN] & y.F_ARIA_HIDDEN != 0 and starts_with(src, class0, class1, _KATEX)


@plain_kernel
def scan(src, elements, blocks, count, out, stack, state, title):
    """Fill the element and block tables and the text; returns (elements, blocks, bytes of text).

    src: uint8[n], UTF-8. elements: int32[E * 21] and blocks: int32[B * 24], row by row; count: int32[24], zero,
    is the block in hand; out: uint8[at least 4/3 n + 256]; stack: int32[5 * MAX_OPEN]; state: int64[STATE], zero;
    title: int64[2], zero, gets the range of the first title's source.
    """
    n = len(src)
    max_elements = len(elements) // y.ELEMENT_COLUMNS
    for k in range(y.ELEMENT_COLUMNS):
        elements[k] = 0
    elements[y.PARENT] = -1
    stack[0] = 0
    state[y.NE] = 1  # the root stands for the document
    state[y.BLOCK_SP] = -1
    state[y.FORMULA_SIZE] = -1
    state[y.HASH] = y.HASH_START
    i = np.int64(0)
    while i < n:
        if src[i] != 60 or i + 1 >= n:
            flags = flags_here(elements, stack, state)
            i = text_run(src, i, n, out, state, count, flags)
            continue
        d = src[i + 1]
        closing = d == 47 and i + 2 < n
        if closing:
            d = src[i + 2]
        if not 97 <= LOWERED[d] <= 122:
            if closing or d == 33 or d == 63:  # `</` and no letter is a bogus comment
                i = skip_declaration(src, i, n, state)
            else:
                flags = flags_here(elements, stack, state)
                i = text_run(src, i, n, out, state, count, flags)
            continue
        name0 = i + 2 if closing else i + 1
        name1 = name0
        while name1 < n and not NAME_END[src[name1]]:
            name1 += 1
        tag, key = tag_id(src, name0, name1)
        for k in range(y.A_CLASS, y.A_SELF_CLOSING + 1):
            state[k] = 0
        state[y.A_OWN] = _OWN_FLAGS[tag]
        after = read_attributes(src, name1, n, -1 if closing else tag, state) + 1
        if after > n:
            if not closing:
                break  # the page ends inside a tag
            after = n
        kinds = TAG_KINDS[tag]
        is_break = (kinds & t.BLOCK) != 0
        if tag == _BR:
            state[y.LINE_BREAKS] += 1
            state[y.PENDING] = 0
            state[y.IN_WORD] = 0
            if state[y.LINE_BREAKS] >= 2:
                is_break = not flags_here(elements, stack, state) & y.F_PRE
        if is_break:
            end_block(blocks, out, stack, state, count)
            if tag != _BR:
                state[y.LINE_BREAKS] = 0
        if closing:
            if tag != _BODY and tag != _HTML:  # what follows them belongs to the body still
                end_tag(elements, stack, state, tag, key)
            i = after
        elif kinds & t.VOID:
            if tag == _IMG:
                count[y.IMAGES] += 1
                flags = flags_here(elements, stack, state)
                if not flags & (y.F_HIDDEN | y.F_ARIA_HIDDEN | y.F_SVG):
                    _image_formula(src, out, state, count, i)
            elif tag == _INPUT:
                count[y.INPUTS] += 1
            i = after
        elif kinds & t.RAW and state[y.A_SELF_CLOSING] and flags_here(elements, stack, state) & y.F_SVG:
            i = after  # `<title/>` in a drawing
        elif kinds & t.RAW:
            stop = _raw_end(src, after, n, name0, name1, tag, state)
            if stop < n:
                if tag == _TITLE:
                    if title[1] == 0 and not flags_here(elements, stack, state) & y.F_SVG:
                        title[0] = after
                        title[1] = stop
                elif tag == _XMP and state[y.NE] < max_elements and state[y.SP] + 1 < y.MAX_OPEN:
                    open_element(src, elements, stack, state, tag, key, i)
                    state[y.LITERAL] = 1
                    text_run(src, after, stop, out, state, count, flags_here(elements, stack, state))
                    state[y.LITERAL] = 0
                    end_block(blocks, out, stack, state, count)
                    close_from(elements, stack, state, state[y.SP])
                elif tag == _SCRIPT:
                    _script_formula(src, after, stop, out, state, count, i)
                i = after_tag(src, stop, n)
            else:  # never closed: scripts and styles take the rest, others nothing
                i = n if tag == _SCRIPT or tag == _STYLE else after
        else:
            if tag == _MATH and not state[y.A_SELF_CLOSING]:
                stop = _raw_end(src, after, n, name0, name1, tag, state)
                if stop < n:
                    alt0, alt1 = state[y.A_ALT], state[y.A_ALT + 1]
                    end = math_to_latex(src, after, stop, alt0, alt1, out, state[y.SIZE] + 1, state)
                    formula_end(out, state, count, end, i)
                    state[y.FORMULA_SIZE] = state[y.SIZE]
                    i = after_tag(src, stop, n)
                    continue
            source = i
            i = after
            if (tag == _BODY or tag == _HTML or tag == _HEAD) and state[y.LAST + tag] > 0:
                continue
            parent_flags = flags_here(elements, stack, state)
            close_implied(elements, stack, state, tag)
            if state[y.A_SELF_CLOSING] and (parent_flags & y.F_SVG or tag == _SVG or tag == _MATH):
                continue
            if state[y.NE] >= max_elements or state[y.SP] + 1 >= y.MAX_OPEN or state[y.OVERFLOW] > 0:
                state[y.OVERFLOW] += 1
                continue
            if _is_rendering(src, state):
                state[y.A_OWN] |= y.F_SVG
            open_element(src, elements, stack, state, tag, key, source)
            if state[y.A_OWN] & y.F_LINK:
                count[y.LINKS] += 1
    end_block(blocks, out, stack, state, count)
    ne, nb, size = state[y.NE], state[y.NB], state[y.SIZE]
    for k in range(state[y.SP] + 1):
        row = stack[k * y.FRAME] * y.ELEMENT_COLUMNS
        elements[row + y.END] = ne
        elements[row + y.END_BLOCK] = nb
    return ne, nb, size
