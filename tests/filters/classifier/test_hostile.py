"""The classifier commands on input that nobody should give them: one line on stderr, no half-written model."""

import json
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from filters.classifier.card import Card, read_card
from pipeline.cli import main
from pipeline.errors import ConfigError

QUICK = ("--epoch", "1", "--dim", "4", "--bucket", "100", "--no-quantise", "--quiet")


def rows(count: int = 60, **changes: Any) -> list[dict[str, Any]]:
    made = []
    for i in range(count):
        label, word = ("good", "fine") if i % 2 else ("bad", "grim")
        made.append({"text": f"{word} page number {i}", "label": label, "source": f"s{i % 12}", **changes})
    return made


def written(path: Path, content: list[dict[str, Any]]) -> str:
    path.write_text("".join(json.dumps(row) + "\n" for row in content), encoding="utf-8")
    return str(path)


def train(folder: Path, content: list[dict[str, Any]], *options: str) -> int:
    file = written(folder / "in.jsonl", content)
    return main(
        ["classifier", "train", file, "-o", str(folder / "m.bin"), "--positive-label", "good", *QUICK, *options]
    )


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("model")
    assert train(folder, rows()) == 0
    return folder


@pytest.mark.parametrize(
    ("content", "options", "message"),
    [
        (rows(text="the same"), (), "59 documents are copies of others.*only the labels"),
        (rows(text=""), (), "copies of others"),
        (rows(3), (), "none can be held out"),
        (rows(label="good"), (), "two labels or more"),
        (rows(label=None), (), r"line 1 has no label in 'label', but None \(--label-field\)"),
        (rows(label=["a"]), (), r"no label in 'label', but \['a'\]"),
        (rows(text=5), (), "no text in 'text', but 5"),
        (rows(), ("--threshold", "nan"), r"--threshold must lie in \[0, 1\], not nan"),
        (rows(), ("--threshold", "5"), r"--threshold must lie in \[0, 1\]"),
        (rows(), ("--threshold-quantile", "2"), r"threshold_quantile must lie in \[0, 1\]"),
        (rows(), ("--seed", "99999999999999999999"), "seed must lie in"),
        (rows(), ("--seed=-1",), "seed must lie in"),
        (rows(), ("--max-bytes=-4",), "max_bytes must be 0"),
    ],
)
def test_training_refuses_before_it_writes(
    content: list[dict[str, Any]],
    options: tuple[str, ...],
    message: str,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert train(tmp_path, content, *options) == 2
    error = capsys.readouterr().err
    with pytest.raises(ConfigError, match=message):
        raise ConfigError(error)
    assert error.count("\n") == 1 and not list(tmp_path.glob("m.*"))


def test_positive_files_that_are_the_unlabelled_ones(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file, target = written(tmp_path / "in.jsonl", rows()), str(tmp_path / "m.bin")
    assert main(["classifier", "train", "--positive", file, "--unlabelled", file, "-o", target, *QUICK]) == 2
    assert "copies of others" in capsys.readouterr().err


def test_lone_surrogates_and_nul_are_no_obstacle(tmp_path: Path) -> None:
    content = [{**row, "text": row["text"] + " \ud800\0", "lang": "\udfff"} for row in rows()]
    assert train(tmp_path, content) == 0


def test_parquet_texts_that_are_no_utf8(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    plain = pa.array([b"good", b"bad\xff"], pa.binary())
    text = pa.Array.from_buffers(pa.string(), 2, plain.buffers())
    pq.write_table(pa.table({"text": text, "label": ["good", "bad"]}), tmp_path / "in.parquet")
    words = ["classifier", "train", str(tmp_path / "in.parquet"), "-o", str(tmp_path / "m.bin")]
    assert main([*words, "--positive-label", "good", *QUICK]) == 2
    assert "in the rows from 1 on: a text is no UTF-8" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (("--threshold", "nan"), r"--threshold must lie in [0, 1], not nan"),
        (("--threshold", "2"), r"--threshold must lie in [0, 1], not 2.0"),
        (("--seed=-1",), "--seed must be 0 or more"),
    ],
)
def test_evaluation_options(
    options: tuple[str, ...], message: str, model: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["classifier", "eval", str(model / "m.bin"), str(model / "in.jsonl"), "--quiet", *options]) == 2
    assert message in capsys.readouterr().err


@pytest.mark.parametrize(("quantile", "index"), [("0", 0), ("1", -1)])
def test_extreme_quantiles_are_the_ends(
    quantile: str, index: int, model: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    from filters.classifier.model import load

    scores = load(model / "m.bin").scores([row["text"] for row in rows()])
    file = str(model / "in.jsonl")
    assert main(["classifier", "calibrate", str(model / "m.bin"), file, "--quantile", quantile, "--print"]) == 0
    assert float(capsys.readouterr().out.split()[-1]) == pytest.approx(sorted(scores)[index], abs=1e-8)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("[" * 50_000, "nests too deep"),
        ('{"threshold": NaN}', "must be numbers"),
        ('{"quantiles": {"0.9": 1e999}}', "numbers"),
    ],
)
def test_odd_cards(content: str, message: str, tmp_path: Path) -> None:
    Card(positive="good").write(tmp_path / "m.json")
    assert read_card(tmp_path / "m.ftz") is not None
    (tmp_path / "m.json").write_text(content)
    with pytest.raises(ConfigError, match=message):
        read_card(tmp_path / "m.ftz")
