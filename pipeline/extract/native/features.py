"""What the trees see of a block: its text, its place, its surroundings, its look-alikes on the page.

`measure` fills a float32 matrix of FEATURES x blocks (feature-major, so that a tree's test runs over all
blocks at once). All features are free of the page's language and, but for the words of `words`, of its author.
"""

from __future__ import annotations

import numpy as np

from ...kernels import kernel
from . import scan as s
from . import tables as t
from .vocabulary import TEXT_WORDS
from .words import KIND_COUNT, KIND_NAMES

_GROUPS = (
    "div section article main body html center td th", "p", "li dd", "h1", "h2", "h3", "h4 h5 h6", "span", "a",
    "pre code", "blockquote q", "figcaption caption", "button option label summary legend", "dt strong b em i",
    "time small cite address",
)  # fmt: skip
_TAG_GROUP = np.full(len(t.TAGS), len(_GROUPS), np.int32)
for _number, _names in enumerate(_GROUPS):
    for _name in _names.split():
        _TAG_GROUP[t.TAG[_name]] = _number
TAG_GROUPS = len(_GROUPS) + 1

_FLAG_NAMES = [
    "hidden",
    "link",
    "pre",
    "bold",
    "heading",
    "list",
    "table",
    "quote",
    "code",
    "noscript",
    "form",
    "nav",
    "header",
    "footer",
    "aside",
    "article",
    "main",
    "button",
    "dialog",
    "figure",
    "aria_hidden",
    "rtl",
]
_H1, _P, _ARTICLE = t.TAG["h1"], t.TAG["p"], t.TAG["article"]
_IS_BLOCK = (t.TAG_KINDS & t.BLOCK) != 0

_TEXT = [
    "log_chars",
    "log_words",
    "link_density",
    "stops_per_word",
    "commas_per_word",
    "digit_share",
    "upper_share",
    "capital_share",
    "stop_word_share",
    "word_length",
    "other_share",
    "wide_share",
    "bold_share",
    "links",
    "breaks",
    "images",
    "inputs",
    "ends_in_stop",
    "ends_in_comma",
    "starts_upper",
    "starts_lower",
    "copies",
    "letters_share",
]
_PLACE = [
    "index",
    "chars_before",
    "chars_after",
    "source_before",
    "depth",
    "blocks",
    "since_h1",
    "chars_since_h1",
    "before_h1",
    "since_long",
    "until_long",
    "nth",
    "siblings",
    "in_title",
    "tag_group",
    "block_depth",
]
_ANCESTORS = ("own", "up1", "up2", "up3", "up5", "big200", "big1000", "quarter", "half")
_OF_ANCESTOR = ["log_chars", "link_density", "stop_word_share", "stops_per_word", "page_share", "mean_chars"]
_NEIGHBOURS = (-4, -3, -2, -1, 1, 2, 3, 4)
_OF_NEIGHBOUR = ["log_chars", "link_density", "stop_word_share", "tag_group", "same_parent"]
_WINDOWS = (5, 15)
_OF_WINDOW = ["log_chars", "link_density", "stop_word_share", "stops_per_word"]
_LOOK = [
    "like_count",
    "like_chars_share",
    "like_mean_chars",
    "like_link_density",
    "like_stop_word_share",
    "parent_like",
    "parent_like_chars",
    "sibling_like",
]
_WORDS = ["word_own", "word_near", "word_all", "word_least"]
_PAGE = [
    "page_log_chars",
    "page_blocks",
    "page_link_density",
    "page_stop_word_share",
    "page_long_share",
    "page_li_share",
    "page_table_share",
    "page_p_share",
    "page_images",
    "page_inputs",
    "page_headings",
    "page_like_share",
    "page_wide_share",
    "page_h1",
    "page_articles",
    "page_pre_share",
]

FEATURES: tuple[str, ...] = (
    *_TEXT,
    *_PLACE,
    *(f"{a}_{f}" for a in _ANCESTORS for f in _OF_ANCESTOR),
    *(f"near{n:+d}_{f}" for n in _NEIGHBOURS for f in _OF_NEIGHBOUR),
    *(f"window{w}{side}_{f}" for w in _WINDOWS for side in ("-", "+") for f in _OF_WINDOW),
    *_LOOK,
    *_WORDS,
    *TEXT_WORDS,
    *(f"in_{n}" for n in _FLAG_NAMES),
    *(f"near_{k}" for k in KIND_NAMES),
    *_PAGE,
)
"""Names of the features, in the order of the matrix."""

_F_PLACE = len(_TEXT)
_F_ANCESTORS = _F_PLACE + len(_PLACE)
_F_NEIGHBOURS = _F_ANCESTORS + len(_ANCESTORS) * len(_OF_ANCESTOR)
_F_WINDOWS = _F_NEIGHBOURS + len(_NEIGHBOURS) * len(_OF_NEIGHBOUR)
_F_LOOK = _F_WINDOWS + len(_WINDOWS) * 2 * len(_OF_WINDOW)
_F_WORDS = _F_LOOK + len(_LOOK)
_F_FLAGS = _F_WORDS + len(_WORDS) + len(TEXT_WORDS)
_F_KINDS = _F_FLAGS + len(_FLAG_NAMES)
_F_PAGE = _F_KINDS + KIND_COUNT
_N_FLAGS = len(_FLAG_NAMES)
PAGE_FEATURES = slice(_F_PAGE, len(FEATURES))
PLACES = (*_ANCESTORS, "like", "parent_like")
"""Per block: the ancestors that the features are of (element numbers) and its groups of look-alikes."""
_SLOTS_PER_BLOCK = 4
LONG_CHARS = 140


@kernel
def _log(x):
    return np.float32(np.log1p(np.float32(x)))


@kernel
def _slot(keys, key):
    """Place of a key (not 0) in an open-addressing table, taken up if it is not there."""
    slots = len(keys)
    slot = key % slots
    while keys[slot] != 0 and keys[slot] != key:
        slot = (slot + 1) % slots
    keys[slot] = key
    return slot


@kernel
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


@kernel
def measure(src, elements, blocks, text, title0, title1, distance, score, matrix, places):
    """Fill matrix: float32[features, blocks], zeroed before, its first len(FEATURES) rows.

    `places`: int32[len(PLACES), blocks], gets what `context.surround` needs. The rest as `scan` and
    `words.paths` leave them.
    """
    nb = len(blocks)
    if nb == 0:
        return
    # sums over all blocks before each one
    chars = np.zeros(nb + 1, np.float32)
    linked = np.zeros(nb + 1, np.float32)
    words = np.zeros(nb + 1, np.float32)
    stop_words = np.zeros(nb + 1, np.float32)
    stops = np.zeros(nb + 1, np.float32)
    own_words = np.zeros(nb, np.float32)
    home = np.zeros(nb, np.int32)  # nearest block-level element
    group = np.zeros(nb, np.int32)
    long_block = np.zeros(nb, np.bool_)
    n_long = np.float32(0)
    li_chars = np.float32(0)
    table_chars = np.float32(0)
    p_chars = np.float32(0)
    pre_chars = np.float32(0)
    images = 0
    inputs = 0
    headings = 0
    wide = np.float32(0)
    h1_at = -1
    for b in range(nb):
        row = blocks[b]
        n = np.float32(row[s.CHARS])
        # a spaceless script has a word every two characters or so; Thai and Khmer every five
        w = np.float32(row[s.WORDS]) + np.float32(row[s.WIDE_CHARS]) * np.float32(0.6)
        own_words[b] = w
        chars[b + 1] = chars[b] + n
        linked[b + 1] = linked[b] + row[s.LINK_CHARS]
        words[b + 1] = words[b] + w
        stop_words[b + 1] = stop_words[b] + row[s.STOP_WORD_COUNT]
        stops[b + 1] = stops[b] + row[s.STOPS]
        e = row[s.ELEMENT]
        group[b] = _TAG_GROUP[elements[e, s.TAG]]
        while e > 0 and not _IS_BLOCK[elements[e, s.TAG]]:
            e = elements[e, s.PARENT]
        home[b] = e
        flags = elements[e, s.FLAGS]
        dense = n + np.float32(2) * row[s.WIDE_CHARS]
        if dense >= LONG_CHARS and row[s.LINK_CHARS] < 0.4 * n:
            long_block[b] = True
            n_long += n
        if flags & s.F_LIST:
            li_chars += n
        if flags & s.F_TABLE:
            table_chars += n
        if flags & s.F_PRE:
            pre_chars += n
        if elements[e, s.TAG] == _P:
            p_chars += n
        if flags & s.F_HEADING:
            headings += 1
            if h1_at < 0 and elements[e, s.TAG] == _H1 and not flags & (s.F_HEADER | s.F_HIDDEN) and n >= 3:
                h1_at = b
        images += row[s.IMAGES]
        inputs += row[s.INPUTS]
        wide += row[s.WIDE_CHARS]
    if h1_at < 0:  # a heading inside the page's header will do
        for b in range(nb):
            if elements[home[b], s.TAG] == _H1:
                h1_at = b
                break
    total = max(chars[nb], np.float32(1))
    # look-alikes: blocks whose path has the same shape for three block-level levels
    slots = 1
    while slots < _SLOTS_PER_BLOCK * nb:
        slots *= 2
    like_keys = np.zeros(slots, np.uint32)
    like = np.zeros((slots, 5), np.float32)
    parent_keys = np.zeros(slots, np.uint32)
    parent_like = np.zeros((slots, 2), np.float32)
    copy_keys = np.zeros(slots, np.uint32)
    copies = np.zeros(slots, np.float32)
    like_of = np.zeros(nb, np.int32)
    parent_of = np.zeros(nb, np.int32)
    copy_of = np.zeros(nb, np.int32)
    last_parent = np.full(slots, -1, np.int32)
    for b in range(nb):
        row = blocks[b]
        key = np.uint32(elements[row[s.ELEMENT], s.SHAPE])
        e = home[b]
        key = np.uint32((key * np.uint32(31) + np.uint32(elements[e, s.SHAPE])) * np.uint32(0x9E3779B1))
        parent_key = np.uint32(7)
        for level in range(3):
            e = elements[e, s.PARENT]
            if e < 0:
                break
            shape = np.uint32(elements[e, s.SHAPE])
            if level < 2:
                key = np.uint32((key ^ shape) * np.uint32(0x9E3779B1))
            parent_key = np.uint32((parent_key ^ shape) * np.uint32(0x9E3779B1))
        slot = _slot(like_keys, key | np.uint32(1))
        like_of[b] = slot
        like[slot, 0] += 1
        like[slot, 1] += row[s.CHARS]
        like[slot, 2] += row[s.LINK_CHARS]
        like[slot, 3] += row[s.STOP_WORD_COUNT]
        like[slot, 4] += own_words[b]
        slot = _slot(parent_keys, parent_key | np.uint32(1))
        parent_of[b] = slot
        holder = elements[home[b], s.PARENT]
        if last_parent[slot] != holder:
            last_parent[slot] = holder
            parent_like[slot, 0] += 1
        parent_like[slot, 1] += row[s.CHARS]
        slot = _slot(copy_keys, np.uint32(row[s.TEXT_HASH]) | np.uint32(1))
        copy_of[b] = slot
        copies[slot] += 1
    like_chars = np.float32(0)
    for slot in range(slots):
        if like[slot, 0] >= 4:
            like_chars += like[slot, 1]
    # words of the title
    title_words = np.zeros(40, np.uint32)
    n_title = _word_hashes(src, title0, title1, title_words)
    block_words = np.zeros(40, np.uint32)
    # distances to long blocks
    since = np.zeros(nb, np.float32)
    until = np.zeros(nb, np.float32)
    gap = np.float32(50)
    for b in range(nb):
        since[b] = gap
        gap = np.float32(0) if long_block[b] else min(gap + np.float32(1), np.float32(50))
    gap = np.float32(50)
    for b in range(nb - 1, -1, -1):
        until[b] = gap
        gap = np.float32(0) if long_block[b] else min(gap + np.float32(1), np.float32(50))
    last_depth = elements[home[nb - 1], s.DEPTH]
    size = max(np.float32(len(src)), np.float32(1))
    ups = np.array([0, 1, 2, 3, 5])
    for b in range(nb):
        row = blocks[b]
        n = np.float32(row[s.CHARS])
        w = max(own_words[b], np.float32(1))
        e = row[s.ELEMENT]
        h = home[b]
        density = row[s.LINK_CHARS] / n
        matrix[0, b] = _log(n)
        matrix[1, b] = _log(own_words[b])
        matrix[2, b] = density
        matrix[3, b] = row[s.STOPS] / w
        matrix[4, b] = row[s.COMMAS] / w
        matrix[5, b] = row[s.DIGITS] / n
        matrix[6, b] = row[s.UPPERS] / n
        matrix[7, b] = row[s.CAPITALS] / w
        matrix[8, b] = row[s.STOP_WORD_COUNT] / w
        matrix[9, b] = row[s.LETTERS] / w
        matrix[10, b] = row[s.OTHERS] / n
        matrix[11, b] = row[s.WIDE_CHARS] / n
        matrix[12, b] = row[s.BOLD_CHARS] / n
        matrix[13, b] = row[s.LINKS]
        matrix[14, b] = row[s.BREAKS]
        matrix[15, b] = min(row[s.IMAGES], 10)
        matrix[16, b] = min(row[s.INPUTS], 10)
        matrix[17, b] = row[s.LAST_CLASS] == t.STOP
        matrix[18, b] = row[s.LAST_CLASS] == t.COMMA
        matrix[19, b] = row[s.FIRST_CLASS] == t.UPPER
        matrix[20, b] = row[s.FIRST_CLASS] == t.LOWER
        matrix[21, b] = copies[copy_of[b]]
        matrix[22, b] = row[s.LETTERS] / n
        f = _F_PLACE
        matrix[f, b] = np.float32(b) / nb
        matrix[f + 1, b] = chars[b] / total
        matrix[f + 2, b] = total - chars[b + 1]
        matrix[f + 3, b] = row[s.AT] / size
        matrix[f + 4, b] = elements[e, s.DEPTH]
        matrix[f + 5, b] = b
        matrix[f + 6, b] = max(-50, min(b - h1_at, 400)) if h1_at >= 0 else -100
        matrix[f + 7, b] = (chars[b] - chars[h1_at]) / total if h1_at >= 0 else -2
        matrix[f + 8, b] = h1_at > b
        matrix[f + 9, b] = since[b]
        matrix[f + 10, b] = until[b]
        matrix[f + 11, b] = min(elements[h, s.NTH], 100)
        parent = max(elements[h, s.PARENT], 0)
        matrix[f + 12, b] = min(elements[parent, s.CHILDREN], 200)
        if n_title > 0 and n < 300:
            m = _word_hashes(text, row[s.TEXT0], row[s.TEXT1], block_words)
            same = 0
            for i in range(m):
                for k in range(n_title):
                    if block_words[i] == title_words[k]:
                        same += 1
                        break
            matrix[f + 13, b] = np.float32(2 * same) / max(m + n_title, 1)
        matrix[f + 14, b] = group[b]
        matrix[f + 15, b] = elements[h, s.DEPTH] - last_depth
        # ancestors
        f = _F_ANCESTORS
        at = h
        level = 0
        for k in range(5):
            while level < ups[k]:
                at = max(elements[at, s.PARENT], 0)
                while at > 0 and not _IS_BLOCK[elements[at, s.TAG]]:
                    at = elements[at, s.PARENT]
                level += 1
            places[k, b] = at
            _of_ancestor(matrix, f, b, elements, at, chars, linked, words, stop_words, stops, total)
            f += 6
        at = h
        for k in range(4):
            least = np.float32(200) if k == 0 else np.float32(1000)
            if k == 2:
                least = total * np.float32(0.25)
            elif k == 3:
                least = total * np.float32(0.5)
            up = at if k != 2 else h
            while up > 0 and chars[elements[up, s.END_BLOCK]] - chars[elements[up, s.FIRST_BLOCK]] < least:
                up = elements[up, s.PARENT]
            at = up
            places[5 + k, b] = up
            _of_ancestor(matrix, f, b, elements, up, chars, linked, words, stop_words, stops, total)
            f += 6
        # neighbours
        for k in range(8):
            other = b + (k - 4 if k < 4 else k - 3)
            if 0 <= other < nb:
                count = np.float32(blocks[other, s.CHARS])
                matrix[f, b] = _log(count)
                matrix[f + 1, b] = blocks[other, s.LINK_CHARS] / count
                matrix[f + 2, b] = blocks[other, s.STOP_WORD_COUNT] / max(own_words[other], np.float32(1))
                matrix[f + 3, b] = group[other]
                matrix[f + 4, b] = elements[home[other], s.PARENT] == elements[h, s.PARENT]
            else:
                matrix[f, b] = -1
                matrix[f + 1, b] = -1
                matrix[f + 2, b] = -1
                matrix[f + 3, b] = -1
            f += 5
        for k in range(4):
            wide_of = 5 if k < 2 else 15
            low = max(0, b - wide_of) if k % 2 == 0 else b + 1
            high = b if k % 2 == 0 else min(nb, b + 1 + wide_of)
            low = min(low, nb)
            count = chars[high] - chars[low]
            matrix[f, b] = _log(count)
            matrix[f + 1, b] = (linked[high] - linked[low]) / max(count, np.float32(1))
            count = max(words[high] - words[low], np.float32(1))
            matrix[f + 2, b] = (stop_words[high] - stop_words[low]) / count
            matrix[f + 3, b] = (stops[high] - stops[low]) / count
            f += 4
        # look-alikes
        places[9, b] = like_of[b]
        places[10, b] = parent_of[b]
        row5 = like[like_of[b]]
        matrix[f, b] = row5[0]
        matrix[f + 1, b] = row5[1] / total
        matrix[f + 2, b] = row5[1] / row5[0]
        matrix[f + 3, b] = row5[2] / max(row5[1], np.float32(1))
        matrix[f + 4, b] = row5[3] / max(row5[4], np.float32(1))
        matrix[f + 5, b] = parent_like[parent_of[b], 0]
        matrix[f + 6, b] = parent_like[parent_of[b], 1] / total
        matrix[f + 7, b] = row5[0] / max(parent_like[parent_of[b], 0], np.float32(1))
        f = _F_WORDS
        for k in range(4):
            matrix[f + k, b] = score[e, k]
        f = _F_FLAGS
        flags = elements[e, s.FLAGS]
        for k in range(_N_FLAGS):
            matrix[f + k, b] = flags >> k & 1
        f = _F_KINDS
        for k in range(KIND_COUNT):
            matrix[f + k, b] = distance[e, k]
    f = _F_PAGE
    articles = 0
    pages_h1 = 0
    for e in range(len(elements)):
        if elements[e, s.TAG] == _ARTICLE:
            articles += 1
        elif elements[e, s.TAG] == _H1:
            pages_h1 += 1
    page = np.zeros(16, np.float32)
    page[0] = _log(total)
    page[1] = _log(nb)
    page[2] = linked[nb] / total
    page[3] = stop_words[nb] / max(words[nb], np.float32(1))
    page[4] = n_long / total
    page[5] = li_chars / total
    page[6] = table_chars / total
    page[7] = p_chars / total
    page[8] = _log(images)
    page[9] = _log(inputs)
    page[10] = _log(headings)
    page[11] = like_chars / total
    page[12] = wide / total
    page[13] = min(pages_h1, 5)
    page[14] = min(articles, 30)
    page[15] = pre_chars / total
    for k in range(16):
        for b in range(nb):
            matrix[f + k, b] = page[k]


@kernel
def _of_ancestor(matrix, f, b, elements, e, chars, linked, words, stop_words, stops, total):
    """Six features of the text inside an element."""
    low = elements[e, s.FIRST_BLOCK]
    high = max(elements[e, s.END_BLOCK], low)
    n = chars[high] - chars[low]
    w = max(words[high] - words[low], np.float32(1))
    matrix[f, b] = _log(n)
    matrix[f + 1, b] = (linked[high] - linked[low]) / max(n, np.float32(1))
    matrix[f + 2, b] = (stop_words[high] - stop_words[low]) / w
    matrix[f + 3, b] = (stops[high] - stops[low]) / w
    matrix[f + 4, b] = n / total
    matrix[f + 5, b] = n / max(high - low, 1)
