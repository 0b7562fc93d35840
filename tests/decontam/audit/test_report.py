"""`gristmill decontam report`: every number against a reading of the corpus that knows nothing of tokens."""

from __future__ import annotations

import csv
import dataclasses
import json
import re
from pathlib import Path

import pyarrow as pa
import pytest

from pipeline.cli import main

from .plants import REPEATED, Planted, name_of, plant


@pytest.fixture(scope="module")
def planted(tmp_path_factory: pytest.TempPathFactory) -> Planted:
    return plant(tmp_path_factory.mktemp("planted"))


def _report(planted: Planted, *options: str, corpus: Path | None = None) -> int:
    words = ["decontam", "report", str(corpus or planted.corpus), "--bench", str(planted.bench)]
    return main([*words, "--registry", str(planted.registry), "--inline", *options])


@pytest.fixture(scope="module")
def out(planted: Planted) -> Path:
    folder = planted.folder / "out"
    folder.mkdir()
    mixture = folder / "mixture.yaml"
    mixture.write_text(
        "sources:\n  a: {epochs: 2.5, match: ['host0.example', 'host1.*']}\n  'https://host2*': {epochs: 0.5}\n"
    )
    targets = ("--html", "r.html", "--json", "r.json", "--csv", "csv", "--clean-ids", "clean.txt")
    options = [str(folder / one) if n % 2 else one for n, one in enumerate(targets)]
    assert _report(planted, *options, "--methods", "all", "--mixture", str(mixture)) == 0
    return folder


@pytest.fixture(scope="module")
def result(out: Path) -> dict:
    return json.loads((out / "r.json").read_text())


def test_corpus_is_counted(planted, result):
    corpus = result["corpus"]
    assert corpus["kind"] == "documents" and corpus["documents"] == len(planted.texts)
    assert corpus["bytes"] == sum(len(text.encode()) for text in planted.texts)
    assert corpus["skipped"] == {"bad_json": 1} and corpus["tokens"] is None and corpus["fragments"] == 0


def test_items_documents_and_copies(planted, result):
    assert [row["item"] for row in result["items"]] == [name_of(item) for item in sorted(planted.expected)]
    for row, item in zip(result["items"], sorted(planted.expected), strict=True):
        where = planted.expected[item]
        assert row["verdict"] == "dirty" and row["score"] == 1
        assert row["copies"] == len(where)
        assert row["documents"] == len({planted.texts[n] for n in where})
        assert row["question"] == planted.items[item]["q"] and row["choices"] == planted.items[item]["options"]
        assert row["answer"] == planted.items[item]["options"][item % 4] and row["passage"] is None
        assert {"coverage", "exact", "gpt3_13gram", "llama3_8gram"} <= {one["method"] for one in row["by_method"]}
        own = next(one for one in row["by_method"] if one["method"] == "coverage")
        assert own == {k: row[k] for k in ("verdict", "score", "documents", "copies")} | {"method": "coverage"}
        epochs = [{0: 2.5, 1: 2.5, 2: 0.5}.get(n % 4, 1.0) for n in where]
        assert row["exposure"] == pytest.approx(sum(epochs))


def test_benchmarks_by_split_and_method(planted, result):
    rows = {(row["split"], row["method"]): row for row in result["benchmarks"]}
    methods = result["settings"]["methods"]
    assert len(rows) == len(result["benchmarks"]) == 2 * len(methods) and len(methods) == 8
    dirty = {"test": sum(item < 7 for item in planted.expected), "train": sum(item >= 7 for item in planted.expected)}
    for (split, method), row in rows.items():
        assert row["benchmark"] == "quiz" and row["items"] == {"test": 7, "train": 3}[split]
        assert row["dirty"] + row["suspect"] + row["clean"] == row["items"]
        if method in ("coverage", "exact", "gpt3_13gram", "llama3_8gram", "tulu3_8gram", "llama2_skipgram"):
            assert row["dirty"] == dirty[split] and row["unmatchable"] == (1 if split == "train" else 0)
    assert result["unmatchable"] == ["quiz/train/3"]


def test_matches_are_what_stands_there(planted, result):
    questions = {name_of(n): one["q"] for n, one in enumerate(planted.items)}
    seen: dict[str, set[str]] = {}
    for match in result["matches"]:
        number = int(match["document"][1:])
        raw = planted.texts[number].encode()
        text = raw[match["start"] : match["end"]].decode()
        assert text == match["text"] and not match["shortened"]
        assert raw[: match["start"]].decode().endswith(match["before"]) and match["before"]
        assert raw[match["end"] :].decode().startswith(match["after"]) and len(match["after"]) <= 200
        question = questions[match["item"]]
        words, asked = re.findall(r"\w+", text), re.findall(r"\w+", question)
        assert words[: len(asked)] == asked == words[-len(asked) :]  # copies close to each other are one match
        assert match["url"] == planted.urls[number] and match["part"] == "question"
        assert match["source"] == f"corpus.jsonl row {number + (number >= 30)}"
        assert match["source"] == f"{match['record_file']} row {match['record_offset']}"  # it names no WARC record
        overlaps = [text[span["start"] : span["end"]] for span in match["overlap"]]
        others = [question[span["start"] : span["end"]] for span in match["item_overlap"]]
        assert {span["part"] for span in match["item_overlap"]} == {"question"}
        assert re.findall(r"\w+", " ".join(overlaps)) == asked * text.count(question[:-1])
        assert re.findall(r"\w+", " ".join(others)) == asked
        if match["method"] == "coverage":
            seen.setdefault(match["item"], set()).add(planted.texts[number])
    for item, where in planted.expected.items():  # at most five, each text once
        assert len(seen[name_of(item)]) == min(5, len({planted.texts[n] for n in where}))
    assert not {match["document"] for match in result["matches"]} & {f"d{n}" for n in REPEATED}


def test_clean_ids_are_the_others(planted, out):
    every = [name_of(item) for item in range(10)]
    dirty = {name_of(item) for item in planted.expected}
    assert (out / "clean.txt").read_text().split() == [one for one in every if one not in dirty]


def test_csv_says_what_json_says(result, out):
    for name in ("benchmarks", "items", "matches", "corpus_wide"):
        with (out / "csv" / f"{name}.csv").open(newline="") as handle:
            rows = list(csv.DictReader(handle))
        assert len(rows) == len(result[name])
        for row, expected in zip(rows, result[name], strict=True):
            for key, value in expected.items():
                if isinstance(value, list):
                    assert json.loads(row[key]) == value
                else:
                    assert row[key] == ("" if value is None else str(value))


def test_terminal_shows_the_same(planted, out, capsys):
    assert _report(planted, "--methods", "coverage,exact") == 0
    shown = capsys.readouterr().out
    lines = [[cell.strip() for cell in line.split("│")[1:-1]] for line in shown.splitlines() if "│" in line]
    assert ["quiz", "test", "7", "6", "0", "1", "0", "85.71 %"] in lines
    assert ["quiz", "train", "3", "0", "0", "3", "1", "0.00 %"] in lines
    assert ["coverage", "6", "0", "4", "1"] in lines and ["exact", "6", "0", "4", "1"] in lines
    copies = {line[0]: line[4] for line in lines if line[0].startswith("quiz/")}
    assert copies == {name_of(item): str(len(where)) for item, where in planted.expected.items()}
    assert "40 documents" in shown and "1 records skipped (bad_json)" in shown
    assert "1 items can't be looked for" in shown


def test_page_holds_the_items(planted, out):
    page = (out / "r.html").read_text()
    assert page.startswith("<!doctype html>") and len(page) > 5000


@pytest.mark.parametrize(
    ("limits", "status", "failed"),
    [
        (["85.71%"], 3, {"test"}),
        (["86%"], 0, set()),
        (["0"], 3, {"test"}),
        (["1"], 0, set()),
        (["0", "quiz=.9"], 0, set()),
        (["1", "quiz/test=.1"], 3, {"test"}),
        (["quiz/train=0"], 0, set()),
    ],
)
def test_gate(planted, tmp_path, limits, status, failed, capsys):
    target = tmp_path / "r.json"
    assert _report(planted, "--json", str(target), "--fail-above", *limits) == status
    gate = json.loads(target.read_text())["gate"]
    assert {one["split"] for one in gate if one["failed"]} == failed
    for one in gate:
        assert one["share"] == pytest.approx({"test": 6 / 7, "train": 0}[one["split"]])
    assert ("FAILED: quiz/test" in capsys.readouterr().out) == bool(failed)


@pytest.mark.parametrize("text", ["x", "-1", "101%", "2", "nope=1%", "1%%", "0 0"])
def test_a_limit_that_can_t_be_is_told(planted, capsys, text):
    assert _report(planted, "--fail-above", *text.split(), "--quiet") == 2
    assert "--fail-above" in capsys.readouterr().err


def test_suspects_count_where_asked(planted, tmp_path):
    corpus = tmp_path / "half.jsonl"
    words = planted.items[2]["q"].split()
    corpus.write_text(json.dumps({"text": "Before it. " + " ".join(words[:13]) + " other words entirely now"}) + "\n")
    verdicts = {}
    for level in ("dirty", "suspect"):
        ids, target = tmp_path / f"{level}.txt", tmp_path / f"{level}.json"
        options = ("--clean-ids", str(ids), "--json", str(target), "--level", level, "--fail-above", "0")
        verdicts[level] = _report(planted, *options, corpus=corpus), len(ids.read_text().split())
        assert json.loads(target.read_text())["items"][0]["verdict"] == "suspect"
    assert verdicts == {"dirty": (0, 10), "suspect": (3, 9)}


def test_the_documentation_names_every_key(result, root):
    page = (root / "docs" / "decontamination-report.md").read_text()
    keys = {*result, *(key for part in ("corpus", "settings") for key in result[part])}
    keys |= {key for table in ("benchmarks", "items", "matches", "corpus_wide") for key in result[table][0]}
    keys |= {"rejected", "fingerprint", "share", "limit", "failed"}
    assert [key for key in sorted(keys) if f"`{key}`" not in page] == []


def test_json_is_the_result():
    """Read back it is what the tables say; rows stand in lines of their own; of empty tables there is nothing."""
    from decontam.audit.output import TABLES, json_text

    from ..page.results import empty_result, small_result

    for result in (small_result(2500), empty_result()):
        for ascii_only in (False, True):
            text = "".join(json_text(result, ascii_only))
            assert not ascii_only or text.isascii()
            read = json.loads(text)
            assert list(read) == ["corpus", "settings", *TABLES, "unmatchable", "gate"]
            for name, value in read.items():
                told = getattr(result, name)
                assert value == (told.to_pylist() if name in TABLES else told)
            rows = sum(getattr(result, name).num_rows for name in TABLES)
            assert rows < text.count("\n") <= rows + 2 * len(read) + 2
    tables = pa.concat_tables([small_result(3).items, small_result(2).items.slice(2), small_result(2).items])
    cut = dataclasses.replace(small_result(3), items=tables)
    assert json.loads("".join(json_text(cut)))["items"] == tables.to_pylist()


def test_json_alone_goes_to_the_terminal(planted, capsys):
    assert _report(planted, "--json", "--methods", "exact", "--fail-above", "0") == 3
    out, err = capsys.readouterr()
    assert json.loads(out)["settings"]["default"] == "exact" and err == ""


def test_a_killed_report_leaves_its_work_and_an_error_nothing(planted, tmp_path, monkeypatch):
    from decontam.audit import build

    def killed(*_, **__):
        raise KeyboardInterrupt

    target = tmp_path / "r.json"
    with monkeypatch.context() as patch:
        patch.setattr(build, "Gathered", killed)
        assert _report(planted, "--json", str(target), "--quiet") == 130
    work = tmp_path / "r.json.work"
    assert (work / "scan" / "done" / "00000.json").is_file() and not target.exists()
    with monkeypatch.context() as patch:
        patch.setattr("decontam.audit.scanning.Scanner", killed)  # nothing is scanned again
        assert _report(planted, "--json", str(target), "--quiet") == 0
    assert target.is_file() and not work.exists()
    (tmp_path / "empty.jsonl").write_text("")
    assert _report(planted, "--json", str(tmp_path / "e.json"), corpus=tmp_path / "empty.jsonl") == 2
    assert not list(tmp_path.glob("e.json*"))


def test_another_text_field_is_another_audit(planted, tmp_path):
    """Also in the same folder of work."""
    corpus = tmp_path / "c.jsonl"
    corpus.write_text(json.dumps({"text": "nothing at all", "body": planted.items[3]["q"]}) + "\n")
    target, work = tmp_path / "r.json", str(tmp_path / "work")
    for field, found in (("text", 0), ("body", 1)):
        options = ("--json", str(target), "--work", work, "--text-field", field, "--quiet")
        assert _report(planted, *options, corpus=corpus) == 0
        assert len(json.loads(target.read_text())["items"]) == found


def test_one_file_for_two_results_is_an_error(planted, tmp_path, capsys):
    target = str(tmp_path / "r")
    assert _report(planted, "--json", target, "--html", target) == 2
    assert "--html and --json" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("between", "count"), [(" ", 4), ("\n", 4), (" some words of other texts here ", 3), ("", 1), (" w" * 200 + " ", 3)]
)
def test_copies_in_one_document(planted, tmp_path, between, count):
    """However close they stand; also where each copy lacks a word."""
    question = planted.items[3]["q"]
    short = question.split()
    for text in (question, " ".join(short[:8] + short[9:])):
        corpus = tmp_path / "c.jsonl"
        corpus.write_text(json.dumps({"text": between.join([text] * count) + " and the end"}) + "\n")
        target = tmp_path / "r.json"
        assert _report(planted, "--json", str(target), "--quiet", corpus=corpus) == 0
        (row,) = json.loads(target.read_text())["items"]
        assert row["copies"] == count and row["documents"] == 1
