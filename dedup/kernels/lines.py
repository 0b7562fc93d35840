"""Lines and paragraphs: the hash, length and words of each, as they are compared; texts put together from what stays.

Compared is a line as CCNet normalises it (Wenzek et al. 2020): small letters, each decimal digit as 0, no punctuation,
no control or format characters, and here also white space as single spaces; or (`plain`) with white space alone
changed. Characters are mapped one by one.
"""

# mypy: disable-error-code="no-untyped-def"
from __future__ import annotations

import functools
import unicodedata

import numpy as np
from numpy.typing import NDArray

from filters.kernels.normalise import decode
from filters.kernels.reading import char_bytes
from pipeline.kernels import kernel_part, plain_kernel

_START, _STEP, _LAST = np.uint64(0xCBF29CE484222325), np.uint64(0x9E3779B97F4A7C15), np.uint64(0xD6E8FEB86659FD93)
_SHIFT = np.uint64(32)
DENSE = 0x20000
DROPPED, SPACE = -1, 32
_WIDE, _HALF_WORD, _QUARTER_WORD = 1, 2, 4
_CCNET = "$+<=>^`|~"  # signs that CCNet takes for punctuation and Unicode does not
_THAI_TO_KHMER = ((0x0E00, 0x0EFF), (0x1000, 0x109F), (0x1780, 0x17FF))
_TAG, _TAGS, _TAGS_END = 0xE0001, 0xE0020, 0xE0080  # format characters beyond the dense part
_HAN_END = 0x40000  # from the dense part's end on


@functools.lru_cache(maxsize=2)
def tables(plain: bool) -> tuple[NDArray[np.int32], NDArray[np.uint8]]:
    """(folded int32[DENSE], widths uint8[DENSE]): what each character counts as, and how much of a line it is."""
    folded = np.arange(DENSE, dtype=np.int32)
    widths = np.zeros(DENSE, np.uint8)
    for point in range(DENSE):
        if 0xD800 <= point < 0xE000:
            continue
        char = chr(point)
        category = unicodedata.category(char)
        if char.isspace():
            folded[point] = SPACE
        elif not plain:
            if category == "Nd":
                folded[point] = 48
            elif category[0] == "P" or category in ("Cc", "Cf") or char in _CCNET:
                folded[point] = DROPPED
            else:
                folded[point] = 0x3C3 if char == "\u03c2" else ord(char.lower()[0])
        if category != "Cn" and unicodedata.east_asian_width(char) in "WF":
            korean = "HANGUL" in unicodedata.name(char, "")
            widths[point] = _WIDE if korean else _WIDE | _HALF_WORD
    for first, last in _THAI_TO_KHMER:
        widths[first : last + 1] = _QUARTER_WORD
    return folded, widths


@kernel_part
def fold_of(point, folded):
    """What a code point counts as; beyond the dense part itself."""
    if point < DENSE:
        return np.int64(folded[point])
    if folded[0] < 0 and (point == _TAG or (point >= _TAGS and point < _TAGS_END)):
        return np.int64(DROPPED)
    return np.int64(point)


@plain_kernel
def line_hashes(data, starts, ends, folded, widths, hashes, columns, words):
    """For each span its hash (uint64), columns (wide characters count twice) and quarters of words (int64 each).

    A word is what stands between spaces and is not all 0, so that rows of figures, equal once their digits are, have
    none; of Chinese and Japanese two characters are a word, of Thai, Lao, Burmese and Khmer four. All are of the line
    as it is compared. A blank line, of white space alone, has -1 words.
    """
    for s in range(len(starts)):
        i = starts[s]
        end = ends[s]
        h = _START
        wide = 0
        quarters = 0
        length = 0
        space = False
        in_word = False
        blank = True
        while i < end:
            point = np.int64(data[i])
            if point < 0x80:
                i += 1
            else:
                size = char_bytes(data, i, end)
                point = decode(data, i, size)
                i += size
            fold = fold_of(point, folded)
            if fold == SPACE:
                space = length > 0
                in_word = False
                continue
            blank = False
            if fold == DROPPED:
                continue
            if space:
                h = (h ^ np.uint64(SPACE)) * _STEP
                h ^= h >> _SHIFT
                length += 1
                space = False
            h = (h ^ np.uint64(fold)) * _STEP
            h ^= h >> _SHIFT
            length += 1
            width = 0
            if point < DENSE:
                width = widths[point] + 0
            elif point < _HAN_END:
                width = _WIDE | _HALF_WORD
            wide += width & _WIDE
            if width & (_HALF_WORD | _QUARTER_WORD):
                quarters += 2 if width & _HALF_WORD else 1
                in_word = False
            elif fold != 48 and not in_word:
                quarters += 4
                in_word = True
        h = (h ^ np.uint64(length)) * _LAST
        hashes[s] = h ^ (h >> _SHIFT)
        columns[s] = length + wide
        words[s] = -1 if blank else quarters


@plain_kernel
def joined(data, offsets, starts, ends, counts, cut, blank, out, out_offsets):
    """Write the texts without the spans that are cut.

    Spans of document d are numbers counts[d] to counts[d + 1], in order. What stood before a span that stays (line
    breaks) stands before it again; where spans were cut, one of the two blank ones around them goes too, and so do
    blank ones that would open or close the text because of a cut. Documents without a cut stay byte for byte.
    """
    o = 0
    for d in range(len(offsets) - 1):
        first = counts[d]
        last = counts[d + 1]
        touched = False
        for s in range(first, last):
            touched = touched or cut[s]
        if not touched:
            for i in range(offsets[d], offsets[d + 1]):
                out[o] = data[i]
                o += 1
            out_offsets[d + 1] = o
            continue
        firm = o  # where the text ends without blank spans at its end
        after_cut = False
        before_blank = True  # the last span that stayed is blank, or there is none
        none = True
        for s in range(first, last):
            if cut[s]:
                after_cut = True
                continue
            if blank[s] and after_cut and before_blank:
                continue
            gap = ends[s - 1] if s > first else offsets[d]
            if none and s > first:
                gap = starts[s]
            none = False
            for i in range(gap, ends[s]):
                out[o] = data[i]
                o += 1
            before_blank = blank[s]
            if not blank[s]:
                firm = o
                after_cut = False
        if after_cut:
            o = firm
        else:
            for i in range(ends[last - 1], offsets[d + 1]):
                out[o] = data[i]
                o += 1
        out_offsets[d + 1] = o
    return o
