"""Words in attributes and in text: the kernels against plain Python and dictionaries."""

from __future__ import annotations

import re

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.extract.native import columns as y
from pipeline.extract.native import vocabulary
from pipeline.extract.native.page import Page, scan_page
from pipeline.extract.native.tables import name_hash
from pipeline.extract.native.vocabulary import FIRST_WORDS, Vocabulary, first_words, score_text
from pipeline.extract.native.words import FAR, KIND_COUNT, KIND_NAMES, KINDS, WordTable, paths, split_words

WEIGHTS = {"post": 1.5, "body": 0.75, "menu": -2.5, "h1": 3.0, "ab": -1.0, "foo": 2.25, "zz": -3.0}


def split_by_regex(value: str) -> list[str]:
    """Words of letters, cut before each capital that follows a small letter; h1 to h6 go on as one word."""
    value = "".join(c if c.isascii() else " " for c in value)
    pieces = re.findall(r"[hH][1-6][a-z]*[A-Z]*[a-z]*|[a-zA-Z]+", value)
    found = []
    for piece in pieces:
        found += re.sub(r"([a-z])([A-Z])", r"\1 \2", piece).split()
    return [word.lower() for word in found if len(word) > 1]


def test_attribute_values_are_cut_at_what_is_no_letter_and_at_capitals():
    for value, words in {
        "postBody post-body_main": "post body post body main",
        "HTMLEditor fooBAR": "htmleditor foo bar",
        "h1 H6title x9 a b-c h7": "h1 h6title",
        "col-md-6 mt4 día": "col md mt",
        "": "",
        "  ": "",
        "x" * 300: "x" * 256,
    }.items():
        assert split_words(value.encode()) == words.split()


@settings(max_examples=200, deadline=None)
@given(st.text("abzABZ-_ ./", max_size=40))
def test_words_agree_with_a_regular_expression(value):
    assert split_words(value.encode()) == split_by_regex(value)


def measured(page: Page, table: WordTable) -> tuple[np.ndarray, np.ndarray]:
    distance = np.empty((len(page.elements), KIND_COUNT), np.uint8)
    score = np.empty((len(page.elements), 4), np.float32)
    paths(page.source, page.elements, table.keys, table.kinds, table.weights, distance, score)
    return distance, score


def by_dictionaries(page: Page, weights: dict[str, float]) -> tuple[list[list[int]], list[list[float]]]:
    """What `paths` says it computes, an element at a time from the root down."""
    source = page.source.tobytes()
    kinds = [set(words.split()) for words in KINDS.values()]
    distances: list[list[int]] = []
    scores: list[list[float]] = []
    for row in page.elements:
        spans = [(row[c], row[c + 1]) for c in (y.CLASS0, y.ID0, y.ROLE0, y.PROP0)]
        words = [word for start, stop in spans for word in split_words(source[start:stop])]
        own = min(max(sum(weights.get(word, 0.0) for word in words), -4.0), 4.0)
        up = row[y.PARENT]
        above = distances[up] if up >= 0 else None
        # the document itself has no attributes
        distances.append(
            [0 if above and kind & set(words) else min(above[k] + 1, FAR) if above else FAR
             for k, kind in enumerate(kinds)]
        )  # fmt: skip
        chain = []
        while up >= 0:
            chain.append(scores[up][0])
            up = page.elements[up][y.PARENT]
        scores.append([own, own + sum(chain[:2]), own + sum(chain), min([own, *chain])])
    return distances, scores


ATTRIBUTE = st.lists(
    st.one_of(st.sampled_from(["postBody", "menu", "H1", "Foo-zz", "share_like", "ab", "comment", "nav9bar", "é"]),
              st.text("abhHzZ126-_ é\t.", max_size=6)),
    max_size=4,
).map(" ".join)  # fmt: skip


@st.composite
def trees(draw):
    parts = []
    for _ in range(draw(st.integers(1, 12))):
        names = draw(st.permutations(["class", "id", "role", "itemprop"]))[: draw(st.integers(0, 4))]
        attributes = "".join(f' {name}="{draw(ATTRIBUTE)}"' for name in names)
        parts.append(f"<div{attributes}>" + draw(st.sampled_from(["", "x", "x</div>", "</div></div>"])))
    return "".join(parts)


@settings(max_examples=150, deadline=None)
@given(trees())
def test_paths_agree_with_dictionaries(html):
    page = scan_page(html.encode())
    distance, score = measured(page, WordTable(WEIGHTS))
    expected_distance, expected_score = by_dictionaries(page, WEIGHTS)
    assert distance.tolist() == expected_distance
    assert np.allclose(score, expected_score, atol=1e-5)


def test_distances_and_sums_on_a_page_by_hand():
    page = scan_page(
        b"<div class='menu'><ul id=post><li role=foo>x</li></ul></div>" + b"<i>" * 25 + b"<b itemprop='zz zz'>y"
    )
    distance, score = measured(page, WordTable(WEIGHTS))
    menu, post, comment = (KIND_NAMES.index(name) for name in ("menu", "post", "comment"))
    assert distance[:4, menu].tolist() == [FAR, 0, 1, 2]
    assert distance[:4, post].tolist() == [FAR, FAR, 0, 1]
    assert (distance[:, comment] == FAR).all()
    assert score[3].tolist() == [2.25, 2.25 + 1.5 - 2.5, 2.25 + 1.5 - 2.5, -2.5]
    assert score[len(score) - 1].tolist() == [-4.0, -4.0, -4.0, -4.0]  # two of -3 are held at -4


def test_the_table_holds_every_word_once_with_its_kinds():
    table = WordTable(WEIGHTS | {f"word{i}": 0.5 for i in range(3000)})
    names = {word for words in KINDS.values() for word in words.split()} | set(WEIGHTS)
    slot_of = {int(key): slot for slot, key in enumerate(table.keys) if key}
    assert len(slot_of) == np.count_nonzero(table.keys) == len(names) + 3000
    for name in names:
        slot = slot_of[name_hash(name.encode())]
        assert table.weights[slot] == np.float32(WEIGHTS.get(name, 0))
        mask = sum(1 << bit for bit, words in enumerate(KINDS.values()) if name in words.split())
        assert table.kinds[slot] == mask


# ---------------------------------------------------------------- words of the text

OWN = {"share": -2.0, "the": 0.5, "miller": 1.25, "müller": 0.75, "2024": -0.5}
HEADING = {"related": -3.0, "recipe": 1.5}


def text_scores(page: Page) -> np.ndarray:
    table = Vocabulary(OWN, HEADING)
    matrix = np.zeros((len(vocabulary.TEXT_WORDS), len(page.blocks)), np.float32)
    score_text(page.text, page.elements, page.blocks, table.keys, table.weights, matrix, 0)
    return matrix


WORD = st.sampled_from(["share", "The", "MILLER", "Müller", "2024", "related", "Recipe", "x", "a-b", "share!", "粉"])


@settings(max_examples=100, deadline=None)
@given(
    st.lists(st.tuples(st.sampled_from(["p", "h1", "h3", "li"]), st.lists(WORD, min_size=1, max_size=40)), max_size=9)
)
def test_text_words_agree_with_dictionaries(blocks):
    page = scan_page("".join(f"<{tag}>{' '.join(words)}</{tag}>" for tag, words in blocks).encode())
    assert len(page.blocks) == len(blocks)
    found = text_scores(page)
    heading_at = -1
    for b, (tag, words) in enumerate(blocks):
        # non-ASCII capitals stay as they are
        cut = re.findall(r"[^\W_]+", " ".join(words))[:FIRST_WORDS]
        cut = ["".join(c.lower() if c.isascii() else c for c in word) for word in cut]
        assert first_words(page.block_text(b).encode()) == cut
        weights = [OWN.get(word, 0.0) for word in cut]
        expected = [sum(weights), sum(weights) / len(cut), min([0.0, *weights])]
        if heading_at >= 0:
            above = first_words(page.block_text(heading_at).encode())
            level = int(blocks[heading_at][0][1])
            expected += [sum(HEADING.get(word, 0.0) for word in above), b - heading_at, level]
        else:
            expected += [0, -1, 0]
        assert np.allclose(found[:, b], expected, atol=1e-5)
        if tag.startswith("h"):
            heading_at = b


def test_a_heading_reaches_only_so_far():
    page = scan_page(b"<h2>related</h2>" + b"<p>x</p>" * (vocabulary.MAX_HEADING_BLOCKS + 1))
    distances = text_scores(page)[vocabulary.TEXT_WORDS.index("heading_distance")]
    assert distances[1] == 1 and distances[vocabulary.MAX_HEADING_BLOCKS] == vocabulary.MAX_HEADING_BLOCKS
    assert distances[-1] == -1
