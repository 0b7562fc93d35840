"""What all documents together cover of an item, against sets of words; in pieces, and where it is shown."""

from __future__ import annotations

import csv
import json
import random
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
import pytest
from lxml import html

from decontam.audit import corpus as corpora
from decontam.audit.build import AuditOptions, audit
from decontam.audit.corpus import open_corpus
from decontam.audit.output import json_text
from decontam.audit.result import AuditResult
from decontam.index import build_index
from decontam.items import read_items
from decontam.methods import method_named
from decontam.registry import load_registry
from decontam.scan import ScanOptions
from pipeline.cli import main
from pipeline.progress import Progress
from pipeline.runner import InlineRunner

from ..scan_tools import EXACT, covered, skipgram_covered
from .plants import words

METHODS = ("llama2_skipgram", "llama3_8gram")
REGISTRY = """quiz:
  files: quiz*
  fields: {question: q, answer: a}
  licence: none
  url: https://quiz.example
"""


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, list[list[str]], list[list[str]]]:
    """(folder with quiz-test.jsonl, quiz-train.jsonl and quiz.yaml; words of the questions; words of the documents)."""
    folder = tmp_path_factory.mktemp("wide")
    rng = random.Random(5)
    questions = [words(rng, 40 + 3 * n) for n in range(12)]
    documents = [["x", *questions[0][:22], "y"], ["x", *questions[0][20:], "y"]]
    for n, question in enumerate(questions[1:], 1):
        for _ in range(n % 5):
            low = rng.randrange(len(question) - 8)
            piece = question[low : low + rng.randint(7, 24)]
            if rng.random() < 0.4:
                piece[rng.randrange(len(piece))] = "other"
            documents.append([*words(rng, 30), *piece, *words(rng, rng.randint(0, 30))])
    documents.append([*words(rng, 9), *questions[11], *words(rng, 9)])
    rng.shuffle(documents)
    for name, part in (("quiz-test", questions[:8]), ("quiz-train", questions[8:])):
        lines = [json.dumps({"q": " ".join(one), "a": "none"}) for one in part]
        (folder / f"{name}.jsonl").write_text("\n".join(lines))
    (folder / "quiz.yaml").write_text(REGISTRY)
    return folder, questions, documents


def _audit(folder: Path, documents: list[list[str]], work: Path, rows: int = 1000, **options: object) -> AuditResult:
    path = work / "corpus.parquet"
    work.mkdir()
    pq.write_table(pa.table({"text": [" ".join(one) for one in documents]}), path, row_group_size=rows)
    items = read_items(sorted(folder.glob("quiz-*")), load_registry([folder / "quiz.yaml"]))
    made = AuditOptions(methods=tuple(method_named(name) for name in METHODS), **options)
    with InlineRunner() as runner:
        return audit(
            open_corpus([str(path)], work), items, build_index(items), made, work=work, runner=runner,
            progress=Progress(quiet=True),
        )  # fmt: skip


def _name(n: int) -> str:
    return f"quiz/test/{n + 1}" if n < 8 else f"quiz/train/{n - 7}"


def _expected(questions: list[list[str]], documents: list[list[str]]) -> dict[tuple[str, str], tuple[int, str, str]]:
    """(tokens, verdict by all documents, verdict by the best one) by item and method."""
    made = {}
    for method, dirty, suspect in (("llama2_skipgram", 0.8, 0.2), ("llama3_8gram", 0.8, 0.5)):
        for n, question in enumerate(questions):
            each = [
                covered(question, one, 8) if method == "llama3_8gram" else skipgram_covered(question, one, 10, 4)
                for one in documents
            ]

            def verdict(count: int, of: int = len(question), at: tuple[float, float] = (dirty, suspect)) -> str:
                return "dirty" if count / of >= at[0] else "suspect" if count / of >= at[1] else "clean"

            union = len(set().union(*each))
            made[_name(n), method] = union, verdict(union), max(map(verdict, map(len, each)), key=_RANK.index)
    return made


_RANK = ("clean", "suspect", "dirty")


def test_unions_against_sets_of_words(made, tmp_path) -> None:
    """Also of pieces that are far below what makes a document a match by itself."""
    folder, questions, documents = made
    expected = _expected(questions, documents)
    assert {one[1:] for one in expected.values()} >= {("dirty", "suspect"), ("suspect", "clean"), ("dirty", "dirty")}
    result = _audit(folder, documents, tmp_path / "a")
    found = result.corpus_wide.to_pylist()
    assert {(row["item"], row["method"]): (row["covered"], row["verdict"], row["alone"]) for row in found} == {
        key: value for key, value in expected.items() if value[1] != "clean"
    }
    tokens = {_name(n): len(question) for n, question in enumerate(questions)}
    assert all(row["tokens"] == tokens[row["item"]] and row["share"] == row["covered"] / row["tokens"] for row in found)
    assert [(int(row["item"].split("/")[2]) + 8 * ("train" in row["item"]), row["method"]) for row in found] == sorted(
        (int(row["item"].split("/")[2]) + 8 * ("train" in row["item"]), row["method"]) for row in found
    )
    for row in result.benchmarks.to_pylist():
        of = [one for (item, m), one in expected.items() if m == row["method"] and item.split("/")[1] == row["split"]]
        for kind in ("dirty", "suspect"):
            assert row[f"corpus_{kind}"] == sum(one[1] == kind for one in of)
            assert row[kind] == sum(one[2] == kind for one in of)
    assert sum(row["corpus_dirty"] for row in result.benchmarks.to_pylist()) > sum(
        row["dirty"] for row in result.benchmarks.to_pylist()
    )


def test_two_halves_in_two_documents(made, tmp_path) -> None:
    folder, questions, _ = made
    halves = [questions[0][:22], questions[0][20:]]
    result = _audit(folder, halves, tmp_path / "a")
    rows = result.corpus_wide.to_pylist()
    assert [(r["item"], r["method"], r["verdict"], r["share"], r["alone"]) for r in rows] == [
        ("quiz/test/1", name, "dirty", 1.0, "suspect") for name in METHODS
    ]
    for row in result.benchmarks.filter(pc.equal(result.benchmarks["split"], "test")).to_pylist():
        assert (row["dirty"], row["suspect"], row["corpus_dirty"], row["corpus_suspect"]) == (0, 1, 1, 0)


def test_pieces_and_their_order_change_nothing(made, tmp_path, monkeypatch) -> None:
    folder, _, documents = made
    whole = _audit(folder, documents, tmp_path / "a")
    monkeypatch.setattr(corpora, "SPLIT_BYTES", 1)
    pieces = _audit(folder, documents, tmp_path / "b", rows=1)
    assert len(list((tmp_path / "b" / "scan" / "unions").iterdir())) == len(documents)
    one, other = (json.loads("".join(json_text(result))) for result in (whole, pieces))
    for name in ("benchmarks", "corpus_wide", "items"):
        assert one[name] == other[name] != []
    turned = _audit(folder, documents[::-1], tmp_path / "c", rows=3)
    assert turned.corpus_wide.equals(whole.corpus_wide) and turned.benchmarks.equals(whole.benchmarks)


def test_what_the_guard_leaves_out_is_said(tmp_path) -> None:
    """An opening that 30 items share is no match by itself; the paper's rule has it."""
    rng = random.Random(1)
    opening, endings = words(rng, 30), [words(rng, 10) for _ in range(30)]
    folder = tmp_path / "bench"
    folder.mkdir()
    lines = [json.dumps({"q": " ".join([*opening, *ending]), "a": "no"}) for ending in endings]
    (folder / "quiz-test.jsonl").write_text("\n".join(lines))
    (folder / "quiz.yaml").write_text(REGISTRY)
    documents = [["x", *opening, "y"], ["x", *opening[28:], *endings[0], "y"]]
    counts = {}
    for name, guard in (("on", ScanOptions()), ("off", EXACT)):
        result = _audit(folder, documents, tmp_path / name, guard=guard)
        counts[name] = [
            (row["method"], row["corpus_dirty"], row["corpus_suspect"]) for row in result.benchmarks.to_pylist()
        ]
        told = "common n-grams (max_items, max_benchmarks, max_places)" in _page(result).text_content()
        assert told == (name == "on")
    assert counts["off"] == [("llama2_skipgram", 1, 29), ("llama3_8gram", 1, 29)]
    assert counts["on"] == [("llama2_skipgram", 0, 1), ("llama3_8gram", 0, 0)]


def _page(result: AuditResult):
    from decontam.page import page

    return html.document_fromstring(page(result))


def test_terminal_csv_and_page_show_both(made, tmp_path, capsys) -> None:
    folder, _, documents = made
    corpus = tmp_path / "c.jsonl"
    corpus.write_text("".join(json.dumps({"text": " ".join(one)}) + "\n" for one in documents))
    command = ["decontam", "report", str(corpus), "--bench", str(folder), "--registry", str(folder / "quiz.yaml")]
    targets = ["--json", str(tmp_path / "r.json"), "--csv", str(tmp_path / "csv"), "--html", str(tmp_path / "r.html")]
    assert main([*command, "--inline", *targets]) == 0
    shown = capsys.readouterr().out
    result = json.loads((tmp_path / "r.json").read_text())
    assert {row["method"] for row in result["benchmarks"] if row["corpus_dirty"] is not None} == set(METHODS)
    keys = ("benchmark", "split", "method", "dirty", "corpus_dirty", "suspect", "corpus_suspect")
    wanted = [[str(row[key]) for key in keys] for row in result["benchmarks"] if row["method"] in METHODS]
    lines = [[cell.strip() for cell in line.split("│")[1:-1]] for line in shown.splitlines() if "│" in line]
    assert len(wanted) == 4 and all(row in lines for row in wanted)
    root = html.document_fromstring((tmp_path / "r.html").read_text())
    rows = root.xpath("//table[@id='corpus-wide']/tbody/tr")
    assert [[cell.text_content() for cell in row] for row in rows] == wanted
    assert "common n-grams (max_items" in root.text_content() and "common n-grams" in " ".join(shown.split())
    with (tmp_path / "csv" / "corpus_wide.csv").open(newline="") as handle:
        assert list(csv.DictReader(handle)) == [{k: str(v) for k, v in row.items()} for row in result["corpus_wide"]]
