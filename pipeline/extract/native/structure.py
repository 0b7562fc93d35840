"""Where a page's kept blocks stand: in which list items and quotations, table cells, headings and code blocks.

One forward pass over the element table gives each element what is nearest above it; passes over the kept blocks
and over the tables then tell lists and tables of data from those that serve layout. All of it is linear in the
elements and blocks; nothing recurses. Nesting is told apart to a depth of `MAX_NESTING`.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from ...kernels import kernel_part, larger, plain_kernel, smaller
from . import scan as s
from . import tables as t
from .page import Page

MAX_NESTING = 10
"""List items and quotations deeper than this belong to the one above them."""

MAX_COLUMNS = 256
"""A table wider than this is written as ordinary blocks."""

MAX_ITEM_BLOCKS = 8
"""A list with more blocks in one of its items serves layout (comments, search results)."""

MAX_CELL_BYTES = 2000
"""A table with a longer block in one of its cells serves layout."""

# what a tag is to the structure
NONE, LIST, ORDERED, ITEM, QUOTE, TABLE, ROWS, CELL, HEADING, PRE = range(10)

_ROLES = np.zeros(len(t.TAGS), np.uint8)
for _names, _role in (
    ("ul menu dir", LIST), ("ol", ORDERED), ("li", ITEM), ("blockquote", QUOTE), ("table", TABLE),
    ("tr tbody thead tfoot", ROWS), ("td th", CELL), ("h1 h2 h3 h4 h5 h6", HEADING), ("pre xmp", PRE),
):  # fmt: skip
    for _name in _names.split():
        _ROLES[t.TAG[_name]] = _role
ROLES = _ROLES
_H1 = t.TAG["h1"]

# Columns of the structure table. The first eight are the nearest of their kind, the element itself included, or 0.
(IN_BOX, IN_LIST, IN_TABLE, IN_CELL, IN_ROW, IN_PRE, LEVEL, ROLE, ABOVE, NEST, NUMBER, LAST, OWN, LAYOUT, COLUMN,
 MULTIPLE) = range(16)  # fmt: skip
# IN_BOX: item or quotation. LEVEL: of the heading. ABOVE and NEST, of a box: the box around it, and how many there are.
# NUMBER: of an ordered item; of an ordered list, of its last item. LAST, of a list: its last item; of a table: whether
# anything in it is kept. OWN: kept blocks of an item or cell; kept cells of a table. LAYOUT: the list, table or
# quotation serves layout; of an item: it has nothing kept. COLUMN: of a cell; of a table, how many. MULTIPLE: cells
# with several blocks.
ORDER = COLUMN  # of an item: whether it is numbered
COLUMNS = 16

_MAX_NUMBER = 999_999_999


def _word(text: str) -> np.ndarray:
    return np.frombuffer(text.encode(), np.uint8).copy()


_START, _VALUE, _COLSPAN, _ROWSPAN = map(_word, ("start", "value", "colspan", "rowspan"))


@kernel_part
def _number(src, at, name):
    """The number that the tag at src[at] gives to the attribute `name`; -1 where it gives none."""
    m = len(name)
    stop = smaller(len(src) - m - 1, at + 1024)
    i = at + 1
    while i < stop and src[i] != 62:
        if src[i] <= 32:
            k = 0
            while k < m and (src[i + 1 + k] | 32) == name[k]:
                k += 1
            if k == m:
                i += m + 1
                while i < stop and (src[i] <= 32 or src[i] == 61 or src[i] == 34 or src[i] == 39):
                    i += 1
                value = -1
                while i < stop and 48 <= src[i] <= 57 and value < _MAX_NUMBER // 10:
                    value = larger(value, 0) * 10 + (src[i] - 48)
                    i += 1
                return value
        i += 1
    return -1


@kernel_part
def _nearest(src, elements, info, table_list):
    """Fill the columns that come from the elements alone; returns the number of tables put into `table_list`."""
    found = 0
    for e in range(1, len(elements)):
        parent = elements[e, s.PARENT]
        for k in range(ROLE):
            info[e, k] = info[parent, k]
        role = ROLES[elements[e, s.TAG]]
        if role == NONE or info[e, IN_PRE] != 0:
            continue
        info[e, ROLE] = role
        box = info[e, IN_BOX]
        around = info[e, IN_LIST]
        number = -1
        if role == ORDERED or (role == ITEM and info[around, ROLE] == ORDERED):
            number = _number(src, elements[e, s.SOURCE], _START if role == ORDERED else _VALUE)
        if ITEM <= role <= QUOTE:
            if role == ITEM and info[around, ROLE] == ORDERED:
                if number < 0:
                    number = smaller(info[around, NUMBER] + 1, _MAX_NUMBER)
                info[around, NUMBER] = number
                info[e, NUMBER] = number
                info[e, ORDER] = 1
            if info[box, NEST] < MAX_NESTING:
                info[e, IN_BOX] = e
                info[e, ABOVE] = box
                info[e, NEST] = info[box, NEST] + 1
                if role == ITEM:
                    info[e, LAYOUT] = 1
                    if around != 0:
                        info[around, LAST] = e
            if role == QUOTE:
                info[e, IN_LIST] = 0
        elif role <= ORDERED:
            if around != 0 and box == info[around, IN_BOX] and info[around, LAST] != 0:
                info[e, IN_BOX] = info[around, LAST]  # a list right inside a list belongs to the item before it
            info[e, IN_LIST] = e
            if role == ORDERED:
                info[e, NUMBER] = number - 1 if number >= 0 else 0
        elif role == TABLE:
            info[e, IN_TABLE] = e
            info[e, IN_CELL] = 0
            info[e, IN_ROW] = e
            info[e, IN_LIST] = 0
            info[e, LEVEL] = 0
            table_list[found] = e
            found += 1
        elif role == ROWS:
            info[e, IN_ROW] = e
            info[e, IN_CELL] = 0
        elif role == CELL:
            if info[e, IN_TABLE] != 0:
                info[e, IN_CELL] = e
        elif role == HEADING:
            # with more inside it was never closed
            few = elements[e, s.END_BLOCK] - elements[e, s.FIRST_BLOCK] <= 3
            info[e, LEVEL] = elements[e, s.TAG] - _H1 + 1 if few else 0
        else:
            info[e, IN_PRE] = e
    return found


@kernel_part
def _count(blocks, keep, info):
    """Count the kept blocks of items and cells; mark the lists and tables that serve layout by what they hold."""
    for b in range(len(blocks)):
        if not keep[b]:
            continue
        e = blocks[b, s.ELEMENT]
        table = info[e, IN_TABLE]
        if table != 0:
            info[table, LAST] = 1
            cell = info[e, IN_CELL]
            if cell != 0:
                info[cell, OWN] += 1
                if info[cell, OWN] == 1:
                    info[table, OWN] += 1
                elif info[cell, OWN] == 2:
                    info[table, MULTIPLE] += 1
                size = blocks[b, s.TEXT1] - blocks[b, s.TEXT0]
                if info[e, LEVEL] != 0 or info[e, IN_PRE] != 0 or size > MAX_CELL_BYTES:
                    info[table, LAYOUT] = 1
        item = info[e, IN_BOX]
        while item != 0 and info[item, ROLE] == QUOTE:
            if info[e, LEVEL] != 0:
                info[item, LAYOUT] = 1  # pages of the nineties indent whole sections by it
            item = info[item, ABOVE]
        if item == 0:
            continue
        info[item, LAYOUT] = 0
        if info[item, IN_TABLE] == table:
            info[item, OWN] += 1
            around = info[item, IN_LIST]
            if around != 0 and (info[e, LEVEL] != 0 or info[item, OWN] > MAX_ITEM_BLOCKS):
                info[around, LAYOUT] = 1


@kernel_part
def _place_cells(src, elements, info, table, until, used):
    """Give the table's cells their columns, those without kept text left out; returns whether it is one of data."""
    end = elements[table, s.END]
    for k in range(MAX_COLUMNS):
        until[k] = -1
        used[k] = 0
    number = -1
    row = -1
    kept_in = -1
    kept_rows = 0
    column = 0
    e = table + 1
    while e < end:
        role = info[e, ROLE]
        if role == TABLE:
            e = larger(e + 1, elements[e, s.END])
            continue
        if role == CELL and info[e, IN_TABLE] == table:
            if info[e, IN_ROW] != row:
                row = info[e, IN_ROW]
                number += 1
                column = 0
            while column < MAX_COLUMNS and until[column] >= number:
                column += 1
            if column == MAX_COLUMNS:
                return False
            wide = 1
            high = 1
            for k in range(2):
                span = _number(src, elements[e, s.SOURCE], _ROWSPAN if k == 0 else _COLSPAN)
                high = wide
                wide = larger(1, span)
            info[e, COLUMN] = column
            if info[e, OWN] > 0:
                used[column] = 1
                if kept_in != number:
                    kept_in = number
                    kept_rows += 1
            stop = smaller(MAX_COLUMNS, column + wide)
            if high > 1:
                for k in range(column, stop):
                    until[k] = number + high - 1
            column = stop
        e += 1
    columns = 0
    for k in range(MAX_COLUMNS):
        at = columns
        columns += used[k]
        used[k] = at
    if columns < 2 or kept_rows * columns > 8 * info[table, OWN] + 64:
        return False
    info[table, COLUMN] = columns
    e = table + 1
    while e < end:
        role = info[e, ROLE]
        if role == TABLE:
            e = larger(e + 1, elements[e, s.END])
            continue
        if role == CELL and info[e, IN_TABLE] == table:
            info[e, COLUMN] = used[info[e, COLUMN]]
        e += 1
    return True


@kernel_part
def _sort_tables(src, elements, info, table_list, found, until, used):
    """Tell tables of data from those that serve layout; place the cells of the former."""
    for k in range(found - 1, -1, -1):  # inner tables before the outer ones
        table = table_list[k]
        if info[table, LAST] == 0:
            info[table, LAYOUT] = 1
            continue
        outer = info[elements[table, s.PARENT], IN_TABLE]
        if outer != 0:
            info[outer, LAYOUT] = 1
            info[outer, LAST] = 1
        few = info[table, OWN] < 2 or info[table, MULTIPLE] * 4 > info[table, OWN]
        if info[table, LAYOUT] != 0 or few or not _place_cells(src, elements, info, table, until, used):
            info[table, LAYOUT] = 1


@plain_kernel
def _fill(src, elements, blocks, keep, info, table_list, until, used):
    found = _nearest(src, elements, info, table_list)
    _count(blocks, keep, info)
    if found > 0:
        _sort_tables(src, elements, info, table_list, found, until, used)


def structure(page: Page, keep: NDArray[np.bool_]) -> NDArray[np.int32]:
    """The structure table, int32[elements, 16], for the blocks of which `keep` (bool[blocks]) is true."""
    info = np.zeros((len(page.elements), COLUMNS), np.int32)
    table_list = np.empty(len(page.elements), np.int32)
    until, used = np.empty(MAX_COLUMNS, np.int64), np.empty(MAX_COLUMNS, np.int64)
    _fill(page.source, page.elements, page.blocks, keep, info, table_list, until, used)
    return info
