"""Every published method against its definition in plain Python, on random rows of few words, and at its limits."""

from __future__ import annotations

import math
import random
from collections import Counter
from typing import Any

import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from decontam.index import build_index
from decontam.methods import all_methods, default_methods, method_named
from decontam.methods.decon import Decon
from decontam.methods.gpt3 import fragments
from decontam.scan import ScanOptions, scan
from pipeline.errors import ConfigError

from .scan_tools import EXACT, column, covered, decon_overlaps, grams, items_of, questions, skipgram_covered

FOUND: Counter[str] = Counter()
"""How many hits the random cases gave, by method: a comparison of nothing with nothing proves nothing."""


def case_of(seed: int) -> tuple[list[list[str]], list[list[str]]]:
    """Items and texts of few words; the texts are pieces of items, some words exchanged, with other words between."""
    rng = random.Random(seed)
    letters = "abcdefgh"[: rng.choice((2, 5, 8))]
    items = [rng.choices(letters, k=rng.choice((1, 3, 6, 12, 13, 25, 40))) for _ in range(rng.randint(1, 4))]
    texts = []
    for _ in range(rng.randint(1, 3)):
        words: list[str] = []
        for _ in range(rng.randint(0, 4)):
            item = list(rng.choice(items))
            for _ in range(rng.choice((0, 0, 1, 3, 6))):
                item[rng.randrange(len(item))] = "x"
            low = rng.choice((0, 0, rng.randint(0, len(item))))
            words += rng.choices("yz" + letters, k=rng.choice((0, 1, 12)))
            words += item[low : rng.choice((len(item), rng.randint(low, len(item))))]
        texts.append(words)
    return items, texts


SEEDS = st.integers(0, 1 << 30)


def decided(items: pa.Table, texts: list[str], name: str, **options: Any) -> dict[tuple[int, str], tuple[str, float]]:
    """(row, item) -> (verdict, score) of the highest score."""
    found = scan(column(*texts), build_index(items), [method_named(name, **options)], EXACT)
    out: dict[tuple[int, str], tuple[str, float]] = {}
    for row in found.to_pylist():
        key = row["row"], row["item"]
        FOUND[name] += 1
        if key not in out or row["score"] > out[key][1]:
            out[key] = row["verdict"], row["score"]
    return out


def expected(items: list[list[str]], texts: list[list[str]], score: Any, verdict: Any) -> dict[Any, Any]:
    """As `decided`, from functions of (item, text) and of the score."""
    out = {}
    for row, text in enumerate(texts):
        for i, item in enumerate(items):
            found = score(item, text)
            if verdict(found) is not None:
                out[row, f"b/test/{i}"] = verdict(found), found
    return out


def joined(rows: list[list[str]]) -> list[str]:
    return [" ".join(row) for row in rows]


@settings(max_examples=80, deadline=None)
@given(SEEDS.map(case_of), st.sampled_from((6, 13)))
def test_gpt3_against_plain_python(case: tuple[list[list[str]], list[list[str]]], n: int) -> None:
    items, texts = case
    found = decided(questions(*joined(items)), joined(texts), "gpt3_13gram", n=n)

    def shared(item: list[str], text: list[str]) -> float:
        return 1.0 * bool(set(grams(item, n)) & set(grams(text, n)))

    assert found == expected(items, texts, shared, lambda s: "dirty" if s else None)


@settings(max_examples=80, deadline=None)
@given(SEEDS.map(case_of))
def test_llama3_and_tulu3_against_plain_python(case: tuple[list[list[str]], list[list[str]]]) -> None:
    items, texts = case
    table = questions(*joined(items))

    def share(item: list[str], text: list[str]) -> float:
        return len(covered(item, text, 8)) / len(item)

    llama = decided(table, joined(texts), "llama3_8gram")
    assert llama == expected(items, texts, share, lambda s: "dirty" if s >= 0.8 else ("suspect" if s >= 0.5 else None))
    tulu = decided(table, joined(texts), "tulu3_8gram")
    assert tulu == expected(items, texts, share, lambda s: "dirty" if s > 0.5 else None)


@settings(max_examples=80, deadline=None)
@given(SEEDS.map(case_of))
def test_llama2_against_plain_python(case: tuple[list[list[str]], list[list[str]]]) -> None:
    items, texts = case
    found = decided(questions(*joined(items)), joined(texts), "llama2_skipgram")

    def share(item: list[str], text: list[str]) -> float:
        return len(skipgram_covered(item, text, 10, 4)) / len(item)

    assert found == expected(items, texts, share, lambda s: "dirty" if s >= 0.8 else ("suspect" if s >= 0.2 else None))


@settings(max_examples=80, deadline=None)
@given(SEEDS.map(case_of))
def test_decon_against_plain_python(case: tuple[list[list[str]], list[list[str]]]) -> None:
    items, texts = case
    counts = Counter(gram for item in items for gram in set(grams(item, 5)))
    options = {"threshold": 0.3, "perfect_until": 0, "full_from": 1, "min_tokens": 0}
    method = Decon(**options)
    found = decided(questions(*joined(items)), joined(texts), "decon", **options)
    wanted = {}
    for row, text in enumerate(texts):
        for i, item in enumerate(items):
            overlaps = [o for _, _, o in decon_overlaps(item, text, counts, len(items), method.max_misses)]
            best = max(overlaps, default=0.0)
            if overlaps and best >= method.needed(len(item)):
                wanted[row, f"b/test/{i}"] = "dirty", best
    assert found.keys() == wanted.keys()
    assert all(math.isclose(found[key][1], wanted[key][1]) for key in found)


@settings(max_examples=60, deadline=None)
@given(SEEDS.map(case_of))
def test_exact_against_plain_python(case: tuple[list[list[str]], list[list[str]]]) -> None:
    items, texts = case
    found = decided(questions(*joined(items)), joined(texts), "exact")
    wanted = {
        (row, f"b/test/{i}"): ("dirty" if len(item) >= 8 else "suspect", 1.0)
        for row, text in enumerate(texts)
        for i, item in enumerate(items)
        if len(item) >= 3 and tuple(item) in grams(text, len(item))
    }
    assert found == wanted


@settings(max_examples=80, deadline=None)
@given(SEEDS)
def test_paragraph_against_plain_python(seed: int) -> None:
    rng = random.Random(seed)
    lines = [" ".join(rng.choices("abc", k=rng.choice((0, 1, 12, 13, 14)))) for _ in range(6)]

    def some(most: int) -> str:
        parts = rng.choices(lines, k=rng.randint(0, most))
        return "".join(part + rng.choice(("\n", "\n", "\n \n", " ", "")) for part in parts)

    items, texts = [some(4) for _ in range(3)], [some(8) for _ in range(3)]
    found = decided(questions(*items), texts, "paragraph")
    wanted = {}
    for row, text in enumerate(texts):
        known = {tuple(line.split()) for line in text.split("\n")}
        for i, item in enumerate(items):
            if any(len(line.split()) >= 13 and tuple(line.split()) in known for line in item.split("\n")):
                wanted[row, f"b/test/{i}"] = "dirty", 1.0
    assert found == wanted


def test_the_random_cases_had_hits() -> None:
    for name in ("gpt3_13gram", "llama2_skipgram", "llama3_8gram", "tulu3_8gram", "decon", "exact", "paragraph"):
        assert FOUND[name] == 0 or FOUND[name] > 20, name  # 0: the test ran alone


WORD = [f"w{i}" for i in range(100)]


@pytest.mark.parametrize(("shared", "dirty"), [(12, False), (13, True)])
def test_gpt3_needs_thirteen_words(shared: int, dirty: bool) -> None:
    text = " ".join(["x", *WORD[3 : 3 + shared], "y"])
    assert bool(decided(questions(" ".join(WORD[:40])), [text], "gpt3_13gram")) == dirty


@pytest.mark.parametrize(("documents", "dirty"), [(10, True), (11, False)])
def test_gpt3_ignores_what_more_than_ten_documents_have(documents: int, dirty: bool) -> None:
    quoted = " ".join(WORD[:13])
    index = build_index(questions(quoted)).with_background([column(*[quoted] * documents, "other")])
    assert bool(scan(column(quoted), index, [method_named("gpt3_13gram")], EXACT).num_rows) == dirty


def test_gpt3_reports_the_stretch_that_is_left() -> None:
    index = build_index(questions(" ".join(WORD[:30]))).with_background([column(*[" ".join(WORD[:20])] * 11)])
    text = " ".join(WORD[:30])
    (hit,) = scan(column(text), index, [method_named("gpt3_13gram")], EXACT).to_pylist()
    assert text[hit["start"] : hit["end"]].split() == WORD[8:30]  # the first 13-gram that no background text has
    assert hit["matched"] == 22


@settings(max_examples=60, deadline=None)
@given(SEEDS, st.integers(9, 12))
def test_gpt3_with_its_collision_limit_against_plain_python(seed: int, copies: int) -> None:
    """Stretches of 13-grams that at most ten documents of the corpus have; the corpus is its own background."""
    rng = random.Random(seed)
    item = [f"v{i}" for i in range(60)]
    texts = [["x", *item[5:45], "y"], item]
    for low in rng.sample(range(30), 2):  # pieces that many documents have, some of them twice
        piece = item[low : low + rng.randint(13, 25)]
        texts += [[f"d{i}", *piece, "z", *(piece if i % 2 else [])] for i in range(copies)]
    rng.shuffle(texts)
    counts = Counter(gram for text in texts for gram in set(grams(text, 13)))
    own = {gram: i for i, gram in enumerate(grams(item, 13))}
    expected = []
    for row, text in enumerate(texts):
        open_at = None
        for at, gram in enumerate([*grams(text, 13), ()]):
            rare = gram in own and counts[gram] <= 10
            if open_at is not None and not rare:
                expected.append((row, open_at, at - 1 + 13))
                open_at = None
            if rare and open_at is None:
                open_at = at
    corpus = column(*joined(texts))
    index = build_index(questions(" ".join(item))).with_background([corpus])
    found = []
    for hit in scan(corpus, index, [method_named("gpt3_13gram")], EXACT).to_pylist():
        text = " ".join(texts[hit["row"]])
        begin = len(text[: hit["start"]].split())
        found.append((hit["row"], begin, begin + len(text[hit["start"] : hit["end"]].split())))
    assert found == expected


@settings(max_examples=100, deadline=None)
@given(SEEDS)
def test_fragments_against_plain_python(seed: int) -> None:
    rng = random.Random(seed)
    text = "".join(rng.choices("aé漢😀", k=rng.randint(0, 3000)))
    window, shortest, most = rng.choice(((200, 200, 10), (5, 3, 4)))
    spans = []
    for _ in range(rng.randint(0, 14)):
        low = rng.randint(0, len(text))
        spans.append((low, min(low + rng.randint(1, 60), len(text))))
    kept = [True] * len(text)
    for low, high in spans:
        for i in range(max(low - window, 0), min(high + window, len(text))):
            kept[i] = False
    pieces, piece = [], ""
    for char, keep in zip([*text, ""], [*kept, False], strict=True):
        if keep:
            piece += char
        elif piece:
            pieces.append(piece)
            piece = ""
    wanted = [] if len(pieces) > most else [one for one in pieces if len(one) >= shortest]
    at = [len(text[:i].encode()) for i in range(len(text) + 1)]
    found = fragments(text, [(at[a], at[b]) for a, b in spans], window, shortest, most)
    cut = [text.encode()[a:b].decode() for a, b in found]
    assert cut == (wanted if spans else [text])


def test_fragments_cut_two_hundred_characters_around() -> None:
    text = "é" * 1000 + "BAD" + "z" * 1000
    assert fragments(text, [(2000, 2003)]) == [(0, 1600), (2203, 3003)]
    assert fragments(text, []) == [(0, 3003)]
    assert fragments("a" * 399 + "BAD", [(399, 402)]) == []  # 199 characters are left
    assert fragments("a" * 400 + "BAD", [(400, 403)]) == [(0, 200)]
    spans = [(1000 * k, 1000 * k + 5) for k in range(1, 11)]
    assert len(fragments("b" * 10_000 + "c" * 600, spans[:9])) == 10
    assert fragments("b" * 12_000, spans) == []  # eleven pieces


@pytest.mark.parametrize(("equal", "misses", "found"), [(10, 0, 0), (11, 0, 11), (10, 4, 11), (10, 5, 0), (9, 0, 0)])
def test_llama2_windows_at_their_limits(equal: int, misses: int, found: int) -> None:
    """Ten equal words, then `misses` others, then one equal again."""
    item = WORD[:40]
    text = [*item[:equal], *["x"] * misses, *(item[equal + misses : equal + misses + 1] if misses else [])]
    hits = decided(questions(" ".join(item)), [" ".join(text)], "llama2_skipgram", suspect=0.01)
    assert hits.get((0, "b/test/0"), ("", 0.0))[1] == found / 40


def test_tulu3_takes_the_mean_over_question_and_passage() -> None:
    item = {"question": " ".join(WORD[:10]), "passage": " ".join(WORD[10:50])}
    both = " ".join([*WORD[:10], "x", *WORD[10:20]])
    found = decided(items_of([item]), [" ".join(WORD[:10]), both], "tulu3_8gram")
    assert found == {(1, "b/test/0"): ("dirty", (1.0 + 10 / 40) / 2)}  # the question alone is just half


@pytest.mark.parametrize(
    ("answer", "text", "dirty"),
    [
        ("paris", "QUESTION and the answer is paris", True),
        ("paris", "QUESTION and the answer is london", False),
        ("paris", "QUESTION" + " x" * 49 + " paris", True),
        ("paris", "QUESTION" + " x" * 50 + " paris", False),
        ("in the city of paris", "QUESTION in the city of paris", True),
    ],
)
def test_decon_wants_the_answer_nearby(answer: str, text: str, dirty: bool) -> None:
    question = " ".join(WORD[:30])
    table = items_of([{"question": question, "answer": answer}, {"question": " ".join(WORD[40:70])}])
    assert bool(decided(table, [text.replace("QUESTION", question)], "decon")) == dirty


def test_decon_weights_and_lengths() -> None:
    method = Decon()
    assert method.needed(20) == 1
    assert method.needed(35) == pytest.approx(0.9)
    assert method.needed(50) == method.needed(500) == pytest.approx(0.8)
    index = build_index(items_of([{"question": " ".join(WORD[:24]), "answer": "a b c d", "passage": "p q r s t u"}]))
    assert method.weights(index, 0, [1], [2]) == pytest.approx((0.7, 0.2, 0.1))
    assert method.weights(index, 0, [1], []) == pytest.approx((0.75, 0.25, 0))
    assert method.weights(index, 0, [], []) == (1, 0, 0)
    short = build_index(items_of([{"question": " ".join(WORD[:14]), "answer": "a b"}]))  # ten 5-grams of 20
    assert method.weights(short, 0, [1], []) == pytest.approx((0.5625, 0.4375, 0))


def test_names_options_and_sources() -> None:
    for name, made in all_methods().items():
        assert method_named(name) == made()
        assert made.name == name and all("http" in one or "ours" in one for one in made.sources)
        assert all(one.metadata.get("help") for one in made.__dataclass_fields__.values())
    assert [one.name for one in default_methods()] == ["coverage"]
    with pytest.raises(ConfigError, match="did you mean 'decon'"):
        method_named("decom")
    with pytest.raises(ConfigError, match="did you mean 'max_misses'"):
        method_named("decon", max_miss=3)
    with pytest.raises(ConfigError, match="parts"):
        decided(questions("a b c d e f"), ["a b c d e f"], "gpt3_13gram", parts=("title",))


def test_options_are_checked() -> None:
    with pytest.raises(ConfigError, match="min_share"):
        ScanOptions(min_share=1.5)
    with pytest.raises(ConfigError, match="max_items"):
        ScanOptions(max_items=-1)
