"""The anchor's data and its peer: every letter is there, both see the same, nanoGPT's parameter counts are met."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

torch = pytest.importorskip("torch")

from benchmarks.anchor import SETTINGS, make_data  # noqa: E402
from benchmarks.anchor import _peer_loss as peer_loss  # noqa: E402
from benchmarks.peers.nanogpt_shape import Gpt, Loop, Shape  # noqa: E402
from pipeline.packreader import open_packs  # noqa: E402
from pretrain.held_out import held_out  # noqa: E402
from pretrain.sizes import model_config, parameters  # noqa: E402

TEXT = "First Citizen:\nBefore we proceed any further, hear me speak.\n\nAll:\n\tSpeak, speak.\n" * 12


def test_both_train_on_the_same_letters_and_all_but_one_are_predicted(tmp_path: Path) -> None:
    data = make_data(TEXT, tmp_path, 17)
    cut = int(0.9 * len(TEXT))
    letters = sorted(set(TEXT))
    ids = np.fromfile(data["bin"], np.uint16)
    assert "".join(letters[i] for i in ids) == TEXT[:cut]
    packed = np.concatenate([row.input_ids[: row.length] for row in open_packs(data["train"])])
    assert packed[:-1].tolist() == ids.tolist()  # the last is the end of the document
    one = held_out("v", [open_packs(data["validation"])], length=16, ends=False)
    assert one.n_targets == one.n_bytes == len(TEXT) - cut - 1
    assert "".join(letters[i] for i in one.ids) == TEXT[cut:]
    assert all(len(row) == 1 and row[0].end - row[0].start == 16 for row in one.rows)


def test_the_peers_loss_is_that_of_plain_cross_entropy(tmp_path: Path) -> None:
    data = make_data(TEXT, tmp_path, 17)
    one = held_out("v", [open_packs(data["validation"])], length=16, ends=False)
    torch.manual_seed(0)
    model = Gpt(Shape(65, 16, 1, 2, 16))
    ids = torch.from_numpy(one.ids.astype(np.int64))
    nats = 0.0
    for start, end, fresh in (row[0] for row in one.rows):
        log_p = torch.log_softmax(model(ids[None, start:end]).detach().double(), -1)[0]
        nats -= sum(log_p[i - 1 - start, ids[i]].item() for i in range(start + fresh + 1, end + 1))
    assert peer_loss(model, one, "cpu") == pytest.approx(nats / one.n_targets, rel=1e-5)


@pytest.mark.parametrize(("name", "millions"), [("cpu", 0.80), ("gpu", 10.65)])
def test_parameters_are_nanogpts(name: str, millions: float) -> None:
    settings = SETTINGS[name]
    count = Gpt(settings.shape).parameter_count()
    assert round(count / 1e6, 2) == millions  # what nanoGPT prints for these settings
    sizes = model_config(settings.size, 65)
    assert (sizes.d_model, sizes.n_layers, sizes.n_heads) == (
        settings.shape.d_model, settings.shape.n_layers, settings.shape.n_heads
    )  # fmt: skip
    layers = parameters(sizes) - sizes.vocab_size * sizes.d_model
    assert layers == pytest.approx(count - 65 * settings.shape.d_model, rel=0.03)


def test_the_peer_learns(tmp_path: Path) -> None:
    data = make_data(TEXT, tmp_path, 17)
    torch.manual_seed(0)
    model = Gpt(Shape(65, 32, 1, 2, 16))
    one = held_out("v", [open_packs(data["validation"])], length=16, ends=False)
    before = peer_loss(model, one, "cpu")
    seen: list[int] = []
    loop = Loop(model, data["bin"], 16, 8, 60, lr=1e-2, warmup=5)
    assert loop.run(0, seen.append) > 0 and seen == list(range(1, 61))
    assert peer_loss(model, one, "cpu") < before - 1
    assert loop.rate(0) == pytest.approx(1e-2 / 6) and loop.rate(60) == pytest.approx(1e-4)
