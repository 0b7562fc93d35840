"""The halves: fixed, by family and web host, each with every kind of benchmark."""

from __future__ import annotations

import math

import pytest

from decontam.registry import load_registry
from decontam.scorecard.draws import Draws
from decontam.scorecard.split import (
    FRESH,
    FRESH_BENCHMARKS,
    HALVES,
    WHOLE,
    evaluated_split,
    family,
    half_of_benchmark,
    half_of_host,
    has_benchmark,
    has_host,
)

TUNING = {
    "agieval", "boolq", "commonsense_qa", "drop", "gsm8k", "ifeval", "logiqa", "lsat_ar", "math", "mbpp", "medqa",
    "natural_questions", "openbookqa", "piqa", "pubmed_qa", "trivia_qa", "winogrande", "wsc",
}  # fmt: skip
REPORTING = {
    "arc_challenge", "arc_easy", "bbh", "copa", "hellaswag", "humaneval", "jeopardy", "lambada", "mmlu", "sciq", "siqa",
    "squad", "svamp", "truthfulqa", "xcopa",
}  # fmt: skip


def test_the_halves_of_the_registrys_benchmarks_never_change():
    assert {name for name in TUNING | REPORTING if half_of_benchmark(name) == "tuning"} == TUNING
    assert set(load_registry().entries) >= TUNING | REPORTING


def test_the_fresh_set_is_in_neither_half():
    assert set(load_registry().entries) >= set(FRESH_BENCHMARKS)
    assert not {*TUNING, *REPORTING} & set(FRESH_BENCHMARKS)
    for name in FRESH_BENCHMARKS:
        assert [half for half in (*HALVES, FRESH, WHOLE) if has_benchmark(half, name)] == [FRESH, WHOLE]
    for number in range(20):
        url = f"https://site{number}.invalid/"
        assert has_host(FRESH, url, "") and has_host(WHOLE, url, "")
        assert sum(has_host(half, url, "") for half in HALVES) == 1


@pytest.mark.parametrize(
    "kind",
    [
        {"humaneval", "mbpp"},
        {"agieval", "mmlu"},
        {"gsm8k", "svamp"},
        {"trivia_qa", "jeopardy"},
        {"boolq", "drop", "squad", "sciq"},
        {"openbookqa", "commonsense_qa", "mmlu", "arc_easy", "hellaswag"},
        {"gsm8k", "mmlu", "arc_easy"},
    ],
)
def test_either_half_has_every_kind(kind):
    assert {half_of_benchmark(name) for name in kind} == set(HALVES)


def test_families_share_a_half():
    assert family("ARC_easy") == family("arc-challenge") == "arc"
    assert family("math") == family("lsat_ar") == family("agieval/sat") == "agieval"
    assert half_of_benchmark("xcopa") == half_of_benchmark("copa")


def test_pages_of_one_host_share_a_half_and_halves_are_even():
    assert half_of_host("https://www.a.invalid/1", "x") == half_of_host("http://a.invalid/2?q#f", "y")
    tuning = sum(half_of_host(f"https://site{number}.invalid/", "") == "tuning" for number in range(2000))
    assert abs(tuning - 1000) < 5 * math.sqrt(2000 * 0.25)


def test_a_page_without_host_goes_by_its_name():
    for url in ("", "no url", "http://[broken"):
        assert {half_of_host(url, f"page-{number}") for number in range(20)} == set(HALVES)


def test_the_evaluated_split():
    assert evaluated_split(["train", "validation", "test"]) == "test"
    assert evaluated_split(["train", "dev"]) == "dev"
    assert evaluated_split(["b", "a"]) == "a"


def test_draws_hang_on_their_key_alone_and_are_even():
    first, second = Draws(1, "a"), Draws(1, "a")
    assert [first.below(1000) for _ in range(20)] == [second.below(1000) for _ in range(20)]
    assert Draws(1, "a").below(1 << 60) != Draws(2, "a").below(1 << 60)
    draws = Draws("even")
    counts = [0] * 6
    for _ in range(6000):
        counts[draws.below(6)] += 1
    assert sum((count - 1000) ** 2 / 1000 for count in counts) < 20.5  # chi-square, 5 degrees, p = .001
    assert sorted(draws.shuffled(range(50))) == list(range(50))
    assert draws.shuffled(range(50)) != list(range(50))
    assert {draws.between(3, 4) for _ in range(50)} == {3, 4}
    with pytest.raises(ValueError, match="limit"):
        draws.below(0)
