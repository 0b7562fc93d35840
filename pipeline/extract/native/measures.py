"""The kernels that fill the matrix of `features`: one block after the other, into a line that is then spread.

The scanner's tables come flat here: a row begins at a multiple of the number of columns.
"""

# numba settles the types of the kernels' variables:
# mypy: disable-error-code="assignment"
from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from ...kernels import kernel, kernel_part
from . import columns as y
from . import tables as t
from .features import (
    F_ANCESTORS,
    F_FLAGS,
    F_KINDS,
    F_LOOK,
    F_NEIGHBOURS,
    F_PAGE,
    F_PLACE,
    F_WINDOWS,
    F_WORDS,
    N_FLAGS,
    PAGE,
    PAGE_FEATURES,
    TAG_GROUP,
)
from .words import KIND_COUNT

_SLOTS_PER_BLOCK = 4
LONG_CHARS = 140
_H1, _P, _ARTICLE = t.TAG["h1"], t.TAG["p"], t.TAG["article"]
_IS_BLOCK = (t.TAG_KINDS & t.BLOCK) != 0
_E, _B = y.ELEMENT_COLUMNS, y.BLOCK_COLUMNS
_SUMS, _LINKED, _WORD, _STOP_WORD, _STOP = 5, 1, 2, 3, 4  # sums before each block: characters, and these
_MIX = np.uint32(0x9E3779B1)
# shares: place among the features, column
_OVER_WORDS = np.array([3, y.STOPS, 4, y.COMMAS, 7, y.CAPITALS, 8, y.STOP_WORD_COUNT, 9, y.LETTERS])
_OVER_CHARS = np.array(
    [2, y.LINK_CHARS, 5, y.DIGITS, 6, y.UPPERS, 10, y.OTHERS, 11, y.WIDE_CHARS, 12, y.BOLD_CHARS, 22, y.LETTERS]
)
_OF_OTHERS = np.array([0, 2, 8, F_PLACE + 14])
_SHARES = np.array([4, 5, 6, 7, 11, 12, 15])  # of the page's text


@kernel_part
def _log(x):
    return math.log1p(np.float32(x))


@kernel_part
def _slot(keys, key):
    """Place of a key (not 0) in an open-addressing table of a power of 2 slots, taken up if it is not there."""
    last = len(keys) - 1
    slot = np.int64(key) & last
    while keys[slot] != 0 and keys[slot] != key:
        slot = (slot + 1) & last
    keys[slot] = key
    return slot


@kernel_part
def _word_hashes(text, start, stop, found):
    """Hashes of the words of text[start:stop] (ASCII case ignored) into `found`; returns how many."""
    n = 0
    key = np.uint32(0x811C9DC5)
    length = 0
    for i in range(start, stop + 1):
        c = text[i] if i < stop else np.uint8(32)
        if 65 <= c <= 90:
            c = np.uint8(c + 32)
        if c >= 128 or 97 <= c <= 122 or 48 <= c <= 57:
            key = np.uint32((key ^ c) * np.uint32(0x01000193))
            length += 1
        elif length > 0:
            if n < len(found):
                found[n] = key
                n += 1
            key = np.uint32(0x811C9DC5)
            length = 0
    return n


@kernel_part
def _block_level(elements, e):
    """The nearest block-level element: itself or one above."""
    while e > 0 and not _IS_BLOCK[elements[e * _E + y.TAG]]:
        e = np.int64(elements[e * _E + y.PARENT])
    return e


@kernel_part
def _add_up(elements, blocks, sums, own_words, home, long_block, page, counts):
    """Sums over all blocks before each one, homes, and of the page the sums of text and the counts; the h1's block."""
    h1_at = -1
    any_h1 = -1
    for b in range(len(home)):
        row = b * _B
        n = np.float32(blocks[row + y.CHARS])
        wide = blocks[row + y.WIDE_CHARS]
        links = blocks[row + y.LINK_CHARS]
        # a spaceless script has a word every two characters or so; Thai and Khmer every five
        w = np.float32(blocks[row + y.WORDS]) + np.float32(wide) * np.float32(0.6)
        own_words[b] = w
        to = b * _SUMS
        sums[to + _SUMS] = sums[to] + n
        sums[to + _SUMS + _LINKED] = sums[to + _LINKED] + links
        sums[to + _SUMS + _WORD] = sums[to + _WORD] + w
        sums[to + _SUMS + _STOP_WORD] = sums[to + _STOP_WORD] + blocks[row + y.STOP_WORD_COUNT]
        sums[to + _SUMS + _STOP] = sums[to + _STOP] + blocks[row + y.STOPS]
        e = _block_level(elements, np.int64(blocks[row + y.ELEMENT]))
        home[b] = e
        tag = elements[e * _E + y.TAG]
        flags = elements[e * _E + y.FLAGS]
        if n + np.float32(2) * wide >= LONG_CHARS and links < 0.4 * n:
            long_block[b] = True
            page[4] += n
        if flags & y.F_LIST:
            page[5] += n
        if flags & y.F_TABLE:
            page[6] += n
        if tag == _P:
            page[7] += n
        if flags & y.F_PRE:
            page[15] += n
        if flags & y.F_HEADING:
            counts[2] += 1
            if h1_at < 0 and tag == _H1 and not flags & (y.F_HEADER | y.F_HIDDEN) and n >= 3:
                h1_at = b
        if any_h1 < 0 and tag == _H1:
            any_h1 = b
        counts[0] += blocks[row + y.IMAGES]
        counts[1] += blocks[row + y.INPUTS]
        counts[3] += wide
    return h1_at if h1_at >= 0 else any_h1  # a heading inside the page's header will do


@kernel_part
def _group(elements, blocks, own_words, home, keys, parent_keys, copy_keys, last_parent, copies,
           like, parent_like, copy_of, places):  # fmt: skip
    """Look-alikes, whose path has the same shape for three block-level levels, and copies."""
    nb = len(home)
    slots = len(copies)
    for b in range(nb):
        row = b * _B
        e = home[b] * _E
        holder = elements[e + y.PARENT]
        key = np.uint32(elements[blocks[row + y.ELEMENT] * _E + y.SHAPE])
        key = np.uint32((key * np.uint32(31) + np.uint32(elements[e + y.SHAPE])) * _MIX)
        parent_key = np.uint32(7)
        for level in range(3):
            e = elements[e + y.PARENT] * _E
            if e < 0:
                break
            shape = np.uint32(elements[e + y.SHAPE])
            if level < 2:
                key = np.uint32((key ^ shape) * _MIX)
            parent_key = np.uint32((parent_key ^ shape) * _MIX)
        chars = blocks[row + y.CHARS]
        slot = _slot(keys, np.uint32(key | np.uint32(1)))
        places[9 * nb + b] = slot
        like[5 * slot] += 1
        like[5 * slot + 1] += chars
        like[5 * slot + 2] += blocks[row + y.LINK_CHARS]
        like[5 * slot + 3] += blocks[row + y.STOP_WORD_COUNT]
        like[5 * slot + 4] += own_words[b]
        slot = _slot(parent_keys, np.uint32(parent_key | np.uint32(1)))
        places[10 * nb + b] = slot
        if last_parent[slot] != holder:
            last_parent[slot] = holder
            parent_like[2 * slot] += 1
        parent_like[2 * slot + 1] += chars
        slot = _slot(copy_keys, np.uint32(np.uint32(blocks[row + y.TEXT_HASH]) | np.uint32(1)))
        copy_of[b] = slot
        copies[slot] += 1
    like_chars = np.float32(0)
    for slot in range(slots):
        if like[5 * slot] >= 4:
            like_chars += like[5 * slot + 1]
    return like_chars


@kernel_part
def _distances(long_block, found, first, step):
    """Blocks since the last long one, going over them forwards or (step -1) backwards."""
    gap = np.float32(50)
    b = 0 if step > 0 else len(long_block) - 1
    for _ in range(len(long_block)):
        found[first + b] = gap
        gap = np.float32(0) if long_block[b] else min(gap + np.float32(1), np.float32(50))
        b += step


@kernel_part
def _of_text(blocks, row, own, line):
    """Features of the text of a block: its row begins at `row`."""
    n = np.float32(blocks[row + y.CHARS])
    w = max(own, np.float32(1))
    line[0] = _log(n)
    line[1] = _log(own)
    for k in range(len(_OVER_WORDS) // 2):
        line[_OVER_WORDS[2 * k]] = blocks[row + _OVER_WORDS[2 * k + 1]] / w
    for k in range(len(_OVER_CHARS) // 2):
        line[_OVER_CHARS[2 * k]] = blocks[row + _OVER_CHARS[2 * k + 1]] / n
    line[13] = blocks[row + y.LINKS]
    line[14] = blocks[row + y.BREAKS]
    line[15] = min(blocks[row + y.IMAGES], 10)
    line[16] = min(blocks[row + y.INPUTS], 10)
    last = blocks[row + y.LAST_CLASS]
    first = blocks[row + y.FIRST_CLASS]
    line[17] = last == t.STOP
    line[18] = last == t.COMMA
    line[19] = first == t.UPPER
    line[20] = first == t.LOWER


@kernel_part
def _of_place(elements, e, h, b, sums, total, h1_at, line):
    """Features of the place of block b, whose element is e and whose home is h."""
    nb = len(sums) // _SUMS - 1
    chars = sums[b * _SUMS]
    f = F_PLACE
    line[f] = np.float32(b) / nb
    line[f + 1] = chars / total
    line[f + 2] = total - sums[(b + 1) * _SUMS]
    line[f + 4] = elements[e * _E + y.DEPTH]
    line[f + 5] = b
    line[f + 6] = max(-50, min(b - h1_at, 400)) if h1_at >= 0 else -100
    line[f + 7] = (chars - sums[h1_at * _SUMS]) / total if h1_at >= 0 else np.float32(-2)
    line[f + 8] = h1_at > b
    line[f + 11] = min(elements[h * _E + y.NTH], 100)
    parent = max(elements[h * _E + y.PARENT], 0)
    line[f + 12] = min(elements[parent * _E + y.CHILDREN], 200)


@kernel_part
def _of_range(sums, low, high, line, f):
    """Four features of the text of blocks low to high; returns its characters."""
    low *= _SUMS
    high *= _SUMS
    n = sums[high] - sums[low]
    w = max(sums[high + _WORD] - sums[low + _WORD], np.float32(1))
    line[f] = _log(n)
    line[f + 1] = (sums[high + _LINKED] - sums[low + _LINKED]) / max(n, np.float32(1))
    line[f + 2] = (sums[high + _STOP_WORD] - sums[low + _STOP_WORD]) / w
    line[f + 3] = (sums[high + _STOP] - sums[low + _STOP]) / w
    return n


@kernel_part
def _of_ancestor(elements, e, sums, total, line, f):
    """Six features of the text inside an element."""
    low = np.int64(elements[e * _E + y.FIRST_BLOCK])
    high = max(np.int64(elements[e * _E + y.END_BLOCK]), low)
    n = _of_range(sums, low, high, line, f)
    line[f + 4] = n / total
    line[f + 5] = n / max(high - low, 1)


@kernel_part
def _of_ancestors(elements, h, b, sums, total, line, places):
    """Features of the elements above the home h of block b."""
    nb = len(sums) // _SUMS - 1
    at = h
    for level in range(6):
        if level > 0:
            at = _block_level(elements, max(np.int64(elements[at * _E + y.PARENT]), 0))
        if level != 4:
            places[min(level, 4) * nb + b] = at
    at = h
    for k in range(4):
        least = np.float32(200) if k == 0 else np.float32(1000)
        if k >= 2:
            least = total * (np.float32(0.25) if k == 2 else np.float32(0.5))
        if k == 2:
            at = h
        while at > 0:
            row = at * _E
            if sums[elements[row + y.END_BLOCK] * _SUMS] - sums[elements[row + y.FIRST_BLOCK] * _SUMS] >= least:
                break
            at = np.int64(elements[row + y.PARENT])
        places[(5 + k) * nb + b] = at
    for k in range(9):
        _of_ancestor(elements, np.int64(places[k * nb + b]), sums, total, line, F_ANCESTORS + 6 * k)


@kernel_part
def _of_windows(b, sums, line):
    """Features of the text before and after block b."""
    nb = len(sums) // _SUMS - 1
    f = F_WINDOWS
    for k in range(4):
        width = 5 if k < 2 else 15
        low = max(0, b - width) if k % 2 == 0 else b + 1
        high = b if k % 2 == 0 else min(nb, b + 1 + width)
        _of_range(sums, min(low, nb), high, line, f)
        f += 4


@kernel_part
def _of_look(like, like_slot, parent_like, parent_slot, total, line):
    """Features of the block's look-alikes."""
    f = F_LOOK
    at = 5 * like_slot
    count, chars = like[at], like[at + 1]
    parents = parent_like[2 * parent_slot]
    line[f] = count
    line[f + 1] = chars / total
    line[f + 2] = chars / count
    line[f + 3] = like[at + 2] / max(chars, np.float32(1))
    line[f + 4] = like[at + 3] / max(like[at + 4], np.float32(1))
    line[f + 5] = parents
    line[f + 6] = parent_like[2 * parent_slot + 1] / total
    line[f + 7] = count / max(parents, np.float32(1))


@kernel_part
def _of_element(elements, e, score, distance, line):
    """Words of the attributes, flags and kinds."""
    for k in range(4):
        line[F_WORDS + k] = score[e * 4 + k]
    flags = elements[e * _E + y.FLAGS]
    for k in range(N_FLAGS):
        line[F_FLAGS + k] = flags >> k & 1
    for k in range(KIND_COUNT):
        line[F_KINDS + k] = distance[e * KIND_COUNT + k]


@kernel_part
def _in_title(title_words, n_title, block_words, m):
    """Words that the title and a block share, to the words of both."""
    same = 0
    for i in range(m):
        for k in range(n_title):
            if block_words[i] == title_words[k]:
                same += 1
                break
    return np.float32(2 * same) / max(m + n_title, 1)


@kernel_part
def _of_neighbours(elements, home, matrix):
    """Rows of the blocks before and after: those of their own, moved."""
    nb = len(home)
    f = F_NEIGHBOURS * nb
    for k in range(-4, 5):
        if k == 0:
            continue
        low = max(0, -k)
        high = max(low, min(nb, nb - k))
        for which in range(4):
            own = _OF_OTHERS[which] * nb + k
            for b in range(nb):
                matrix[f + b] = matrix[own + b] if low <= b < high else np.float32(-1)
            f += nb
        for b in range(low, high):
            matrix[f + b] = elements[home[b + k] * _E + y.PARENT] == elements[home[b] * _E + y.PARENT]
        f += nb


@kernel
def _measure(src, elements, blocks, text, title0, title1, distance, score, matrix, places, sums, own, home, long_block,
             keys, parent_keys, copy_keys, last_parent, copies, like, parent_like, copy_of, apart, page, counts, line,
             title_words, block_words):  # fmt: skip
    """As `measure`, on flat tables, with zeroed arrays to work in (last_parent: -1)."""
    nb = len(home)
    h1_at = _add_up(elements, blocks, sums, own, home, long_block, page, counts)
    total = max(sums[nb * _SUMS], np.float32(1))
    page[11] = _group(
        elements,
        blocks,
        own,
        home,
        keys,
        parent_keys,
        copy_keys,
        last_parent,
        copies,
        like,
        parent_like,
        copy_of,
        places,
    )
    for way in range(2):
        _distances(long_block, apart, way * nb, 1 - 2 * way)
    n_title = _word_hashes(src, title0, title1, title_words)
    last_depth = elements[home[nb - 1] * _E + y.DEPTH]
    size = max(np.float32(len(src)), np.float32(1))
    for b in range(nb):
        row = b * _B
        e = np.int64(blocks[row + y.ELEMENT])
        h = home[b]
        _of_text(blocks, row, own[b], line)
        line[21] = copies[copy_of[b]]
        _of_place(elements, e, h, b, sums, total, h1_at, line)
        f = F_PLACE
        line[f + 3] = blocks[row + y.AT] / size
        line[f + 9] = apart[b]
        line[f + 10] = apart[nb + b]
        line[f + 13] = 0
        if n_title > 0 and blocks[row + y.CHARS] < 300:
            start, stop = np.int64(blocks[row + y.TEXT0]), np.int64(blocks[row + y.TEXT1])
            line[f + 13] = _in_title(title_words, n_title, block_words, _word_hashes(text, start, stop, block_words))
        line[f + 14] = TAG_GROUP[elements[e * _E + y.TAG]]
        line[f + 15] = elements[h * _E + y.DEPTH] - last_depth
        _of_ancestors(elements, h, b, sums, total, line, places)
        _of_windows(b, sums, line)
        _of_look(like, places[9 * nb + b], parent_like, places[10 * nb + b], total, line)
        _of_element(elements, e, score, distance, line)
        for k in range(F_PAGE):
            matrix[k * nb + b] = line[k]
    _of_neighbours(elements, home, matrix)
    _of_page(elements, sums, total, page, counts)


@kernel_part
def _of_page(elements, sums, total, page, counts):
    """Features of the page, in place of the sums of text that page holds."""
    at = len(sums) - _SUMS
    page[0] = _log(total)
    page[1] = _log(at // _SUMS)
    page[2] = sums[at + _LINKED] / total
    page[3] = sums[at + _STOP_WORD] / max(sums[at + _WORD], np.float32(1))
    page[12] = counts[3]
    for k in range(len(_SHARES)):
        page[_SHARES[k]] /= total
    for k in range(3):
        page[8 + k] = _log(counts[k])
    for e in range(y.TAG, len(elements), _E):
        page[13] += elements[e] == _H1
        page[14] += elements[e] == _ARTICLE
    page[13] = min(page[13], np.float32(5))
    page[14] = min(page[14], np.float32(30))


def measure(
    source: NDArray[np.uint8],
    elements: NDArray[np.int32],
    blocks: NDArray[np.int32],
    text: NDArray[np.uint8],
    title: tuple[int, int],
    distance: NDArray[np.uint8],
    score: NDArray[np.float32],
    matrix: NDArray[np.float32],
    places: NDArray[np.int32],
) -> None:
    """Fill matrix: float32[features, blocks], zeroed before, its first len(FEATURES) rows.

    `places`: int32[len(PLACES), blocks], gets what `context.surround` needs. The rest as `scan` and
    `words.paths` leave them.
    """
    nb = len(blocks)
    if nb == 0:
        return
    slots = 1 << (_SLOTS_PER_BLOCK * nb - 1).bit_length()
    keys = np.zeros((3, slots), np.uint32)
    page = np.zeros(len(PAGE), np.float32)
    _measure(
        source, elements.reshape(-1), blocks.reshape(-1), text, *title, distance.reshape(-1), score.reshape(-1),
        matrix.reshape(-1), places.reshape(-1), np.zeros((nb + 1) * _SUMS, np.float32), np.zeros(nb, np.float32),
        np.zeros(nb, np.int64), np.zeros(nb, np.bool_), *keys, np.full(slots, -1, np.int32),
        np.zeros(slots, np.float32), np.zeros(5 * slots, np.float32), np.zeros(2 * slots, np.float32),
        np.zeros(nb, np.int64), np.zeros(2 * nb, np.float32), page, np.zeros(4, np.int64),
        np.zeros(F_PAGE, np.float32), *np.zeros((2, 40), np.uint32),
    )  # fmt: skip
    matrix[PAGE_FEATURES] = page[:, None]
