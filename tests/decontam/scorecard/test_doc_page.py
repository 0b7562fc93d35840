"""docs/decontam-scorecard.md is the page of the committed measurement, with its figures."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from decontam.scorecard.cases import FORMS
from decontam.scorecard.doc_page import main
from decontam.scorecard.split import FRESH_BENCHMARKS

RESULTS = Path("benchmarks") / "results"


def test_the_page_is_up_to_date(root: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main([str(root / RESULTS)]) == 0
    page = (root / "docs" / "decontam-scorecard.md").read_text(encoding="utf-8")
    assert capsys.readouterr().out == page, "run `make docs`"
    for form in FORMS.values():
        assert f"| `{form.name}` | {form.expected} | {form.doc} |\n" in page


def test_the_targets_are_told_as_they_were_measured(root: Path) -> None:
    result = json.loads((root / RESULTS / "decontam_scorecard.json").read_text(encoding="utf-8"))
    page = (root / "docs" / "decontam-scorecard.md").read_text(encoding="utf-8")
    assert list(result["halves"]) == ["tuning", "reporting", "fresh"]
    for name, half in result["halves"].items():
        coverage = half["methods"]["coverage"]
        rates = {row["form"]: row["flagged"] / row["cases"] for row in coverage["forms"]}
        negatives = [rates[row["form"]] for row in coverage["forms"] if not row["contaminated"]]
        plants = [rates[row["form"]] for row in coverage["forms"] if row["contaminated"]]
        recall, false = sum(plants) / len(plants), sum(negatives) / len(negatives)
        told = half["targets"]
        assert told["precision over the hard negatives"]["reached"] == pytest.approx(recall / (recall + false))
        assert told["recall, 10 % of words dropped"]["reached"] == rates["dropped_10"]
        for one in told.values():
            assert one["met"] == (one["reached"] >= one["target"])
        assert name == "fresh" or all(row["cases"] >= 150 for row in coverage["forms"])
    assert set(result["halves"]["fresh"]["benchmarks"]) == set(FRESH_BENCHMARKS)
    missed = [name for name, one in result["halves"]["fresh"]["targets"].items() if not one["met"]]
    assert page.count("**no**") == len(missed)
