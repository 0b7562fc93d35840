"""`--background`: GPT-3's limit on collisions and the guard on what many documents have, in reports."""

from __future__ import annotations

import json
import random
from pathlib import Path

import pytest

from pipeline.cli import main

from .plants import words


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, list[str]]:
    """(a folder with corpus.jsonl, which holds the questions of alpha.jsonl and zeta.jsonl; the questions)."""
    folder = tmp_path_factory.mktemp("background")
    rng = random.Random(3)
    asked = [" ".join(words(rng, 20)) for _ in range(4)]
    for name, part in (("alpha", asked[:2]), ("zeta", asked[2:])):
        lines = [json.dumps({"question": one, "answer": "none"}) for one in part]
        (folder / f"{name}.jsonl").write_text("\n".join(lines))
    _documents(folder / "corpus.jsonl", [f"Before {one} after" for one in asked])
    return folder, asked


def _documents(path: Path, texts: list[str]) -> None:
    path.write_text("".join(json.dumps({"text": one}) + "\n" for one in texts))


def _report(folder: Path, target: Path, *options: str, names: tuple[str, ...] = ("alpha", "zeta")) -> int:
    bench = [f"{name}={folder / name}.jsonl" for name in names]
    command = ["decontam", "report", str(folder / "corpus.jsonl"), "--inline", "--json", str(target)]
    return main([*command, "--bench", *bench, *options])


def _dirty(target: Path, method: str) -> set[str]:
    rows = json.loads(target.read_text())["items"]
    return {
        row["item"] for row in rows for one in row["by_method"] if (one["method"], one["verdict"]) == (method, "dirty")
    }


EVERY = {"alpha/all/1", "alpha/all/2", "zeta/all/1", "zeta/all/2"}


@pytest.mark.parametrize(("copies", "ignored"), [(10, False), (11, True)])
def test_gpt3_ignores_what_more_than_ten_documents_have(made, tmp_path, copies, ignored, index_cache) -> None:
    folder, asked = made
    _documents(tmp_path / "b.jsonl", [f"{n} {asked[0]}" for n in range(copies)] + ["other"] * 30)
    options = ("--background", str(tmp_path / "b.jsonl"), "--max-documents", "none")
    assert _report(folder, tmp_path / "r.json", *options) == 0
    assert _dirty(tmp_path / "r.json", "gpt3_13gram") == EVERY - ({"alpha/all/1"} if ignored else set())
    assert _dirty(tmp_path / "r.json", "coverage") == EVERY
    settings = json.loads((tmp_path / "r.json").read_text())["settings"]
    assert settings["index"]["background"] == copies + 30 and settings["guard"]["max_documents"] is None


def test_the_guard_passes_over_what_many_documents_have(made, tmp_path, capsys, index_cache) -> None:
    folder, asked = made
    _documents(tmp_path / "b.jsonl", [f"{n} {asked[1]}" for n in range(3)] + ["other"] * 97)
    found = {}
    for share in ("0.03", "0.02", "0.0005"):
        options = ("--background", str(tmp_path / "b.jsonl"), "--max-documents", share)
        assert _report(folder, tmp_path / "r.json", *options) == 0
        found[share] = [_dirty(tmp_path / "r.json", method) for method in ("coverage", "gpt3_13gram", "llama3_8gram")]
        assert ("A background of 100 documents" in capsys.readouterr().out) == (share == "0.0005")
    assert found == {
        "0.03": [EVERY] * 3,
        "0.02": [EVERY - {"alpha/all/2"}] * 3,
        "0.0005": [EVERY - {"alpha/all/2"}] * 3,
    }
    assert _report(folder, tmp_path / "r.json") == 0
    assert _dirty(tmp_path / "r.json", "coverage") == EVERY
    assert json.loads((tmp_path / "r.json").read_text())["settings"]["index"]["background"] == 0


def test_an_index_in_another_order_has_the_same_counts(made, tmp_path, index_cache) -> None:
    """Benchmarks that were added to an earlier index stand behind its own there, not in the report."""
    folder, asked = made
    _documents(tmp_path / "b.jsonl", [asked[1]] * 3 + ["other"] * 97)
    options = ("--background", str(tmp_path / "b.jsonl"))
    assert _report(folder, tmp_path / "first.json", *options, names=("zeta",)) == 0
    assert _report(folder, tmp_path / "r.json", *options) == 0
    result = json.loads((tmp_path / "r.json").read_text())
    assert [row["item"] for row in result["items"]] == sorted(EVERY - {"alpha/all/2"})
    assert result["settings"]["index"]["background"] == 100


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--background", "none.jsonl"], "none.jsonl"),
        (["--background", "empty.jsonl"], "holds no document"),
        (["--max-documents", "nan"], "must be a share between 0 and 1, or none"),
        (["--max-documents", "5"], "must be a share between 0 and 1, or none"),
    ],
)
def test_backgrounds_that_can_t_be(made, tmp_path, capsys, monkeypatch, options, message, index_cache) -> None:
    monkeypatch.chdir(tmp_path)
    _documents(tmp_path / "empty.jsonl", [])
    assert _report(made[0], tmp_path / "r.json", *options) == 2
    assert message in capsys.readouterr().err and not (tmp_path / "r.json").exists()
