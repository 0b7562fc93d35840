"""What docs/pretraining.md, docs/parallel.md, docs/ablation.md and `--help` show is accepted as it stands there."""

from __future__ import annotations

import json
import re
import shlex
import shutil
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

pytest.importorskip("torch")

from pipeline import cli_ablate, cli_pretrain
from pipeline.cli import main
from tests.pretrain.ablation.conftest import SMALL, documents, write
from tests.pretrain.text_packs import bpe, text_packs

DOCS = Path(__file__).parents[2] / "docs"
TEXTS = documents(0, 60)


def _blocks(page: str, language: str) -> list[str]:
    return re.findall(rf"```{language}\n(.*?)```", (DOCS / page).read_text(encoding="utf-8"), re.DOTALL)


def _commands(text: str) -> list[list[str]]:
    """The words of each command of `gristmill pretrain` and `ablate` in a text, a trailing remark left out."""
    lines = [re.split(r" {3,}", line.strip())[0] for line in re.sub(r"\\\n\s*", "", text).splitlines()]
    found = [shlex.split(line, comments=True) for line in lines if re.match(r"(gristmill|torchrun) ", line)]
    first = [[i for i, word in enumerate(words) if word in ("pretrain", "ablate")] for words in found]
    return [words[at[0] :] for words, at in zip(found, first, strict=True) if at]


SHOWN = [
    words
    for text in (
        *(block for page in ("pretraining.md", "parallel.md", "ablation.md") for block in _blocks(page, "sh")),
        cli_pretrain._EPILOG,
        cli_pretrain._PLAN_EPILOG,
        cli_ablate._EPILOG,
    )
    for words in _commands(text)
]


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder in which everything exists that the pages speak of."""
    folder = tmp_path_factory.mktemp("docs")
    tokenizer = bpe(folder / "t.json", TEXTS)
    for name in ("packs", "packs-wiki", "packs-news", "packs-a", "packs-b", "runs/mine/09-pack/packset"):
        text_packs(folder / name, TEXTS, tokenizer, 16, controls=("low", "high"))
    for number, name in enumerate(("raw", "mine", "filtered", "wiki")):
        write(folder / f"{name}.jsonl", documents(number, 60))
    pq.write_table(pa.table({"text": documents(4, 60)}), folder / "news.parquet")
    (folder / "evals").mkdir()
    quiz = [{"query": f"Question: {text}", "choices": ["yes", "no"], "gold": 1} for text in documents(5, 5)]
    (folder / "evals" / "arc_easy.jsonl").write_text("".join(json.dumps(item) + "\n" for item in quiz))
    for name in ("mine", "c4"):
        plain = {"name": name, "source": {"documents": {"inputs": ["raw.jsonl"]}}, "steps": ["exact_dedup"]}
        (folder / f"{name}.yaml").write_text(json.dumps(plain))
    for name in ("a", "b"):
        text_packs(folder / "runs" / name / "09-pack/packset", TEXTS, tokenizer, 16)
    (settings,) = _blocks("pretraining.md", "yaml")
    (folder / "train.yaml").write_text(settings)
    (folder / "design.yaml").write_text("design: {held_out: {wiki: [wiki.jsonl]}}")
    return folder


@pytest.mark.parametrize("words", SHOWN, ids=" ".join)
def test_commands_are_accepted(
    words: list[str], place: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(place)
    if words[:2] == ["pretrain", "plot"]:
        for run in ("model", "other-model"):
            if not (place / run).exists():
                assert main(["pretrain", "packs", "-o", run, "--steps", "2", "--threads", "1", "--quiet"]) == 0
        assert main(words) == 0
        for run in ("model", "other-model"):
            shutil.rmtree(place / run)
    elif words[:2] == ["pretrain", "plan"]:
        assert main(words) == 0
    elif "--parallel" in words:
        assert main([*words, "--check", "--quiet"]) == 2
        assert f"-m pipeline.cli {shlex.join(words)} --check --quiet\n" in capsys.readouterr().err
    elif words[0] == "pretrain":
        assert main([*words, "--check", "--quiet"]) == 0
    else:
        assert main([*words, "--dry-run"]) == 0


def test_the_pages_are_searched() -> None:
    assert len(SHOWN) >= 18 and {words[0] for words in SHOWN} == {"pretrain", "ablate"}
    assert {words[1] for words in SHOWN} >= {"plan", "plot", "packs"}


def test_the_file_of_options_is_taken_whole(place: Path) -> None:
    from pipeline.yaml_input import load_yaml
    from pretrain.config import train_config

    config = train_config(load_yaml((place / "train.yaml").read_bytes(), "train.yaml"))
    assert (config.steps, config.optim.schedule, config.precision) == (5000, "wsd", "bf16")
    assert config.held_out == {"wiki": "packs-wiki", "news": "packs-news"} and config.optim.z_loss == 1e-4


def test_the_python_of_the_ablation_page_runs(place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (code,) = _blocks("ablation.md", "python")
    small = f"seeds=2, steps=4, batch_size=4, sequence_length=32, vocab_size=300, resamples=100, training={SMALL!r}"
    assert "seeds=5, steps=500" in code
    monkeypatch.chdir(place)
    exec(compile(code.replace("seeds=5, steps=500", small), "ablation.md", "exec"), {"__name__": "page"})
    assert (place / "ablation" / "results.json").is_file()
