"""`gristmill filter decontaminate`, `gristmill decontam acts`, and `gristmill inspect` of documents that were cut."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from pipeline.cli import main
from pipeline.recipe import build
from tests.decontam.conftest import index_cache  # noqa: F401  a fixture
from tests.decontam.stage_tools import FILLER, QUIZ, page, write_benchmark
from tests.runs import run_recipe


@pytest.fixture
def files(tmp_path: Path, index_cache: Path) -> tuple[str, str]:  # noqa: F811
    """(documents, benchmark)"""
    texts = [page(3, 1, 3), FILLER, page(2, 2, 2), page(2, 1, 0) + " " + page(0, 3, 2)]
    rows = [{"id": f"d{i}", "url": f"https://{i}.example/", "text": text} for i, text in enumerate(texts)]
    source = tmp_path / "in.jsonl"
    source.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return str(source), str(write_benchmark(tmp_path / "quiz.jsonl"))


def test_the_log_lies_beside_what_filter_writes(files, tmp_path, capsys):
    source, quiz = files
    out = tmp_path / "out.jsonl"
    command = ["filter", "decontaminate", source, "-o", str(out), "--benchmarks", quiz]
    assert main(command) == 0
    shown = capsys.readouterr().out
    assert "dropped by decontaminate: quiz" in shown and "out.jsonl.acts.jsonl" in shown
    assert [json.loads(line)["id"] for line in out.open()] == ["d1"]
    acts = [json.loads(line) for line in (tmp_path / "out.jsonl.acts.jsonl").open()]
    assert [(a["id"], a["item"], a["action"]) for a in acts] == [
        ("d0", "quiz/all/1", "drop"), ("d2", "quiz/all/2", "drop"), ("d3", "quiz/all/1", "drop"),
        ("d3", "quiz/all/3", "drop"),
    ]  # fmt: skip
    clean = tmp_path / "clean.jsonl"
    clean.write_text(json.dumps({"text": FILLER}) + "\n")
    assert main(["filter", "decontaminate", str(clean), "-o", str(out), "--benchmarks", quiz, "--quiet"]) == 0
    assert (tmp_path / "out.jsonl.acts.jsonl").read_text() == ""  # not what an earlier command found


def test_acts_shows_what_was_found_and_done(files, tmp_path, capsys):
    source, quiz = files
    out = str(tmp_path / "out.parquet")
    options = ["--action", "cut", "--fragments", "split", "--methods", "coverage", "{gpt3_13gram: {n: 11}}", "--quiet"]
    assert main(["filter", "decontaminate", source, "-o", out, "--benchmarks", quiz, *options]) == 0
    assert capsys.readouterr().out == ""
    log = tmp_path / "out.parquet.acts.jsonl"
    assert main(["decontam", "acts", out, "--json"]) == 0
    every = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert every == [json.loads(line) for line in log.open()] and len(every) == 8  # two methods
    for choice, wanted in (
        (["--item", "quiz/all/3"], [a for a in every if a["item"] == "quiz/all/3"]),
        (["--item", "quiz/all"], every),
        (["--item", "quiz/al"], []),
        (["--document", "https://0.example/"], [a for a in every if a["id"] == "d0"]),
        (["--verdict", "suspect"], []),
    ):
        assert main(["decontam", "acts", str(log), "--json", *choice]) == 0
        assert [json.loads(line) for line in capsys.readouterr().out.splitlines()] == wanted
    assert main(["decontam", "acts", out, "--limit", "2"]) == 0
    shown = " ".join(capsys.readouterr().out.split())
    assert "8 acts, the first 2" in shown and "cut 8" in shown and "https://0.example/" in shown
    assert "quiz/all/1" in shown and "Odile" in shown


@pytest.mark.parametrize("name", ["nothing", "empty", "in.jsonl"])
def test_what_holds_no_acts_is_an_error(files, tmp_path, capsys, name):
    (tmp_path / "empty").mkdir()
    assert main(["decontam", "acts", str(tmp_path / name)]) == 2
    assert "no act of decontamination" in (said := capsys.readouterr().err) or "no log of acts" in said


def test_without_benchmarks_the_command_says_what_to_name(files, tmp_path, capsys):
    assert main(["filter", "decontaminate", files[0], "-o", str(tmp_path / "o.jsonl")]) == 2
    assert "name the benchmarks" in capsys.readouterr().err


def test_inspect_shows_what_was_cut(files, tmp_path):
    """Between two other editors of the same step: each one's examples are shown in the text that it read."""
    source, quiz = files
    text = Path(source).read_text().replace('"text": "', '"text": "Accept our cookie policy here.\\nWrite to a@b.org. ')
    Path(source).write_text(text)
    lines = {"terminal_punctuation": False, "min_words": 0}
    cut = {"benchmarks": [quiz], "action": "cut", "context": 50}
    steps = [{"exact_dedup": {}}, {"c4_lines": lines}, {"decontaminate": cut}, {"pii": {}}]
    run = run_recipe(build({"source": {"documents": {"inputs": [source]}}, "steps": steps}), tmp_path / "run")
    assert main(["inspect", str(run), "--json", str(tmp_path / "i.json"), "--quiet"]) == 0
    stages = {one["stage"]: one for one in json.loads((tmp_path / "i.json").read_text())["stages"]}
    stage = stages["decontaminate"]
    assert stage["kind"] == "editor"
    assert {one["kind"]: one["spans"] for one in stage["spans"]["kinds"]} == {"quiz": 3}  # two of them are one cut
    taken = [one["taken"] for one in stage["spans"]["examples"] if one["kind"] == "quiz"]
    assert len(taken) == 3 and all(any(question[:40] in one for question, _ in QUIZ.values()) for one in taken)
    assert {one["taken"] for one in stages["pii"]["spans"]["examples"]} == {"a@b.org"}


def test_files_that_were_annotated_are_decided_anew_without_a_scan(files, tmp_path, monkeypatch):
    source, quiz = files
    noted, clean = str(tmp_path / "noted.parquet"), tmp_path / "clean.jsonl"
    command = ["filter", "decontaminate", "--benchmarks", quiz, "--quiet"]
    assert main([*command, source, "-o", noted, "--action", "annotate"]) == 0
    monkeypatch.setattr("decontam.stage.Decontaminate._scanner", lambda self: pytest.fail("scanned again"))
    assert main([*command, noted, "-o", str(clean)]) == 0
    assert [json.loads(line)["id"] for line in clean.open()] == ["d1"]
    assert len((tmp_path / "clean.jsonl.acts.jsonl").read_text().splitlines()) == 4
