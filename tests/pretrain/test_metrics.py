"""Metrics in files: as they were given, cut back on resuming, read back by TensorBoard's own reader."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from pathlib import Path

import pytest

from pipeline.errors import SchemaError
from pretrain import metrics
from pretrain.accelerators import ACCELERATORS, Accelerator
from pretrain.flops import flops_per_token
from pretrain.metrics import MetricsWriter, read_lines
from pretrain.sizes import model_config
from pretrain.throughput import Throughput, memory, mfu


def _line(step: int) -> dict[str, object]:
    return {"step": step, "epoch": 0, "loss": 5.0 / step, "lr": 1e-3, "grad_norm": 0.1 + step, "tokens": 7}


def _scores(step: int) -> dict[str, dict[str, object]]:
    return {
        name: {"loss": 3.0 / step, "bits_per_byte": 1.5 / step, "tokens": 10, "bytes": 40} for name in ("wiki", "fresh")
    }


def _write(folder: Path, first: int, last: int, **how: object) -> None:
    with MetricsWriter(folder, after=first - 1, **how) as writer:  # type: ignore[arg-type]
        for step in range(first, last + 1):
            writer.step(_line(step))
            writer.timing({"step": step, "seconds": 0.5, "tokens_per_s": 14.0})
            if step % 2 == 0:
                writer.held_out(step, _scores(step))


def _board(folder: Path) -> dict[str, list[tuple[int, float]]]:
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    read = EventAccumulator(str(folder / "tensorboard"))
    read.Reload()
    return {tag: [(e.step, e.value) for e in read.Scalars(tag)] for tag in read.Tags()["scalars"]}


def test_lines_are_what_was_given(tmp_path: Path) -> None:
    _write(tmp_path, 1, 4, tensorboard=False)
    assert list(read_lines(tmp_path / "metrics.jsonl")) == [_line(step) for step in (1, 2, 3, 4)]
    held = [{"step": s, "set": name, **v} for s in (2, 4) for name, v in _scores(s).items()]
    assert list(read_lines(tmp_path / "held_out.jsonl")) == held
    assert [line["tokens_per_s"] for line in read_lines(tmp_path / "timing" / "steps.jsonl")] == [14.0] * 4
    assert not (tmp_path / "tensorboard").exists()


def test_a_resumed_run_has_the_files_of_one_that_was_not_stopped(tmp_path: Path) -> None:
    _write(tmp_path / "whole", 1, 6)
    _write(tmp_path / "parts", 1, 5)
    with open(tmp_path / "parts" / "metrics.jsonl", "a") as file:
        file.write('{"step": 6, "lo')  # killed in mid-line
    time.sleep(1.01)  # TensorBoard reads its files by their names, which begin with the second
    _write(tmp_path / "parts", 4, 6)
    for name in ("metrics.jsonl", "held_out.jsonl"):
        assert (tmp_path / "parts" / name).read_bytes() == (tmp_path / "whole" / name).read_bytes()
    assert _board(tmp_path / "parts") == _board(tmp_path / "whole")


def test_a_new_run_begins_its_files_anew(tmp_path: Path) -> None:
    _write(tmp_path, 1, 6)
    _write(tmp_path, 1, 2)
    assert [line["step"] for line in read_lines(tmp_path / "metrics.jsonl")] == [1, 2]
    assert [step for step, _ in _board(tmp_path)["train/loss"]] == [1, 2]


def test_tensorboards_own_reader_finds_every_number(tmp_path: Path) -> None:
    _write(tmp_path, 1, 4)
    board = _board(tmp_path)
    assert board["train/loss"] == [(step, pytest.approx(5.0 / step)) for step in (1, 2, 3, 4)]
    assert board["train/grad_norm"][2] == (3, pytest.approx(3.1))
    assert board["held_out/wiki/bits_per_byte"] == [(2, pytest.approx(0.75)), (4, pytest.approx(0.375))]
    assert board["speed/tokens_per_s"] == [(step, 14.0) for step in (1, 2, 3, 4)]
    assert not any("step" in tag.split("/")[-1] or tag.endswith("/set") for tag in board)


def test_without_tensorboard_there_is_a_note(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    said: list[str] = []
    monkeypatch.setattr(metrics, "find_spec", lambda name: None)
    _write(tmp_path, 1, 2, say=said.append)
    assert len(said) == 1 and "pip install 'gristmill[pretrain]'" in said[0]
    assert not (tmp_path / "tensorboard").exists() and len(list(read_lines(tmp_path / "metrics.jsonl"))) == 2


def test_lines_are_there_before_the_file_is_closed(tmp_path: Path) -> None:
    writer = MetricsWriter(tmp_path, tensorboard=False)
    writer.step(_line(1))
    assert len(list(read_lines(tmp_path / "metrics.jsonl"))) == 1  # kill -9 here loses nothing
    writer.close()


def test_what_is_not_finite_is_null(tmp_path: Path) -> None:
    with MetricsWriter(tmp_path) as writer:
        writer.step({"step": 1, "loss": float("nan"), "inner": [float("inf"), 1.0]})
    text = (tmp_path / "metrics.jsonl").read_text()
    assert json.loads(text, parse_constant=pytest.fail) == {"step": 1, "loss": None, "inner": [None, 1.0]}


@pytest.mark.parametrize("line", ["{]\n", "[1]\n", '{"loss": 1}\n', '{"step": true}\n', "\xff\n", "[" * 100_000 + "\n"])
def test_damaged_files_are_refused(tmp_path: Path, line: str) -> None:
    path = tmp_path / "metrics.jsonl"
    path.write_bytes(line.encode("latin-1"))
    with pytest.raises(SchemaError, match="line 1"):
        list(read_lines(path))


def test_mfu_by_hand() -> None:
    # A model with 1 layer: N = 4 d^2 + 3 d d_ff + V d without norms; 6 N + 12 d T FLOPs a token.
    config = model_config("tiny", 64, d_model=64, n_layers=1, n_heads=1, d_ff=128, qk_norm=False)
    by_hand = 6 * (4 * 64**2 + 3 * 64 * 128 + 64 * 64) + 12 * 64 * 100
    assert flops_per_token(config, 100) == by_hand
    peak = ACCELERATORS["a100-80gb"].bf16_flops
    assert mfu(2e6 * by_hand, peak, 2) == pytest.approx(2e6 * by_hand / 624e12)


def test_only_steps_are_timed() -> None:
    now = iter([0.0, 2.0, 5.0, 6.0, 10.0])
    timer = Throughput(Accelerator("test", 1e12, 1), 2, clock=lambda: next(now))
    assert timer.lap(400, 400e9) == {"seconds": 2.0, "tokens_per_s": 200.0, "mfu": 0.1}
    timer.restart()  # three seconds of evaluation
    assert timer.lap(300, 300e9) == {"seconds": 1.0, "tokens_per_s": 300.0, "mfu": 0.15}
    timer.lap(100, 100e9)
    total = timer.total()
    assert (total["seconds"], total["tokens"], total["tokens_per_s"]) == (7.0, 800, pytest.approx(800 / 7))
    assert total["mfu"] == pytest.approx(800 / 7 * 1e9 / 2e12)
    assert total["model_flops"] == 800e9
    assert total["mfu_denominator"] == {
        "accelerator": "test", "dense_bf16_flops": 1e12, "devices": 2
    }  # fmt: skip


def test_a_cpu_has_no_mfu() -> None:
    timer = Throughput()
    assert set(timer.lap(5, 1e9)) == {"seconds", "tokens_per_s"} and not [key for key in timer.total() if "mfu" in key]


def test_memory_is_this_processs_peak() -> None:
    code = """
import sys
from pretrain.throughput import memory
before = memory()["peak_rss_bytes"]
held = bytearray(b"1") * 10**8
del held
assert 9e7 < memory()["peak_rss_bytes"] - before < 1.4e8 and "torch" not in sys.modules
"""
    subprocess.run([sys.executable, "-c", code], check=True, cwd=Path(__file__).parents[2])
    assert set(memory("cpu")) == {"peak_rss_bytes"}
