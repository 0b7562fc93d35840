"""All-scores mode: every score on dropped rows, the same decisions as with early exit."""

from __future__ import annotations

import dataclasses
from collections import Counter
from dataclasses import dataclass
from typing import ClassVar

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.errors import ConfigError
from pipeline.mapstep import MapStep, apply_stages
from pipeline.recipe import build, entry, override, read_recipe
from pipeline.stage import DROP_FILTER, DROP_REASON, Editor, Filter, Stage
from pipeline.steps import StageCounts
from tests.runs import run_recipe


@dataclass(frozen=True, kw_only=True)
class Longest(Filter):
    name: ClassVar[str] = "longest"
    reads: ClassVar[tuple[str, ...]] = ("text",)
    score_column: ClassVar[str] = "length"
    most: int = 3

    def score(self, docs):
        return pc.utf8_length(docs["text"])

    def keep(self, score):
        return pc.less_equal(score, self.most)


@dataclass(frozen=True, kw_only=True)
class Vowels(Filter):
    name: ClassVar[str] = "vowels"
    reads: ClassVar[tuple[str, ...]] = ("text",)
    score_column: ClassVar[str] = "vowels"
    least: int = 1
    seen: ClassVar[list[int]] = []

    def score(self, docs):
        self.seen.append(docs.num_rows)
        return pc.count_substring_regex(docs["text"], "[aeiou]")

    def keep(self, score):
        return pc.greater_equal(score, self.least)

    def reason(self, docs):
        return pc.if_else(pc.equal(docs["vowels"], 0), "none", "few")


@dataclass(frozen=True, kw_only=True)
class NoX(Editor):
    """Takes out every x; a text of nothing else goes."""

    name: ClassVar[str] = "no_x"

    def edit(self, docs):
        return pc.replace_substring(docs["text"], "x", "").cast(pa.large_string()), pa.array(
            [[] for _ in range(docs.num_rows)], pa.list_(pa.struct([("editor", pa.string()), ("start", pa.int64()),
                                                                    ("end", pa.int64()), ("kind", pa.string())]))
        )  # fmt: skip

    def dropped(self, docs):
        return pc.if_else(pc.equal(docs["text"], ""), "empty", pa.scalar(None, pa.string()))


@dataclass(frozen=True, kw_only=True)
class NoZ(Stage):
    """A stage that is no filter: its drops are final."""

    name: ClassVar[str] = "no_z"
    reads: ClassVar[tuple[str, ...]] = ("text",)
    adds: ClassVar[tuple[str, ...]] = ("has_z",)

    def __call__(self, docs):
        has = pc.match_substring(docs["text"], "z")
        docs = docs.append_column("has_z", has)
        return docs.append_column(DROP_REASON, pc.if_else(has, "z", pa.scalar(None, pa.string())))


def table(texts):
    ids = [str(i) for i in range(len(texts))]
    return pa.table({"id": ids, "text": pa.array(texts, pa.large_string())})


def run(stages, docs, mode):
    counts = [StageCounts(s.name) for s in stages]
    kept, gone = apply_stages(stages, docs, counts, Counter(), mode)
    rows = pa.concat_tables(gone, promote_options="default").to_pylist() if gone else []
    for count in counts:
        count.check()
    return kept, rows, [count.to_json() for count in counts]


STAGES = [Longest(most=4), NoX(), Vowels(least=2), NoZ(), Longest(most=2)]


def second(stages):
    """The last stage scores into a column of its own."""

    class Again(Longest):
        name = "again"
        score_column = "length_again"

    return [*stages[:-1], Again(most=2)]


texts = st.lists(st.text(alphabet="aexzb", max_size=7), max_size=12)


@given(texts, st.permutations(range(5)))
@settings(max_examples=150, deadline=None)
def test_both_modes_decide_alike(words, order):
    stages = second(STAGES)
    stages = [stages[i] for i in order]
    early, early_gone, early_counts = run(stages, table(words), "early_exit")
    full, full_gone, full_counts = run(stages, table(words), "all_scores")
    assert full.equals(early)
    assert full.schema.equals(early.schema, check_metadata=True)
    assert full_counts == early_counts
    key = {row["id"]: (row[DROP_FILTER], row[DROP_REASON]) for row in early_gone}
    assert {row["id"]: (row[DROP_FILTER], row[DROP_REASON]) for row in full_gone} == key
    assert len(full_gone) == len(early_gone)
    for row in early_gone:
        other = next(r for r in full_gone if r["id"] == row["id"])
        # scores that were there at the drop stay; only texts go on being edited
        assert all(other[c] == v for c, v in row.items() if v is not None and c not in ("text", "cut_spans"))


def test_dropped_rows_have_every_score():
    stages = [Longest(most=2), Vowels(), NoX()]
    docs = table(["ae", "aexx", "bbb", "bb", "xxx"])
    kept, rows, counts = run(stages, docs, "all_scores")
    assert kept["id"].to_pylist() == ["0"]
    by_id = {row["id"]: row for row in rows}
    assert by_id["1"][DROP_FILTER] == by_id["2"][DROP_FILTER] == by_id["4"][DROP_FILTER] == "longest"
    assert [by_id[i]["vowels"] for i in "124"] == [2, 0, 0]
    assert by_id["1"]["text"] == "ae"
    assert by_id["3"][DROP_REASON] == "none"
    early = {row["id"]: row for row in run(stages, docs, "early_exit")[1]}
    assert early["1"].get("vowels") is None and early["1"]["text"] == "aexx"


def test_an_empty_text_ends_a_dropped_document_too():
    stages = [Longest(most=2), NoX(), Vowels()]
    _, rows, _ = run(stages, table(["xxx", "aex"]), "all_scores")
    by_id = {row["id"]: row for row in rows}
    assert by_id["0"]["vowels"] is None and by_id["0"][DROP_FILTER] == "longest"
    assert by_id["1"]["vowels"] == 2


def test_early_exit_spares_dear_stages():
    Vowels.seen.clear()
    run([Longest(most=2), Vowels()], table(["ae", "aexx", "bbb"]), "early_exit")
    assert sum(Vowels.seen) == 1
    Vowels.seen.clear()
    run([Longest(most=2), Vowels()], table(["ae", "aexx", "bbb"]), "all_scores")
    assert sum(Vowels.seen) == 3


def recipe(mode=None):
    plain = read_recipe("crawl-to-shards")
    plain["steps"] = [s for s in plain["steps"] if entry(s, "recipe")[0] in ("url", "consent", "extract", "language")]
    plain = override(plain, ["extract.engine=resiliparse", "language.min_score=0.99"])
    return {**plain, **({"mode": mode} if mode else {})}


def rows_of(folder, columns=None):
    return [r for f in sorted(folder.glob("*.parquet")) for r in pq.read_table(f, columns=columns).to_pylist()]


def test_modes_on_the_sample_crawl(tmp_path):
    early = run_recipe(build(recipe()), tmp_path / "early")
    full = run_recipe(build(recipe("all_scores")), tmp_path / "full")
    for step in ("01-extract", "02-language"):
        kept = [sorted((o / step / "kept").glob("*.parquet")) for o in (early, full)]
        assert [f.read_bytes() for f in kept[0]] == [f.read_bytes() for f in kept[1]]
        columns = ["id", DROP_FILTER, DROP_REASON]
        gone = [sorted(map(str, rows_of(o / step / "dropped", columns))) for o in (early, full)]
        assert gone[0] == gone[1] and gone[0]
    reserved = [r for r in rows_of(full / "01-extract" / "dropped") if r[DROP_FILTER] == "consent"]
    assert len(reserved) == 5
    early_marks, full_marks = (
        [r["consent"] for r in rows_of(o / "01-extract" / "dropped") if r[DROP_FILTER] == "url"] for o in (early, full)
    )
    assert early_marks and set(map(str, early_marks)) == {"None"} and None not in full_marks
    extracted = [r for r in rows_of(full / "01-extract" / "dropped") if r[DROP_FILTER] in ("url", "consent")]
    assert all(r["text"] is None for r in extracted)  # what is dropped before extraction is not extracted


def test_the_mode_is_part_of_the_fingerprint_and_validated():
    step = build(recipe()).steps[0]
    assert isinstance(step, MapStep)
    other = dataclasses.replace(step, mode="all_scores")
    assert step.fingerprint([]) != other.fingerprint([])
    assert build(recipe("all_scores")).steps[0].mode == "all_scores"
    with pytest.raises(ConfigError, match="all_scores.*did you mean 'all_scores'"):
        build(recipe("all_score"))


def test_what_an_editor_drops_keeps_its_text():
    table = pa.table({"id": ["a", "b"], "text": pa.array(["xx", "axb"], pa.large_string())})
    kept, [gone] = apply_stages([NoX()], table, [StageCounts("no_x")], Counter())
    assert kept["text"].to_pylist() == ["ab"]
    assert gone["text"].to_pylist() == ["xx"]
