"""The command line: quick help, one-line errors, stages on files of one's own."""

from __future__ import annotations

import json
import os
import resource
import subprocess
import sys

import pyarrow.parquet as pq
import pytest

from pipeline.cli import main
from pipeline.sources import sample_warc


def test_help_answers_at_once():
    for arguments in (["--help"], ["run", "--help"], ["trace", "--help"]):
        best = min(_cpu_seconds(arguments) for _ in range(3))
        assert best < 0.5, f"{arguments}: {best:.2f} s"


def _cpu_seconds(arguments) -> float:
    """What the command takes of a processor, however busy the machine is."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    done = subprocess.run(
        [sys.executable, "-m", "pipeline.cli", *arguments], capture_output=True, text=True, check=True
    )
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    assert "usage: gristmill" in done.stdout
    return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


@pytest.mark.parametrize("command", ["extract", "filter", "dedup", "train-tokenizer", "tokenize", "pack", "pretrain"])
def test_stage_help_lists_its_options(command, capsys):
    arguments = [command, "language", "--help"] if command == "filter" else [command, "--help"]
    with pytest.raises(SystemExit) as stop:
        main(arguments)
    assert stop.value.code == 0
    shown = capsys.readouterr().out
    wanted = {"extract": "--engine", "filter": "--min-score", "dedup": "--keep", "train-tokenizer": "--vocab-size",
              "tokenize": "--tokenizer", "pack": "--sequence-length", "pretrain": "--steps"}  # fmt: skip
    assert wanted[command] in shown


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["run", "no-such"], "no recipe 'no-such'"),
        (["run", "crawl-to-shards", "--input", "nowhere/", "--check"], "nowhere"),
        (["run", "crawl-to-shards", "--input", "nowhere/", "--output", "{tmp}/o", "--inline"], "nowhere"),
        (["run", "crawl-to-shards", "--set", "langauge.min_score=1"], "did you mean 'language'"),
        (["run", "crawl-to-shards", "--without", "langauge"], "did you mean 'language'"),
        (["run", "crawl-to-shards", "--workers", "0", "--output", "{tmp}/o"], "at least 1"),
        (["filter", "langauge", "x.jsonl", "-o", "{tmp}/y.jsonl"], "did you mean 'language'"),
        (["filter", "language", "x.jsonl", "-o", "{tmp}/y.jsonl"], "does not exist"),
        (["filter", "language", "x.jsonl", "-o", "{tmp}/y.txt"], "ending"),
        (["dedup", "{tmp}/t.parquet", "-o", "{tmp}/y.parquet"], "--text-field"),
        (["tokenize", "{tmp}/t.parquet", "-o", "{tmp}/y.parquet"], "needs --tokenizer"),
        (["mix", "plna", "natural"], "did you mean 'plan'"),
        (["packs", "reprot", "{tmp}"], "did you mean 'report'"),
        (["tokenize", "{tmp}/t.parquet", "-o", "{tmp}/y.parquet", "--tokenizer", "none.json"], "none.json"),
        (["trace", "{tmp}", "--sequence", "0"], "neither a pack folder nor a run"),
        (["run", "crawl-to-shards", "--set", "pretrain.size=tinny"], "did you mean 'tiny'"),
        (["run", "crawl-to-shards", "--set", "warc.reader=fastwrac"], "did you mean 'fastwarc'"),
        (["run", "crawl-to-shards", "--set", "exact_dedup.keep=[record.dat]"], "record.dat"),
        (["run", "crawl-to-shards", "--set", "language.languages=[xx]"], "knows no language 'xx'"),
        (["run", "crawl-to-shards", "--output", "{tmp}/t.parquet", "--inline"], "is not a folder"),
        (["run", "crawl-to-shards", "--output", "{tmp}", "--inline"], "no earlier run"),
        (["run", "{tmp}/steps.yaml"], "`steps` must be a list"),
        (["run", "{tmp}/source.yaml"], "must be a mapping"),
        (["filter", "langauge", "x.jsonl", "-o", "{tmp}/y.jsonl", "--languages", "en"], "did you mean 'language'"),
        (["filter", "language", "{tmp}/broken.parquet", "-o", "{tmp}/y.jsonl"], "broken.parquet is not a Parquet"),
        (["filter", "language", "{tmp}/a.jsonl", "-o", "{tmp}/y.jsonl", "--dropped", "{tmp}/y.jsonl"], "are both"),
        (
            ["filter", "language", "{tmp}/array.jsonl", "-o", "{tmp}/y.jsonl", "--quiet"],
            "none of the input's 3 records",
        ),
        (["extract", "{tmp}/garbage.warc.gz", "-o", "{tmp}/y.jsonl", "--quiet"], "is a document: garbage"),
        (["pack", "{tmp}/a.jsonl", "-o", "{tmp}", "--tokenizer", "none.json"], "no pack folder"),
        (["train-tokenizer", "{tmp}/a.jsonl", "-o", "{tmp}"], "is a folder"),
        (["stages", "langauge"], "did you mean 'language'"),
        (["ablat", "a", "b"], "no command is called 'ablat' (did you mean 'ablate'?)"),
        (["ablate", "a", "b", "-o", "{tmp}/o", "--bugdet", "3"], "no option '--bugdet' (did you mean '--budget'?)"),
        (["ablate", "--bugdet=3"], "did you mean '--budget'"),  # before what is missing
        (["pretrain", "packs", "--ouput", "x"], "did you mean '--output'"),
        (["pretrain", "packs", "-o", "x", "--btach-size", "4"], "did you mean '--batch-size'"),
        (["pretrain", "plan", "--token", "2B", "--accelerater", "h100"], "did you mean '--accelerator'"),
        (["filter", "language", "x.jsonl", "-o", "y.jsonl", "--langauges", "en"], "did you mean '--languages'"),
        (["dedup", "minhash", "x.jsonl", "-o", "y.jsonl", "--treshold", ".8"], "did you mean '--threshold'"),
        (["run", "crawl-to-shards", "--worker=2", "--inlien"], "'--inlien' (did you mean '--inline'?)"),
        (["run", "crawl-to-shards", "--debug"], "--debug stands before the command: gristmill --debug run"),
        (["mix", "plna", "natural", "--json"], "did you mean 'plan'"),
        (["mix", "--jsno"], "mix has no option '--jsno'"),
        (
            ["decontam", "report", "x.jsonl", "--bnech", "sample"],
            "decontam report has no option '--bnech' (did you mean",
        ),
        (["decontam", "reprot", "x.jsonl", "--bench", "sample"], "did you mean 'report'"),
        (["classifier", "train", "x.jsonl", "--postive-label=good"], "did you mean '--positive-label'"),
        (["pretrain", "packs", "more", "-o", "x"], "can't make sense of 'more'; `gristmill pretrain --help`"),
        (["--deubg", "recipes"], "can't make sense of '--deubg' (did you mean '--debug'?)"),
    ],
)
def test_errors_are_one_line(arguments, message, tmp_path, capsys):
    import pyarrow as pa

    pq.write_table(pa.table({"x": [1]}), tmp_path / "t.parquet")
    (tmp_path / "broken.parquet").write_bytes(b"PAR1 or not")
    (tmp_path / "a.jsonl").write_text('{"text": "one"}')
    (tmp_path / "array.jsonl").write_text('[\n{"text": "one"},\n]')
    (tmp_path / "garbage.warc.gz").write_bytes(b"\x07\xff" * 2000)
    (tmp_path / "steps.yaml").write_text("source: {warc: {inputs: [sample]}}\nsteps: 5")
    (tmp_path / "source.yaml").write_text("source: {warc: crawl/}\nsteps: []")
    status = main([a.replace("{tmp}", str(tmp_path)) for a in arguments])
    error = capsys.readouterr().err
    assert status == 2
    assert message in error
    assert error.count("\n") == 1
    assert "Traceback" not in error


def test_input_may_be_given_in_pieces(tmp_path, capsys):
    for name in ("a", "b"):
        (tmp_path / f"{name}.jsonl").write_text(json.dumps({"text": f"This is the text called {name}, in English."}))
    recipe = tmp_path / "r.yaml"
    recipe.write_text("source: {documents: {}}\nsteps: [language]")
    files = [str(tmp_path / f"{name}.jsonl") for name in ("a", "b")]
    arguments = ["run", str(recipe), "--input", files[0], "--input", files[1], "--output", str(tmp_path / "o")]
    assert main([*arguments, "--inline", "--quiet"]) == 0
    assert json.loads((tmp_path / "o" / "report.json").read_text())["kept"] == 2


def test_folders_that_are_not_ours_stay(tmp_path):
    """Neither a run's clearing of old steps nor `pack` may remove what Gristmill did not write."""
    (tmp_path / "a.jsonl").write_text(json.dumps({"text": "This is a short text in plain English."}))
    recipe = tmp_path / "r.yaml"
    recipe.write_text("source: {documents: {}}\nsteps: [language]")
    output = tmp_path / "o"
    arguments = [
        "run",
        str(recipe),
        "--input",
        str(tmp_path / "a.jsonl"),
        "--output",
        str(output),
        "--inline",
        "--quiet",
    ]
    assert main(arguments) == 0
    (output / "02-photos").mkdir()
    (output / "02-photos" / "x.jpg").write_text("x")
    assert main([*arguments, "--set", "language.min_score=0.1"]) == 0
    assert (output / "02-photos" / "x.jpg").exists()


def test_stages_on_files(tmp_path, capsys):
    warc = sample_warc() / "sample-00002.warc"
    pages, dropped = tmp_path / "pages.jsonl.gz", tmp_path / "dropped.jsonl"
    assert main(["extract", str(warc), "-o", str(pages), "--dropped", str(dropped), "--engine", "resiliparse"]) == 0
    assert "records in the input" in capsys.readouterr().out
    wanted, rest = tmp_path / "wanted.parquet", tmp_path / "rest.parquet"
    arguments = ["filter", "language", str(pages), "-o", str(wanted), "--dropped", str(rest), "--languages", "en", "de"]
    assert main([*arguments, "--quiet"]) == 0
    table = pq.read_table(wanted)
    assert set(table["lang"].to_pylist()) <= {"en", "de"}
    assert table.num_rows + pq.read_table(rest).num_rows > 5
    assert not list(tmp_path.glob("*.work"))
    unique = tmp_path / "unique.jsonl"
    assert main(["dedup", str(wanted), str(pages), "-o", str(unique), "--quiet"]) == 0
    texts = [json.loads(line)["text"] for line in unique.read_text().splitlines()]
    assert len(texts) == len(set(texts)) == table.num_rows + pq.read_table(rest).num_rows


def test_what_is_refused_leaves_nothing(tmp_path, capsys):
    assert main(["extract", str(tmp_path / "none.warc.gz"), "-o", str(tmp_path / "o.jsonl")]) == 2
    assert "nothing found" in capsys.readouterr().err
    assert not list(tmp_path.iterdir())


def test_lists(capsys):
    assert main(["stages"]) == 0
    assert "language" in capsys.readouterr().out
    assert main(["recipes"]) == 0
    assert "crawl-to-shards" in capsys.readouterr().out
    assert main(["--version"]) == 0
    assert main([]) == 0


@pytest.mark.parametrize("arguments", [["recipes", "crawl-to-shards"], ["decontam", "benchmarks", "--json"]])
def test_a_reader_that_stops_reading_is_no_error(arguments):
    """`gristmill ... | head` ends quietly."""
    read, write = os.pipe()
    os.close(read)
    with os.fdopen(write, "wb") as pipe:
        command = [sys.executable, "-m", "pipeline.cli", *arguments]
        ended = subprocess.run(command, stdout=pipe, stderr=subprocess.PIPE, timeout=60)
    assert (ended.returncode, ended.stderr) == (141, b"")


@pytest.mark.parametrize("encoding", ["ascii", "latin-1"])
def test_a_terminal_without_unicode_is_no_error(encoding, tmp_path):
    """Names and texts that it can't show are escaped; JSON stays JSON."""
    act = {
        "item": "q/all/1", "benchmark": "q", "id": "é漢😀", "url": None, "record": None, "method": "coverage",
        "part": "question", "verdict": "dirty", "score": 1.0, "start": 0, "end": 4, "matched": 3, "action": "drop",
        "cut": None, "text": "é漢😀",
    }  # fmt: skip
    (tmp_path / "log.jsonl").write_text(json.dumps(act) + "\n")
    for more in ([], ["--json"]):
        command = [sys.executable, "-m", "pipeline.cli", "decontam", "acts", str(tmp_path / "log.jsonl"), *more]
        env = os.environ | {"PYTHONIOENCODING": encoding}
        ended = subprocess.run(command, capture_output=True, env=env, timeout=60)
        assert (ended.returncode, ended.stderr) == (0, b"")
        assert (json.loads(ended.stdout) == act) if more else (b"\\u6f22" in ended.stdout)


def test_skipped_lines_are_shown_by_every_command(tmp_path, capsys):
    """`pack` and its like count what could not be read as the filters do."""
    lines = [json.dumps({"text": f"The mill number {i} turns and turns."}) for i in range(40)]
    (tmp_path / "a.jsonl").write_text("\n".join([*lines, "no json", '{"text": 5}', "nor this"]))
    words = [str(tmp_path / "a.jsonl"), "-o"]
    tokenizer = ["--tokenizer", str(tmp_path / "t.json")]
    for command in (
        ["train-tokenizer", *words, str(tmp_path / "t.json"), "--vocab-size", "300"],
        ["tokenize", *words, str(tmp_path / "t.parquet"), *tokenizer],
        ["pack", *words, str(tmp_path / "packs"), *tokenizer, "--sequence-length", "32"],
    ):
        assert main(command) == 0
        shown = " ".join(capsys.readouterr().out.split())
        assert "records in the input │ 43" in shown, command
        assert "record skipped: bad_json │ 2" in shown and "record skipped: text_not_a_string │ 1" in shown
        assert main([*command, "--quiet"]) == 0 and capsys.readouterr().out == ""
