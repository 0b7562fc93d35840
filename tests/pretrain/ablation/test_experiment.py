"""Whole ablations on small models: the right verdicts, the same bytes after a kill, nothing done twice."""

from __future__ import annotations

import json
import math
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

from pipeline.errors import ConfigError
from pipeline.packreader import open_packs
from pretrain.ablation import Arm, run_ablation
from pretrain.ablation.design import make_design
from pretrain.ablation.task import read_items

from .conftest import SMALL, documents, write


def design(corpora, **changes):
    return make_design(
        {
            "held_out": {"text": [corpora("held")]}, "gold": (corpora("quiz"),), "seeds": 3, "steps": 40,
            "batch_size": 8, "sequence_length": 48, "lr": 0.01, "vocab_size": 400, "training": SMALL,
            "held_out_bytes": 12_000, "evaluations": 2, "resamples": 200, "max_overlap": 0.5, **changes,
        }
    )  # fmt: skip


def arms(corpora, *names):
    return [Arm(name=name, inputs=(corpora(name),)) for name in names]


@pytest.fixture(scope="module")
def done(corpora, tmp_path_factory):
    """(folder, result) of ordered against shuffled words."""
    out = tmp_path_factory.mktemp("ablation") / "out"
    return out, run_ablation(arms(corpora, "ordered", "shuffled"), design(corpora), out)


def marks(out: Path) -> dict[str, int]:
    return {path.name: path.stat().st_mtime_ns for path in (out / "runs" / "done").iterdir()}


def test_ordered_text_beats_shuffled_words(done):
    _, result = done
    one = result.comparison("ordered", "shuffled")
    assert one.verdict == "better" and one.p < 0.05 and one.by_seed.mean < -0.05
    assert result.comparison("shuffled", "ordered").verdict == "worse"
    assert one.by_document.high < 0 and one.by_document.n == 40
    assert result.comparison("ordered", "shuffled", "gold").difference < 0
    first = result.verdicts()[0]
    assert first.startswith("ordered better than shuffled by ") and "(held-out text, equal tokens)" in first
    assert len(result.comparisons) == 4  # two figures, two readings
    assert [one.figure for one in result.by_set] == ["held_out/text", "gold/quiz"] * 2


def test_figures_are_nats_over_bytes(done):
    """Every figure again from the files: nats / ln 2 / bytes of the predicted text."""
    out, result = done
    from pretrain.held_out import held_out

    (packs,) = (out / "prepare" / "packs-held-text").glob("*-pack/packset")
    held = held_out("text", [open_packs(packs)])
    items = read_items(str(out / "prepare" / "gold.json"))["quiz"]
    for run in result.runs:
        if run.reading == "tokens":
            (path,) = (out / "runs").glob(f"{run.arm}-seed{run.seed}-40-*.npy")
            nats = np.load(path)
            assert len(nats) == held.documents + len(items)
            text, gold = nats[: held.documents].sum(), nats[held.documents :].sum()
            assert run.values["held_out/text"] == pytest.approx(text / math.log(2) / held.n_bytes)
            assert run.values["gold"] == pytest.approx(gold / math.log(2) / sum(one.answer_bytes for one in items))
            assert [point["step"] for point in run.curve] == [20, 40]
            last = run.curve[-1]["bits_per_byte"]
            assert last["held_out"] == last["held_out/text"] == pytest.approx(run.values["held_out"], rel=0.3)
            assert [point["tokens"] for point in run.curve] == pytest.approx([20 * 8 * 48, run.tokens], rel=0.01)
            assert run.arm == "shuffled" or run.curve[0]["bits_per_byte"]["held_out"] > last["held_out"]


def test_arms_are_alike_but_for_their_text(done):
    out, result = done
    ordered, shuffled = result.arms
    assert ordered.steps == {"tokens": 40, "bytes": 40} or shuffled.steps["bytes"] == 40
    assert min(ordered.seen_bytes["bytes"], shuffled.seen_bytes["bytes"]) == pytest.approx(
        max(ordered.seen_bytes["bytes"], shuffled.seen_bytes["bytes"]), rel=0.5 / 40 + 0.01
    )
    tokens = {run.tokens for run in result.runs if run.reading == "tokens"}
    assert max(tokens) - min(tokens) <= 2 * 48  # concatenated: at most the last sequence of a pass is not full
    manifests = [
        json.loads(path.read_text()) for path in sorted(out.glob("prepare/packs-*/*-pack/packset/manifest.json"))
    ]
    assert len({one["tokenizer"]["fingerprint"] for one in manifests}) == 1 and len(manifests) == 4


def test_the_same_command_does_nothing_and_more_seeds_add_runs(done, corpora):
    out, result = done
    before, content = marks(out), (out / "results.json").read_bytes()
    run_ablation(arms(corpora, "ordered", "shuffled"), design(corpora), out)
    assert marks(out) == before and (out / "results.json").read_bytes() == content
    more = run_ablation(arms(corpora, "ordered", "shuffled"), design(corpora, seeds=4, margin=0.5), out)
    after = marks(out)
    assert before.items() <= after.items() and len(after) == len(before) * 4 // 3
    assert more.values("held_out", "ordered")[:3] == result.values("held_out", "ordered")
    run_ablation(arms(corpora, "ordered", "shuffled"), design(corpora), out)
    assert (out / "results.json").read_bytes() == content


def test_killed_runs_go_on_to_the_same_bytes(done, corpora, tmp_path):
    out, _ = done
    mine = tmp_path / "out"
    shutil.copytree(out / "prepare", mine / "prepare")
    (mine / ".lock").touch()
    code = (
        "from tests.pretrain.ablation.test_experiment import *\n"
        f"texts = {{name: {corpora('held')!r}.replace('held', name) for name in ('ordered', 'shuffled', 'held')}}\n"
        f"texts['quiz'] = {corpora('quiz')!r}\n"
        f"run_ablation(arms(texts.get, 'ordered', 'shuffled'), design(texts.get), {str(mine)!r})\n"
    )
    process = subprocess.Popen([sys.executable, "-c", code], cwd=Path(__file__).parents[3], start_new_session=True)
    deadline = time.monotonic() + 240
    while len(list((mine / "runs" / "done").glob("*.json"))) < 2 and time.monotonic() < deadline:
        assert process.poll() is None, "it ended before it was killed"
        time.sleep(0.05)
    os.killpg(process.pid, signal.SIGKILL)
    process.wait()
    before = marks(mine)
    assert 2 <= len(before) < 6 and not (mine / "results.json").exists()
    run_ablation(arms(corpora, "ordered", "shuffled"), design(corpora), mine)
    assert before.items() <= marks(mine).items()
    assert (mine / "results.json").read_bytes() == (out / "results.json").read_bytes()


def test_texts_of_one_kind_tie_and_copies_are_left_out(corpora, tmp_path):
    """300 documents against 300 others of the same making; the leaky arm has 10 of the 40 held-out texts."""
    how = {"readings": ("tokens",), "gold": (), "margin": 0.15, "judge": ("held_out",)}
    result = run_ablation(arms(corpora, "other", "leaky"), design(corpora, **how), tmp_path / "out")
    (one,) = result.comparisons
    assert one.verdict == "tie" and one.by_document.n == 30
    (row,) = result.overlap
    assert row == {"set": "held_out/text", "texts": 40, "kept": 30, "copies": {"other": 0, "leaky": 10}}
    assert any("arm 'leaky' has 10 of its 40 texts; they are left out" in note for note in result.notes)
    kept = run_ablation(arms(corpora, "other", "leaky"), design(corpora, on_overlap="keep", **how), tmp_path / "out")
    assert kept.comparisons[0].by_document.n == 40
    with pytest.raises(ConfigError, match="arm 'leaky' has 10 of its 40 texts; take other texts"):
        run_ablation(arms(corpora, "other", "leaky"), design(corpora, on_overlap="raise", **how), tmp_path / "out")


def test_few_documents_make_epochs_and_none_an_error(corpora, tmp_path):
    few = write(tmp_path / "few.jsonl", documents(8, 25))
    pair = [Arm(name="few", inputs=(few,)), *arms(corpora, "other")]
    how = {"readings": ("tokens",), "gold": (), "seeds": 1, "steps": 30}
    result = run_ablation(pair, design(corpora, **how), tmp_path / "out")
    assert result.arms[0].epochs["tokens"] == pytest.approx(30 * 8 / result.arms[0].sequences)
    assert result.arms[0].epochs["tokens"] > 4 > result.arms[1].epochs["tokens"]
    assert any("arm 'few' is gone through" in note for note in result.notes)
    assert "one seed has no spread" in result.verdicts()[0]
    assert json.loads((tmp_path / "out" / "results.json").read_text())["comparisons"][0]["by_seed"]["low"] is None
    fewer = write(tmp_path / "fewer.jsonl", documents(8, 2))
    pair = [Arm(name="fewer", inputs=(fewer,)), *arms(corpora, "other")]
    with pytest.raises(ConfigError, match="arm 'fewer' has .* sequences of 48 tokens, a batch takes 8"):
        run_ablation(pair, design(corpora, **how), tmp_path / "out")


def test_pack_folders_of_one_tokenizer_are_trained_on_as_they_are(done, corpora, tmp_path):
    out, whole = done
    packs = [next((out / "prepare" / f"packs-{name}").glob("*-pack")) for name in ("ordered", "shuffled")]
    pair = [Arm(name=path.parent.name[6:], inputs=(str(path),)) for path in packs]
    how = {"readings": ("tokens",), "gold": (), "seeds": 2, "sequence_length": 1000}
    result = run_ablation(pair, design(corpora, **how), tmp_path / "out")
    assert result.design.sequence_length == 48  # the packs'
    assert [arm.kind for arm in result.arms] == ["packs", "packs"] and result.comparisons[0].by_seed.mean < -0.05
    assert [arm.text_bytes for arm in result.arms] == [arm.text_bytes for arm in whole.arms]
    assert result.tokenizer["fingerprint"] == whole.tokenizer["fingerprint"]
    assert result.values("held_out", "ordered") == pytest.approx(whole.values("held_out", "ordered")[:2], rel=1e-6)
