"""The pass over texts: places, guard, default method, chunks, hostile texts."""

from __future__ import annotations

import random
import time

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from decontam import seeds
from decontam.index import Index, build_index
from decontam.methods import all_methods, method_named
from decontam.methods.coverage import Coverage
from decontam.normalise import tokens_of
from decontam.scan import HITS, Scanner, ScanOptions, scan

from .scan_tools import EXACT, column, items_of, questions

SHEEP = "How many sheep does farmer Brown have left after he sells seventeen of his forty two sheep at the market?"
LAMP = "Which metal is used for the filament of an incandescent light bulb, and why does it not melt?"
WORD = [f"w{i}" for i in range(60)]


def every() -> list[object]:
    return [made() for made in all_methods().values()]


def coverage(texts: list[str], items: pa.Table, **options: float) -> list[dict[str, object]]:
    return scan(column(*texts), build_index(items), [method_named("coverage", **options)]).to_pylist()


def test_the_place_of_a_hit_is_in_bytes_of_the_text_as_it_is() -> None:
    text = "Füllung \u2014 日本 … HOW   many SHEEP does farmer Brown have left, after he sells\nseventeen of his "
    text += "forty-two sheep at the market?! Ende"
    for hit in scan(column("", text), build_index(questions(SHEEP)), every(), EXACT).to_pylist():
        assert hit["row"] == 1
        found = text.encode()[hit["start"] : hit["end"]].decode()
        assert found.startswith("HOW") and found.endswith("market")


@pytest.mark.parametrize("change", [str.upper, str.lower, lambda s: s.replace(" ", "\n\n"), lambda s: f"* {s} *"])
def test_noise_changes_nothing(change: object) -> None:
    (hit,) = coverage(["before " + change(SHEEP) + " after"], questions(SHEEP, LAMP))
    assert (hit["item"], hit["verdict"], hit["score"]) == ("b/test/0", "dirty", 1.0)


def test_score_is_the_weight_of_what_is_found() -> None:
    item = WORD[:40]
    text = [*item[:10], "x", *item[11:20], *item[22:30], "y", "z", *item[30:]]  # changed, left out, put in
    items = questions(" ".join(item), "w0 w1 w2 w3 other")
    (hit,) = coverage([" ".join(text)], items)
    index = build_index(items)
    weights = index.weights[1:41].astype(float)
    kept = np.ones(40, bool)
    kept[[10, 20, 21]] = False
    assert hit["score"] == pytest.approx(weights[kept].sum() / weights.sum())
    assert hit["matched"] == 37 and (hit["start"], hit["end"]) == (0, len(" ".join(text)))


def test_thresholds_at_their_limits() -> None:
    item, text = WORD[:40], [*WORD[:30], *["x"] * 10]  # all weights are equal: the score is 30 / 40
    whole = {"suspect": 0.75, "max_missing": 0.25, "max_piece": 1e9}
    for options, verdict in (
        ({"dirty": 0.75}, "dirty"),
        ({"dirty": 0.7501}, "suspect"),
        ({"dirty": 0.75, "max_missing": 0.2499}, "suspect"),
    ):
        (hit,) = coverage([" ".join(text)], questions(" ".join(item)), **{**whole, **options})
        assert hit["verdict"] == verdict
    assert coverage([" ".join(text)], questions(" ".join(item)), suspect=0.7501) == []


def test_a_name_that_is_most_of_a_questions_weight_is_not_the_question() -> None:
    frames = questions("is fantastic beasts and where to find them a book", *(f"is {word} a book" for word in WORD))
    (hit,) = coverage(["He liked Fantastic Beasts and Where to Find Them much"], frames, suspect=0.5, dirty=0.6)
    assert hit["verdict"] == "suspect" and hit["matched"] == 7


def test_characters_of_scripts_without_spaces_are_worth_less_than_words() -> None:
    index = build_index(questions("水 word ひ ไ ខ"))
    full = index.weights[2]
    assert (index.weights[1:6] / full).tolist() == pytest.approx([1 / 1.8, 1, 1 / 1.6, 1 / 4, 1 / 4])


def test_two_missing_words_on_end_are_an_edit_and_three_a_piece() -> None:
    item = questions(" ".join(WORD[:19]))
    for missing, verdict in ((2, "dirty"), (3, "suspect")):
        text = " ".join([*WORD[:8], *WORD[8 + missing : 19]])
        assert [hit["verdict"] for hit in coverage([text], item)] == [verdict]


def test_a_long_source_without_the_line_that_is_asked_of_it_is_suspect() -> None:
    source, asked = [f"s{i}" for i in range(300)], WORD[:12]  # the line is 4 % of the question
    item = items_of([{"question": f"{' '.join(source)}\n{' '.join(asked)}", "answer": "x"}])
    some = f"{' '.join(source)}\n{' '.join(asked[:6])} {' '.join(asked[8:])}"
    hits = coverage([" ".join(source), f"{' '.join(source)}\n{' '.join(asked)}", some], item)
    assert [hit["verdict"] for hit in hits] == ["suspect", "dirty", "dirty"]


def test_a_short_question_that_lacks_a_word_is_suspect_unless_its_answer_is_there() -> None:
    answer = " ".join(WORD[20:24])
    for length, verdict in ((10, "suspect"), (11, "dirty")):  # 9 and 10 words of it are found
        item = items_of([{"question": " ".join(WORD[:length]), "answer": answer}])
        stated, whole = " ".join(WORD[1:length]), " ".join(WORD[:length])
        hits = coverage([f"It is said that {stated}.", f"{stated}, for {answer}", whole], item)
        assert [hit["verdict"] for hit in hits] == [verdict, "dirty", "dirty"]


def test_an_answer_that_follows_a_short_question_at_once_tells_that_it_is_the_item() -> None:
    item = items_of([{"question": " ".join(WORD[5:8]), "answer": "7"}])
    asked = f"{' '.join(WORD[5:8])}?"
    texts = [f"{asked} Correct answer: B) 7", f"{asked} Correct answer: it is B) 7", f"{asked} more"]
    own = build_index(item).part_weights.sum()  # of question and answer; the answer counts once more if it is next
    hits = coverage(texts, item, min_information=own + 1.0)
    assert [hit["verdict"] for hit in hits] == ["dirty", "suspect", "suspect"]
    assert {hit["verdict"] for hit in coverage(texts[:2], item, min_information=own - 0.01)} == {"dirty"}


def test_of_two_questions_that_match_the_same_text_the_better_match_is_dirty() -> None:
    asked, twin = WORD[:20], [*WORD[:19], WORD[30]]
    items = questions(" ".join(asked), " ".join(twin), " ".join(WORD[40:60]))
    text = " ".join(asked)
    verdicts = {hit["item"][-1]: hit["verdict"] for hit in coverage([text], items)}
    assert verdicts == {"0": "dirty", "1": "suspect"}
    assert {hit["verdict"] for hit in coverage([text], items, margin=1.0)} == {"dirty"}
    apart = coverage([f"{text} {' '.join(WORD[40:60])} {' '.join(twin)}"], items)
    assert {hit["item"][-1] for hit in apart if hit["verdict"] == "dirty"} == {"0", "1", "2"}


def test_a_quotation_that_the_question_is_about_is_suspect_unless_the_answer_follows() -> None:
    quoted = " ".join(WORD[:20])
    solution = " ".join(WORD[30:50])
    item = items_of([{"question": f"{quoted} began what famous speech", "answer": solution}])
    hits = coverage([f"Thus he spoke: {quoted}.", f"{quoted} and then {solution}"], item)
    assert [(hit["row"], hit["verdict"]) for hit in hits] == [(0, "suspect"), (1, "dirty")]


def test_two_halves_apart_are_one_hit_and_far_apart_are_not() -> None:
    item = WORD[:40]
    near = [*item[:20], *["page"] * 40, *item[20:]]
    far = [*item[:20], *["page"] * 41, *item[20:]]
    (hit,) = coverage([" ".join(near)], questions(" ".join(item)))
    assert hit["score"] == 1.0
    assert coverage([" ".join(far)], questions(" ".join(item))) == []


def test_every_copy_is_a_hit_of_its_own() -> None:
    text = (SHEEP + " " + "filler " * 60) * 3
    hits = coverage([text], questions(SHEEP))
    assert [text.encode()[hit["start"] :].startswith(b"How many") for hit in hits] == [True] * 3
    assert all(hit["score"] == 1.0 for hit in hits)


def test_a_template_needs_its_answer_or_its_choices() -> None:
    template = "Which of these is true?"
    others = [{"question": f"Which of these is {word}?"} for word in WORD]
    item = {
        "question": template,
        "choices": ["Copper conducts heat badly", "Mercury is liquid when warm", "Lead floats upon water"],
        "answer": "Mercury is liquid when warm",
    }
    items = items_of([item, *others])
    options = {"min_information": 60.0}
    alone = "Here we ask: which of these is true? Nobody knows."
    with_answer = "Which of these is true? Mercury is liquid when warm, they say."
    with_choices = "Which of these is true? (B) Lead floats upon water (A) Copper conducts heat badly"
    verdicts = {
        hit["row"]: hit["verdict"]
        for hit in coverage([alone, with_answer, with_choices], items, **options)
        if hit["item"] == "b/test/0"
    }
    assert verdicts.get(0) != "dirty" and verdicts[1] == verdicts[2] == "dirty"


def test_a_question_without_a_seed_is_found_around_its_choices() -> None:
    choices = ["leaves objects too cold to touch in winter", "makes the asphalt too hot for any bare feet"]
    item = items_of([{"question": "Absorbing sunlight", "choices": choices, "answer": choices[1]}])
    text = f"Quiz! Absorbing SUNLIGHT A. {choices[0]} B. {choices[1]}"
    (hit,) = coverage([text], item)
    assert (hit["verdict"], text[hit["start"] : hit["end"]]) == ("dirty", "Absorbing SUNLIGHT")
    assert coverage([f"Black {choices[1]} and white {choices[0]}"], item) == []
    far = f"Absorbing sunlight {'filler ' * 100} {choices[0]} {choices[1]}"
    assert coverage([far], item) == []


def test_a_question_that_many_items_share_needs_its_own_answer_behind_it() -> None:
    """22 items ask the same; what follows at once tells which one it is, and brackets tell nothing."""
    asked = " ".join(WORD[:9])
    rows: list[dict[str, object]] = [{"question": asked, "answer": f"a{i} b{i} c{i} d{i}"} for i in range(22)]
    rows += [{"question": asked, "choices": [f"e{i} f{i} g{i}", f"h{i} i{i}"], "answer": f"h{i} i{i}"} for i in (0, 1)]
    index = build_index(items_of([*rows, *({"question": f"{asked} {'[' * i}", "answer": "]"} for i in range(22))]))
    texts = [
        f"{asked}? Answer: a7 b7 c7 d7.",
        f"{asked}: (A) e1 f1 g1 (B) h1 i1",
        f"{asked}? It is not known whether a7 b7 c7 d7",
        f"{asked}? a7 b7 d7",
        f"a7 b7 c7 d7 {asked}",
        f"{asked} [[[ ]",
        f"{asked} a7",
    ]
    hits = scan(column(*texts), index, [Coverage(min_information=5.0)]).to_pylist()
    assert [(hit["row"], hit["item"], hit["verdict"]) for hit in hits] == [
        (0, "b/test/7", "dirty"), (1, "b/test/23", "dirty")
    ]  # fmt: skip
    assert texts[0][hits[0]["start"] : hits[0]["end"]] == asked
    assert not scan(column(*texts), index, [Coverage(min_information=500.0)]).num_rows
    assert Coverage().able(index).tolist() == [True] * 24 + [False] * 22


def test_a_very_short_question_is_dirty_beside_its_answer_only() -> None:
    for length, alone in ((5, "suspect"), (6, "dirty")):
        item = items_of([{"question": " ".join(WORD[:length]), "answer": " ".join(WORD[20:23])}])
        asked = " ".join(WORD[:length])
        hits = coverage([f"We say {asked}, too", f"{asked}? {' '.join(WORD[20:23])}"], item, min_information=1.0)
        assert [hit["verdict"] for hit in hits] == [alone, "dirty"]


def test_a_question_of_few_words_is_looked_for_next_to_its_passage_only() -> None:
    passage = WORD[20:60]
    item = items_of([{"passage": " ".join(passage), "question": "why", "answer": "no"}])
    texts = [f"{' '.join(passage)} Question: why", f"{' '.join(passage)} {' '.join(WORD[:8])} why"]
    assert [hit["row"] for hit in coverage(texts, item)] == [0]


def test_a_passage_nearby_is_support() -> None:
    passage = "the second season of the series is set a decade before and follows the crew of the ship"
    others = [{"question": f"will there be a second season of {word}"} for word in WORD]
    items = items_of([{"question": "will there be a second season", "passage": passage, "answer": "yes"}, *others])
    near = f"{passage}. Will there be a second season? Yes."
    verdicts = [
        {
            hit["row"]: hit["verdict"]
            for hit in coverage([text], items, min_information=60.0)
            if hit["item"] == "b/test/0"
        }
        for text in (near, "Will there be a second season? Yes.", passage)
    ]
    assert verdicts[0] == {0: "dirty"}
    assert verdicts[1] != {0: "dirty"} and verdicts[2] == {}


def test_short_questions_are_found_whole() -> None:
    items = items_of([{"question": "Who wrote Hamlet?", "answer": "Shakespeare"}])
    texts = ["Quiz. Who wrote Hamlet? Shakespeare!", "who wrote Macbeth? Shakespeare", "Who wrote Hamlet, they asked"]
    found = scan(column(*texts), build_index(items), [method_named("exact")]).to_pylist()
    assert [(hit["row"], hit["verdict"], hit["start"], hit["end"]) for hit in found] == [
        (0, "dirty", 6, 22),
        (2, "suspect", 0, 16),
    ]


def test_the_guard_passes_over_what_many_items_have() -> None:
    template = "read the text below and choose the best of the answers given"
    items = questions(*(f"{template} {WORD[i]}" for i in range(21)))
    index = build_index(items)
    methods = [method_named("tulu3_8gram")]
    assert scan(column(template), index, methods).num_rows == 0
    assert scan(column(template), index, methods, ScanOptions(max_items=21)).num_rows == 21
    seeded = f"{template} w3 and so on"
    (hit,) = scan(
        column(seeded), index, methods
    ).to_pylist()  # the last n-gram is its own: the run counts from its start
    assert (hit["item"], hit["score"], hit["start"]) == ("b/test/3", 1.0, 0)


@pytest.mark.parametrize(("benchmarks", "hits"), [(5, 6), (6, 0)])
def test_the_guard_passes_over_what_many_benchmarks_have(benchmarks: int, hits: int) -> None:
    shared = "to be or not to be that is the question"
    items = items_of([{"question": shared, "benchmark": f"b{i % benchmarks}"} for i in range(6)])
    assert scan(column(shared), build_index(items), [method_named("exact")]).num_rows == hits


def test_the_guard_passes_over_what_the_background_has() -> None:
    index = build_index(questions(SHEEP)).with_background([column(*["nothing"] * 98, SHEEP, SHEEP)])
    assert scan(column(SHEEP), index, options=ScanOptions(max_documents=0.02)).num_rows == 1
    assert scan(column(SHEEP), index, options=ScanOptions(max_documents=0.019)).num_rows == 0


def test_chunks_and_growing_room_change_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    rng = random.Random(5)
    questions_ = [" ".join(rng.choices(WORD, k=rng.randint(3, 30))) for _ in range(60)]
    texts = [" ".join(rng.choice([*questions_, "filler"]) for _ in range(rng.randint(0, 40))) for _ in range(40)]
    index = build_index(questions(*questions_))
    whole = scan(column(*texts), index, every())
    monkeypatch.setattr(seeds, "CHUNK_BYTES", 1000)
    assert scan(column(*texts), index, every()).equals(whole)
    small = Scanner(index)
    small._room = 1
    assert sum(len(one.pair_part) for one in small.evidence(column(*texts))) == sum(
        len(one.pair_part) for one in Scanner(index).evidence(column(*texts))
    )
    sliced = pa.concat_arrays([column("x y z"), column(*texts)]).slice(1)
    assert scan(sliced, index, every()).equals(whole)
    chunked = pa.chunked_array([column(*texts[:7]), column(*texts[7:])])
    assert scan(chunked, index, every()).equals(whole)
    keys = [(r["row"], r["method"], r["start"]) for r in whole.to_pylist()]
    names = [one.name for one in every()]
    assert keys == sorted(keys, key=lambda key: (key[0], names.index(key[1]), key[2]))


def test_a_scanner_can_be_used_again() -> None:
    scanner = Scanner(build_index(questions(SHEEP, LAMP)))
    first = [len(one.pair_part) for one in scanner.evidence(column(SHEEP, LAMP, "x"))]
    assert [len(one.pair_part) for one in scanner.evidence(column(SHEEP, LAMP, "x"))] == first == [2]


def test_no_text_no_hits() -> None:
    index = build_index(questions(SHEEP))
    for texts in (column(), column(None), column("", "a b c d e f g")):
        found = scan(texts, index, every())
        assert found.num_rows == 0 and found.schema == HITS


@settings(max_examples=60, deadline=None)
@given(st.text(max_size=60), st.text(max_size=60))
def test_any_text_beside_a_question_leaves_it_found(before: str, after: str) -> None:
    text = f"{before}\n{SHEEP}\n{after}"
    hits = coverage([text], questions(SHEEP))
    assert any(
        hit["score"] == 1.0 and SHEEP.rstrip("?").encode() in text.encode()[hit["start"] : hit["end"]] for hit in hits
    )


def hostile() -> dict[str, str]:
    """Texts that a table or an alignment could take ever longer for."""
    return {
        "one word": "sheep " * 200_000,
        "one line": "a" * 5_000_000,
        "the item's words in turn": " ".join((SHEEP + " ").split() * 8_000),
        "lines of a letter": "a\n" * 200_000,
        "repeats of an item of repeats": "no " * 300_000,
        "nuls": "\0" * 1_000_000,
        "halves": " ".join(SHEEP.split()[:8]) * 1 + (" " + " ".join(SHEEP.split()[4:14])) * 20_000,
    }


def test_hostile_texts_take_linear_time() -> None:
    index = build_index(items_of([{"question": SHEEP}, {"question": "no " * 300}, {"passage": "sheep " * 500}]))
    scan(column(SHEEP), index, every())
    for name, text in hostile().items():
        began = time.process_time()
        scan(column(text), index, every())
        assert time.process_time() - began < 10, name


def test_against_a_plain_search_for_questions() -> None:
    """Half of the texts hold a question word for word; nothing else is found."""
    rng = random.Random(11)
    words = [f"word{i}" for i in range(3000)]
    asked = [" ".join(rng.choices(words, k=rng.randint(9, 40))) for _ in range(200)]
    texts, expected = [], []
    for row in range(300):
        body = rng.choices(words, k=200)
        if row % 2:
            item = rng.randrange(len(asked))
            body[50:50] = asked[item].split()
            expected.append((row, f"b/test/{item}", 1.0))
        texts.append(" ".join(body))
    found = scan(column(*texts), build_index(questions(*asked))).to_pylist()
    assert [(hit["row"], hit["item"], hit["score"]) for hit in found] == expected


def test_edited_questions_are_found() -> None:
    """A tenth of the words exchanged: at least 85 of 100 are dirty; of unrelated texts none is."""
    rng = random.Random(3)
    words = [f"word{i}" for i in range(3000)]
    asked = [rng.choices(words, k=rng.randint(10, 40)) for _ in range(200)]
    texts = []
    for item in asked:
        edited = list(item)
        for at in rng.sample(range(len(item)), max(1, round(len(item) / 10))):
            edited[at] = "edited"
        texts.append(" ".join([*rng.choices(words, k=60), *edited, *rng.choices(words, k=60)]))
    index = build_index(questions(*(" ".join(item) for item in asked)))
    found = scan(column(*texts), index)
    dirty = found.filter(pa.compute.equal(found["verdict"], "dirty"))
    assert len(set(dirty["row"].to_pylist())) >= 170
    assert all(hit["item"] == f"b/test/{hit['row']}" for hit in dirty.to_pylist())


def test_evidence_is_what_the_text_holds() -> None:
    index = build_index(questions(SHEEP, LAMP))
    (one,) = Scanner(index, EXACT).evidence(column("x", f"so {LAMP} yes", SHEEP))
    assert isinstance(one.index, Index) and one.pair_document.tolist() == [1, 2]
    assert one.index.part_item[one.pair_part].tolist() == [1, 0]
    whole = tokens_of(column(LAMP))
    assert one.tokens[one.run_text[0] : one.run_text[0] + one.run_length[0]].tolist() == whole.hashes.tolist()
