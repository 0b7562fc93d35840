"""A scanned page and its kept blocks, written as plain text or as Markdown.

Plain: one block a line (more where the page breaks lines), as trafilatura writes its text. List items are `- item` or
`3. item` with the page's own numbers, nested ones indented by two spaces; the rows of data tables are `a | b | c`; code
stands at the margin, exactly as it is. Quotations, headings and definition lists are plain lines.

Markdown (CommonMark with GitHub's tables): blocks parted by blank lines, headings, lists, quotations in any nesting,
fenced code with its language where a class names it, the first kept row of a table as its header. What would be read as
markup at the start of a line is escaped; inside a line nothing is, but for `|` in tables. Emphasis and inline code are
left out: the scanner keeps no marks inside a block.

In both, a list whose items hold headings or many blocks serves layout (comments, search results), and so does a table
with tables, headings, code or several blocks in its cells, or with kept text in one column only: these are written as
ordinary blocks; so are quotations that hold headings. Columns of a table without any kept text are left out. An item
gets its marker with its first kept block, and without a block of its own it is no level of its own.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from ...kernels import kernel_part, larger, plain_kernel, smaller
from . import scan as s
from . import structure as y
from . import writing as w
from .page import Page

_MAX_LANGUAGE = 24
_MAX_CLASS = 256  # a class around many code blocks is read for each of them
_CLASSES = ("language-", "lang-", "highlight-source-", "highlight-", "brush:")
_CLASS_SIZES = np.array([len(name) for name in _CLASSES], np.int64)
_CLASS_NAMES = np.zeros((len(_CLASSES), max(_CLASS_SIZES)), np.uint8)
for _k, _name in enumerate(_CLASSES):
    _CLASS_NAMES[_k, : len(_name)] = list(_name.encode())
_OPERATIONS_A_BLOCK = 2 + 4 + 2 + y.MAX_NESTING + 3 + 3 + 2 + 1  # at most, in the order of `_plan`


@kernel_part
def _emit(operations, code, a, b, c):
    """Append an operation; operations[0] is how much of the array is used, the first operation's place included."""
    n = operations[0]
    operations[n] = code
    operations[n + 1] = a
    operations[n + 2] = b
    operations[n + 3] = c
    operations[0] = n + w.OPERATION


@kernel_part
def _boxes(info, box, markdown, chain):
    """Put the items and quotations that the text shows, outermost first, into `chain`; returns how many."""
    n = 0
    at = box
    while at != 0:
        if _shown(info, at, markdown):
            n += 1
        at = info[at, y.ABOVE]
    k = n
    at = box
    while at != 0:
        if _shown(info, at, markdown):
            k -= 1
            chain[k] = at
        at = info[at, y.ABOVE]
    return n


@kernel_part
def _shown(info, box, markdown):
    if info[box, y.LAYOUT] != 0:
        return False
    around = info[box, y.IN_LIST]
    return markdown if info[box, y.ROLE] == y.QUOTE else (around == 0 or info[around, y.LAYOUT] == 0)


@kernel_part
def _begin(info, operations, chain, n, opened, variants, markdown):
    """End the line and open the boxes chain[:n] as far as they are not open; opened[0] is how many were, the rest they.

    variants[k]: whether the item that is box k has the other of the two markers.
    """
    before = opened[0]
    common = 0
    while common < before and common < n and opened[1 + common] == chain[common]:
        common += 1
    variant = 0
    tight = not markdown
    if markdown and common < n and info[chain[common], y.ROLE] == y.ITEM:
        new = chain[common]
        if before > common and info[opened[1 + common], y.ROLE] == y.ITEM:
            old = opened[1 + common]
            tight = info[old, y.IN_LIST] == info[new, y.IN_LIST]
            variant = variants[common]
            if not tight:  # another marker, lest two lists be read as one
                variant = 1 - variant if info[old, y.ORDER] == info[new, y.ORDER] else 0
        elif before == common and common > 0 and info[opened[common], y.ROLE] == y.ITEM:
            tight = info[new, y.ORDER] == 0 or info[new, y.NUMBER] == 1  # other numbers can't interrupt a paragraph
    if not tight:
        _emit(operations, w.BLANK, common, 0, 0)
    _emit(operations, w.LINE, common, 0, 0)
    for k in range(common, n):
        box = chain[k]
        marker = 62
        if info[box, y.ROLE] == y.ITEM:
            marker = (41 if variant else 46) if info[box, y.ORDER] else (42 if variant else 45)
        _emit(operations, w.OPEN, k, marker, info[box, y.NUMBER])
        variants[k] = variant
        opened[1 + k] = box
        variant = 0
    opened[0] = n


@kernel_part
def _language(src, elements, pre):
    """Range in the source of the code's language, empty if none is named.

    It is in a class of the code block, of its first child or of one of the two elements above.
    """
    e = pre
    if pre + 1 < len(elements) and elements[pre + 1, s.PARENT] == pre:
        e = pre + 1
    for _ in range(4):
        if e <= 0:
            break
        i = elements[e, s.CLASS0]
        end = smaller(elements[e, s.CLASS1], i + _MAX_CLASS)
        while i < end:
            for name in range(len(_CLASS_SIZES)):
                size = _CLASS_SIZES[name]
                k = 0
                while k < size and i + k < end and src[i + k] == _CLASS_NAMES[name, k]:
                    k += 1
                if k < size:
                    continue
                j = i + size
                while j < end and src[j] == 32:
                    j += 1
                start = j
                while j < end and src[j] > 32 and src[j] != 59 and src[j] != 96 and src[j] < 127:
                    j += 1
                if start < j <= start + _MAX_LANGUAGE:
                    return start, j
            while i < end and src[i] > 32:
                i += 1
            while i < end and src[i] <= 32:
                i += 1
        e = elements[e, s.PARENT]
    return 0, 0


@kernel_part
def _fence(blocks, text, keep, info, b):
    """Backticks to fence the code block that begins with block `b`: more than any run of them inside it."""
    pre = info[blocks[b, s.ELEMENT], y.IN_PRE]
    longest = 2
    while b < len(blocks) and (not keep[b] or info[blocks[b, s.ELEMENT], y.IN_PRE] == pre):
        run = 0
        for k in range(blocks[b, s.TEXT0], blocks[b, s.TEXT1] if keep[b] else 0):
            run = run + 1 if text[k] == 96 else 0
            longest = larger(longest, run)
        b += 1
    return longest + 1


@kernel_part
def _fill_fences(src, elements, blocks, text, keep, info, operations, count):
    """Give the opening fences of code blocks, and the closing ones, their lengths, the former their languages too."""
    fence = 0
    for at in range(w.OPERATION, count, w.OPERATION):
        if operations[at] == w.FENCE:
            pre = operations[at + 2]
            if pre != 0:
                fence = _fence(blocks, text, keep, info, operations[at + 1])
                # the operation after it is there for the language
                operations[at + 5], operations[at + 6] = _language(src, elements, pre)
            operations[at] = w.CHARS
            operations[at + 1] = 96
            operations[at + 2] = fence


@plain_kernel
def _plan(src, elements, blocks, text, keep, info, operations, chain, opened, variants, markdown, with_tables):
    """Fill `operations` with what `writing.write` is to do, from the second on; returns where they end."""
    operations[0] = w.OPERATION
    fences = False
    # the data table that is being written, its row and cell, and how many bars the row has so far
    in_table = 0
    row = 0
    cell = 0
    bars = 0
    first_row = False
    in_pre = 0  # the code block that is being written
    for b in range(len(blocks) + 1):
        e = 0
        start = 0
        end = 0
        if b < len(blocks):
            if not keep[b]:
                continue
            e = blocks[b, s.ELEMENT]
            start = blocks[b, s.TEXT0]
            end = blocks[b, s.TEXT1]
        table = info[e, y.IN_TABLE]
        if table != 0:
            if info[table, y.LAYOUT] != 0:
                table = 0
            elif not with_tables:
                continue
            elif info[e, y.IN_CELL] == 0:
                table = 0
        pre = info[e, y.IN_PRE]
        level = opened[0]
        # end what this block does not go on with
        if in_pre != 0 and pre != in_pre:
            if markdown:
                _emit(operations, w.LINE, level, 0, 0)
                _emit(operations, w.FENCE, 0, 0, 0)
            in_pre = 0
        new_row = info[e, y.IN_ROW] != row
        if in_table != 0 and (table != in_table or new_row):
            if markdown:
                _emit(operations, w.BARS, 0, info[in_table, y.COLUMN] + 1 - bars, 0)
                if first_row:
                    _emit(operations, w.LINE, level, 0, 0)
                    _emit(operations, w.CHARS, 124, 1, 0)
                    _emit(operations, w.RULES, 0, info[in_table, y.COLUMN], 0)
                first_row = False
            if table != in_table:
                in_table = 0
        if b == len(blocks):
            break
        # begin what it does not go on with
        if pre != 0 and not markdown:
            _emit(operations, w.LINE, 0, 0, 0)  # at the margin, so that its own indentation is what one sees
            in_pre = pre
        elif (in_table != 0 and new_row) or (pre != 0 and pre == in_pre):
            _emit(operations, w.LINE, level, 0, 0)
        elif in_table == 0:
            holder = table if table != 0 else (pre if pre != 0 else e)
            level = _boxes(info, info[holder, y.IN_BOX], markdown, chain)
            if level > 0:
                lines = 0
                for k in range(start, end):
                    if text[k] == 10:
                        lines += 1
                if lines * level * w.MAX_BOX_BYTES > 4 * (end - start) + 1024:
                    level = 0  # indenting a page of empty lines would blow it up
            _begin(info, operations, chain, level, opened, variants, markdown)
        form = w.PLAIN
        if table != 0:
            form = w.CELL if markdown else w.CELL_PLAIN
            if in_table == 0:
                in_table = table
                first_row = True
                new_row = True
            if new_row:
                row = info[e, y.IN_ROW]
                bars = 0
            at = info[e, y.IN_CELL]
            goal = info[at, y.COLUMN] + (1 if markdown else 0)
            if not new_row and at == cell:  # another block in the same cell
                _emit(operations, w.JOIN, 0, 0, 0)
            else:
                cell = at
                if new_row and goal > 0:
                    _emit(operations, w.CHARS, 124, 1, 0)
                    bars = 1
                _emit(operations, w.BARS, 0, goal - bars, 0)
                bars = goal
                if bars > 0:
                    _emit(operations, w.CHARS, 32, 1, 0)
        elif pre != 0:
            form = w.CODE
            if markdown and in_pre == 0:
                fences = True
                _emit(operations, w.FENCE, b, pre, 0)
                _emit(operations, w.SOURCE, 0, 0, 0)
                _emit(operations, w.LINE, level, 0, 0)
                in_pre = pre
        elif markdown:
            form = w.PARAGRAPH
            if info[e, y.LEVEL] != 0:
                form = w.HEADING
                _emit(operations, w.CHARS, 35, info[e, y.LEVEL], 0)
                _emit(operations, w.CHARS, 32, 1, 0)
        if not markdown and pre != 0:
            level = 0
        _emit(operations, w.TEXT, start, end, form + 16 * level)
    if fences:
        _fill_fences(src, elements, blocks, text, keep, info, operations, operations[0])
    return operations[0]


def render(page: Page, keep: NDArray[np.bool_], *, markdown: bool = False, tables: bool = True) -> str:
    """The text of the blocks of which `keep` (one bool a block) is true; data tables only if `tables`.

    Time and memory are linear in the page. Raises ValueError if `keep` has another length than the page has blocks.
    """
    if keep.shape != (len(page.blocks),):
        raise ValueError(f"keep has shape {keep.shape}, the page has {len(page.blocks)} blocks")
    mask = np.ascontiguousarray(keep, np.bool_)
    kept = int(np.count_nonzero(mask))
    info = y.structure(page, mask)
    operations = np.empty(w.OPERATION * (_OPERATIONS_A_BLOCK * (kept + 1) + 1), np.int64)
    chain, opened, variants = np.zeros((3, y.MAX_NESTING + 2), np.int64)
    src, elements, blocks, text = page.source, page.elements, page.blocks, page.text
    count = _plan(src, elements, blocks, text, mask, info, operations, chain, opened, variants, markdown, tables)
    buf = np.empty(len(page.text) + 16 * kept + 256, np.uint8)
    out, size = w.write(src, text, operations[w.OPERATION : count], buf, markdown)
    return str(memoryview(out.data)[:size], "utf-8", "replace")
