"""The command, its plan and budget, and the kinds of arms."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest
import yaml

from pipeline.cli import main
from pipeline.errors import ConfigError
from pipeline.progress import Progress
from pipeline.runner import InlineRunner
from pretrain.ablation.arms import decoded, resolve, trained_as_they_are
from pretrain.ablation.design import Arm, make_design
from pretrain.ablation.plan import Plan, plan, within_budget
from pretrain.ablation.samples import Workshop

from .conftest import SMALL, documents, write

TINY = ["--seeds", "2", "--steps", "8", "--batch-size", "4", "--sequence-length", "32", "--vocab-size", "300",
        "--held-out-bytes", "2000", "--evaluations", "2", "--training", json.dumps(SMALL)]  # fmt: skip


def test_the_command_writes_a_report_and_says_its_verdicts(corpora, tmp_path, capsys):
    out = tmp_path / "out"
    hostile = tmp_path / "x<script>.jsonl"
    write(hostile, documents(7, 30))
    with open(hostile, "a", encoding="utf-8") as more:
        more.write('{"id": "broken"\n{"id": "without"}\n')
    words = ["ablate", corpora("ordered"), f"b={hostile}", "-o", str(out), "--held-out", f"h={corpora('held')}", *TINY]
    assert main([*words, "--readings", "tokens", "--gold", corpora("quiz")]) == 0
    said = capsys.readouterr().out
    assert "ordered and b" in said or "better than" in said
    page = (out / "report.html").read_text(encoding="utf-8")
    assert "default-src 'none'" in page and "<script" not in page and page.count("<svg") == 2
    told = json.loads((out / "results.json").read_text(encoding="utf-8"))
    assert [arm["name"] for arm in told["arms"]] == ["ordered", "b"] and len(told["runs"]) == 4
    assert told["verdicts"][0] in said
    one = told["comparisons"][0]
    assert f"<td>{one['by_seed']['low']:+.4f} to {one['by_seed']['high']:+.4f}</td>" in page
    passed_over = "arm 'b': 2 of 32 records (1 bad_json, 1 no_text) are no documents and were left out"
    assert passed_over in told["notes"] and f"note: {passed_over}" in said
    again = out / "results.json"
    before = again.read_bytes()
    assert main(["ablate", corpora("ordered"), f"b={hostile}", "-o", str(out), "--design", str(out / "design.yaml"),
                 "--quiet"]) == 0  # fmt: skip
    assert again.read_bytes() == before


def test_a_dry_run_touches_nothing(corpora, tmp_path, capsys):
    out = tmp_path / "out"
    words = ["ablate", f"a={corpora('ordered')}", f"b={corpora('other')}", "-o", str(out)]
    assert main([*words, "--held-out", f"h={corpora('held')}", *TINY, "--dry-run"]) == 0
    said = capsys.readouterr().out
    assert "6 runs of 8 steps" in said and "minutes" in said and not out.exists()


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["a=x.jsonl"], "at least two arms"),
        (["a=x.jsonl", "a=y.jsonl"], "two arms are called 'a'"),
        (["a=x.jsonl", "b=y.jsonl", "--seeds", "many"], "seeds must be a whole number"),
        (["a=x.jsonl", "b=y.jsonl", "--design", "absent.yaml"], "is not a file"),
        (["a=x.jsonl", "b=y.jsonl", "--budget", "0"], "--budget must be above 0"),
        (["a=absent.jsonl", "b=y.jsonl"], "'absent.jsonl' does not exist"),
        (["a=y.jsonl", "b=empty.jsonl"], "ablate: sample-b: step '01-read': the input holds no records"),
        (["a=x.jsonl", "b=y.jsonl", "-o", "run"], "--output 'run' is a run: name a folder of its own"),
        (["a=x.jsonl", "b=y.jsonl", "--held-out", "h=x.jsonl"], "two sets are called 'h'"),
        (["a=absent.yaml", "b=y.jsonl"], "is not a file"),
        (["a=page.warc.gz", "b=y.jsonl"], "holds pages, not documents"),
    ],
)
def test_errors_name_the_way_out(words, message, tmp_path, capsys, monkeypatch):
    monkeypatch.chdir(tmp_path)
    write(tmp_path / "y.jsonl", documents(0, 3))
    (tmp_path / "empty.jsonl").touch()
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / "recipe.yaml").touch()
    assert main(["ablate", "-o", "out", *words, "--held-out", "h=y.jsonl"]) == 2
    assert message in capsys.readouterr().err


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["a=absent.jsonl", "b=y.jsonl"], "ablate: arm 'a': input 'absent.jsonl' does not exist"),
        (["a=no*.jsonl", "b=y.jsonl"], "arm 'a': input 'no*.jsonl' holds no file"),
        (["a=y.jsonl", "b=broken"], "arm 'b'"),
        (["a=mine.yaml", "b=y.jsonl"], "arm 'a': recipe 'mine.yaml', 01-language: input 'gone.jsonl' does not"),
        (["a=typo.yaml", "b=y.jsonl"], "did you mean 'language'"),
        (["--held-out", "g=y.jsonl", "gone.txt"], "held-out set 'g': 'gone.txt' is not a file"),
        (["--held-out", "g=gone.parquet"], "held-out set 'g': input 'gone.parquet' does not exist"),
        (["--gold", "gone.jsonl"], "gold"),
        (["--gold", "y.jsonl"], "gold"),
        (["--tokenizer", "gone.json"], "gone.json"),
        (["--tokenizer-text", "gone.jsonl"], "tokenizer_text: input 'gone.jsonl' does not exist"),
        (["--preset", "run"], "'run' has none of the preset's sets"),
        (["--size", "700B"], "GB for weights, gradients and optimiser state alone"),
        (["--budget", "3", "--steps", "4"], "--budget chooses the steps itself: leave --steps out"),
    ],
)
@pytest.mark.parametrize("mode", ["--dry-run", "--quiet", "--budget=1"])
def test_inputs_are_looked_for_before_anything_runs(words, message, mode, tmp_path, capsys, monkeypatch):
    monkeypatch.chdir(tmp_path)
    write(tmp_path / "y.jsonl", documents(0, 3))
    (tmp_path / "run").mkdir()
    (tmp_path / "broken" / "packset").mkdir(parents=True)
    (tmp_path / "broken" / "packset" / "manifest.json").write_text('{"format": "gristmill-packs"}')
    for name, step in (("mine", "language"), ("typo", "langauge")):
        plain = {"name": name, "source": {"documents": {"inputs": ["gone.jsonl"]}}, "steps": [step, "tokenize"]}
        (tmp_path / f"{name}.yaml").write_text(yaml.safe_dump(plain))
    arms_ = [] if "=" in words[0] else ["a=y.jsonl", "b=y.jsonl"]
    assert main(["ablate", *arms_, *words, "-o", "out", "--held-out", "h=y.jsonl", mode]) == 2
    said = capsys.readouterr().err
    assert message in said and said.count("\n") == 1 and not (tmp_path / "out").exists()


def test_a_changed_budget_is_no_silent_matter(corpora, tmp_path, capsys):
    out = tmp_path / "out"
    words = ["ablate", corpora("ordered"), corpora("other"), "-o", str(out), "--held-out", f"h={corpora('held')}",
             "--readings", "tokens", *TINY]  # fmt: skip
    del words[words.index("--steps") : words.index("--steps") + 2]
    assert main([*words, "--budget", "0.02", "--quiet"]) == 0
    plain = yaml.safe_load((out / "design.yaml").read_text())
    assert plain["budget_minutes"] == 0.02
    runs = sorted(path.name for path in (out / "runs").glob("*.npy"))
    assert main([*words, "--budget", "0.02", "--quiet"]) == 0
    assert sorted(path.name for path in (out / "runs").glob("*.npy")) == runs
    assert main([*words, "--budget", "0.5", "--quiet"]) == 2
    assert f"begun with --budget 0.02, which gave {plain['design']['steps']} steps" in capsys.readouterr().err


def test_nothing_to_measure_on_is_an_error(corpora, tmp_path, capsys):
    assert main(["ablate", corpora("ordered"), corpora("other"), "-o", str(tmp_path / "out")]) == 2
    assert "nothing to measure on" in capsys.readouterr().err


def arms(corpora):
    return [Arm(name=name, inputs=(corpora(name),)) for name in ("ordered", "other")]


def test_budget_and_plan(corpora, tmp_path):
    design = make_design({"held_out": {"h": [corpora("held")]}, "seeds": 2, "training": SMALL, "vocab_size": 300})
    planned = plan(arms(corpora), design, 1)
    assert planned.runs == 6 and planned.tokens == 6 * 200 * 8 * 256
    assert planned.step_s > 0 and planned.total_s == pytest.approx(6 * (200 * planned.step_s + planned.measure_s))
    assert Plan(7, 10, 0, 0, 1.0, 5.0, workers=2).total_s == 4 * 15.0
    made = within_budget(arms(corpora), design, 3.0, 1, tmp_path)
    assert made.steps != 200 and made.steps >= 10
    begun = {"design": {**made.plain(), "steps": 77}, "budget_minutes": 3.0}
    (tmp_path / "design.yaml").write_text(yaml.safe_dump(begun))
    assert within_budget(arms(corpora), design, 3.0, 1, tmp_path).steps == 77  # begun: not timed again
    with pytest.raises(ConfigError, match="begun with --budget 3, which gave 77 steps; --budget 4 would be other runs"):
        within_budget(arms(corpora), design, 4.0, 1, tmp_path)
    (tmp_path / "design.yaml").write_text(yaml.safe_dump({"design": begun["design"]}))
    with pytest.raises(ConfigError, match="begun with --steps 77 and no --budget.*give no --budget to go on"):
        within_budget(arms(corpora), design, 3.0, 1, tmp_path)
    assert within_budget(arms(corpora), replace(design, lr=0.5), 3.0, 1, tmp_path).steps >= 10  # other runs anyway
    with pytest.raises(ConfigError, match="minutes are not enough for 6 runs"):
        within_budget(arms(corpora), design, 1e-6, 1, tmp_path / "new")


def test_kinds_of_arms(corpora, tmp_path, bpe):
    runner, quiet = InlineRunner(), Progress(quiet=True)
    recipe = tmp_path / "mine.yaml"
    plain = {
        "name": "mine",
        "source": {"documents": {"inputs": [corpora("ordered")]}},
        "steps": [{"select_random": {"keep": "50"}}, "train_tokenizer", "tokenize", "pack", "pretrain"],
    }
    recipe.write_text(yaml.safe_dump(plain))
    made = resolve(Arm(name="a", inputs=(str(recipe),)), tmp_path / "run", runner, quiet)
    assert made.kind == "recipe" and sorted(p.name for p in (tmp_path / "run").glob("0*")) == [
        "01-read", "02-select_random"
    ]  # fmt: skip
    run = resolve(Arm(name="b", inputs=(str(tmp_path / "run"),)), tmp_path / "none", runner, quiet)
    assert run.kind == "run" and run.source == made.source
    plainly = resolve(Arm(name="c", inputs=(corpora("other"),), text_field="body"), tmp_path / "none", runner, quiet)
    assert (plainly.kind, plainly.source["text_field"]) == ("documents", "body")

    twice = write(tmp_path / "twice.jsonl", ["the cat sat", "the mat"])
    lines = [json.dumps({"id": "same", "text": text}) for text in ("the cat sat", "the cat sat", "on the mat")]
    (tmp_path / "twice.jsonl").write_text("\n".join(lines))
    shop = Workshop(tmp_path / "shop", runner, quiet, "test")
    packs = shop.pack("p", [twice], str(bpe.path), sequence_length=16)[0]
    found = resolve(Arm(name="d", inputs=(packs,)), tmp_path / "none", runner, quiet)
    assert found.kind == "packs" and trained_as_they_are([found, found], str(bpe.path))
    assert not trained_as_they_are([found, plainly], "")
    other = shop.pack("q", [twice], str(bpe.path), sequence_length=8)[0]
    longer = resolve(Arm(name="e", inputs=(other,)), tmp_path / "none", runner, quiet)
    assert not trained_as_they_are([found, longer], "")
    import pyarrow.parquet as pq

    rows = pq.read_table(decoded(found, tmp_path / "d").source["inputs"][0]).to_pylist()
    assert sorted(row["text"] for row in rows) == ["on the mat", "the cat sat", "the cat sat"]
    assert len({row["id"] for row in rows}) == 3  # repeats are documents of their own


def test_a_sample_of_long_documents_is_no_smaller_than_asked_for(tmp_path):
    texts = write(tmp_path / "long.jsonl", [f"{k} " + "word " * 2000 for k in range(12)])
    shop = Workshop(tmp_path / "shop", InlineRunner(), Progress(quiet=True), "test")
    drawn = shop.sample("s", {"inputs": [texts]}, 6000, 0, "long")  # less than one document
    assert drawn.documents == 1 and drawn.text_bytes > 10_000 and drawn.available_bytes > 120_000
    everything = shop.sample("all", {"inputs": [texts]}, 10**9, 0, "long")
    assert everything.documents == 12 and everything.text_bytes == everything.available_bytes
