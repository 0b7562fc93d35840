"""Each form against a plain model written out here; no leak across documents or from later positions."""

from __future__ import annotations

import math
from typing import Any

import pytest

torch = pytest.importorskip("torch")

import torch.nn.functional as F  # noqa: E402

from pretrain import attention  # noqa: E402
from pretrain.attention import Context, block_mask, document_mask, one_document_a_row, pieces_of  # noqa: E402
from pretrain.config import ModelConfig  # noqa: E402
from pretrain.inputs import Inputs  # noqa: E402
from pretrain.model import Transformer  # noqa: E402
from pretrain.rope import frequencies  # noqa: E402
from pretrain.sizes import model_config  # noqa: E402

FORMS = ("decoder", "encoder", "encoder_decoder")
SEGMENTS = torch.tensor([[0, 0, 0, 0, 1, 1, 1, 2, 2, -1, -1], [0, 0, 0, 1, 1, 1, 1, 1, 1, 1, 1]], dtype=torch.int32)
DECODER_SEGMENTS = torch.tensor([[0, 0, 1, 1, 1, 2, -1, -1], [0, 0, 0, 0, 1, 1, 1, 1]], dtype=torch.int32)


def made(**changes: Any) -> Transformer:
    torch.manual_seed(0)
    base: dict[str, Any] = {"vocab_size": 64, "d_model": 32, "n_layers": 2, "n_heads": 4, "d_ff": 48}
    model = Transformer(ModelConfig(**{**base, **changes}))
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            if parameter.dim() > 1:
                parameter.mul_(8)  # far from uniform, so that a leak between positions shows
            elif "query_norm" in name or "key_norm" in name:
                parameter.uniform_(1, 3)
    return model


def ids(*shape: int, seed: int = 1) -> Any:
    return torch.randint(0, 64, shape, generator=torch.Generator().manual_seed(seed))


def inputs(form: str, **changes: Any) -> Inputs:
    one = Inputs(ids(2, 11), SEGMENTS)
    if form == "encoder_decoder":
        one = one._replace(decoder_ids=ids(2, 8, seed=2), decoder_segments=DECODER_SEGMENTS)
    return one._replace(**changes)


class Plain:
    """The same model in plain formulas, for one document at a time and one head at a time."""

    def __init__(self, model: Transformer) -> None:
        self.config, self.p = model.config, dict(model.named_parameters())

    def norm(self, x: Any, name: str) -> Any:
        return x / (x.square().mean(-1, keepdim=True) + self.config.norm_eps).sqrt() * self.p[f"{name}.weight"]

    def turn(self, x: Any) -> Any:
        rates, scale = frequencies(self.config)
        out = torch.empty_like(x)
        for t in range(x.shape[0]):
            cos, sin = (t * rates).cos().float() * scale, (t * rates).sin().float() * scale
            out[t, ::2] = x[t, ::2] * cos - x[t, 1::2] * sin
            out[t, 1::2] = x[t, ::2] * sin + x[t, 1::2] * cos
        return out

    def attend(self, x: Any, memory: Any, name: str, causal: bool, turned: bool) -> Any:
        c = self.config
        q, k, v = (z @ self.p[f"{name}.{w}.weight"].T for z, w in ((x, "query"), (memory, "key"), (memory, "value")))
        heads = []
        for h in range(c.n_heads):
            g, d = h // (c.n_heads // c.kv_heads), c.head_dim
            qh, kh, vh = q[:, h * d : (h + 1) * d], k[:, g * d : (g + 1) * d], v[:, g * d : (g + 1) * d]
            if c.qk_norm:
                qh, kh = self.norm(qh, f"{name}.query_norm"), self.norm(kh, f"{name}.key_norm")
            if turned:
                qh, kh = self.turn(qh), self.turn(kh)
            logits = qh @ kh.T / math.sqrt(d)
            if causal:
                logits = logits.masked_fill(torch.ones_like(logits).triu(1) > 0, float("-inf"))
            heads.append(logits.softmax(-1) @ vh)
        return torch.cat(heads, 1) @ self.p[f"{name}.out.weight"].T

    def stack(self, x: Any, name: str, causal: bool, memory: Any = None) -> Any:
        for i in range(self.config.n_layers):
            at = f"{name}.layers.{i}"
            y = self.norm(x, f"{at}.attention_norm")
            x = x + self.attend(y, y, f"{at}.attention", causal, True)
            if memory is not None:
                x = x + self.attend(self.norm(x, f"{at}.cross_norm"), memory, f"{at}.cross", False, False)
            y = self.norm(x, f"{at}.feed_forward_norm")
            up = y @ self.p[f"{at}.feed_forward.up.weight"].T
            if self.config.activation == "swiglu":
                inner = F.silu(y @ self.p[f"{at}.feed_forward.gate.weight"].T) * up
            else:
                inner = up.relu() ** 2
            x = x + inner @ self.p[f"{at}.feed_forward.down.weight"].T
        return self.norm(x, f"{name}.norm")

    def logits(self, tokens: Any, decoder_tokens: Any = None) -> Any:
        embedding = self.p["embedding.weight"]
        head = embedding if self.config.tied else self.p["head.weight"]
        if self.config.form == "decoder":
            return self.stack(embedding[tokens], "decoder", True) @ head.T
        memory = self.stack(embedding[tokens], "encoder", False)
        if self.config.form == "encoder":
            return memory @ head.T
        return self.stack(embedding[decoder_tokens], "decoder", True, memory) @ head.T


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize(
    "changes",
    [{}, {"activation": "relu2", "tied": False}, {"qk_norm": False, "n_kv_heads": 2},
     {"rope_scale": "yarn", "rope_factor": 4.0, "rope_original": 16, "n_kv_heads": 1}],
)  # fmt: skip
def test_forms_are_plain_formulas_of_each_document(form: str, changes: dict[str, Any]) -> None:
    model = made(form=form, **changes)
    one = inputs(form)
    logits = model.logits(one)
    assert torch.isfinite(logits).all()
    plain, segments = Plain(model), DECODER_SEGMENTS if form == "encoder_decoder" else SEGMENTS
    compared = 0
    for row in range(2):
        for document in range(3):
            read = one.input_ids[row][SEGMENTS[row] == document]
            if not len(read):
                continue
            written = None if one.decoder_ids is None else one.decoder_ids[row][DECODER_SEGMENTS[row] == document]
            want = plain.logits(read, written)
            torch.testing.assert_close(logits[row][segments[row] == document], want, atol=2e-3, rtol=2e-3)
            compared += 1
    assert compared == 5


@pytest.mark.parametrize("form", FORMS)
def test_gradients_reach_only_what_is_seen(form: str) -> None:
    """d logits[row, t] / d embedding of each input position: zero for other documents and, if causal, later ones."""
    model, one = made(form=form), inputs(form)
    embedded: list[Any] = []
    handle = model.embedding.register_forward_hook(lambda m, a, out: embedded.append(out.retain_grad() or out))
    logits = model.logits(one)
    handle.remove()
    segments = DECODER_SEGMENTS if form == "encoder_decoder" else SEGMENTS
    for row, t in ((0, 5), (1, 1), (1, 6)):
        for source in embedded:
            source.grad = None
        logits[row, t].square().sum().backward(retain_graph=True)
        for source, read in zip(embedded, [SEGMENTS, DECODER_SEGMENTS], strict=False):
            seen = (read == segments[row, t]) & (torch.arange(2)[:, None] == row)
            if form == "decoder" or (form == "encoder_decoder" and read is DECODER_SEGMENTS):
                seen &= torch.arange(read.shape[1]) <= t
            assert ((source.grad.abs().sum(-1) > 0) == seen).all()


@pytest.mark.parametrize("form", FORMS)
def test_padding_and_a_document_without_its_other_side(form: str) -> None:
    model, one = made(form=form), inputs(form)
    changed = one._replace(input_ids=torch.where(SEGMENTS < 0, 7, one.input_ids))
    segments = DECODER_SEGMENTS if form == "encoder_decoder" else SEGMENTS
    torch.testing.assert_close(model.logits(one)[segments >= 0], model.logits(changed)[segments >= 0])
    if form == "encoder_decoder":
        lonely = DECODER_SEGMENTS.clone()
        lonely[1, 4:] = 9  # the encoder has no document 9
        alone = one._replace(decoder_segments=lonely)
        logits = model.logits(alone)
        assert torch.isfinite(logits).all()
        other = model.logits(alone._replace(input_ids=ids(2, 11, seed=9)))
        torch.testing.assert_close(logits[1, 4:], other[1, 4:])  # it reads nothing of the others
        assert torch.isfinite(torch.autograd.grad(logits.sum(), list(model.parameters()))[0]).all()


def test_one_document_a_row_needs_no_mask(monkeypatch: pytest.MonkeyPatch) -> None:
    cases = {
        ((0, 0, 0), (0, 0, -1)): True,
        ((0, 0, 1), (0, 0, 0)): False,
        ((0, -1, 0), (0, 0, 0)): False,
        ((-1, -1, -1), (3, 3, -1)): True,
        ((-1, 0, 0), (0, 0, 0)): False,
    }
    for segments, want in cases.items():
        assert one_document_a_row(torch.tensor(segments)) is want
    segments = torch.tensor([[0] * 11, [0] * 8 + [-1] * 3], dtype=torch.int32)
    for form in ("decoder", "encoder"):
        model, one = made(form=form), Inputs(ids(2, 11), segments)
        found = model.logits(one)
        assert (model.context(one.input_ids, segments, form == "decoder").mask is None) is (form == "decoder")
        with monkeypatch.context() as patch:
            patch.setattr(attention, "one_document_a_row", lambda segments: False)
            torch.testing.assert_close(found[segments >= 0], model.logits(one)[segments >= 0], atol=1e-4, rtol=1e-4)


def test_where_documents_are_cut_apart(monkeypatch: pytest.MonkeyPatch) -> None:
    assert pieces_of(SEGMENTS, 32) is None  # so few positions are faster masked
    monkeypatch.setattr(attention, "PIECE_COST", 0)
    assert pieces_of(SEGMENTS, 32) == [4, 3, 2, 2, 3, 8]
    assert pieces_of(torch.tensor([[0, 0, 1], [1, 1, 1]], dtype=torch.int32), 32) == [2, 1, 3]
    assert pieces_of(torch.tensor([[0, 0, -1, 0, 1]], dtype=torch.int32), 32) is None  # 0 sees across the hole
    assert pieces_of(torch.zeros(2, 5, dtype=torch.int32), 32) is None
    monkeypatch.undo()
    long = (torch.arange(2048, dtype=torch.int32) // 128).expand(2, 2048)
    assert pieces_of(long, 32) == [128] * 32


@pytest.mark.parametrize(("form", "heads"), [("decoder", 2), ("encoder", 0), ("encoder_decoder", 2)])
def test_attention_document_by_document_is_the_masked_one(
    form: str, heads: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    model, one = made(form=form, n_kv_heads=heads), inputs(form)
    segments = DECODER_SEGMENTS if form == "encoder_decoder" else SEGMENTS
    found = []
    for cost in (10**9, 0):
        monkeypatch.setattr(attention, "PIECE_COST", cost)
        context = model.context(one.input_ids, SEGMENTS, form == "decoder")
        assert (context.pieces is None) is (cost > 0) and (context.mask is None) is (cost == 0)
        logits = model.logits(one)[segments >= 0]
        found.append((logits, *torch.autograd.grad(logits.square().sum(), list(model.parameters()))))
    for a, b in zip(*found, strict=True):
        torch.testing.assert_close(a, b, atol=1e-3, rtol=1e-3)


@pytest.mark.parametrize("causal", [True, False])
def test_block_masks_are_the_dense_ones(causal: bool) -> None:
    from torch.nn.attention.flex_attention import create_mask

    torch.manual_seed(0)
    segments = torch.sort(torch.randint(-1, 5, (3, 200)), descending=False).values.int()
    other = torch.sort(torch.randint(-1, 5, (3, 150))).values.int()
    for queries, keys in ((segments, segments), *(() if causal else ((segments, other),))):
        made_ = block_mask(queries, keys, causal)
        dense = create_mask(made_.mask_mod, 3, 1, 200, keys.shape[1], device="cpu")
        assert torch.equal(dense, document_mask(queries, keys, causal))
        blocks = made_.to_dense()[:, 0]  # a block that sees nothing is not visited
        for b in range(3):
            for i in range(blocks.shape[1]):
                for j in range(blocks.shape[2]):
                    part = dense[b, 0, i * 128 : (i + 1) * 128, j * 128 : (j + 1) * 128]
                    assert bool(blocks[b, i, j]) is bool(part.any())


@pytest.mark.filterwarnings("ignore:flex_attention called without torch.compile")
@pytest.mark.parametrize(("form", "heads"), [("decoder", 2), ("encoder", 0), ("encoder_decoder", 2)])
def test_flex_attention_is_the_dense_one(form: str, heads: int) -> None:
    dense, flex = made(form=form, n_kv_heads=heads), made(form=form, n_kv_heads=heads, attention="flex")
    one = inputs(form)
    segments = DECODER_SEGMENTS if form == "encoder_decoder" else SEGMENTS
    with torch.no_grad():  # flex_attention has no backward pass on a CPU
        found, want = flex.logits(one), dense.logits(one)
    assert isinstance(flex.context(one.input_ids, SEGMENTS, True).mask, attention.BlockMask)
    torch.testing.assert_close(found[segments >= 0], want[segments >= 0], atol=1e-4, rtol=1e-4)


@pytest.mark.parametrize("form", FORMS)
def test_untrained_models_guess_uniformly(form: str) -> None:
    torch.manual_seed(0)
    model = Transformer(model_config("tiny", 1000, form=form))
    one = Inputs(torch.randint(0, 1000, (2, 64)), targets=torch.randint(0, 1000, (2, 64)), n_valid=128)
    if form == "encoder_decoder":
        one = one._replace(decoder_ids=torch.randint(0, 1000, (2, 64)))
    output = model(one)
    assert output.loss_sum.item() / 128 == pytest.approx(math.log(1024), abs=0.1)
    assert output.z_sum.item() / 128 == pytest.approx(math.log(1024) ** 2, rel=0.03)
    assert output.aux.item() == 0 and output.hidden is None


def test_weights_that_write_to_the_residual_stream_shrink_with_depth() -> None:
    model = Transformer(ModelConfig(vocab_size=512, d_model=128, n_layers=8, n_heads=4, d_ff=352))
    for name, parameter in model.named_parameters():
        if parameter.dim() > 1:
            small = name.endswith(("out.weight", "down.weight"))
            assert parameter.std().item() == pytest.approx(0.02 / 4 if small else 0.02, rel=0.05)


def test_hidden_states_on_request_and_without_targets() -> None:
    model, one = made(), inputs("decoder")
    output = model(one, want_hidden=True)
    torch.testing.assert_close(output.hidden, model.hidden(one))
    assert output.loss_sum.item() == output.z_sum.item() == 0
    torch.testing.assert_close(model.logits(one), output.hidden @ model.embedding.weight.T)


def test_dropout_drops_in_training_only() -> None:
    model, one = made(dropout=0.2), inputs("decoder")
    model.train()
    assert not torch.allclose(model.logits(one), model.logits(one))
    model.eval()
    torch.testing.assert_close(model.logits(one), model.logits(one))
    torch.testing.assert_close(model.logits(one), made().logits(one))


def test_bfloat16_autocast_keeps_sums_in_float32() -> None:
    model, one = made(n_experts=3), inputs("decoder", targets=ids(2, 11, seed=4), n_valid=22)
    want = model(one)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        found = model(one)
    assert found.loss_sum.dtype == found.z_sum.dtype == found.aux.dtype == torch.float32
    assert found.loss_sum.item() == pytest.approx(want.loss_sum.item(), rel=0.05)
    found.loss_sum.backward()
    assert all(p.grad is None or p.grad.dtype == torch.float32 for p in model.parameters())


def test_inputs_move_with_their_teacher() -> None:
    from pretrain.inputs import Teacher

    one = inputs(
        "decoder", teacher=Teacher(torch.zeros(2, 11, 3), torch.zeros(2, 11, 3, dtype=torch.int64), 2.0), n_valid=5
    )
    moved = one.to("meta")
    assert moved.input_ids.is_meta and moved.teacher.ids.is_meta and moved.targets is None
    assert (moved.teacher.temperature, moved.n_valid) == (2.0, 5)


def test_a_context_without_segments_sees_all() -> None:
    model = made()
    context = model.context(ids(2, 5), None, True)
    assert context == Context(context.table, None, True)
