"""Features and context of blocks: the kernels against a slow reading in plain Python, by hand and on real pages."""

from __future__ import annotations

import itertools
import math
import re

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.extract.charset import decode
from pipeline.extract.evaluation.gold import load
from pipeline.extract.native import columns as y
from pipeline.extract.native import tables as t
from pipeline.extract.native.context import CONTEXT, best_threshold, drop_copies, surround
from pipeline.extract.native.engine import choose
from pipeline.extract.native.features import FEATURES, PLACES
from pipeline.extract.native.judge import Lexicon, first_features
from pipeline.extract.native.page import Page, scan_page

REST = "And so on, all of it. " * 9
CHINESE = "磨坊主每天早上把麦子磨成面粉。" * 8
HAND = {
    "article": (
        "<html><head><title>The mill of the town</title></head><body><header><h1 class=site>Mills Daily</h1></header>"
        "<nav class='menu'><ul><li><a href=/a>Home page</a></li><li><a href=/b>News</a></li><li><a>Sports, all</a></ul>"
        "</nav><div id=content class=article><h1>The mill grinds</h1>"
        + "".join(f"<p>The <b>miller</b> of town {i} grinds, and grinds. He has {i} sacks. {REST}" for i in range(4))
        + "<p><a href=x>Read more about the mill</a><img src=i><img src=j></div><div class=side><h2>Related</h2><ul>"
        + "".join(f"<li><a href={i}>Another story of the mill {i}</a>" for i in range(6))
        + "</ul></div><footer><form><input><input></form>All rights reserved.</footer></body></html>"
    ),
    "no heading, twice the same, spaceless": (
        f"<table><tr><td>Nein!<td>{CHINESE}<tr><td>Nein!<td>x</table><pre>a = 1\nb</pre>"
    ),
    "one block": "x",
    "article elements": "<article><h2>A</h2>Text of it, <i>here</i></article>" * 3 + "<article><article>B",
    "deep": "<div>" * 30 + "<p>low<p>lower" + "</div>" * 10 + "tail <span>of</span> it",
}  # fmt: skip


@pytest.fixture(scope="module")
def real_pages(shared_data) -> list[Page]:
    pages = load(shared_data, ["wcxb", "daniel_waddle"], every=170).pages
    found = [scan_page(decode(p.payload, p.content_type).text.encode("utf-8", "replace")) for p in pages]
    return [page for page in found if 0 < len(page.blocks) <= 700]


def matrix_of(page: Page) -> tuple[np.ndarray, np.ndarray]:
    return first_features(page, Lexicon({"content": 1.0, "menu": -2.0}, {"mill": 0.5}, {"related": -1.0}))


def words_of(data: bytes) -> list[bytes]:
    return re.findall(rb"[a-z0-9\x80-\xff]+", data.lower())


class Slow:
    """The features by name, for one block at a time, from the scanner's tables."""

    def __init__(self, page: Page) -> None:
        self.page, self.rows, self.elements = page, page.blocks, page.elements
        self.cache: dict[int, list[int]] = {}
        self.chars = [int(r[y.CHARS]) for r in self.rows]
        self.words = [float(r[y.WORDS]) + 0.6 * float(r[y.WIDE_CHARS]) for r in self.rows]
        self.total = max(sum(self.chars), 1)
        self.home = [self.block_level(r[y.ELEMENT]) for r in self.rows]
        self.long = [
            c + 2 * r[y.WIDE_CHARS] >= 140 and r[y.LINK_CHARS] < 0.4 * c
            for c, r in zip(self.chars, self.rows, strict=True)
        ]
        self.texts = [page.block_text(b) for b in range(len(self.rows))]
        # texts are alike whatever their spaces and the case of ASCII letters
        self.folded = [b"".join(text.encode().lower().split()) for text in self.texts]
        title = page.source[page.title[0] : page.title[1]].tobytes()
        self.title = words_of(title)[:40]
        self.tags = [t.TAGS[r[y.TAG]] for r in self.elements]
        h1s = [b for b in range(len(self.rows)) if self.tags[self.home[b]] == "h1"]
        plain = [
            b for b in h1s
            if not self.elements[self.home[b], y.FLAGS] & (y.F_HEADER | y.F_HIDDEN) and self.chars[b] >= 3
        ]  # fmt: skip
        self.h1 = (plain or h1s or [None])[0]

    def block_level(self, e: int) -> int:
        while e > 0 and not t.TAG_KINDS[self.elements[e, y.TAG]] & t.BLOCK:
            e = self.elements[e, y.PARENT]
        return int(e)

    def up(self, b: int, levels: int) -> int:
        e = self.home[b]
        for _ in range(levels):
            e = self.block_level(max(self.elements[e, y.PARENT], 0))
        return e

    def inside(self, e: int) -> list[int]:
        """Blocks whose element is `e` or below it, by walking up from each; cached.

        A block that begins before an inline element and ends in it counts for both: there the scanner's range is used.
        """
        if e not in self.cache:
            inline = e > 0 and self.block_level(e) != e
            row = self.elements[e]
            self.cache[e] = list(range(row[y.FIRST_BLOCK], row[y.END_BLOCK])) if inline else self.below(e)
        return self.cache[e]

    def below(self, e: int) -> list[int]:
        found = []
        for b, row in enumerate(self.rows):
            at = row[y.ELEMENT]
            while at != e and at >= 0:
                at = self.elements[at, y.PARENT]
            if at == e:
                found.append(b)
        return found

    def first_with(self, start: int, least: float) -> int:
        e = start
        while e > 0 and sum(self.chars[b] for b in self.inside(e)) < least:
            e = int(self.elements[e, y.PARENT])
        return e

    def of(self, blocks: list[int], prefix: str) -> dict[str, float]:
        n = sum(self.chars[b] for b in blocks)
        w = max(sum(self.words[b] for b in blocks), 1)
        links, stop_words, stops = (
            sum(int(self.rows[b, c]) for b in blocks) for c in (y.LINK_CHARS, y.STOP_WORD_COUNT, y.STOPS)
        )
        return {
            f"{prefix}_log_chars": math.log1p(n),
            f"{prefix}_link_density": links / max(n, 1),
            f"{prefix}_stop_word_share": stop_words / w,
            f"{prefix}_stops_per_word": stops / w,
        }

    def __call__(self, b: int) -> dict[str, float]:
        row, n, w, h = self.rows[b], self.chars[b], max(self.words[b], 1), self.home[b]
        count = len(self.rows)
        flags = self.elements[row[y.ELEMENT], y.FLAGS]
        after_long = [b - k - 1 for k in range(b) if self.long[k]]
        before_long = [k - b - 1 for k in range(b + 1, count) if self.long[k]]
        own_words = words_of(self.texts[b].encode())[:40]
        found = {
            "log_chars": math.log1p(n), "log_words": math.log1p(self.words[b]), "link_density": row[y.LINK_CHARS] / n,
            "stops_per_word": row[y.STOPS] / w, "digit_share": row[y.DIGITS] / n, "capital_share": row[y.CAPITALS] / w,
            "stop_word_share": row[y.STOP_WORD_COUNT] / w, "bold_share": row[y.BOLD_CHARS] / n,
            "images": min(int(row[y.IMAGES]), 10), "ends_in_stop": self.texts[b].rstrip()[-1:] in tuple(".!?…。！？"),
            "copies": self.folded.count(self.folded[b]),
            "index": b / count, "blocks": b, "chars_before": sum(self.chars[:b]) / self.total,
            "chars_after": self.total - sum(self.chars[: b + 1]),
            "source_before": row[y.AT] / len(self.page.source), "depth": self.elements[row[y.ELEMENT], y.DEPTH],
            "since_h1": -100 if self.h1 is None else max(-50, min(b - self.h1, 400)),
            "before_h1": self.h1 is not None and self.h1 > b,
            "since_long": min([50, *after_long]), "until_long": min([50, *before_long]),
            "siblings": min(200, sum(self.elements[1:, y.PARENT] == max(self.elements[h, y.PARENT], 0))),
            "block_depth": self.elements[h, y.DEPTH] - self.elements[self.home[-1], y.DEPTH],
            "in_heading": bool(flags & y.F_HEADING), "in_link": bool(flags & y.F_LINK),
            "in_list": bool(flags & y.F_LIST), "in_footer": bool(flags & y.F_FOOTER),
            "page_log_chars": math.log1p(self.total), "page_blocks": math.log1p(count),
            "page_link_density": sum(self.rows[:, y.LINK_CHARS]) / self.total,
            "page_long_share": sum(c for c, is_long in zip(self.chars, self.long, strict=True) if is_long) / self.total,
            "page_h1": min(5, self.tags.count("h1")), "page_articles": min(30, self.tags.count("article")),
        }  # fmt: skip
        if self.title and n < 300:
            same = sum(word in self.title for word in own_words)
            found["in_title"] = 2 * same / (len(own_words) + len(self.title))
        for name, levels in (("own", 0), ("up1", 1), ("up5", 5)):
            blocks = self.inside(self.up(b, levels))
            found |= self.of(blocks, name)
            found[f"{name}_page_share"] = sum(self.chars[k] for k in blocks) / self.total
            found[f"{name}_mean_chars"] = sum(self.chars[k] for k in blocks) / len(blocks)
        big200 = self.first_with(h, 200)
        quarter = self.first_with(h, 0.25 * self.total)
        for name, e in (("big200", big200), ("big1000", self.first_with(big200, 1000)), ("quarter", quarter),
                        ("half", self.first_with(quarter, 0.5 * self.total))):  # fmt: skip
            found[f"{name}_page_share"] = sum(self.chars[k] for k in self.inside(e)) / self.total
        for step in (-4, -1, 1, 3):
            other = b + step
            there = 0 <= other < count
            found[f"near{step:+d}_log_chars"] = math.log1p(self.chars[other]) if there else -1
            found[f"near{step:+d}_link_density"] = self.rows[other, y.LINK_CHARS] / self.chars[other] if there else -1
            parents = [self.elements[self.home[k], y.PARENT] for k in (b, other if there else b)]
            found[f"near{step:+d}_same_parent"] = there and parents[0] == parents[1]
        for width in (5, 15):
            found |= self.of(list(range(max(0, b - width), b)), f"window{width}-")
            found |= self.of(list(range(b + 1, min(count, b + 1 + width))), f"window{width}+")
        return found


def check(page: Page) -> None:
    matrix, places = matrix_of(page)
    slow = Slow(page)
    assert np.isfinite(matrix).all()
    step = max(1, len(page.blocks) // 60)
    for b in range(0, len(page.blocks), step):
        for name, expected in slow(b).items():
            found = matrix[FEATURES.index(name), b]
            assert found == pytest.approx(float(expected), rel=1e-4, abs=1e-5), (name, b, page.block_text(b))
        assert [places[k, b] for k in (0, 1, 4)] == [slow.up(b, 0), slow.up(b, 1), slow.up(b, 5)]


@pytest.mark.parametrize("name", HAND)
def test_features_of_pages_by_hand(name):
    check(scan_page(HAND[name].encode()))


def test_features_of_real_pages(real_pages):
    assert len(real_pages) >= 6
    for page in real_pages:
        check(page)


def test_some_values_by_hand():
    page = scan_page(HAND["article"].encode())
    matrix, _ = matrix_of(page)
    texts = [page.block_text(b) for b in range(len(page.blocks))]

    def of(start: str, name: str) -> float:
        return float(matrix[FEATURES.index(name), next(b for b, text in enumerate(texts) if text.startswith(start))])

    assert of("Home page", "link_density") == 1 and of("The miller", "link_density") == 0
    assert of("The mill grinds", "since_h1") == 0 and of("The miller of town 0", "since_h1") == 1
    assert of("Mills Daily", "since_h1") == -4  # the header's own h1 is none
    assert of("The mill grinds", "in_title") == pytest.approx(2 * 2 / 8)
    assert of("Another story of the mill 3", "like_count") == 6
    assert of("Another story of the mill 3", "like_link_density") == 1
    assert of("Another story of the mill 3", "in_list") == 1 and of("Related", "in_list") == 0
    assert of("All rights", "in_footer") == 1 and of("All rights", "page_inputs") == pytest.approx(math.log1p(2))
    assert of("Home page", "near_menu") == 3 and of("The miller of town 2", "near_content") == 1
    assert of("The miller of town 2", "word_own") == 0 and of("The miller of town 2", "word_near") == 1
    assert of("Home page", "word_least") == -2


def test_equal_blocks_are_counted_whatever_their_place():
    page = scan_page(HAND["no heading, twice the same, spaceless"].encode())
    copies = matrix_of(page)[0][FEATURES.index("copies")]
    assert [copies[b] for b in range(len(page.blocks)) if page.block_text(b) == "Nein!"] == [2, 2]
    assert sorted(copies)[:1] == [1]


# ---------------------------------------------------------------- context


def slow_context(page: Page, places: np.ndarray, p: list[float]) -> list[dict[str, float]]:
    chars = [int(n) for n in page.blocks[:, y.CHARS]]
    count, rows = len(chars), []

    def mean(blocks, empty: float) -> float:
        n = sum(chars[k] for k in blocks)
        return sum(chars[k] * p[k] for k in blocks) / n if n else empty

    kept = sum(c * q for c, q in zip(chars, p, strict=True))
    kept_blocks = [k for k in range(count) if p[k] > 0.5]
    for b in range(count):
        row = {"p": p[b], "p_page": mean(range(count), 0), "p_most": max(p)}
        for step in (-3, -2, -1, 1, 2, 3):
            row[f"p{step:+d}"] = p[b + step] if 0 <= b + step < count else -0.1
        for width in (6, 20):
            row[f"p_window{width}-"] = mean(range(max(0, b - width), b), -0.1)
            row[f"p_window{width}+"] = mean(range(b + 1, min(count, b + 1 + width)), -0.1)
        for k, place in enumerate(PLACES):
            if place in ("like", "parent_like"):
                row[f"p_{place}"] = mean([o for o in range(count) if places[k, o] == places[k, b]], 0)
            else:
                element = page.elements[places[k, b]]
                row[f"p_{place}"] = mean(range(element[y.FIRST_BLOCK], element[y.END_BLOCK]), p[b])
        before, after = (sum(chars[k] * p[k] for k in part) for part in (range(b), range(b + 1, count)))
        row |= {"kept_before": before / max(kept, 1e-6), "kept_after": after, "kept_log_chars": math.log1p(kept)}
        row["since_kept"] = min([60, *(b - k - 1 for k in kept_blocks if k < b)])
        row["until_kept"] = min([60, *(k - b - 1 for k in kept_blocks if k > b)])
        row["p_rank"] = sum(c for c, q in zip(chars, p, strict=True) if int(q * 64) >= int(p[b] * 64)) / sum(chars)
        row["p_least_expected"] = slow_threshold(p, chars)
        rows.append(row)
    return rows


def slow_threshold(p: list[float], chars: list[int]) -> float:
    """Half the best expected F1 over all thresholds."""
    total = sum(q * c for q, c in zip(p, chars, strict=True))
    best = 0.0
    for threshold in p:
        kept = [(q, c) for q, c in zip(p, chars, strict=True) if q >= threshold]
        size = sum(c for _, c in kept)
        if size + total > 0:
            best = max(best, 2 * sum(q * c for q, c in kept) / (size + total))
    return best / 2


@pytest.mark.parametrize("name", HAND)
def test_context_of_pages_by_hand(name):
    page = scan_page(HAND[name].encode())
    random = np.random.default_rng(len(name))
    for p in (random.random(len(page.blocks)), random.choice([0.0, 0.3, 1.0], len(page.blocks))):
        first = p.astype(np.float32)
        matrix, places = matrix_of(page)
        before = matrix[: len(FEATURES)].copy()
        surround(page.elements, page.blocks, places, first, matrix)
        assert np.array_equal(matrix[: len(FEATURES)], before)
        expected = slow_context(page, places, first.tolist())
        for b, row in enumerate(expected):
            assert set(row) == set(CONTEXT)
            for key, value in row.items():
                found = matrix[len(FEATURES) + CONTEXT.index(key), b]
                assert found == pytest.approx(value, rel=1e-3, abs=1e-4), (key, b)


P_AND_CHARS = st.tuples(st.sampled_from([0.0, 0.1, 0.25, 0.33, 0.5, 0.9, 1.0]), st.integers(1, 50))


def table_of(chars: list[int]) -> np.ndarray:
    blocks = np.zeros((len(chars), y.BLOCK_COLUMNS), np.int32)
    blocks[:, y.CHARS] = chars
    return blocks


@settings(max_examples=150, deadline=None)
@given(st.lists(P_AND_CHARS, min_size=1, max_size=9))
def test_the_best_threshold_reaches_the_best_subset(pairs):
    p, chars = [q for q, _ in pairs], [c for _, c in pairs]
    found = float(best_threshold(np.array(p, np.float32), table_of(chars)))
    assert found == pytest.approx(slow_threshold(p, chars), abs=1e-5)
    total = sum(q * c for q, c in pairs)

    def expected_f1(kept) -> float:
        size = sum(pairs[k][1] for k in kept)
        return 2 * sum(pairs[k][0] * pairs[k][1] for k in kept) / (size + total) if size + total else 0.0

    subsets = itertools.chain.from_iterable(itertools.combinations(range(len(p)), r) for r in range(len(p) + 1))
    best = max(map(expected_f1, subsets))
    assert 2 * found == pytest.approx(best, abs=1e-5)
    assert expected_f1([k for k in range(len(p)) if p[k] > found + 1e-6]) == pytest.approx(best, abs=1e-4)


def test_favor_moves_the_threshold_within_its_bounds():
    page = scan_page("".join(f"<p>{'word ' * 20} {i}" for i in range(10)).encode())
    p = np.linspace(0.02, 0.97, 10).astype(np.float32)
    kept = {favor: choose(page, p, favor) for favor in ("precision", "balanced", "recall")}
    assert kept["precision"].sum() < kept["balanced"].sum() < kept["recall"].sum()
    assert all((p[keep].min(initial=1) >= p[~keep].max(initial=0)) for keep in kept.values())
    assert choose(page, np.full(10, 0.9, np.float32)).all() and not choose(page, np.full(10, 0.01, np.float32)).any()


LONG = [
    "A text of the mill that is surely long enough to be taken for one.",
    "Another text of the mill that is surely long enough as well as the first.",
]


@settings(max_examples=80, deadline=None)
@given(
    st.lists(
        st.tuples(st.sampled_from([*LONG, "short", "LONG"]), st.sampled_from(["p", "td", "pre"]), st.booleans()),
        min_size=1,
        max_size=14,
    )
)
def test_a_long_text_is_kept_once_outside_of_tables_and_code(parts):
    around = {"p": "<p>{}</p>", "td": "<table><tr><td>{}</td></tr></table>", "pre": "<pre>{}</pre>"}
    page = scan_page("".join(around[tag].format(text) for text, tag, _ in parts).encode())
    assert [page.block_text(b) for b in range(len(page.blocks))] == [text for text, _, _ in parts]
    keep = np.array([kept for _, _, kept in parts])
    drop_copies(page.blocks, page.elements[page.blocks[:, y.ELEMENT], y.FLAGS], 40, keep)
    seen: set[str] = set()
    for (text, tag, kept), now in zip(parts, keep.tolist(), strict=True):
        counts = kept and tag == "p" and text in LONG
        assert now == (kept and not (counts and text in seen))
        if counts:
            seen.add(text)
