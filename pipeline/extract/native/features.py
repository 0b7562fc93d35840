"""What the trees see of a block: its text, its place, its surroundings, its look-alikes on the page.

`measures.measure` fills a float32 matrix of FEATURES x blocks (feature-major, so that a tree's test runs over all
blocks at once). All features are free of the page's language and, but for the words of `words`, of its author.
"""

from __future__ import annotations

import numpy as np

from . import tables as t
from .vocabulary import TEXT_WORDS
from .words import KIND_COUNT, KIND_NAMES

_GROUPS = (
    "div section article main body html center td th", "p", "li dd", "h1", "h2", "h3", "h4 h5 h6", "span", "a",
    "pre code", "blockquote q", "figcaption caption", "button option label summary legend", "dt strong b em i",
    "time small cite address",
)  # fmt: skip
TAG_GROUP = np.full(len(t.TAGS), len(_GROUPS), np.int32)
for _number, _names in enumerate(_GROUPS):
    for _name in _names.split():
        TAG_GROUP[t.TAG[_name]] = _number
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
PAGE = [
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
    *PAGE,
)
"""Names of the features, in the order of the matrix."""

F_PLACE = len(_TEXT)
F_ANCESTORS = F_PLACE + len(_PLACE)
F_NEIGHBOURS = F_ANCESTORS + len(_ANCESTORS) * len(_OF_ANCESTOR)
F_WINDOWS = F_NEIGHBOURS + len(_NEIGHBOURS) * len(_OF_NEIGHBOUR)
F_LOOK = F_WINDOWS + len(_WINDOWS) * 2 * len(_OF_WINDOW)
F_WORDS = F_LOOK + len(_LOOK)
F_FLAGS = F_WORDS + len(_WORDS) + len(TEXT_WORDS)
F_KINDS = F_FLAGS + len(_FLAG_NAMES)
F_PAGE = F_KINDS + KIND_COUNT
N_FLAGS = len(_FLAG_NAMES)
PAGE_FEATURES = slice(F_PAGE, len(FEATURES))
PLACES = (*_ANCESTORS, "like", "parent_like")
"""Per block: the ancestors that the features are of (element numbers) and its groups of look-alikes."""
