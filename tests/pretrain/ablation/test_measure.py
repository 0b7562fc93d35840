"""Nats of documents and gold answers, against a plain loop over tokens."""

from __future__ import annotations

import math
import random

import pytest
import torch

from pipeline.packreader import open_packs
from pipeline.progress import Progress
from pipeline.runner import InlineRunner
from pretrain.ablation.gold import GoldItem
from pretrain.ablation.measure import answer_nats, document_nats
from pretrain.ablation.samples import Workshop
from pretrain.held_out import held_out
from pretrain.inputs import Inputs
from pretrain.model import Transformer
from pretrain.sizes import model_config

from .conftest import SMALL


@pytest.fixture(scope="module")
def model(bpe):
    torch.manual_seed(0)
    return Transformer(model_config("tiny", bpe.vocab_size + 128, **{**SMALL["model"], "dropout": 0.1}))


def plain_nats(model, ids, first):
    """Nats of the tokens from `first` on, one forward pass a token."""
    total = 0.0
    with torch.no_grad():
        for k in range(first, len(ids)):
            logits = model.logits(Inputs(torch.tensor([ids[:k]])))[0, -1].double()
            total -= float(logits.log_softmax(0)[ids[k]])
    return total


def test_gold_answers_by_a_plain_loop(model):
    model.eval()
    draw = random.Random(0)
    items = []
    for k in range(9):
        prompt, answer = (tuple(draw.choices(range(300), k=draw.randint(1, most))) for most in (20, 6))
        items.append(GoldItem(f"q/{k}", prompt, answer, 5))
    want = [plain_nats(model, [*one.prompt, *one.answer], len(one.prompt)) for one in items]
    model.train()
    assert answer_nats(model, items) == pytest.approx(want, rel=1e-4)
    assert model.training  # dropout was off while measuring, and is back


def test_documents_by_a_plain_loop(model, bpe, corpora, tmp_path):
    shop = Workshop(tmp_path, InlineRunner(), Progress(quiet=True), "test")
    packs, _ = shop.pack("packs", [corpora("held")], str(bpe.path), sequence_length=48)
    held = held_out("held", [open_packs(packs)])
    nats = document_nats(model, held)
    model.eval()
    for k in (0, 7, held.documents - 1):
        ids = held.ids[held.bounds[k] : held.bounds[k + 1]].astype(int).tolist()
        last, done = len(ids) - 1, min(48, len(ids) - 1)
        want = plain_nats(model, ids[: done + 1], 1)
        while done < last:  # windows of 48 inputs; the last one begins early enough to be full
            end = min(done + 48, last)
            want += plain_nats(model, ids[end - 48 : end + 1], done - (end - 48) + 1)
            done = end
        assert nats[k] == pytest.approx(want, rel=1e-4)
        text = bpe.decode(i for i in ids[1:] if i != bpe.eos_id)
        assert held.doc_bytes[k] == len(text.encode())
    assert nats.sum() / held.n_targets == pytest.approx(math.log(320), rel=0.2)  # an untrained model's
