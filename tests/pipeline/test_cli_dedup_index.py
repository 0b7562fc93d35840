"""`gristmill dedup index ...` and `dedup minhash --against`, from files to the URL of a match."""

from __future__ import annotations

import json
import random
from pathlib import Path

import pyarrow.parquet as pq
import pytest

from dedup.index import Index
from pipeline.cli import main
from pipeline.cli_dedup_index import WORDS
from tests.dedup.test_minhash import changed, shingles, written

RNG = random.Random(5)
OLD = [written(RNG, 120) for _ in range(6)]


def lines(path: Path, rows: list[dict]) -> str:
    path.write_text("\n".join(json.dumps(row) for row in rows))
    return str(path)


def row(name: str, words: list[str], site: str = "a") -> dict:
    return {"id": name, "text": " ".join(words), "url": f"https://{site}.example/{name}"}


@pytest.fixture
def built(tmp_path: Path) -> Path:
    files = [
        lines(
            tmp_path / f"old-{i}.jsonl", [*(row(f"old{j}", OLD[j]) for j in (i, i + 3)), {"id": f"n{i}", "text": "…"}]
        )
        for i in range(3)
    ]
    assert main(["dedup", "index", "build", *files, "-o", str(tmp_path / "seen"), "--quiet"]) == 0
    return tmp_path / "seen"


def test_a_later_crawl_learns_what_it_matched(built, tmp_path, capsys):
    near = [changed(random.Random(i), OLD[i], 2) for i in range(3)]
    new = [row(f"new{i}", words, "b") for i, words in enumerate(near)]
    new += [row("fresh", written(RNG, 100), "b")]
    file = lines(tmp_path / "new.jsonl", new)
    out, gone = tmp_path / "kept.parquet", tmp_path / "gone.parquet"
    arguments = [file, "--against", str(built), "-o", str(out), "--dropped", str(gone), "--quiet"]
    assert main(["dedup", "minhash", *arguments]) == 0
    assert pq.read_table(out)["id"].to_pylist() == ["fresh"]
    dropped = pq.read_table(gone).to_pylist()
    assert [(r["id"], r["duplicate_of"], r["duplicate_in"]) for r in dropped] == [
        (f"new{i}", f"old{i}", str(built)) for i in range(3)
    ]
    for i, one in enumerate(dropped):
        a, b = shingles(" ".join(OLD[i])), shingles(one["text"])
        assert one["similarity"] == pytest.approx(len(a & b) / len(a | b), abs=1e-6)

    capsys.readouterr()
    assert main(["dedup", "index", "find", str(built), "--matches", str(gone), "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert [(f["url"], f["url_of_match"]) for f in found] == [
        (f"https://b.example/new{i}", f"https://a.example/old{i}") for i in range(3)
    ]
    assert [f["similarity"] for f in found] == [r["similarity"] for r in dropped]
    assert main(["dedup", "index", "find", str(built), "--matches", str(gone)]) == 0
    assert "a.example/old2" in capsys.readouterr().out

    assert main(["dedup", "index", "add", str(built), str(out), "--quiet"]) == 0
    again = [lines(tmp_path / "again.jsonl", [row("x", new[3]["text"].split())]), "-o", str(out)]
    assert main(["dedup", "minhash", *again, "--against", str(built), "--quiet"]) == 0
    assert pq.read_table(out).num_rows == 0


def test_find_info_and_remove(built, tmp_path, capsys):
    assert main(["dedup", "index", "find", str(built), "old4", "nobody", "--json"]) == 0
    shown = capsys.readouterr()
    (found,) = json.loads(shown.out)
    assert (found["id"], found["url"], found["copies"]) == ("old4", "https://a.example/old4", 1)
    assert "nobody" in shown.err
    assert main(["dedup", "index", "find", str(built), "nobody"]) == 1

    capsys.readouterr()
    assert main(["dedup", "index", "info", str(built), "--json"]) == 0
    info = json.loads(capsys.readouterr().out)
    assert (info["documents"], info["segments"], info["files"]) == (6, 1, 3)
    assert info["bytes"] == sum(p.stat().st_size for p in built.rglob("*") if p.is_file())
    assert info["parameters"] == Index.open(built).parameters.config()

    (tmp_path / "ids.txt").write_text("old0\n\nold1\n")
    gone = lines(tmp_path / "gone.jsonl.json", [{"id": "old2"}, {"id": "nobody"}])
    assert main(["dedup", "index", "remove", str(built), "--ids", "old5", str(tmp_path / "ids.txt"), gone]) == 0
    assert "4 documents removed, 1 were not in it" in capsys.readouterr().out
    assert {r["id"] for r in Index.open(built).find([f"old{i}" for i in range(6)])} == {"old3", "old4"}


def test_it_says_what_was_left_out(tmp_path, capsys):
    path = tmp_path / "a.jsonl"
    path.write_text(json.dumps(row("a", OLD[0])) + '\n{"id": "b", "text": "…"}\nbad\n')
    assert main(["dedup", "index", "build", str(path), "-o", str(tmp_path / "i"), "--preset", "dclm"]) == 0
    shown = capsys.readouterr().out
    assert "1 of 3 documents added" in shown and "1 without words" in shown and "1 skipped (bad_json)" in shown
    assert Index.open(tmp_path / "i").parameters.bands == 93


@pytest.mark.parametrize("workers", [[], ["--workers", "2"]])
def test_workers_change_nothing(built, tmp_path, workers):
    files = [str(tmp_path / f"old-{i}.jsonl") for i in range(3)]
    other = tmp_path / "other"
    assert main(["dedup", "index", "build", *files, "-o", str(other), "--quiet", *workers]) == 0
    both = [[pq.read_table(f) for f in Index.open(path).files()] for path in (built, other)]
    assert both[0] == both[1]


def test_what_failed_leaves_nothing(built, tmp_path, capsys):
    before, files = Index.open(built), sorted(p for p in built.rglob("*"))
    again = lines(tmp_path / "more.jsonl", [row("y", OLD[0]), row("old1", OLD[1])])
    assert main(["dedup", "index", "add", str(built), again, "--quiet"]) == 2
    assert "'old1' already" in capsys.readouterr().err
    assert Index.open(built) == before and sorted(p for p in built.rglob("*")) == files
    twice = lines(tmp_path / "twice.jsonl", [row("y", OLD[0]), row("y", OLD[1])])
    assert main(["dedup", "index", "build", twice, "-o", str(tmp_path / "none"), "--quiet"]) == 2
    assert "repeat an id, 'y'" in capsys.readouterr().err and not (tmp_path / "none").exists()
    stray = built / "segments" / "00001-killed"  # as a killed process leaves it
    stray.mkdir()
    (stray / "00000.parquet").write_text("half")
    assert main(["dedup", "index", "remove", str(built), "--ids", "old0", "--quiet"]) == 0
    assert not stray.exists() and Index.open(built).documents() == 5


def test_one_change_at_a_time(built, tmp_path, capsys):
    index = Index.open(built)
    more = lines(tmp_path / "more.jsonl", [row("y", written(RNG, 90))])
    with index.new_segment():
        assert main(["dedup", "index", "add", str(built), more, "--quiet"]) == 2
        assert "another process" in capsys.readouterr().err
    assert main(["dedup", "index", "add", str(built), more, "--quiet"]) == 0
    assert main(["dedup", "index", "info", str(built)]) == 0 and "7" in capsys.readouterr().out
    with pytest.raises(Exception, match="changed meanwhile"):
        index.remove(["old0"])


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["bild", "x"], "did you mean 'build'"),
        ([], "say what to do"),
        (["build", "FILE", "-o", "INDEX"], "is there already, with 6 documents"),
        (["build", "FILE", "-o", "new", "--preset", "finewep"], "no preset 'finewep'"),
        (["build", "FILE", "-o", "."], "not empty"),
        (["add", "nowhere", "FILE"], "is no index"),
        (["add", "INDEX", "nothing.jsonl"], "does not exist"),
        (["remove", "INDEX", "--ids", "nothing.txt"], "does not exist"),
        (["remove", "INDEX", "--ids", "FILE"], "no 'id'"),
        (["find", "INDEX"], "wants ids"),
        (["find", "INDEX", "--matches", "nothing.parquet"], "is no file"),
        (["find", "INDEX", "--matches", "IDS"], "names no document of an index"),
    ],
)
def test_errors_are_one_line(built, tmp_path, monkeypatch, arguments, message, capsys):
    monkeypatch.chdir(tmp_path)
    places = {
        "FILE": lines(tmp_path / "in.jsonl", [{"text": "a b c d e f"}]),
        "INDEX": str(built),
        "IDS": lines(tmp_path / "ids.jsonl", [{"id": "a"}]),
    }
    assert main(["dedup", "index", *(places.get(word, word) for word in arguments)]) == 2
    error = capsys.readouterr().err
    assert message in error and error.count("\n") == 1


@pytest.mark.parametrize("word", WORDS)
def test_help_teaches(word, capsys):
    with pytest.raises(SystemExit) as stop:
        main(["dedup", *word.split(), "--help"])
    shown = capsys.readouterr().out
    assert stop.value.code == 0 and "--against seen.index" in shown
    if word == "index build":
        assert "--preset" in shown and "--text-field" in shown and "--keep" not in shown
