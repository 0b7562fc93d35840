"""The compiled loop is the eager one."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import pytest

torch = pytest.importorskip("torch")

from pretrain.config import train_config  # noqa: E402
from pretrain.loop import Event  # noqa: E402
from pretrain.train import train  # noqa: E402

MODEL = {"d_model": 16, "n_layers": 1, "n_heads": 1, "d_ff": 16}


@pytest.mark.slow
def test_compiled_is_eager(counting_packs: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    if not any(shutil.which(one) for one in (os.environ.get("CXX"), "g++", "clang++") if one):
        pytest.skip("no C++ compiler (g++ or clang++): torch.compile can't make code for a CPU")
    import torch._inductor.config as inductor

    monkeypatch.setattr(inductor, "compile_threads", 1)  # else a pool of processes, each of which imports torch
    monkeypatch.setattr(inductor, "cpp_cache_precompile_headers", False)
    compiled = []
    call = torch.nn.Module.compile
    monkeypatch.setattr(
        torch.nn.Module, "compile", lambda self, *a, **k: (compiled.append(self), call(self, *a, **k))[1]
    )
    runs = []
    for how in (False, True):
        events: list[Event] = []
        config = train_config(
            {"steps": 4, "threads": 1, "batch_size": 8, "tensorboard": False, "compile": how, "model": MODEL}
        )
        train(config, counting_packs, tmp_path / str(how), log=events.append)
        runs.append([number for event in events for number in (event.loss, event.grad_norm)])
    assert len(compiled) == 1 and torch._dynamo.utils.counters["frames"]["ok"] > 0
    assert runs[1] == pytest.approx(runs[0], rel=1e-5) and runs[0][0] - runs[0][-2] > 0.05
