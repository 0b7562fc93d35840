"""Audits of packs and runs, resumed, by several workers, and of what is no corpus."""

from __future__ import annotations

import gzip
import json
import time
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from decontam.audit import build, packset
from decontam.audit.build import AuditOptions, audit
from decontam.audit.corpus import open_corpus
from decontam.audit.mixture import read_mixture
from decontam.audit.output import json_text, write_csv
from decontam.index import build_index
from decontam.items import read_items
from decontam.methods import all_methods, method_named
from decontam.registry import load_registry
from pipeline.cli import main
from pipeline.errors import ConfigError, SchemaError
from pipeline.packreader import open_packs
from pipeline.packs import write_manifest
from pipeline.progress import Progress
from pipeline.runner import InlineRunner, RayRunner
from pipeline.trace import trace

from .pack_tools import make_packs, tokenizer
from .plants import Planted, plant


@pytest.fixture(scope="module")
def planted(tmp_path_factory: pytest.TempPathFactory) -> Planted:
    return plant(tmp_path_factory.mktemp("planted"))


@pytest.fixture(scope="module")
def items(planted: Planted) -> pa.Table:
    return read_items(planted.bench, load_registry([planted.registry]))


def _audit(inputs, items, work: Path, runner=None, **options):
    corpus = open_corpus([str(one) for one in inputs], work)
    with runner or InlineRunner() as active:
        return audit(
            corpus, items, build_index(items), AuditOptions(**options), work=work, runner=active,
            progress=Progress(quiet=True),
        )  # fmt: skip


def _text(result) -> str:
    return "".join(json_text(result))


def _parquet(planted: Planted, path: Path, rows: int) -> Path:
    """The planted documents as Parquet with row groups of so many rows."""
    table = pa.table({"text": planted.texts, "url": planted.urls, "id": [f"d{n}" for n in range(len(planted.texts))]})
    pq.write_table(table, path, row_group_size=rows)
    return path


@pytest.mark.parametrize(("length", "shuffled"), [(16, False), (16, True), (64, False)])
def test_packs_say_what_the_texts_say(planted, items, tmp_path, length, shuffled, monkeypatch):
    """Every question is longer than a sequence of 16 tokens, so each is cut several times."""
    tok = tokenizer(tmp_path, planted.texts[:5], 400)
    documents = [(f"d{n}", text) for n, text in enumerate(planted.texts)]
    folder = make_packs(tmp_path / "set", documents, tok, sequence_length=length, per_file=100)
    if shuffled:
        order = list(range(len(open_packs(folder))))[::-1]
        folder = make_packs(tmp_path / "other", documents, tok, sequence_length=length, per_file=100, order=order)
    for one in planted.items[:9]:
        assert len(tok.tokenizer.encode(one["q"]).ids) > 2 * 16
    monkeypatch.setattr(packset, "PIECE_TOKENS", 40 * length)
    found = _audit([folder], items, tmp_path / "work")
    of_texts = _audit([_parquet(planted, tmp_path / "t.parquet", 100)], items, tmp_path / "work2")
    assert found.corpus["kind"] == "packs" and found.corpus["tokens"] == open_packs(folder).manifest["tokens"]
    assert found.corpus["documents"] == 40 and found.corpus["bytes"] == of_texts.corpus["bytes"]
    assert found.benchmarks == of_texts.benchmarks and found.items == of_texts.items
    columns = ["item", "verdict", "score", "start", "end", "before", "text", "after", "overlap", "item_overlap"]
    if not shuffled:  # then the first of equal matches is another
        assert found.matches.select(columns) == of_texts.matches.select(columns)
    assert found.matches.num_rows == of_texts.matches.num_rows > 0
    for match in of_texts.matches.to_pylist():
        assert match["source"] == f"{match['record_file']} row {match['record_offset']}"
    for match in found.matches.to_pylist():
        number = int(match["document"][1:])
        assert match["url"] == f"https://host{number % 3}.example/d{number}"
        assert (match["record_file"], match["record_offset"]) == (f"crawl-{number % 2}.warc.gz", number)
        _, _, sequence, _, token = match["source"].split()
        origin = trace(folder, int(sequence), int(token))
        assert origin.document == match["document"]
        assert origin.context is not None
        held = origin.context.split("⟦")[1].split("⟧")[0]
        assert held.strip()[:1] in match["text"][:12]


def test_what_was_done_before_a_kill_is_taken_over(planted, items, tmp_path, monkeypatch):
    path = _parquet(planted, tmp_path / "t.parquet", 5)
    monkeypatch.setattr("decontam.audit.corpus.SPLIT_BYTES", 1)
    methods = tuple(method_named(name) for name in all_methods())
    whole = _audit([path], items, tmp_path / "whole", methods=methods)
    ran: list[str] = []

    class Mortal(InlineRunner):
        """Dies in its fourth task."""

        def __init__(self, most: int) -> None:
            super().__init__()
            self.most = most

        def map(self, function, tasks, **more):
            def run(payload):
                if len(ran) == self.most:
                    raise KeyboardInterrupt
                ran.append(payload.name)
                return function(payload)

            super().map(run, tasks, **more)

    with pytest.raises(KeyboardInterrupt):
        _audit([path], items, tmp_path / "work", Mortal(3), methods=methods)
    again = _audit([path], items, tmp_path / "work", Mortal(100), methods=methods)
    assert ran == [f"{n:05d}" for n in range(8)]
    assert _text(again) == _text(whole)
    assert _audit([path], items, tmp_path / "work", Mortal(100), methods=methods).items == whole.items and len(ran) == 8
    _audit([path], items, tmp_path / "work", Mortal(100), methods=methods, matches=1)  # another scan
    assert len(ran) == 16


@pytest.mark.ray
def test_workers_change_nothing(planted, items, tmp_path, monkeypatch):
    monkeypatch.setattr("decontam.audit.corpus.SPLIT_BYTES", 1)
    path = _parquet(planted, tmp_path / "t.parquet", 5)
    one = _audit([path], items, tmp_path / "one")
    many = _audit([path], items, tmp_path / "many", RayRunner(workers=2))
    assert _text(one) == _text(many)


def test_pieces_change_nothing(planted, items, tmp_path, monkeypatch):
    """The best matches of all pieces together are those of one piece."""
    methods = tuple(method_named(name) for name in all_methods())
    results = []
    for rows, split in ((1, 1), (100, 1 << 20)):
        monkeypatch.setattr("decontam.audit.corpus.SPLIT_BYTES", split)
        path = _parquet(planted, tmp_path / "t.parquet", rows)
        corpus = open_corpus([str(path)], tmp_path)
        assert len(corpus.pieces) == (40 if rows == 1 else 1)
        results.append(_audit([path], items, tmp_path / f"work{rows}", matches=2, methods=methods))
    assert _text(results[0]) == _text(results[1])
    assert results[0].matches.num_rows == 9


def test_the_sample_before_and_after(sample_run, tmp_path):
    """The questions planted in the sample crawl are there before the run's decontamination and gone in its packs."""
    items = read_items("sample")
    steps = sorted(path for path in sample_run.iterdir() if path.name[:2].isdigit())
    at = next(n for n, path in enumerate(steps) if "decontaminate" in (path / "plan.json").read_text())
    before = _audit([steps[at - 1]], items, tmp_path / "before")
    assert before.corpus["kind"] == "run"
    assert before.benchmarks.to_pylist()[0]["dirty"] == items.num_rows == 20
    for inputs in ([sample_run], [next(sample_run.glob("*-pack"))]):
        after = _audit(inputs, items, tmp_path / "after")
        assert after.items.num_rows == after.matches.num_rows == 0 and after.corpus["documents"] > 100
        assert after.benchmarks.to_pylist()[0]["clean"] == 20


def test_empty_things(planted, items, tmp_path, capsys):
    empty = tmp_path / "empty.jsonl"
    empty.write_text("\n\n")
    with pytest.raises(ConfigError, match="holds no document"):
        _audit([empty], items, tmp_path / "a")
    empty.write_text('{"words": "x"}\n[1]\n')
    with pytest.raises(ConfigError, match=r"no_text \(1\), not_an_object \(1\).*--text-field"):
        _audit([empty], items, tmp_path / "b")
    with pytest.raises(ConfigError, match="does not exist"):
        open_corpus([str(tmp_path / "nowhere")], tmp_path / "c")
    (tmp_path / "folder").mkdir()
    with pytest.raises(ConfigError, match="holds no file that ends in"):
        open_corpus([str(tmp_path / "folder")], tmp_path / "c")
    tok = tokenizer(tmp_path, ["some words"] * 3)
    write_manifest(tmp_path / "packs", tokenizer=tok, sequence_length=8, files=[])
    with pytest.raises(ConfigError, match="holds no document"):
        _audit([tmp_path / "packs"], items, tmp_path / "d")
    (tmp_path / "none.jsonl").write_text("")
    assert main(["decontam", "report", str(planted.corpus), "--bench", str(tmp_path / "none.jsonl"), "--inline"]) == 2
    (tmp_path / "bad.jsonl").write_text('{"question": ""}\n')
    assert main(["decontam", "report", str(planted.corpus), "--bench", str(tmp_path / "bad.jsonl"), "--inline"]) == 2
    assert "none.jsonl" in capsys.readouterr().err


def test_packs_with_ids_that_can_not_be_are_no_clean_corpus(planted, items, tmp_path):
    """What a damaged disk leaves: sizes are right, ids are not."""
    tok = tokenizer(tmp_path, planted.texts)
    packs = make_packs(tmp_path / "packs", [("a", planted.texts[0])], tok, sequence_length=32)
    file = packs / json.loads((packs / "manifest.json").read_text())["files"][0]["path"]
    with pa.OSFile(str(file)) as source:
        first = pa.ipc.open_file(source).get_batch(0).column("input_ids")[0].values.to_numpy()
    raw = file.read_bytes()
    at = raw.index(first.tobytes())
    file.write_bytes(raw[:at] + b"\xff" * first.nbytes + raw[at + first.nbytes :])
    with pytest.raises(SchemaError, match="beyond its .* damaged"):
        _audit([packs], items, tmp_path / "a")


def test_hostile_texts(planted, items, tmp_path):
    """One line of 10 MB with a question at its end, NULs, no spaces, lone surrogates, broken bytes, a cut archive."""
    question = planted.items[0]["q"]
    long = "lorem " * 1_700_000 + question
    texts = [long, f"\0\0{question}\0", "x" * 2_000_000, "\n".join("abcdefgh" * 9000), "\ud800 " + question, ""]
    path = tmp_path / "texts.jsonl"
    with path.open("wb") as file:
        for text in texts:
            file.write(json.dumps({"text": text}).encode() + b"\n")
        file.write(b'{"text": "\xff\xfe ' + question.encode() + b'"}\n')
    cut = tmp_path / "cut.jsonl.gz"
    cut.write_bytes(gzip.compress(path.read_bytes())[:-2000])
    start = time.monotonic()
    result = _audit([path, cut], items, tmp_path / "work", methods=tuple(method_named(name) for name in all_methods()))
    assert time.monotonic() - start < 60
    assert result.corpus["skipped"] == {"truncated": 1}
    (row,) = result.items.to_pylist()
    assert row["copies"] >= 4 and row["verdict"] == "dirty"
    first = next(match for match in result.matches.to_pylist() if match["source"] == "cut.jsonl.gz row 0")
    assert long.encode()[first["start"] : first["end"]].decode() == question.rstrip("?")
    for table in (result.items, result.matches):
        assert len(json.dumps(table.to_pylist())) < 50_000


def test_excerpts_are_bounded(tmp_path):
    """An item with a passage of 300 kB, all of which stands in a document: the result stays small."""
    passage = " ".join(f"word{n}" for n in range(30_000))
    bench = tmp_path / "long.jsonl"
    bench.write_text(
        json.dumps({"question": "What stands in the middle of this text?", "answer": "x", "passage": passage})
    )
    items = read_items(f"plain={bench}") if False else read_items(bench)
    corpus = tmp_path / "c.jsonl"
    corpus.write_text(json.dumps({"text": "Before. " + passage + " What stands in the middle of this text? x"}) + "\n")
    result = _audit([corpus], items, tmp_path / "work", methods=tuple(method_named(name) for name in all_methods()))
    assert result.items.num_rows == 1 and result.matches.num_rows >= 1
    assert len(_text(result)) < 60_000
    for match in result.matches.to_pylist():
        assert len(match["text"]) <= 1500 and len(match["before"]) <= 200 and len(match["after"]) <= 200
        assert match["shortened"] == (match["end"] - match["start"] > len(match["text"].encode()))


def test_formulas_are_no_formulas(planted, items, tmp_path):
    corpus = tmp_path / "c.jsonl"
    rows = [
        {"text": planted.items[0]["q"], "url": "=cmd|' /C calc'!A0"},
        {"text": "@x " + planted.items[1]["q"], "url": "+1"},
    ]
    corpus.write_text("".join(json.dumps(one) + "\n" for one in rows))
    result = _audit([corpus], items, tmp_path / "work")
    write_csv(tmp_path / "csv", result)
    text = (tmp_path / "csv" / "matches.csv").read_text()
    assert "'=cmd" in text and "'+1" in text and "'@x" in text
    assert ",=cmd" not in text and '"=cmd' not in text


def test_targets_are_looked_at_before_the_scan(planted, tmp_path, capsys, monkeypatch):
    def never(*_, **__):
        raise AssertionError("the scan began")

    monkeypatch.setattr(build, "audit", never)
    monkeypatch.setattr("decontam.items.read", never)
    command = ["decontam", "report", str(planted.corpus), "--bench", str(planted.bench), "--inline"]
    (tmp_path / "file").write_text("")
    for options, message in (
        (["--html", str(tmp_path / "no" / "r.html")], "its folder does not exist"),
        (["--json", str(tmp_path / "no" / "r.json")], "its folder does not exist"),
        (["--csv", str(tmp_path / "file")], "is a file"),
        (["--clean-ids", str(tmp_path)], "is a folder"),
        (["--json", str(planted.corpus)], "one of the files"),
        (["--clean-ids", str(planted.corpus)], "would be lost"),
        (["--methods", "coverag"], "did you mean 'coverage'"),
        (["--mixture", str(tmp_path / "none.yaml")], "can't be read"),
        (["--tokenizer", str(tmp_path / "t.json")], "--tokenizer is for packs"),
    ):
        assert main([*command, *options]) == 2
        assert message in capsys.readouterr().err
    monkeypatch.setattr("os.access", lambda *_: False)
    assert main([*command, "--html", str(tmp_path / "r.html")]) == 2
    assert "can't be written" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("[]", "sources"),
        ("sources: {a: 3}", "epochs: N"),
        ("sources: {a: {epoch: 3}}", "epochs: N"),
        ("sources: {a: {epochs: 3, macth: x}}", "did you mean 'match'"),
        ("sources: {a: {epochs: -1}}", "from 0 up"),
        ("sources: {a: {epochs: .nan}}", "from 0 up"),
        ("sources: {a: {epochs: 1}}\nsorces: {}", "did you mean 'sources'"),
        ("sources: {a: {epochs: 1, match: [1]}}", "match must be"),
        ("a: [", "can't be read as YAML"),
    ],
)
def test_mixtures_that_can_t_be(tmp_path, text, message):
    path = tmp_path / "m.yaml"
    path.write_text(text)
    with pytest.raises(ConfigError, match=message):
        read_mixture(path)


def test_the_first_source_that_matches_counts(tmp_path):
    path = tmp_path / "m.json"
    sources = {"wiki": {"epochs": 3, "match": ["*.wikipedia.org"]}, "*.warc.gz": {"epochs": 2}, "books": {"epochs": 0}}
    path.write_text(json.dumps({"sources": sources, "default": 0.5}))
    mixture = read_mixture(path)
    assert mixture.epochs("a/b.warc.gz", url="https://en.wikipedia.org/x") == 3
    assert mixture.epochs(None, "a/b.warc.gz", url="https://example.org/wikipedia.org") == 2
    assert mixture.epochs("books") == 0
    assert mixture.epochs("bookshop", url="http://[") == 0.5
