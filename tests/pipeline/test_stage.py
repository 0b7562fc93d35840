"""The stage contract: columns, drops with reasons, fingerprints, typos."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from typing import ClassVar

import pyarrow as pa
import pyarrow.compute as pc
import pytest

from pipeline.errors import ConfigError, SchemaError, StepFailed
from pipeline.mapstep import apply_stages
from pipeline.stage import Filter, Stage, check_columns, make, registered, split
from pipeline.steps import StageCounts


@dataclass(frozen=True, kw_only=True)
class Short(Filter):
    """Test filter: drops long texts."""

    name: ClassVar[str] = "short"
    reads: ClassVar[tuple[str, ...]] = ("text",)
    score_column: ClassVar[str] = "length"
    max_length: int = 3

    def score(self, docs):
        return pc.utf8_length(docs["text"])

    def keep(self, score):
        return pc.less_equal(score, self.max_length)


DOCS = pa.table({"id": ["a", "b", "c"], "text": ["xx", "xxx", "xxxx"]})


def test_filter_scores_then_decides():
    out = Short()(DOCS)
    assert out["length"].to_pylist() == [2, 3, 4]
    assert out["drop_reason"].to_pylist() == [None, None, "short"]
    kept, dropped = split(out, Short())
    assert kept.to_pylist() == [{"id": "a", "text": "xx", "length": 2}, {"id": "b", "text": "xxx", "length": 3}]
    assert dropped.to_pylist() == [
        {"id": "c", "text": "xxxx", "length": 4, "drop_filter": "short", "drop_reason": "short"}
    ]


def test_a_null_score_is_a_drop():
    texts = pa.table({"text": ["a", None]})
    assert Short()(texts)["drop_reason"].to_pylist() == [None, "short"]


def test_stages_run_on_no_rows():
    out = Short()(DOCS.slice(0, 0))
    assert out.num_rows == 0
    assert {"length", "drop_reason"} <= set(out.column_names)


def test_counts_add_up_and_a_lost_row_is_noticed():
    counts = [StageCounts("short"), StageCounts("short")]
    kept, gone = apply_stages([Short(max_length=3), Short(max_length=2)], DOCS, counts, Counter())
    assert kept["id"].to_pylist() == ["a"]
    assert [t["id"].to_pylist() for t in gone] == [["c"], ["b"]]
    for count in counts:
        count.check()
    counts[0].n_in += 1
    with pytest.raises(StepFailed, match="lost count"):
        counts[0].check()


def test_missing_column_is_found_before_a_run():
    with pytest.raises(SchemaError, match=r"'short' reads \['text'\]"):
        check_columns([Short()], {"id"})
    assert "length" in check_columns([Short()], {"id", "text"})


def test_stage_that_does_not_add_what_it_declares():
    @dataclass(frozen=True, kw_only=True)
    class Liar(Stage):
        name: ClassVar[str] = "liar"
        adds: ClassVar[tuple[str, ...]] = ("truth",)

        def __call__(self, docs):
            return docs

    with pytest.raises(SchemaError, match="declares"):
        apply_stages([Liar()], DOCS, [StageCounts("liar")], Counter())


def test_fingerprint_follows_configuration():
    assert Short().fingerprint() == Short(max_length=3).fingerprint() != Short(max_length=4).fingerprint()


def test_typos_name_the_nearest():
    with pytest.raises(ConfigError, match="did you mean 'language'"):
        make("langauge", {})
    with pytest.raises(ConfigError, match="did you mean 'min_score'"):
        make("language", {"min_scor": 0.5})
    with pytest.raises(ConfigError, match="language"):
        make("language", {"min_score": "high"})


def test_bundled_stages_are_registered_and_documented():
    known = registered()
    assert {"url", "extract", "language"} <= set(known)
    for cls in known.values():
        assert cls.__doc__
        assert not cls.__doc__.startswith(cls.__name__ + "("), f"{cls.__name__} has only the dataclass docstring"
