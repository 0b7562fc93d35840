"""Training, splitting, and the three commands, on small made-up data with known answers."""

from __future__ import annotations

import gzip
import json
import random

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from filters.classifier.card import read_card, sha256
from filters.classifier.model import load
from filters.classifier.presets import preset
from filters.classifier.reading import Fields, read_labelled, read_one_label
from filters.classifier.split import OUT, TEST, TRAIN, split_groups, text_key
from filters.classifier.training import balanced, labelled, train
from pipeline.cli import main
from pipeline.errors import ConfigError

SMALL = {"bucket": 500, "dim": 8, "epoch": 3, "min_count": 1, "cutoff": 400}


def rows(count=400, seed=0):
    """Documents of 12 sites; good ones say `good` words, others `other` words, all share many."""
    rng = random.Random(seed)
    found = []
    for i in range(count):
        good = i % 2 == 0
        words = [f"{'good' if good and rng.random() < 0.5 else 'other'}{rng.randint(0, 40)}" for _ in range(30)]
        words += [f"common{rng.randint(0, 300)}" for _ in range(rng.randint(5, 40))]
        rng.shuffle(words)
        url = f"https://www{i % 3}.site{i % 12}.co.uk/{i}"
        found.append({"text": " ".join(words), "label": "good" if good else "other", "url": url, "lang": "en"})
    return found


@pytest.fixture
def file(tmp_path):
    path = tmp_path / "labelled.jsonl"
    path.write_text("".join(json.dumps(row) + "\n" for row in rows()), encoding="utf-8")
    return path


def test_same_bytes_twice(file, tmp_path):
    table = read_labelled([str(file)], Fields())
    made = [train(table, tmp_path / str(i) / "m.ftz", preset("toxicity", **SMALL), positive="good") for i in range(2)]
    assert made[0].card == made[1].card
    for ending in (".ftz", ".json", ".md"):
        one, other = ((tmp_path / str(i) / "m").with_suffix(ending).read_bytes() for i in range(2))
        assert one == other
    assert made[0].card.evaluation["roc_auc"] > 0.9
    assert made[0].card.sha256 == sha256(tmp_path / "0" / "m.ftz")
    different = train(table, tmp_path / "s.ftz", preset("toxicity", **SMALL, seed=1), positive="good")
    assert different.card.sha256 != made[0].card.sha256


def test_groups_stay_together_and_copies_go(file, tmp_path):
    table = read_labelled([str(file)], Fields())
    assert set(table["group"].to_pylist()) == {f"site{i}.co.uk" for i in range(12)}
    made = train(table, tmp_path / "m.ftz", preset("dclm", **SMALL), positive="good")
    groups = np.array(table["group"].to_pylist())
    assert not set(groups[made.side == TRAIN]) & set(groups[made.side == TEST])
    assert set(groups[made.side == TEST])
    # the top tenth of held-out other documents, as DCLM's preset has it
    held = table.filter(pa.array(made.side == TEST))
    others = held.filter(pa.array([label == "other" for label in held["label"].to_pylist()]))
    assert made.card.threshold == pytest.approx(np.quantile(load(tmp_path / "m.ftz").scores(others["text"]), 0.9))


def test_split():
    labels = ["a", "b"] * 50
    groups = [f"g{i // 2 % 10}" for i in range(100)]
    keys = [text_key(f"text {i // 4}") for i in range(100)]
    found = split_groups(labels, groups, keys, test_share=0.3, seed=1)
    assert found.copies == 75 == (found.side == OUT).sum()
    held = {g for g, s in zip(groups, found.side, strict=True) if s == TEST}
    assert not held & {g for g, s in zip(groups, found.side, strict=True) if s == TRAIN}
    assert (split_groups(labels, groups, keys, test_share=0, seed=1).side != TEST).all()
    with pytest.raises(ConfigError, match="one group"):
        split_groups(labels, labels, keys, test_share=0.2)
    for seed in range(20):  # each label is on both sides, and about the wanted share of it is held out
        side = split_groups(labels, groups, [b"%d" % i for i in range(100)], test_share=0.2, seed=seed).side
        for label in "ab":
            own = side[np.array(labels) == label]
            assert 0.1 <= (own == TEST).mean() <= 0.4 and (own == TRAIN).any()


def test_copies_are_found_whatever_their_case_and_spaces():
    assert text_key("The  Cat\n") == text_key("the cat") == text_key("the\u00a0ca\uff54") != text_key("the bat")


def test_balance_repeats_the_rarer_label():
    lines, labels = [f"{i}" for i in range(10)], ["a"] * 8 + ["b"] * 2
    found = balanced(lines, labels)
    assert sorted(found) == sorted(lines[:8] + ["8", "9"] * 4)
    assert balanced(lines[:2], ["a", "b"]) == lines[:2]


def test_words_that_fasttext_would_take_for_labels(tmp_path):
    texts = [f"__label__c </s> good\u00a0word{i % 5}" if i % 2 else f"other{i % 7} </s>\n__label__" for i in range(600)]
    table = labelled(texts, ["a" if i % 2 else "b" for i in range(600)], groups=[str(i) for i in range(600)])
    made = train(table, tmp_path / "m.bin", preset("dclm", **{**SMALL, "quantise": False}), positive="a")
    assert sorted(made.classifier.labels) == ["a", "b"]
    assert made.classifier.scores(["good\u00a0word1"])[0] > 0.5


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"positive": "none"}, "no document has the positive label"),
        ({"output": "m.bin"}, "must end in .ftz"),
        ({"test_share": 1.0}, "test-share"),
        ({"labels": ["a"]}, "two labels"),
        ({"labels": ["a", "b c"]}, "spaces"),
    ],
)
def test_what_training_refuses(change, message, tmp_path):
    labels = change.pop("labels", ["a", "b"])
    table = labelled(["x", "y"] * 20, labels * (40 // len(labels)), groups=[str(i) for i in range(40)])
    output = tmp_path / change.pop("output", "m.ftz")
    with pytest.raises(ConfigError, match=message):
        train(table, output, preset("dclm", **SMALL), **{"positive": "a", **change})


def test_too_few_words_to_quantise(tmp_path):
    table = labelled([f"w{i}" for i in range(20)], ["a", "b"] * 10, groups=[str(i) for i in range(20)])
    with pytest.raises(ConfigError, match="fastText says.*256"):
        train(table, tmp_path / "m.ftz", preset("dclm", **{**SMALL, "bucket": 10, "cutoff": 0}), positive="a")
    assert not list(tmp_path.iterdir())


def test_presets():
    dclm = preset("dclm")
    assert (dclm.word_ngrams, dclm.dim, dclm.lr, dclm.epoch, dclm.minn, dclm.bucket) == (2, 100, 0.1, 5, 0, 2_000_000)
    assert dclm.normalisation.flags == 0 and dclm.threshold_quantile == 0.9
    assert preset("wikipedia", lowercase=False).normalisation.digits_to_zero
    for name, options in (("dcml", {}), ("dclm", {"dims": 3}), ("dclm", {"dim": 0}), ("dclm", {"loss": "l2"})):
        with pytest.raises(ConfigError):
            preset(name, **options)


def test_files_of_all_kinds(tmp_path):
    found = rows(30)
    with gzip.open(tmp_path / "a.jsonl.gz", "wt", encoding="utf-8") as out:
        out.write("".join(json.dumps({**row, "label": row["label"] == "good"}) + "\n\n" for row in found))
    pq.write_table(pa.Table.from_pylist(found), tmp_path / "b.parquet")
    (tmp_path / "c.txt").write_text("".join(f"__label__{r['label']} {r['text']}\n" for r in found), encoding="utf-8")
    names = Fields(labels={"true": "good", "false": "other"})
    tables = [read_labelled([str(tmp_path / f)], names) for f in ("a.jsonl.gz", "b.parquet", "c.txt")]
    for table in tables:
        assert table["label"].to_pylist() == [row["label"] for row in found]
        assert table["text"].to_pylist() == [row["text"] for row in found]
    assert set(tables[2]["source"].to_pylist()) == {"c"}
    assert read_labelled([str(tmp_path)], names).num_rows == 90
    assert set(read_one_label([str(tmp_path / "b.parquet")], "x", names)["label"].to_pylist()) == {"x"}
    only = read_labelled([str(tmp_path / "b.parquet")], Fields(labels={"other": ""}, group="-"))
    assert only.num_rows == 15 and len(set(only["group"].to_pylist())) == 15


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ('{"text": "a", "label": "x"}\n{"text": "a"}\n', r"line 2 has no label in 'label'"),
        ('\n{"txt": "a", "label": "x"}\n', r"line 2 has no text in 'text'.*did you mean 'txt'"),
        ('{"text": "a"\n', "line 1 is no JSON"),
        ("[1]\n", "line 1 is no JSON object"),
        ("", "holds no document"),
    ],
)
def test_errors_name_file_and_line(content, message, tmp_path):
    (tmp_path / "d.jsonl").write_text(content)
    with pytest.raises(ConfigError, match=message) as error:
        read_labelled([str(tmp_path / "d.jsonl")], Fields())
    assert "d.jsonl" in str(error.value)


def test_more_reading_errors(tmp_path):
    (tmp_path / "d.txt").write_text("__label__a x\nno label\n")
    with pytest.raises(ConfigError, match="line 2 does not begin"):
        read_labelled([str(tmp_path / "d.txt")], Fields())
    (tmp_path / "d.parquet").write_text("no parquet")
    (tmp_path / "d.csv").write_text("x")
    (tmp_path / "d.jsonl.gz").write_text("no gzip")
    for name in ("d.parquet", "d.csv", "none.jsonl", "d.jsonl.gz"):
        with pytest.raises(ConfigError, match=name):
            read_labelled([str(tmp_path / name)], Fields())


OPTIONS = ["--bucket", "500", "--dim", "8", "--cutoff", "400", "--quiet"]


def test_commands(file, tmp_path, capsys):
    model = tmp_path / "good.ftz"
    more = ["--licence", "labelled=CC0", "--description", "A test.", "--languages", "en"]
    assert main(["classifier", "train", str(file), "--positive-label", "good", "-o", str(model), *OPTIONS, *more]) == 0
    card = read_card(model)
    assert card.data == ({"source": "labelled", "licence": "CC0"},) and card.languages == ("en",)
    assert "CC0" in model.with_suffix(".md").read_text()
    assert main(["classifier", "eval", str(model), str(file), "--json", str(tmp_path / "e.json"), "--draws", "50",
                 "--against", str(model)]) == 0  # fmt: skip
    found = json.loads((tmp_path / "e.json").read_text())
    assert found["against"]["lead"] == [0, 0, 0]
    low, high = found["roc_auc_interval"]
    assert low <= found["roc_auc"] <= high and high > 0.9
    assert sum(part["documents"] for part in found["by_length"].values()) == found["documents"] == 400
    assert "ROC-AUC of length alone" in capsys.readouterr().out

    assert main(["classifier", "calibrate", str(model), str(file), "--quantile", "0.9", "--quiet"]) == 0
    card = read_card(model)
    scores = load(model).scores([row["text"] for row in rows()])
    assert card.quantiles["0.9"] == card.threshold and (scores >= card.threshold).sum() == 40
    before = model.with_suffix(".json").read_bytes()
    capsys.readouterr()
    wanted = ["--false-positive-rate", "0.05", "--print", "--quiet"]
    assert main(["classifier", "calibrate", str(model), str(file), *wanted]) == 0
    limit = float(capsys.readouterr().out.removeprefix("threshold: "))
    truth = np.array([row["label"] == "good" for row in rows()])
    assert ((scores >= limit) & ~truth).sum() <= 10 and model.with_suffix(".json").read_bytes() == before
    assert main(["classifier", "calibrate", str(model), "--threshold", "0.25", "--quiet"]) == 0
    assert read_card(model).threshold == 0.25


def test_positive_and_unlabelled(tmp_path):
    for label, name in (("good", "books.jsonl"), ("other", "crawl.jsonl")):
        own = [{k: v for k, v in row.items() if k != "label"} for row in rows() if row["label"] == label]
        (tmp_path / name).write_text("".join(json.dumps(row) + "\n" for row in own))
    sides = ["--positive", str(tmp_path / "books.jsonl"), "--unlabelled", str(tmp_path / "crawl.jsonl")]
    model = tmp_path / "pu.ftz"
    assert main(["classifier", "train", *sides, "--preset", "wikipedia", "-o", str(model), *OPTIONS]) == 0
    assert read_card(model).positive == "positive" and read_card(model).normalisation.lowercase
    assert read_card(model).evaluation["roc_auc"] > 0.9


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["train", "FILE", "-o", "m.ftz"], "--positive-label"),
        (["train", "-o", "m.ftz"], "give labelled files"),
        (["train", "--positive", "FILE", "-o", "m.ftz"], "go together"),
        (["train", "FILE", "-o", "m.ftz", "--positive-label", "good", "--licence", "x=MIT"], "no document is of"),
        (["train", "FILE", "-o", "m.ftz", "--preset", "dcml"], "did you mean 'dclm'"),
        (["eval", "none.ftz", "FILE"], "none.ftz"),
        (["calibrate", "none.ftz", "--quantile", "0.9"], "none.ftz"),
        (["train", "FILE", "-o", "m.ftz", "--map", "good"], "NAME=VALUE"),
    ],
)
def test_wrong_commands(words, message, file, tmp_path, capsys, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert main(["classifier", *(str(file) if word == "FILE" else word for word in words)]) == 2
    assert message in capsys.readouterr().err
