"""The scanner's tables by column, their limits, and the state that its kernels hand around."""

from __future__ import annotations

MAX_ELEMENTS = 150_000
"""Later elements are not told apart: their text belongs to the last that was. The largest real page has 20 721."""

MAX_BLOCKS = 40_000
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
 BREAKS, IMAGES, BOLD_CHARS, WIDE_CHARS, TEXT_HASH, LAST_CLASS, FIRST_CLASS, INPUTS, OTHERS, LETTERS) = (
    range(24)
)  # fmt: skip
BLOCK_COLUMNS = 24

# The state is one int64 array. First what is told of the block in hand and of the stack:
# SIZE is the length of the text, BLOCK_FROM where the block begins in it, BLOCK_SP the stack position of the
# lowest element that holds all of the block (-1: no text yet), LOW_SP the lowest position since the last
# character, LINE_BREAKS the <br> since then; NO_... say that such an end is not to come any more.
# FORMULA_SIZE is SIZE after the last `<math>`; LITERAL says that `<` and `&` mean nothing.
(SIZE, BLOCK_FROM, BLOCK_SP, LOW_SP, PENDING, IN_WORD, WORD_HASH, WORD_BYTES, HASH, LINE_BREAKS, SP, NE, NB,
 OVERFLOW, NO_DOUBLE_QUOTE, NO_SINGLE_QUOTE, NO_COMMENT_END, LAST_BARRIER, LAST_BLOCK,
 FORMULA_SIZE, NO_SCRIPT_END, LITERAL) = range(22)  # fmt: skip
# then the attributes of the tag in hand: where a value begins and where it ends, in the order of CLASS0 to PROP1
A_CLASS, A_ID, A_ROLE, A_PROP, A_HREF, A_ALT, A_TYPE, A_OWN, A_SELF_CLOSING = 32, 34, 36, 38, 40, 42, 44, 46, 47
# then by slot (tag id, or 256 and 8 bits of the hash for unknown names) the innermost open element's stack position
LAST = 64
UNKNOWN = 256
# then by tag id whether a raw element's end tag is not to come any more, and the nesting of a formula
MISSING = LAST + 512
MATH_KINDS = MISSING + 256
MAX_MATH_NESTING = 64
MATH_CHILDREN = MATH_KINDS + MAX_MATH_NESTING
STATE = MATH_CHILDREN + MAX_MATH_NESTING
"""Length of the state."""

# a frame of the stack of open elements: element, slot, and what LAST[slot], LAST_BARRIER, LAST_BLOCK were before
FRAME = 5
HASH_START = 0x811C9DC5
