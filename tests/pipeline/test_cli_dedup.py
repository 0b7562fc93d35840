"""`gristmill dedup` and its commands on files of one's own."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from pipeline.cli import main
from pipeline.cli_dedup import WORDS, joined
from pipeline.options import DEDUP
from pipeline.steps import registered_steps

ROWS = [
    {"id": "a", "text": "One text", "url": "http://www.e.com/1/", "quality": 0.2},
    {"id": "b", "text": "one  TEXT", "url": "https://e.com/1?utm_source=x", "quality": 0.9},
    {"id": "c", "text": "another", "url": "http://e.com/1#top", "quality": 0.5},
    {"id": "d", "text": "a third"},
]


@pytest.fixture
def file(tmp_path: Path) -> str:
    path = tmp_path / "in.jsonl"
    path.write_text("\n".join(json.dumps(row) for row in ROWS))
    return str(path)


def ids(path: Path) -> list[str]:
    return [json.loads(line)["id"] for line in path.read_text().splitlines()]


def test_exact_is_what_plain_dedup_does(file, tmp_path):
    for words in (["dedup"], ["dedup", "exact"]):
        out, gone = tmp_path / "out.jsonl", tmp_path / "gone.jsonl"
        assert main([*words, file, "-o", str(out), "--dropped", str(gone), "--quiet"]) == 0
        assert ids(out) == ["a", "c", "d"]
        (dropped,) = map(json.loads, gone.read_text().splitlines())
        assert (dropped["id"], dropped["duplicate_of"], dropped["drop_reason"]) == ("b", "a", "duplicate_text")
    assert [json.loads(line)["copies"] for line in out.read_text().splitlines()] == [2, 1, 1]


def test_by_url_and_keys_with_a_minus(file, tmp_path):
    table = pa.table({k: [row.get(k) for row in ROWS] for k in ("id", "text", "url", "quality")})
    pq.write_table(table, tmp_path / "in.parquet")
    out = tmp_path / "out.jsonl"
    common = [str(tmp_path / "in.parquet"), "-o", str(out), "--quiet"]
    assert main(["dedup", "exact", "--by", "url", "--keep", "-quality", "longest", "--quiet", *common]) == 0
    assert ids(out) == ["b", "d"]
    assert main(["dedup", "exact", *common, "--by", "url", "text", "--keep", "quality"]) == 0
    assert ids(out) == ["a", "d"]


def test_lines(tmp_path):
    menu = "Home, about us, contact and terms of use"
    (tmp_path / "in.jsonl").write_text("\n".join(json.dumps({"id": i, "text": f"{menu}\nbody {i}"}) for i in "abc"))
    out = tmp_path / "out.jsonl"
    assert main(["dedup", "lines", str(tmp_path / "in.jsonl"), "-o", str(out), "--quiet"]) == 0
    rows = [json.loads(line) for line in out.read_text().splitlines()]
    assert [row["text"] for row in rows] == [f"{menu}\nbody a", "body b", "body c"]
    assert rows[1]["cut_spans"] == [{"editor": "line_dedup", "start": 0, "end": len(menu), "kind": "repeated_line"}]
    arguments = ["--keep", "none", "--method", "bloom", "--expected-lines", "100"]
    assert main(["dedup", "lines", str(tmp_path / "in.jsonl"), "-o", str(out), *arguments]) == 0
    assert [json.loads(line)["text"] for line in out.read_text().splitlines()] == ["body a", "body b", "body c"]


def test_the_filter_says_its_memory(file, tmp_path, capsys):
    arguments = ["--method", "bloom", "--expected-lines", "1000000", "--error-rate", "0.001"]
    assert main(["dedup", "lines", file, "-o", str(tmp_path / "out.jsonl"), *arguments]) == 0
    shown = "".join(capsys.readouterr())
    assert "Bloom filter: 3.4 MiB, 14,377,588 counters of 2 bits, 10 a line" in shown


@pytest.mark.parametrize("word", WORDS)
def test_help_teaches(word, capsys):
    with pytest.raises(SystemExit) as stop:
        main(["dedup", word, "--help"])
    shown = capsys.readouterr().out
    assert stop.value.code == 0
    assert f"gristmill dedup {word} crawl/" in shown and f"- {DEDUP[f'dedup {word}']}:" in shown
    fields = dataclasses.fields(registered_steps()[DEDUP[f"dedup {word}"]])
    assert all(f"--{f.name.replace('_', '-')}" in shown for f in fields)
    assert all(f.metadata.get("help") for f in fields)


def test_every_dedup_step_has_its_command():
    assert {name for name in registered_steps() if name.endswith("_dedup")} == set(DEDUP.values())


def test_a_file_may_have_a_commands_name():
    assert joined(["dedup", "./lines", "-o", "x"]) == ["dedup", "./lines", "-o", "x"]
    assert joined(["--debug", "dedup", "lines", "f"]) == ["--debug", "dedup lines", "f"]
    assert joined(["filter", "lines"]) == ["filter", "lines"]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["dedup", "exact", "--by", "texts"], "did you mean 'text'"),
        (["dedup", "--keep", "qualitty!"], "is no key"),
        (["dedup", "exact", "--keep", "quality"], "quality"),
        (["dedup", "lines", "--method", "blom"], "did you mean 'bloom'"),
        (["dedup", "lines", "--max-count", "0"], "at least 1"),
        (["dedup", "lines", "--error-rate", "no"], "a number"),
    ],
)
def test_errors_are_one_line(file, tmp_path, arguments, message, capsys):
    at = 2 if arguments[1] in WORDS else 1
    files = [file, "-o", str(tmp_path / "o.jsonl"), "--quiet"]
    assert main([*arguments[:at], *files, *arguments[at:]]) == 2
    error = capsys.readouterr().err
    assert message in error and error.count("\n") == 1


def test_a_misspelt_kind_is_told(capsys, tmp_path):
    assert main(["dedup", "minhsh", "-o", str(tmp_path / "out.parquet")]) == 2
    assert "did you mean 'minhash'" in capsys.readouterr().err
