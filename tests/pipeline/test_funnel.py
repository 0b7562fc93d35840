"""The funnel: what it drops and why, what it leaves, and how near its result is to the full run's."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
import pytest

from filters.rules import RuleFilter
from pipeline.errors import ConfigError, SchemaError
from pipeline.funnel import Funnel, decided, loosened
from pipeline.recipe import build, override, read_recipe, without
from pipeline.schema import PAGE
from pipeline.stage import DROP_FILTER, DROP_REASON, Filter, Rule
from tests.runs import run_recipe

ENGLISH = (
    "The river rose in the night, and the people of the village carried what they could to the church on the hill. "
    "They waited there for three days, with little to eat, until the water went back and left the fields grey. "
)
GERMAN = (
    "Der Fluss stieg in der Nacht, und die Leute aus dem Dorf trugen alles, was sie konnten, zur Kirche auf den Berg. "
    "Dort warteten sie drei Tage lang und hatten wenig zu essen, bis das Wasser wieder zurück ging. "
)


def pages(*bodies):
    rows = [
        {
            "id": str(i),
            "url": f"https://example.org/{i}",
            "record": {"content_type": "text/html; charset=utf-8"},
            "payload": body.encode(),
            "payload_kind": "html",
        }
        for i, body in enumerate(bodies)
    ]
    return pa.Table.from_pylist(rows, PAGE)


def page(text):
    return f"<html><head><title>A page</title></head><body><article><p>{text}</p></article></body></html>"


def test_drops_by_the_cheap_text_and_keeps_the_payload():
    funnel = Funnel(
        engine="resiliparse", filters=({"language": {"languages": ["en"]}}, {"gopher_quality": {"min_words": 30}})
    )
    funnel.check()
    docs = pages(page(ENGLISH * 3), page(GERMAN * 3), page("Only few words here, and that is all of it."), "<p></p>")
    out = funnel(docs)
    assert out.column_names == [*docs.column_names, DROP_REASON]
    assert out.drop_columns([DROP_REASON]).equals(docs)
    assert out[DROP_REASON].to_pylist() == [None, "language:language:de", "gopher_quality:min_words", "extract:no_text"]


def test_pages_without_cheap_text_may_be_left_to_the_dear_engine():
    out = Funnel(engine="resiliparse", filters=("language",), no_text=False)(pages("<p></p>"))
    assert out[DROP_REASON].to_pylist() == [None]


def test_limits_are_left_to_extraction():
    deep = "<div>" * 5000 + "text" + "</div>" * 5000
    out = Funnel(engine="resiliparse", filters=("language",))(pages(deep))
    assert out[DROP_REASON].to_pylist() == [None]


def test_an_empty_table():
    funnel = Funnel(engine="resiliparse", filters=("language",))
    assert funnel(pages()).column_names == [*PAGE.names, DROP_REASON]


@dataclass(frozen=True, kw_only=True)
class Numbers(RuleFilter):
    name: ClassVar[str] = "numbers"
    score_column: ClassVar[str] = "numbers"
    measures = pa.struct([("a", pa.float64())])
    rules: ClassVar[tuple[Rule, ...]] = (Rule("least", "a", ">="), Rule("most", "a", "<"))
    least: float | None = 10.0
    most: float | None = 20.0

    def score(self, docs):
        return pa.StructArray.from_arrays([docs["text"].combine_chunks().cast(pa.float64())], ["a"])


@dataclass(frozen=True, kw_only=True)
class Plain(Filter):
    name: ClassVar[str] = "plain"
    reads: ClassVar[tuple[str, ...]] = ("text",)
    score_column: ClassVar[str] = "plain"
    rules: ClassVar[tuple[Rule, ...]] = (Rule("most", "", "<="),)
    most: float | None = 20.0

    def score(self, docs):
        return docs["text"].combine_chunks().cast(pa.float64())

    def keep(self, score):
        return pc.less_equal(score, self.most)


def numbers(*values):
    return pa.table({"text": pa.array([str(v) for v in values], pa.large_string())})


@pytest.mark.parametrize(
    ("margin", "value", "why"),
    [
        (0.0, 9.9, "least"),
        (0.0, 10, None),
        (0.2, 8, None),
        (0.2, 7.99, "least"),
        (0.0, 20, "most"),
        (0.2, 23.99, None),
        (0.2, 24, "most"),
    ],
)
def test_margin_loosens_rules_at_their_boundaries(margin, value, why):
    assert decided(Numbers(), numbers(value), margin)[1] == [why]


def test_margin_loosens_single_thresholds_and_leaves_those_that_are_off():
    assert loosened(Plain(), 0.5) == Plain(most=30.0)
    assert decided(Plain(), numbers(25, 31), 0.5)[1] == [None, "plain"]
    assert loosened(Plain(most=None), 0.5) == Plain(most=None)
    assert loosened(Plain(most=-2.0), 0.5) == Plain(most=-1.0)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"filters": []}, "name its filters"),
        ({"filters": ["langage"]}, "did you mean 'language'"),
        ({"filters": [{"language": {"min_scor": 1}}]}, "no option 'min_scor'"),
        ({"filters": ["extract"]}, "is no filter"),
        ({"filters": ["language"], "margin": 1}, "margin must lie"),
        ({"filters": ["language"], "engine": "grist"}, "no engine"),
    ],
)
def test_mistakes_are_found_before_a_run(options, message):
    with pytest.raises(ConfigError, match=message):
        build({"source": {"warc": {"inputs": ["sample"]}}, "steps": [{"funnel": options}, "extract"]})


def test_columns_that_no_filter_has_by_then_are_found_before_a_run(tmp_path):
    (tmp_path / "own.yaml").write_text("en: {gopher_quality: {min_words: 10}}")
    quality = {"gopher_quality": {"by_language": str(tmp_path / "own.yaml")}}
    with pytest.raises(SchemaError, match="'lang'"):
        Funnel(filters=(quality,)).check()
    Funnel(filters=("language", quality)).check()


def test_a_filters_option_enters_the_fingerprint():
    one, other = (Funnel(filters=({"language": {"min_score": m}},)) for m in (0.5, 0.6))
    assert one.fingerprint() != other.fingerprint() != Funnel(filters=("language",)).fingerprint()


def kept(output, step):
    return {row["id"] for f in (output / step / "kept").glob("*.parquet") for row in pq.read_table(f).to_pylist()}


def test_the_bundled_recipe_agrees_with_the_full_run_on_the_sample(tmp_path):
    plain = override(without(read_recipe("funnel"), ["exact_dedup"]), ["extract.engine=resiliparse"])
    full = run_recipe(build(without(plain, ["funnel"])), tmp_path / "full")
    fast = run_recipe(build(plain), tmp_path / "fast")
    want, have = kept(full, "02-fineweb_quality"), kept(fast, "02-fineweb_quality")
    assert want and have <= want
    assert len(want & have) >= 0.98 * len(want)
    spared = [
        row
        for f in (fast / "01-extract" / "dropped").glob("*.parquet")
        for row in pq.read_table(f, columns=[DROP_FILTER, DROP_REASON]).to_pylist()
        if row[DROP_FILTER] == "funnel"
    ]
    assert len(spared) > 50 and {row[DROP_REASON].split(":")[0] for row in spared} >= {"language"}
