"""`gristmill decontam benchmark` on the sample's own questions, in pages made here."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from pipeline.cli import main
from tests.decontam.scorecard.tools import made_hosts

FORMS = [
    "verbatim", "question_only", "apart", "case_noise", "punctuation_noise", "unicode_noise", "numbers_changed",
    "substituted_10", "dropped_10", "html_list", "page_break", "clean_host", "famous_passage", "template_question",
    "choice_boilerplate", "code_boilerplate",
]  # fmt: skip


@pytest.fixture(scope="module")
def texts(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("pages") / "pages.parquet"
    pq.write_table(made_hosts(), path)
    return path


def run(*options: str | Path) -> int:
    return main(["decontam", "benchmark", *map(str, options)])


@pytest.fixture(scope="module")
def made(texts: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("made")
    command = ["--texts", texts, "--per-form", "20", "--forms", *FORMS, "--json", folder / "a.json"]
    assert run(*command, "--html", folder / "a.html", "--svg", folder / "a.svg", "--cases", folder / "cases") == 0
    return folder


def test_floors_of_the_default_method_on_the_samples_questions(made: Path) -> None:
    result = json.loads((made / "a.json").read_text(encoding="utf-8"))
    coverage = result["methods"]["coverage"]
    rates = {row["form"]: row["rate"] for row in coverage["forms"]}
    assert list(rates) == FORMS
    assert all(row["cases"] == 20 for row in coverage["forms"])
    assert coverage["summary"]["precision"] >= 0.98
    assert rates["verbatim"] >= 0.99
    assert min(rates[form] for form in ("case_noise", "punctuation_noise", "unicode_noise")) >= 0.95
    assert (rates["substituted_10"] + rates["dropped_10"]) / 2 >= 0.85  # 20 cases each are few: both together
    assert result["plants_per_negative"] == 1
    assert result["items"] == 20 and result["half"] == "all"
    rivals = [one["summary"]["recall"] for name, one in result["methods"].items() if name != "coverage"]
    assert len(rivals) == 7 and coverage["summary"]["recall"] > max(rivals)


def test_the_files_hold_the_same(made: Path) -> None:
    svg = (made / "a.svg").read_text(encoding="utf-8")
    html = (made / "a.html").read_text(encoding="utf-8")
    assert svg.startswith("<svg xmlns=") and svg in html
    assert svg.count('class="dot"') == 8 * len(FORMS)
    assert not re.search(r"<script|https?://[^\s<]*\.(js|css)", html)
    cases = [json.loads(line) for line in (made / "cases" / "cases.jsonl").read_text(encoding="utf-8").splitlines()]
    assert len(cases) == 20 * len(FORMS)
    plant = cases[0]
    assert "question" not in plant and plant["verdicts"]["coverage"][plant["item"]] == "dirty"
    exact = (made / "cases" / "mistakes-exact.txt").read_text(encoding="utf-8")
    assert exact.count("== all/dropped_10/") > 10
    coverage = (made / "cases" / "mistakes-coverage.txt").read_text(encoding="utf-8")
    assert "== all/verbatim/" not in coverage


def test_the_same_command_writes_the_same_bytes(
    texts: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for name in "ab":
        command = ["--texts", texts, "--per-form", "3", "--forms", "dropped_10", "clean_host", "--methods", "coverage"]
        written = ["--json", tmp_path / f"{name}.json", "--html", tmp_path / f"{name}.html"]
        assert run(*command, *written, "--svg", tmp_path / f"{name}.svg") == 0
    for ending in ("json", "html", "svg"):
        assert (tmp_path / f"a.{ending}").read_bytes() == (tmp_path / f"b.{ending}").read_bytes()
    out = capsys.readouterr()
    assert "Recall by form of plants" in out.out and "3 plants and 3 hard negatives" in out.out
    assert "methods on the cases: 18/18" in out.err


def test_json_alone_on_the_terminal(texts: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run("--texts", texts, "--per-form", "1", "--forms", "verbatim", "--methods", "exact", "--json") == 0
    out = capsys.readouterr()
    assert list(json.loads(out.out)["methods"]) == ["exact"] and out.err == ""


@pytest.mark.parametrize(
    ("options", "told"),
    [
        (["--half", "tunig"], "did you mean 'tuning'"),
        (["--methods", "covrage"], "did you mean 'coverage'"),
        (["--forms", "verbatm"], "did you mean 'verbatim'"),
        (["--methods", "exact", "--detail", "coverage"], "--detail is 'coverage'"),
        (["--per-form", "0"], "--per-form is 0"),
        (["--bench", "nowhere/at/all"], "nowhere/at/all"),
        (["--texts", "nowhere.parquet"], "nowhere.parquet"),
        (["--svg", "no/such/folder/a.svg"], "--svg"),
        (["--html", "no/such/folder/a.html"], "--html"),
        (["--quotations", "nothing.txt"], "--quotations 'nothing.txt' does not exist"),
    ],
)
def test_what_can_not_be_is_told(
    options: list[str], told: str, texts: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    given = options if "--texts" in options else ["--texts", str(texts), *options]
    assert run(*given) != 0
    assert told in capsys.readouterr().err


def test_a_half_without_benchmarks_or_pages_is_told(
    texts: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    codes = {
        half: run("--texts", texts, "--half", half, "--per-form", "1", "--quiet") for half in ("tuning", "reporting")
    }
    assert sorted(codes.values()) == [0, 2]
    assert "no benchmark falls to the" in capsys.readouterr().err
    pq.write_table(pa.table({"text": ["too short"]}), tmp_path / "short.parquet")
    assert run("--texts", tmp_path / "short.parquet") == 2
    assert "no host of 80 to 1500 words" in capsys.readouterr().err
    (tmp_path / "folder").write_text("a file")
    assert run("--texts", texts, "--cases", tmp_path / "folder") == 2
    assert "is a file; name a folder" in capsys.readouterr().err
