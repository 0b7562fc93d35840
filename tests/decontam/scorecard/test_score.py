"""Counts against numbers worked out by hand."""

from __future__ import annotations

from itertools import repeat

import pytest

from decontam.scorecard.cases import Case
from decontam.scorecard.score import f1_of, judge, precision_at, scorecard, verdict_on, wilson
from pipeline.errors import ConfigError


def _case(form: str, number: int, carries: tuple[str, ...] = ()) -> Case:
    return Case(number, f"{form} {number}", carries[0] if carries else None, form, 0, 1, "h", "tuning", None, carries)


def test_wilson_against_published_numbers():
    # 81 of 263: Newcombe 1998 (Statistics in Medicine 17:857), table I, method 3: .2553 to .3662
    assert wilson(81, 263) == pytest.approx((0.2553, 0.3662), abs=5e-5)
    assert wilson(15, 148) == pytest.approx((0.0624, 0.1605), abs=5e-5)  # the same table
    assert wilson(0, 20) == pytest.approx((0.0, 0.1611), abs=5e-5)
    assert wilson(1, 29) == pytest.approx((0.0061, 0.1718), abs=5e-5)
    assert wilson(0, 0) == (0.0, 1.0)
    for wrong in ((-1, 3), (4, 3)):
        with pytest.raises(ValueError, match="share"):
            wilson(*wrong)


def test_precision_at_a_ratio():
    assert precision_at(0.9, 0.1) == pytest.approx(0.9)
    assert precision_at(0.9, 0.1, ratio=0.1) == pytest.approx(0.09 / 0.19)
    assert precision_at(0.0, 0.0) is None
    assert f1_of(0.5, 1.0) == pytest.approx(2 / 3)
    assert f1_of(None, 0.0) == f1_of(0.0, 0.0) == 0.0


def test_a_scorecard_by_hand():
    cases = [_case("verbatim", number, (f"b/test/{number}",)) for number in range(10)]
    cases += [_case("numbers_changed", number, (f"b/test/{number}",)) for number in range(5)]
    cases += [_case("clean_host", number) for number in range(20)]
    cases += [_case("passage_source", number) for number in range(10)]
    verdicts = ["dirty"] * 8 + ["suspect", "clean"]  # verbatim: 8 of 10
    verdicts += ["dirty"] * 2 + ["suspect"] * 2 + ["clean"]  # numbers changed: 2 of 5, 4 as expected
    verdicts += ["dirty"] * 1 + ["clean"] * 19  # clean host: 1 of 20
    verdicts += ["dirty"] * 1 + ["suspect"] * 6 + ["clean"] * 3  # passage source: 1 of 10, 9 as expected
    card = scorecard(cases, verdicts)
    forms = {form.form: form for form in card.forms}
    assert [form.form for form in card.forms] == ["verbatim", "numbers_changed", "clean_host", "passage_source"]
    assert [(form.cases, form.dirty, form.suspect, form.clean, form.as_expected) for form in card.forms] == [
        (10, 8, 1, 1, 8), (5, 2, 2, 1, 4), (20, 1, 0, 19, 19), (10, 1, 6, 3, 9),
    ]  # fmt: skip
    assert [form.rate for form in card.forms] == pytest.approx([0.8, 0.4, 0.05, 0.1])
    assert card.recall == pytest.approx(0.6)
    assert card.false_positive_rate == pytest.approx(0.075)
    assert card.precision == pytest.approx(0.6 / 0.675)
    assert card.f1 == pytest.approx(2 * (0.6 / 0.675) * 0.6 / (0.6 / 0.675 + 0.6))
    assert card.recall_interval == pytest.approx(wilson(9, 15))
    assert card.false_positive_interval == pytest.approx(wilson(2.25, 30))
    low, high = card.precision_interval
    assert low < card.precision < high
    assert low == pytest.approx(wilson(9, 15)[0] / (wilson(9, 15)[0] + wilson(2.25, 30)[1]))
    assert forms["verbatim"].precision == pytest.approx(0.8 / 0.875)
    assert forms["verbatim"].f1 == pytest.approx(2 * (0.8 / 0.875) * 0.8 / (0.8 / 0.875 + 0.8))
    assert forms["verbatim"].low, forms["verbatim"].high == pytest.approx(wilson(8, 10))
    assert forms["clean_host"].precision is None
    assert [row["flagged"] for row in card.rows()] == [8, 2, 1, 1]

    loose = scorecard(cases, verdicts, level="suspect")
    assert [form.flagged for form in loose.forms] == [9, 4, 1, 7]
    assert loose.recall == pytest.approx((0.9 + 0.8) / 2)

    rare = scorecard(cases, verdicts, ratio=0.01)
    assert rare.precision == pytest.approx(0.006 / 0.081)


def test_precision_does_not_hang_on_the_number_of_cases():
    few = [_case("verbatim", 0, ("i",)), _case("verbatim", 1, ("i",)), _case("clean_host", 0), _case("clean_host", 1)]
    many = few + [_case("clean_host", number) for number in range(2, 200)]
    small = scorecard(few, ["dirty", "clean", "dirty", "clean"])
    large = scorecard(many, ["dirty", "clean"] + ["dirty", "clean"] * 100)
    assert small.precision == large.precision == 0.5


def test_items_named():
    plant = _case("verbatim", 0, ("b/test/1",))
    other = _case("other_split", 0, ("b/train/7",))
    assert verdict_on(plant, {"b/test/9": "dirty"}) == "clean"
    assert verdict_on(plant, {"b/test/9": "dirty", "b/test/1": "suspect"}) == "suspect"
    assert verdict_on(other, {"b/train/7": "dirty"}) == "clean"
    assert verdict_on(other, {"b/train/7": "dirty", "b/test/1": "suspect"}) == "suspect"
    assert verdict_on(plant, {}) == "clean"
    cases = [plant, plant, plant, other]
    verdicts = [{"b/test/1": "dirty"}, {"b/test/9": "dirty"}, {"b/test/1": "suspect"}, {"b/train/7": "dirty"}]
    card = scorecard(cases, verdicts)
    assert (card.forms[0].flagged, card.forms[0].others) == (1, 1)
    assert scorecard(cases, verdicts, level="suspect").forms[0].flagged == 2
    assert card.false_positive_rate == 0


def test_one_kind_alone():
    card = scorecard([_case("verbatim", 0, ("i",))], ["dirty"])
    assert (card.recall, card.false_positive_rate, card.precision, card.f1) == (1.0, None, None, None)
    assert card.forms[0].precision is None
    assert scorecard([], []).forms == ()


def test_judge_asks_in_batches():
    cases = [_case("clean_host", number) for number in range(7)]
    asked = []

    def method(texts):
        asked.append(len(texts))
        return ["dirty" if text.endswith("3") else "clean" for text in texts]

    assert judge(cases, method, batch=3) == ["clean"] * 3 + ["dirty"] + ["clean"] * 3
    assert asked == [3, 3, 1]


def test_wrong_methods_and_options():
    cases = [_case("clean_host", number) for number in range(2)]
    with pytest.raises(ConfigError, match="1 verdicts on 2 texts"):
        judge(cases, lambda texts: ["clean"])
    with pytest.raises(ConfigError, match=r"'dirt' is no verdict \(did you mean 'dirty'"):
        judge(cases, lambda texts: list(repeat({"i": "dirt"}, len(texts))))
    with pytest.raises(ConfigError, match="level is 'clean'"):
        scorecard(cases, ["clean", "clean"], level="clean")
    with pytest.raises(ConfigError, match="above 0"):
        scorecard(cases, ["clean", "clean"], ratio=0)
    with pytest.raises(ConfigError, match="1 verdicts on 2 cases"):
        scorecard(cases, ["clean"])
