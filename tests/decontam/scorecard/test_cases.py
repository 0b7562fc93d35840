"""Cases: deterministic, each in its half, the plant where it is said to be and the page otherwise as it was."""

from __future__ import annotations

import pyarrow as pa
import pytest

from decontam.scorecard.cases import FORMS, USES, Bench, Workshop, cases_table, make_cases, shortfalls
from decontam.scorecard.placement import place
from decontam.scorecard.pool import Screen, read_table
from decontam.scorecard.split import HALVES, half_of_benchmark
from decontam.scorecard.wording import Stream, Vocabulary, member, size, words
from pipeline.errors import ConfigError, SchemaError

from .conftest import PER_FORM
from .tools import SPLITS, hosts_of, item_table, made_hosts, made_items

FEW = {("tuning", "same_topic"), ("reporting", "same_topic"), ("tuning", "quoted_source")}
"""What the made-up bench has too little for."""


def test_the_made_up_benchmarks_fall_as_meant():
    for half, names in SPLITS.items():
        assert {half_of_benchmark(name) for name in names} == {half}


def test_every_form_is_made_in_both_halves(made):
    for (half, form), cases in made.items():
        if (half, form) not in FEW:
            assert len(cases) == PER_FORM, (half, form)
    assert len(made["tuning", "same_topic"]) >= 3
    assert not made["tuning", "quoted_source"]


def test_items_hosts_and_halves(made, items):
    for (half, name), cases in made.items():
        form = FORMS[name]
        allowed = hosts_of(half)
        for number, case in enumerate(cases):
            assert (case.number, case.half, case.form) == (number, half, name)
            assert case.host in allowed
            assert (case.item is not None) == form.contaminated
            for other in (case.item, case.near, *case.carries):
                assert other is None or half_of_benchmark(items[other].benchmark) == half
            if form.contaminated:
                assert case.carries == (case.item,) and case.near is None


def test_a_benchmark_counts_as_much_as_another(made, items):
    counts: dict[str, int] = {}
    for case in made["tuning", "question_only"]:
        counts[items[case.item].benchmark] = counts.get(items[case.item].benchmark, 0) + 1
    assert set(counts) == {"boolq", "commonsense_qa", "gsm8k", "math"}
    assert max(counts.values()) - min(counts.values()) <= 1


def test_the_page_is_as_it_was_but_for_the_fragments(made):
    pages = dict(zip(made_hosts()["id"].to_pylist(), made_hosts()["text"].to_pylist(), strict=True))
    for (_, name), cases in made.items():
        for case in cases:
            data = case.text.encode()
            assert (case.start, case.end) == (case.fragments[0][0], case.fragments[-1][1])
            if FORMS[name].place == "host":
                assert case.text == pages[case.host]
                continue
            rest, at = [], 0
            for start, end in case.fragments:
                assert start < end
                rest.append(data[at:start])
                at = end
            rest.append(data[at:])
            assert b" ".join(rest).decode().split() == pages[case.host].split()


def test_places(made):
    for half in HALVES:
        for case in made[half, "long_host_start"]:
            assert case.start == 0 and len(case.text.split()) > 1500
        for case in made[half, "long_host_end"]:
            assert case.end == len(case.text.encode())
        for case in made[half, "long_host_middle"]:
            data = case.text.encode()
            before, after = len(data[: case.start].split()), len(data[case.end :].split())
            assert abs(before - after) <= 0.05 * (before + after)
        for case in made[half, "apart"]:
            (_, first), (second, _) = case.fragments
            assert len(case.text.encode()[first:second].split()) >= 10


def test_the_same_again_whatever_the_order_and_another_with_another_seed(bench, made):
    items, hosts = made_items(), made_hosts()
    turned = Bench(items.take(pa.array(range(len(items) - 1, -1, -1))))
    pages = hosts.take(pa.array(range(len(hosts) - 1, -1, -1)))
    forms = ["apart", "unicode_noise", "substituted_10", "same_topic", "template_question"]
    again = make_cases(turned, pages, "reporting", per_form=PER_FORM, forms=forms)
    assert again == [case for form in forms for case in made["reporting", form]]
    other = make_cases(bench, hosts, "reporting", per_form=PER_FORM, forms=forms[:3], seed=1)
    assert {case.text for case in other}.isdisjoint(case.text for case in again)


def test_fewer_cases_are_the_first_of_more(shops, made):
    for name in ("verbatim", "dropped_10", "clean_host", "famous_passage", "other_split"):
        assert shops["tuning"].make(FORMS[name], 5) == made["tuning", name][:5]


def test_items_come_again_only_after_all_others(shops):
    cases = shops["tuning"].make(FORMS["verbatim_code"], 1000)
    names = [case.item for case in cases]
    assert len(cases) == USES * len(set(names)) == USES * 30
    assert len(set(names[:30])) == 30
    assert shortfalls(cases, 1000, ["verbatim_code", "apart"]) == {"verbatim_code": 120, "apart": 0}
    assert shortfalls(cases, 120, ["verbatim_code"]) == {}


def test_pages_that_quote_an_item_hold_no_case(bench):
    hosts = made_hosts()
    question = next(item for item in bench.pool.items if item.name == "mmlu/dev/1").question
    name = sorted(hosts_of("reporting"))[0]
    texts = [
        f"{text}\n{question}" if here == name else text
        for here, text in zip(hosts["id"].to_pylist(), hosts["text"].to_pylist(), strict=True)
    ]
    dirty = hosts.set_column(hosts.column_names.index("text"), "text", pa.array(texts))
    shop = Workshop(bench, dirty, "reporting")
    assert shop.quoting_hosts == [name]
    assert name not in {host.name for host in (*shop.hosts, *shop.long_hosts)}


def test_the_table_of_cases(made):
    cases = [*made["tuning", "apart"][:3], *made["reporting", "other_split"][:3]]
    table = cases_table(cases)
    assert table["id"].to_pylist()[0] == "tuning/apart/0000" == cases[0].name
    assert table["text"].to_pylist() == [case.text for case in cases]
    assert table["contaminated"].to_pylist() == [True] * 3 + [False] * 3
    assert table["expected"].to_pylist() == ["dirty"] * 3 + ["clean"] * 3
    assert table["carries"].to_pylist() == [list(case.carries) for case in cases]
    assert table.schema.field("text").type == pa.large_string()


def test_errors_name_the_way_out(bench):
    hosts = made_hosts()
    with pytest.raises(ConfigError, match="did you mean 'reporting'"):
        Workshop(bench, hosts, "report")
    with pytest.raises(ConfigError, match="no form 'verbatum' .did you mean 'verbatim'"):
        make_cases(bench, hosts, "tuning", forms=["verbatum"])
    with pytest.raises(ConfigError, match="give more documents"):
        Workshop(bench, hosts.slice(0, 0), "tuning")
    with pytest.raises(SchemaError, match="lack the columns url"):
        Workshop(bench, hosts.drop_columns(["url"]), "tuning")
    with pytest.raises(SchemaError, match="lack the columns passage"):
        Bench(made_items().drop_columns(["passage"]))
    with pytest.raises(SchemaError, match="gsm8k/test/1 comes twice"):
        read_table(pa.concat_tables([made_items().slice(0, 1)] * 2))
    only = Bench(item_table([{"item": "mmlu/test/1", "benchmark": "mmlu", "split": "test", "question": "a b?"}]))
    with pytest.raises(ConfigError, match="no benchmark falls to the tuning half"):
        Workshop(only, hosts, "tuning")


def test_place_without_lines_to_choose():
    from decontam.scorecard.draws import Draws

    for where in ("start", "middle", "end", "any"):
        for key in range(5):
            text, ((start, end),) = place("one line of ü", ["planté"], where, Draws(key))
            assert text.encode()[start:end].decode() == "planté"
            assert sorted(text.split()) == ["line", "of", "one", "planté", "ü"]
    text, spans = place("one line", ["a", "b"], "apart", Draws(1))
    assert [text.encode()[start:end] for start, end in spans] == [b"a", b"b"]


def test_the_screen_against_brute_force(bench):
    """Runs of 13 words, and short questions whole, looked for in plain lists."""
    items = bench.pool.items[::7]
    screen = Screen(items)
    texts = []
    for at, item in enumerate(items):
        tokens = words(" ".join(item.parts()))
        texts += [" ".join(["x", *tokens[at % 5 : at % 5 + size], "y"]) for size in (4, 6, 12, 13, 20)]

    def quotes(text: str) -> bool:
        joined = f" {' '.join(words(text))} "
        for item in items:
            for part in item.parts():
                tokens = words(part)
                if any(f" {' '.join(tokens[at : at + 13])} " in joined for at in range(len(tokens) - 12)):
                    return True
            question = words(item.question)
            if 5 <= len(question) < 13 and f" {' '.join(question)} " in joined:
                return True
        return False

    found = screen.quoting(texts).tolist()
    assert found == [quotes(text) for text in texts]
    assert True in found and False in found
    assert screen.quoting([]).tolist() == []


def test_words_and_grams():
    assert words("Don't ﬁx soft\u00adware, ＡＢ-12!") == ["don", "t", "fix", "software", "ab", "12"]
    assert words("漢字 abc ไทย") == ["漢", "字", "abc", "ไ", "ท", "ย"]
    assert size("漢字漢字漢字漢 abc ไทย") == 1 + 10 // 3
    vocabulary = Vocabulary()
    stream = Stream([vocabulary.learn(["a", "b", "c"]), vocabulary.look_up(["b", "c", "x", "b", "c"]), []])
    hashes, owners = stream.grams(2)
    assert owners.tolist() == [0, 0, 1, 1]
    assert hashes[1] == hashes[2] == hashes[3] != hashes[0]
    assert stream.grams(9)[0].tolist() == []
    assert member(hashes, hashes[:0]).tolist() == [False] * 4
