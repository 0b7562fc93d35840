"""Rule filters and editors: the contract that every heuristic filter builds on."""

from dataclasses import dataclass, field
from typing import ClassVar

import pyarrow as pa
import pytest

from filters.rules import RuleFilter
from pipeline.errors import ConfigError
from pipeline.stage import CUT_SPANS, DROP_REASON, SPAN, Editor, Rule


@dataclass(frozen=True, kw_only=True)
class Sizes(RuleFilter):
    """Characters and spaces."""

    name = "sizes"
    score_column = "sizes"
    measures: ClassVar[pa.StructType] = pa.struct([("chars", pa.int64()), ("spaces", pa.float64())])
    rules = (Rule("min_chars", "chars", ">="), Rule("max_chars", "chars", "<="), Rule("max_spaces", "spaces", "<"))
    min_chars: int | None = field(default=2)
    max_chars: int | None = field(default=5)
    max_spaces: float | None = field(default=0.5)

    def score(self, docs):
        texts = docs["text"].to_pylist()
        rows = [{"chars": len(t), "spaces": t.count(" ") / len(t) if t else float("nan")} for t in texts]
        return pa.array(rows, self.measures)


@dataclass(frozen=True, kw_only=True)
class NoX(Editor):
    """Takes every x."""

    name = "no_x"

    def edit(self, docs):
        texts = docs["text"].to_pylist()
        spans = [
            [{"editor": "no_x", "start": i, "end": i + 1, "kind": "x"} for i, c in enumerate(t) if c == "x"]
            for t in texts
        ]
        return pa.array([t.replace("x", "") for t in texts], pa.large_string()), pa.array(spans, pa.list_(SPAN))

    def dropped(self, docs):
        return pa.array([None if t else "empty" for t in docs["text"].to_pylist()], pa.string())


def table(*texts, langs=None):
    columns = {"text": pa.array(texts, pa.large_string())}
    if langs:
        columns["lang"] = pa.array(langs, pa.string())
    return pa.table(columns)


def test_the_first_rule_that_fails_is_the_reason():
    out = Sizes()(table("", "a", "ab", "abcde", "abcdef", "a ", "a  b", "      "))
    assert out[DROP_REASON].to_pylist() == [
        "min_chars", "min_chars", None, None, "max_chars", "max_spaces", "max_spaces", "max_chars",
    ]  # fmt: skip


def test_a_rule_that_is_none_is_off():
    assert Sizes(max_chars=None, max_spaces=None)(table("      "))[DROP_REASON].to_pylist() == [None]


def test_thresholds_do_not_score_again():
    scored = Sizes().scored(table("abcdef"))
    assert Sizes(max_chars=6).has_score(scored)
    assert Sizes(max_chars=6)(scored)[DROP_REASON].to_pylist() == [None]


def test_thresholds_by_language(tmp_path):
    path = tmp_path / "own.yaml"
    path.write_text("fr: {sizes: {max_chars: 8}}\nde: {sizes: {max_chars: null, max_spaces: 1.1}}\n")
    stage = Sizes(by_language=str(path))
    stage.check()
    assert stage.reads == ("text", "lang")
    out = stage(table("abcdef", "abcdef", "         ", "abcdef", langs=["en", "fr", "de", None]))
    assert out[DROP_REASON].to_pylist() == ["max_chars", None, None, "max_chars"]
    before = stage.fingerprint()
    path.write_text("fr: {sizes: {max_chars: 9}}\n")
    assert stage.fingerprint() != before
    path.write_text("fr: {sizes: {max_char: 9}}\n")
    with pytest.raises(ConfigError, match="'max_char'.*max_chars"):
        stage.check()


@pytest.mark.parametrize("bad", ["no-such-table", "missing.yaml"])
def test_unknown_settings_are_an_error(bad):
    with pytest.raises(ConfigError):
        Sizes(by_language=bad).check()


def test_an_editor_appends_spans_and_unmarks_scores():
    docs = Sizes().scored(table("axb", "cd", "xx"))
    once = NoX()(docs)
    assert once["text"].to_pylist() == ["ab", "cd", ""]
    assert once[DROP_REASON].to_pylist() == [None, None, "empty"]
    assert not Sizes().has_score(once)
    assert Sizes()(once.drop_columns([DROP_REASON]))["sizes"].to_pylist()[0]["chars"] == 2
    again = once.drop_columns([DROP_REASON]).set_column(
        once.column_names.index("text"), "text", pa.array(["x", "", "yx"], pa.large_string())
    )
    twice = NoX()(again)
    assert [[s["start"] for s in row] for row in twice[CUT_SPANS].to_pylist()] == [[1, 0], [], [0, 1, 1]]
    assert twice["text"].type == pa.large_string()


def test_an_empty_table_passes():
    empty = table()
    assert NoX()(Sizes()(empty).drop_columns([DROP_REASON])).num_rows == 0
    assert NoX()(NoX()(empty).drop_columns([DROP_REASON])).num_rows == 0
