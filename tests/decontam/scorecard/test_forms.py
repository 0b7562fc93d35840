"""What each form says of its cases, checked on the cases by other means than the makers'."""

from __future__ import annotations

import difflib
import re

import pytest

from decontam.scorecard.cases import FORMS
from decontam.scorecard.forms import PLANTS, VERDICTS
from decontam.scorecard.negatives import NEAR_RUN, NEGATIVES
from decontam.scorecard.quotations import QUOTATIONS, quotations_from
from decontam.scorecard.split import HALVES
from decontam.scorecard.wording import share_run, words
from pipeline.errors import ConfigError


def planted(case) -> str:
    """The plant's own text, its fragments joined by a line end."""
    data = case.text.encode()
    return "\n".join(data[start:end].decode() for start, end in case.fragments)


def cases_of(made, name):
    found = [case for half in HALVES for case in made[half, name]]
    assert found
    return found


def in_order(tokens: list[str], text: list[str]) -> bool:
    """Whether the words come in the text in this order."""
    rest = iter(text)
    return all(token in rest for token in tokens)


def stands_in(tokens: list[str], text: list[str]) -> bool:
    """Whether the words come in the text on end."""
    return f" {' '.join(tokens)} " in f" {' '.join(text)} "


def test_forms_say_what_they_are():
    assert len(FORMS) == len(PLANTS) + len(NEGATIVES) == 34
    for form in FORMS.values():
        assert form.doc.endswith(".") and form.expected in VERDICTS
        assert form.contaminated == (form in PLANTS)
        assert (VERDICTS.index(form.expected) >= 1) if form.contaminated else form.expected != "dirty"


@pytest.mark.parametrize("name", ["verbatim", "long_host_start", "long_host_middle", "long_host_end", "with_passage"])
def test_verbatim_has_every_part_word_for_word(made, items, name):
    for case in cases_of(made, name):
        item, text = items[case.item], words(planted(case))
        for part in (item.stem, *item.choices, item.answer):
            assert stands_in(words(part), text)
        assert len(words(f"{item.stem} {item.answer}")) >= (13 if name != "with_passage" else 8)
        assert name != "with_passage" or stands_in(words(item.passage), text)


def test_short_items_are_short_and_verbatim(made, items):
    for case in cases_of(made, "verbatim_short"):
        item = items[case.item]
        assert 5 <= len(words(f"{item.question} {item.answer}")) <= 12
        assert item.question in planted(case) and planted(case).endswith(item.answer)


def test_code_is_byte_for_byte(made, items):
    for case in cases_of(made, "verbatim_code"):
        item = items[case.item]
        assert "def " in item.answer
        assert planted(case) == f"{item.question}\n{item.answer}"


def test_question_only_and_apart(made, items):
    for case in cases_of(made, "question_only"):
        item = items[case.item]
        assert planted(case) == item.question and len(words(item.question)) >= 8
        assert not stands_in(words(item.answer), words(planted(case)))
    for case in cases_of(made, "apart"):
        item = items[case.item]
        asked, answered = (case.text.encode()[start:end].decode() for start, end in case.fragments)
        assert asked == item.question and answered.endswith(item.answer)


def test_choices_are_a_permutation_and_another_order(made, items):
    for case in cases_of(made, "choices_reordered"):
        item, text = items[case.item], planted(case)
        head = text[text.index(item.stem) + len(item.stem) : text.rindex(item.answer)]
        places = [head.index(choice) for choice in item.choices]
        assert len(set(places)) == len(item.choices)
        assert places != sorted(places)
        assert text.endswith(item.answer)


@pytest.mark.parametrize("name", ["case_noise", "punctuation_noise", "unicode_noise"])
def test_noise_changes_every_plant_and_no_word(made, items, name):
    for case in cases_of(made, name):
        item, text = items[case.item], planted(case)
        assert item.stem not in text
        assert all(stands_in(words(part), words(text)) for part in (item.stem, *item.choices, item.answer))


def test_numbers_are_all_other_ones(made, items):
    for case in cases_of(made, "numbers_changed"):
        item, text = items[case.item], planted(case)
        assert len(set(re.findall(r"\d+", item.stem))) >= 2
        pattern = re.sub(r"\d", "[0-9]", re.escape(item.stem))
        found = re.search(pattern, text)
        assert found
        old, new = (re.findall(r"\d+(?:[.,]\d+)*", part) for part in (item.stem, found.group()))
        assert all(before != after for before, after in zip(old, new, strict=True))


@pytest.mark.parametrize("share", [5, 10, 20])
@pytest.mark.parametrize("kind", ["substituted", "dropped"])
def test_the_share_of_edited_words_by_difflib(made, items, kind, share):
    for case in cases_of(made, f"{kind}_{share:02d}"):
        item = items[case.item]
        old = [word for part in (item.stem, *(item.choices or (item.answer,))) for word in re.findall(r"\w+", part)]
        text = planted(case)
        if item.choices:
            lines = text.rsplit("\n", 1)[0].split("\n")  # the answer's letter
            labelled = lines[-len(item.choices) :]
            text = "\n".join(
                [*lines[: -len(item.choices)], *(re.sub(r"^\S+ ?", "", line, count=1) for line in labelled)]
            )
        new = re.findall(r"\w+", text)
        asked = max(1, round(share * len(old) / 100))
        assert len(old) >= 20
        if kind == "dropped":
            blocks = difflib.SequenceMatcher(None, old, new, autojunk=False).get_matching_blocks()
            assert len(old) - len(new) == asked and sum(block.size for block in blocks) == len(new)
        else:
            assert len(old) == len(new)
            changed = [after for before, after in zip(old, new, strict=True) if before != after]
            assert len(changed) == asked
            others = {
                word.casefold()
                for other in items.values()
                if other.benchmark == item.benchmark and other.name != item.name
                for word in re.findall(r"\w+", other.stem)
            }
            assert {word.casefold() for word in changed} <= others


@pytest.mark.parametrize("name", ["html_list", "markdown", "page_break"])
def test_lists_markup_and_breaks_keep_all_words_in_order(made, items, name):
    for case in cases_of(made, name):
        item, text = items[case.item], planted(case).replace("_", " ")
        assert in_order(words(f"{item.stem} {' '.join(item.choices)} {item.answer}".replace("_", " ")), words(text))
        if name == "page_break":
            assert "\f" in text and item.stem not in text


def test_formulas_keep_the_words_around_them(made, items):
    for case in cases_of(made, "formulas"):
        item, text = items[case.item], planted(case)
        assert not re.search(r"[\\${}]", text)
        assert in_order(words(re.sub(r"\$[^$]*\$|\\\$\d+", " ", item.stem.split("of \\$")[0])), words(text))


def test_negatives_share_no_run_with_the_item_they_are_near(made, items):
    """Famous passages, boilerplate and code are near to no item; sources share what is quoted, and no question."""
    for name in ("same_topic", "same_template", "passage_source", "quoted_source"):
        for case in cases_of(made, name):
            item = items[case.near]
            asked = item.question.split("\n")[-1] if name == "quoted_source" else item.question
            assert not share_run(words(case.text), words(asked), NEAR_RUN)
            if name in ("same_topic", "same_template"):
                assert not any(share_run(words(case.text), words(part), NEAR_RUN) for part in item.parts())


def test_no_negative_quotes_an_evaluated_item_but_the_exempt(made, bench):
    for form in NEGATIVES:
        for case in [case for half in HALVES for case in made[half, form.name]]:
            tokens = words(case.text)
            if form.exempt:
                continue
            for item in bench.evaluated[:: 1 if form.name == "other_split" else 9]:
                assert not any(share_run(tokens, words(part), 13) for part in item.parts())


def test_same_topic_shares_rare_words(made, items, bench):
    for case in cases_of(made, "same_topic"):
        item = items[case.near]
        piece = words(case.text.encode()[case.start : case.end].decode())
        shared = {word for word in {*words(f"{item.stem} {item.answer}")} & {*piece} if len(word) > 3}
        assert sum(bench.pool.spread([word])[0] <= 3 for word in shared) >= 3


def test_other_splits_are_held_out_and_whole(made, items, bench):
    for case in cases_of(made, "other_split"):
        (name,) = case.carries
        assert items[name].split != bench.splits[items[name].benchmark]
        assert items[name].split in ("train", "dev") and items[name].stem in case.text
        assert case.item is None and case.near is None


def test_sources_are_the_items_without_the_question(made, items):
    for case in cases_of(made, "passage_source"):
        assert planted(case) == items[case.near].passage
    for case in cases_of(made, "quoted_source"):
        assert planted(case) == items[case.near].question.split("\n")[1]


def test_templates_boilerplate_and_quotations_vary(made):
    for name, least in (("template_question", 20), ("choice_boilerplate", 20), ("code_boilerplate", 12)):
        for half in HALVES:
            assert len({planted(case) for case in made[half, name]}) >= least
            assert not any(re.search(r"{(\w|})", planted(case)) for case in made[half, name] if name[0] != "c")
    for case in cases_of(made, "famous_passage"):
        assert planted(case) in QUOTATIONS.values()


def test_programs_are_programs():
    from decontam.scorecard.draws import Draws
    from decontam.scorecard.templates import program

    for key in range(80):
        text = program(Draws(key))
        compile(text, "boilerplate", "exec")
        assert "{f}" not in text and "{n}" not in text


def test_quotations_from_a_file(tmp_path):
    path = tmp_path / "play.txt"
    speeches = [f"SPEAKER {number}:\n" + "word " * 18 for number in range(13)]
    path.write_text("\n\n".join([*speeches, "long " * 300, *speeches]), encoding="utf-8")
    passages = quotations_from(path)
    assert all(40 <= len(passage.split()) <= 120 and "long" not in passage for passage in passages)
    assert len(passages) == 12
    path.write_text("too short", encoding="utf-8")
    with pytest.raises(ConfigError, match=r"play\.txt holds no passage"):
        quotations_from(path)
