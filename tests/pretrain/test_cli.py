"""`gristmill pretrain`: options, files, what a mixture held out, plans and curves."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

torch = pytest.importorskip("torch")

from pipeline.cli import main  # noqa: E402
from pipeline.progress import Progress  # noqa: E402
from pipeline.report import summary as run_summary  # noqa: E402
from pipeline.store import file_digest  # noqa: E402
from pretrain.config import TrainConfig  # noqa: E402
from pretrain.step import Pretrain, with_held_out  # noqa: E402
from tests.pretrain.text_packs import bpe, text_packs  # noqa: E402
from tests.runs import digests  # noqa: E402

TEXTS = [f"the mill number {i} turns and the water of the river runs " * (1 + i % 3) for i in range(40)]
SMALL = ["--model", "d_model=16", "n_layers=1", "n_heads=1", "d_ff=16", "--threads", "1", "--quiet"]


@pytest.fixture(scope="module")
def step_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A pack step's folder with a packset and what a mixture held out."""
    folder = tmp_path_factory.mktemp("run") / "05-pack"
    tokenizer = bpe(folder.parent / "t.json", TEXTS)
    for name, texts in (("packset", TEXTS[4:]), ("sets/held_out", TEXTS[:3]), ("sets/fresh", TEXTS[3:4])):
        text_packs(folder / name, texts, tokenizer, 16)
    return folder


def _lines(path: Path) -> list[dict[str, object]]:
    return [json.loads(line) for line in path.read_text().splitlines()]


def test_a_run_measures_what_the_mixture_held_out(step_folder: Path, tmp_path: Path) -> None:
    where = [str(step_folder.parent), "-o", str(tmp_path), "--steps", "4", "--eval-every", "2", "--lr", "0.01"]
    assert main(["pretrain", *where, *SMALL]) == 0
    steps = _lines(tmp_path / "metrics.jsonl")
    assert [line["step"] for line in steps] == [1, 2, 3, 4] and max(line["lr"] for line in steps) == 0.01  # type: ignore[type-var]
    held = _lines(tmp_path / "held_out.jsonl")
    assert [(line["step"], line["set"]) for line in held] == [(s, n) for s in (2, 4) for n in ("fresh", "held_out")]
    documents = {line["set"]: line["documents"] for line in held}
    assert documents == {"fresh": 1, "held_out": 3}
    told = json.loads((tmp_path / "summary.json").read_text())["held_out"]
    assert told["fresh"]["bits_per_byte"] == held[-2]["bits_per_byte"] != held[-1]["bits_per_byte"]
    assert held[-1]["bytes"] == sum(len(t.encode()) for t in TEXTS[:3]) - 3 * 3  # each first token is "the"
    timing = json.loads((tmp_path / "timing" / "run.json").read_text())
    assert timing["tokens_per_s"] > 0 and timing["peak_rss_bytes"] > 1e7 and "mfu" not in timing
    assert len(_lines(tmp_path / "timing" / "steps.jsonl")) == 4 and any((tmp_path / "tensorboard").iterdir())


def test_held_out_sets_given_control_tokens(step_folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture) -> None:
    tokenizer = bpe(tmp_path / "t.json", TEXTS)
    text_packs(tmp_path / "packs", TEXTS[4:], tokenizer, 16, controls=("low", "high"))
    sets = step_folder / "sets"
    where = [str(tmp_path / "packs"), "--steps", "1", "--held-out", str(sets / "held_out"), *SMALL]
    assert main(["pretrain", *where, "-o", str(tmp_path / "a"), "--eval-control", "high", "low"]) == 0
    plain, high, low = _lines(tmp_path / "a" / "held_out.jsonl")
    assert [line["set"] for line in (plain, high, low)] == ["held_out", "held_out@high", "held_out@low"]
    assert high["tokens"] == low["tokens"] == plain["tokens"] + 3  # type: ignore[operator]  the documents' first ones
    assert high["bytes"] == sum(len(text.encode()) for text in TEXTS[:3])
    assert high["bits_per_byte"] != low["bits_per_byte"]
    masked = [*where, "-o", str(tmp_path / "b"), "--objective", "masked", "--eval-control", "high", "low"]
    assert main(["pretrain", *masked]) == 0
    lines = _lines(tmp_path / "b" / "held_out.jsonl")
    assert [line["set"] for line in lines] == ["held_out", "held_out@high", "held_out@low"]
    assert lines[1]["targets"] == lines[2]["targets"] and len({line["loss"] for line in lines}) == 3
    assert main(["pretrain", *where, "-o", str(tmp_path / "c"), "--eval-control", "hihg"]) == 2
    assert "did you mean 'high'" in capsys.readouterr().err


def test_sets_of_ones_own_and_none_at_all(step_folder: Path, tmp_path: Path) -> None:
    where = [str(step_folder / "packset"), "--steps", "1", *SMALL]
    fresh = str(step_folder / "sets" / "fresh")
    assert main(["pretrain", *where, "-o", str(tmp_path / "a"), "--held-out", f"news={fresh}", fresh]) == 0
    assert [line["set"] for line in _lines(tmp_path / "a" / "held_out.jsonl")] == ["news", "fresh"]
    assert main(["pretrain", *where, "-o", str(tmp_path / "b"), "--held-out"]) == 0
    assert _lines(tmp_path / "b" / "held_out.jsonl") == []


def test_a_limit_on_what_is_measured(step_folder: Path, tmp_path: Path) -> None:
    where = [str(step_folder), "-o", str(tmp_path), "--steps", "1", "--held-out-bytes", "60"]
    assert main(["pretrain", *where, *SMALL]) == 0
    assert all(20 < int(line["bytes"]) <= 60 for line in _lines(tmp_path / "held_out.jsonl"))  # type: ignore[call-overload]


def test_the_command_line_goes_before_the_file(step_folder: Path, tmp_path: Path) -> None:
    (tmp_path / "c.yaml").write_text(
        "steps: 7\nbatch_size: 2\noptim: {lr: 0.5, weight_decay: 0.0}\nmodel: {d_model: 16, n_layers: 1, n_heads: 1, "
        "d_ff: 32}\nspike: {window: 99}\n"
    )
    arguments = [
        "pretrain", str(step_folder), "-o", str(tmp_path / "o"), "--config", str(tmp_path / "c.yaml"), "--steps", "2",
        "--lr", "0.01", "--spike-sigma", "5", "--model", "d_ff=16", "--betas", "0.8", "0.9", "--threads", "1",
        "--quiet",
    ]  # fmt: skip
    assert main(arguments) == 0
    newest = sorted((tmp_path / "o" / "checkpoints").iterdir())[-1]
    found = json.loads(next(newest.glob("*.json")).read_text())["config"]
    assert (found["steps"], found["batch_size"]) == (2, 2)
    assert (found["optim"]["lr"], found["optim"]["weight_decay"], found["optim"]["betas"]) == (0.01, 0.0, [0.8, 0.9])
    assert (found["spike"]["window"], found["spike"]["sigma"]) == (99, 5)
    assert found["model"] == {"d_model": 16, "n_layers": 1, "n_heads": 1, "d_ff": 16}


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--size", "tinny"], "did you mean 'tiny'"),
        (["--model", "d_modle=8"], "did you mean 'd_model'"),
        (["--model", "d_model"], "must be KEY=VALUE"),
        (["--steps", "none"], "whole number"),
        (["--lr", "-1"], "above 0"),
        (["--objective", "casual"], "did you mean 'causal'"),
        (["--held-out", "x=nowhere"], "nowhere"),
        (["--held-out-bytes", "0"], "held_out_bytes must be at least 1"),
        (["--config", "{tmp}/list.yaml"], "must be a mapping"),
        (["--config", "{tmp}/typo.yaml"], "did you mean 'weight_decay'"),
        (["--config", "{tmp}/none.yaml"], "--config {tmp}/none.yaml: No such file"),
        (["--init-from", "{tmp}/none"], "init_from {tmp}/none holds no checkpoint"),
        (["--replay", "{tmp}/none"], "replay: '{tmp}/none' is neither a pack folder nor a run"),
        (["--long-packs", "{tmp}/none", "--long-steps", "2"], "long_packs: '{tmp}/none' is neither a pack folder"),
        (
            ["--objective", "distill", "--objective-options", "teacher={tmp}/none"],
            "teacher {tmp}/none holds no checkpoint",
        ),
        (["-o", "{packs}"], "is a pack folder: name a folder of its own"),
        (["-o", "{tmp}/run"], "is a run of recipes: name a folder of its own"),
        (["-o", "{tmp}/list.yaml"], "is a file: name a folder"),
        (["--held-out", "{tmp}/other"], "another tokenizer"),
        (["--size", "700B"], "GB for weights, gradients and optimiser state alone, the machine has"),
        (["--eval-control", "hihg"], "control"),
        (["--parallel", "fsdp"], "torchrun --nproc-per-node 2 -m pipeline.cli pretrain "),
        (
            ["--parallel", "tensor=4"],
            "needs several processes, which torchrun starts, on GPUs one each: torchrun --nproc-per-node 4",
        ),
    ],
)
@pytest.mark.parametrize("check", [True, False])
def test_mistakes_are_named_before_anything_runs(
    step_folder: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    arguments: list[str],
    message: str,
    check: bool,
) -> None:
    (tmp_path / "list.yaml").write_text("[1]")
    (tmp_path / "typo.yaml").write_text("optim: {weight_decya: 1}")
    if "other" in arguments[-1]:
        text_packs(tmp_path / "other", TEXTS[:2], bpe(tmp_path / "o.json", ["another text"], 258), 16)
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / "recipe.yaml").write_text("steps: []")
    places = {"{tmp}": str(tmp_path), "{packs}": str(step_folder / "packset")}
    given, message = [_placed(word, places) for word in arguments], _placed(message, places)
    output = tmp_path / "o"
    assert main(["pretrain", str(step_folder), "-o", str(output), *["--check"][:check], *given, "--quiet"]) == 2
    assert message in capsys.readouterr().err and not list(output.glob("checkpoints/*"))


def test_a_check_knows_the_run_that_is_there(
    step_folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    where = ["pretrain", str(step_folder), "-o", str(tmp_path / "o"), "--steps", "2", *SMALL]
    assert main(where) == 0 and main([*where, "--check"]) == 0
    before = digests(tmp_path / "o")
    for words in ([], ["--check"]):
        assert main([*where, "--lr", "0.5", *words]) == 2
        assert "holds a run with other options, at step 2 (optim.lr: 0.002 -> 0.5)" in capsys.readouterr().err
    assert digests(tmp_path / "o") == before


def test_a_file_is_the_same_by_another_path(
    step_folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    assert main(["pretrain", str(step_folder), "-o", str(tmp_path / "first"), "--steps", "1", *SMALL]) == 0
    where = ["pretrain", str(step_folder), "-o", str(tmp_path / "o"), "--steps", "2", *SMALL]
    monkeypatch.chdir(tmp_path)
    assert main([*where, "--init-from", "first"]) == 0
    assert main([*where, "--init-from", str(tmp_path / "first"), "--check"]) == 0
    assert main([*where, "--init-from", str(tmp_path / "o"), "--check"]) == 2
    assert f"init_from: {json.dumps(str(tmp_path / 'first'))} -> " in capsys.readouterr().err


def test_a_check_shows_the_model_that_is_trained(
    step_folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    where = ["pretrain", str(step_folder), "-o", str(tmp_path / "o"), "--steps", "1", "--objective", "spans"]
    assert main([*where, *SMALL]) == 0
    count = json.loads((tmp_path / "o" / "summary.json").read_text())["parameters"]
    assert main([*where, *SMALL[:-1], "--check"]) == 0
    assert f"{count:,}" in capsys.readouterr().out  # of an encoder and a decoder


def _placed(text: str, places: dict[str, str]) -> str:
    for name, path in places.items():
        text = text.replace(name, path)
    return text


def test_numbers_as_people_write_them(step_folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    arguments = ["--lr", "1e-3", "--steps", "5e1", "--z-loss", "1E-4", "--model", "rope_theta=1e6"]
    assert main(["pretrain", str(step_folder), "-o", str(tmp_path / "o"), "--check", *arguments]) == 0
    assert main(["pretrain", "plan", "--flops", "1e20", "--json"]) == 0
    shown = capsys.readouterr().out
    assert json.loads(shown[shown.index("\n{") :])["budget"]["flops_6nd"] == pytest.approx(1e20, rel=1e-6)
    assert main(["pretrain", "plan", "--tokens", "2e9", "--quiet"]) == 0
    assert main(["pretrain", "plan", "--flops", "1e999", "--quiet"]) == 2
    (tmp_path / "c.yaml").write_text("optim: {eps: 1e-8}")
    assert main(["pretrain", str(step_folder), "-o", str(tmp_path / "o"), "--config", str(tmp_path / "c.yaml")]) == 2
    assert "so write 1.0e-08" in capsys.readouterr().err


def test_check_says_what_would_be_trained(
    step_folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    output = tmp_path / "o"
    assert main(["pretrain", str(step_folder), "-o", str(output), "--steps", "50", "--check"]) == 0
    shown = capsys.readouterr().out
    assert "held_out" in shown and "fresh" in shown and "6,400" in shown and not output.exists()  # 50 x 8 x 16 tokens


def test_without_torch_there_is_a_hint(
    step_folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    import pretrain.train

    monkeypatch.setattr(pretrain.train, "torch_available", lambda: False)
    assert main(["pretrain", str(step_folder), "-o", str(tmp_path / "o")]) == 2
    assert "pip install 'gristmill[pretrain]'" in capsys.readouterr().err


def test_help_and_plans_need_no_torch() -> None:
    code = (
        "import sys; from pipeline.cli import main\n"
        "try:\n    main(sys.argv[1:])\nexcept SystemExit: pass\n"
        "sys.exit(bool({'torch', 'matplotlib', 'polars'} & set(sys.modules)))"
    )
    for arguments in (["pretrain", "--help"], ["pretrain", "plan", "--tokens", "2B"], ["pretrain", "plot", "--help"]):
        done = subprocess.run([sys.executable, "-c", code, *arguments], capture_output=True, text=True)
        assert done.returncode == 0 and len(done.stdout) > 500, (arguments, done.stderr)


@pytest.mark.parametrize(("processes", "shown"), [("1", "1: done\nthe end\n"), ("2", "2: done\n")])
def test_a_process_of_torchruns_ends_without_the_interpreters_end(processes: str, shown: str) -> None:
    code = (
        "import atexit, os, sys, torch; atexit.register(print, 'the end')\n"
        "from pipeline.cli_pretrain import leave_group\n"
        "print(os.environ['WORLD_SIZE'] + ': done'); leave_group(3); sys.exit(3)"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, env={**os.environ, "WORLD_SIZE": processes}
    )
    assert (done.returncode, done.stdout) == (3, shown)


def test_help_shows_the_defaults(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        main(["pretrain", "--help"])
    shown = " ".join(capsys.readouterr().out.split())
    for told in ("(default: 0) --rope-scale", "--tensorboard VALUE", "(default: true)", "(default: 0.9 0.95)",
                 "--spike-sigma VALUE", "(default: null)"):  # fmt: skip
        assert told in shown


def test_a_plan_as_json(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    assert main(["pretrain", "plan", "--parameters", "124M", "--json"]) == 0
    plan = json.loads(capsys.readouterr().out)
    assert plan["budget"]["tokens"] == pytest.approx(20 * plan["budget"]["parameters"], rel=0.01)
    assert main(["pretrain", "plan", "--parameters", "124M", "--json", str(tmp_path / "p.json"), "--quiet"]) == 0
    assert json.loads((tmp_path / "p.json").read_text())["budget"] == plan["budget"] and not capsys.readouterr().out


def test_curves_from_the_command_line(
    step_folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("a", "b"):
        main(["pretrain", str(step_folder), "-o", str(tmp_path / name), "--steps", "2", *SMALL])
    assert main(["pretrain", "plot", str(tmp_path / "a")]) == 0
    assert (tmp_path / "a" / "curves.html").is_file() and "curves.png" in capsys.readouterr().out
    both = ["pretrain", "plot", str(tmp_path / "a"), str(tmp_path / "b"), "-o", str(tmp_path / "both"), "--x", "steps"]
    assert main(both) == 0
    assert (tmp_path / "both" / "curves.png").read_bytes()[:4] == b"\x89PNG"
    assert main([*both[:-1], "hours"]) == 2 and main(["pretrain", "plot", str(tmp_path)]) == 2
    capsys.readouterr()
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    monkeypatch.setitem(sys.modules, "matplotlib.backends.backend_agg", None)
    assert main([*both[:-4], "-o", str(tmp_path / "bare")]) == 0
    assert "no curves.png: a PNG needs matplotlib" in capsys.readouterr().out
    assert [path.name for path in (tmp_path / "bare").iterdir()] == ["curves.html"]


def test_the_step_of_recipes_reports_bits_per_byte(step_folder: Path, tmp_path: Path) -> None:
    from types import SimpleNamespace

    from pipeline.report import sections

    how = {"model": {"d_model": 16, "n_layers": 1, "n_heads": 1, "d_ff": 16}, "threads": 1}
    made = []
    elsewhere = tmp_path / "elsewhere" / "05-pack"
    shutil.copytree(step_folder, elsewhere)
    for name, packs in (("a", step_folder), ("b", elsewhere)):
        folder = tmp_path / name
        context = SimpleNamespace(
            inputs={"packs": SimpleNamespace(path=packs, files=("packset",))},
            folder=SimpleNamespace(path=folder), progress=Progress(quiet=True),
        )  # fmt: skip
        made.append(Pretrain(steps=2, train=how).run(context))  # type: ignore[arg-type]
    assert made[0] == made[1]  # nothing of time or place
    assert digests(tmp_path / "a") == digests(tmp_path / "b") and len(digests(tmp_path / "a")) > 5
    for entry in made[0]["files"]:
        assert entry["blake2b"] == file_digest(tmp_path / "a" / entry["file"])
    assert {"metrics.jsonl", "held_out.jsonl", "summary.json"} <= {entry["file"] for entry in made[0]["files"]}
    step = SimpleNamespace(step="pretrain", folder=tmp_path / "a", manifest=made[0], skipped=None)
    numbers = run_summary(SimpleNamespace(steps=[step], output=tmp_path))  # type: ignore[arg-type]
    (shown,) = [s for s in sections(numbers, tmp_path) if s.title == "Training on the packs"]
    rows = {str(name).split(":")[0]: value for name, value in shown.rows}
    assert 1 < rows["fresh"] < 9 and 1 < rows["held_out"] < 9 and rows["steps"] == 2  # type: ignore[operator]


def test_what_is_named_is_not_replaced(step_folder: Path) -> None:
    config = TrainConfig(held_out={"mine": "somewhere"})
    assert with_held_out(config, step_folder) == config
    assert set(with_held_out(TrainConfig(), step_folder).held_out) == {"held_out", "fresh"}
