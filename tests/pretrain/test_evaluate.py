"""Bits per byte against a plain loop over the documents' texts; sets packed in any way give the same."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest

torch = pytest.importorskip("torch")

from tokenizers import Tokenizer, decoders, models, normalizers, pre_tokenizers  # noqa: E402

import pretrain.held_out  # noqa: E402
from pipeline.bpe import LoadedTokenizer, load_tokenizer  # noqa: E402
from pipeline.errors import ConfigError  # noqa: E402
from pipeline.packreader import open_packs  # noqa: E402
from pipeline.removal.apply import remove  # noqa: E402
from pipeline.removal.lists import read_lists  # noqa: E402
from pretrain.data import PackLoader  # noqa: E402
from pretrain.evaluate import evaluate, evaluate_objective  # noqa: E402
from pretrain.held_out import held_out, held_out_sets  # noqa: E402
from pretrain.inputs import Inputs  # noqa: E402
from pretrain.model import Transformer  # noqa: E402
from pretrain.objectives import make_objective  # noqa: E402
from pretrain.parallel.base import Parallel  # noqa: E402
from pretrain.sizes import model_config  # noqa: E402
from pretrain.token_bytes import token_bytes  # noqa: E402
from tests.pipeline.token_tools import pack_set  # noqa: E402
from tests.pretrain.text_packs import bpe, text_packs  # noqa: E402

TEXTS = [
    "The mill turns, and the wheel of the mill turns with it.",
    "Größe und Maß: fünf Äpfel für die Mühle – 日本語の水車。",
    "a",
    "",
    "x",
    *(f"{word} " * (i + 1) + f"number {i} 🙂" for i, word in enumerate(["water", "grain", "stone", "flour"] * 4)),
    "the wheel of the mill " * 40,  # longer than any window
]
LENGTH = 32


@pytest.fixture(scope="module")
def tokenizer(tmp_path_factory: pytest.TempPathFactory) -> LoadedTokenizer:
    return bpe(tmp_path_factory.mktemp("tokenizer") / "t.json", TEXTS)


@pytest.fixture(scope="module")
def packs(tokenizer: LoadedTokenizer, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return text_packs(tmp_path_factory.mktemp("packs") / "p", TEXTS, tokenizer, LENGTH)


@pytest.fixture(scope="module")
def model(packs: Path) -> Transformer:
    torch.manual_seed(0)
    made = Transformer(model_config("tiny", open_packs(packs).total_ids, d_model=32, n_layers=2, n_heads=2, d_ff=48))
    with torch.no_grad():
        for name, parameter in made.named_parameters():
            if parameter.dim() > 1:
                parameter.mul_(40 if "layers" in name else 6)  # far from uniform, so that each token's context tells
            elif "query_norm" in name:
                parameter.mul_(4)  # sharp attention
    return made


def _encoded(tokenizer: LoadedTokenizer, text: str) -> list[int]:
    ids = tokenizer.tokenizer.encode(text, add_special_tokens=False).ids
    return [*ids, tokenizer.eos_id] if ids else []


def _oracle(
    model: Transformer, tokenizer: LoadedTokenizer, texts: list[str], length: int, stride: int,
    control: int | None = None,
) -> tuple[float, int, int]:  # fmt: skip
    """(bits, predicted tokens, bytes), a document and a window at a time."""
    bits, tokens, size = 0.0, 0, 0
    for text in texts:
        ids = _encoded(tokenizer, text)
        if not ids:
            continue
        size += len(text.encode())
        if control is None:
            size -= len(tokenizer.tokenizer.decode([ids[0]]).encode())
        else:
            ids = [control, *ids]
        done = 1  # tokens that are predicted or can't be
        while done < len(ids):
            end = min(len(ids) - 1, length if done == 1 else done - 1 + stride)
            begin = max(0, end - length)
            window = torch.tensor([ids[begin:end]])
            with torch.no_grad():
                log_p = torch.log_softmax(model.logits(Inputs(window)).double(), -1)[0]
            for position in range(done, end + 1):
                bits -= log_p[position - 1 - begin, ids[position]].item() / math.log(2)
                tokens += 1
            done = end + 1
    return bits, tokens, size


@pytest.mark.parametrize("stride", [32, 8, 1])
def test_bits_per_byte_are_those_of_a_plain_loop(
    model: Transformer, tokenizer: LoadedTokenizer, packs: Path, stride: int
) -> None:
    one = held_out("set", [open_packs(packs)], stride=stride)
    found = evaluate(model, {"set": one}, batch_size=3)["set"]
    bits, tokens, size = _oracle(model, tokenizer, TEXTS, LENGTH, stride)
    assert (found["tokens"], found["bytes"], found["documents"]) == (tokens, size, 21)
    assert found["bits_per_byte"] == pytest.approx(bits / size, rel=1e-4)
    assert found["loss"] == pytest.approx(bits * math.log(2) / tokens, rel=1e-4)
    assert one.exact


def test_given_a_control_token(model: Transformer, tokenizer: LoadedTokenizer, packs: Path, tmp_path: Path) -> None:
    """Whether documents have none, that one or another."""
    first = open_packs(packs).manifest["reserved_ids"]["control"][0]
    texts = [text for text in TEXTS if text]
    bits, tokens, size = _oracle(model, tokenizer, TEXTS, LENGTH, LENGTH, first + 1)
    assert size == sum(len(text.encode()) for text in TEXTS)
    other = _oracle(model, tokenizer, TEXTS, LENGTH, LENGTH, first + 2)[0]
    assert abs(bits - other) > 0.001 * bits
    for own, control in ((None, first + 1), (first + 1, None), (first + 2, first + 1)):
        one = text_packs(tmp_path / f"{own}-{control}", texts, tokenizer, LENGTH, control=own)
        found = evaluate(model, {"s": held_out("s", [open_packs(one)], control=control)})["s"]
        assert (found["tokens"], found["bytes"]) == (tokens, size)
        assert found["bits_per_byte"] == pytest.approx(bits / size, rel=1e-4)
    limited = [held_out("s", [open_packs(packs)], max_bytes=200, control=c) for c in (None, first)]
    assert limited[0].names == limited[1].names


def test_context_is_worth_something(model: Transformer, packs: Path) -> None:
    found = [
        evaluate(model, {"s": held_out("s", [open_packs(packs)], stride=stride)})["s"]["bits_per_byte"]
        for stride in (32, 1)
    ]
    assert abs(found[0] - found[1]) > 3e-3  # else the strides' test above shows nothing


@pytest.mark.parametrize(("method", "length"), [("concatenate", 16), ("best_fit", 24), ("concatenate", 999)])
def test_packing_changes_nothing(
    model: Transformer, tokenizer: LoadedTokenizer, packs: Path, tmp_path: Path, method: str, length: int
) -> None:
    other = text_packs(tmp_path / "p", TEXTS, tokenizer, length, method=method)
    one, two = (held_out("s", [open_packs(p)], length=LENGTH) for p in (packs, other))
    a, b = (evaluate(model, {"s": s}, batch_size=4)["s"] for s in (one, two))
    assert {**a, "loss": 0, "bits_per_byte": 0} == {**b, "loss": 0, "bits_per_byte": 0}
    assert a["bits_per_byte"] == pytest.approx(b["bits_per_byte"], rel=1e-5)


class _Rank(Parallel):
    """One rank of several, whose sums are looked at instead of added up."""

    def __init__(self, rank: int, world: int, shares: list[torch.Tensor]) -> None:
        super().__init__(torch.device("cpu"))
        self.data_rank, self.data_size, self.shares = rank, world, shares

    def reduce(self, value: torch.Tensor, op: str = "sum") -> torch.Tensor:
        self.shares.append(value)
        return value


def test_ranks_and_batches_change_nothing(model: Transformer, packs: Path) -> None:
    one = held_out("s", [open_packs(packs)])
    whole = evaluate(model, {"s": one}, batch_size=5)["s"]
    for world in (2, 3):
        shares: list[torch.Tensor] = []
        calls = []
        for rank in range(world):
            calls.append(len(list(one.batches(2, rank, world))))
            evaluate(model, {"s": one}, batch_size=2, parallel=_Rank(rank, world, shares))
        assert len(set(calls)) == 1  # else a rank would wait for ever
        nats, targets = sum(shares).tolist()  # type: ignore[union-attr]
        assert targets == whole["tokens"]
        assert nats / targets == pytest.approx(whole["loss"], rel=1e-6)


def test_other_objectives_have_a_loss_of_their_own_targets(packs: Path) -> None:
    reader = open_packs(packs)
    objective = make_objective("masked", {}, reader)
    torch.manual_seed(0)
    config = model_config(
        "tiny", reader.total_ids + objective.extra_ids, d_model=16, n_layers=1, n_heads=1, d_ff=16, form="encoder"
    )
    model = Transformer(config)
    whole = evaluate_objective(model, objective, {"s": [reader]}, batch_size=4)["s"]
    assert whole == evaluate_objective(model, objective, {"s": [reader]}, batch_size=4)["s"]
    nats = targets = 0.0
    for batch in PackLoader(reader, 1, segments=True, shuffle=False):
        inputs = objective.prepare(batch, 0)
        log_p = torch.log_softmax(model.logits(inputs).double(), -1)
        hidden = inputs.targets != -100
        nats -= log_p[hidden].gather(1, inputs.targets[hidden][:, None]).sum().item()
        targets += int(hidden.sum())
    assert whole["targets"] == targets and whole["loss"] == pytest.approx(nats / targets, rel=1e-5)
    shares: list[torch.Tensor] = []
    for rank in range(3):
        evaluate_objective(model, objective, {"s": [reader]}, batch_size=4, parallel=_Rank(rank, 3, shares))
    assert sum(shares)[1] == targets and sum(shares)[0].item() == pytest.approx(nats, rel=1e-5)  # type: ignore[index]


def test_the_model_is_left_in_its_mode_and_dropout_is_off(packs: Path) -> None:
    torch.manual_seed(1)
    config = model_config("tiny", open_packs(packs).total_ids, d_model=16, n_layers=1, n_heads=1, d_ff=16, dropout=0.5)
    model = Transformer(config).train()
    one = held_out("s", [open_packs(packs)])
    assert evaluate(model, {"s": one}) == evaluate(model, {"s": one})
    assert model.training and all(p.grad is None for p in model.parameters())


def test_rows_hold_every_prediction_once(packs: Path) -> None:
    one = held_out("s", [open_packs(packs)], stride=5)
    seen = []
    for row in one.rows:
        assert sum(w.end - w.start for w in row) <= LENGTH
        for start, end, fresh in row:
            seen += range(start + fresh + 1, end + 1)
            assert fresh == 0 or fresh >= LENGTH - 5
    assert len(seen) == len(set(seen)) == one.n_targets


def test_a_limit_takes_the_same_documents_from_any_tokenizer(
    tokenizer: LoadedTokenizer, tmp_path: Path, packs: Path
) -> None:
    other = bpe(tmp_path / "other.json", TEXTS[:5], 270)
    again = text_packs(tmp_path / "p", TEXTS, other, 64, method="concatenate")
    limit = 700
    texts = []
    for folder, tok in ((packs, tokenizer), (again, other)):
        one = held_out("s", [open_packs(folder)], max_bytes=limit)
        assert limit - 80 <= one.n_bytes <= limit
        texts.append(tok.decode([int(i) for i in one.ids if i != tok.eos_id]))
    shorter, longer = sorted(texts, key=len)
    assert longer.startswith(shorter[:-8]) and len(shorter.encode()) > limit - 20
    assert held_out("s", [open_packs(packs)], max_bytes=1 << 40).n_targets == held_out(
        "s", [open_packs(packs)]
    ).n_targets  # fmt: skip


def test_the_end_of_documents_may_be_left_out(model: Transformer, tokenizer: LoadedTokenizer, packs: Path) -> None:
    with_ends, without = (held_out("s", [open_packs(packs)], ends=ends) for ends in (True, False))
    assert without.n_targets == with_ends.n_targets - with_ends.documents
    assert without.n_bytes == with_ends.n_bytes and tokenizer.eos_id not in without.ids


def test_removed_documents_are_not_measured(
    model: Transformer, tokenizer: LoadedTokenizer, packs: Path, tmp_path: Path
) -> None:
    gone = tmp_path / "gone.txt"
    gone.write_text(f"{1:032x}\n{len(TEXTS) - 1:032x}\n")
    left = remove(open_packs(packs).folder, read_lists([], [], [gone]), output=tmp_path / "left", fill="pad")
    found = evaluate(model, {"s": held_out("s", [open_packs(left.folder)])})["s"]
    bits, tokens, size = _oracle(model, tokenizer, [TEXTS[0], *TEXTS[2:-1]], LENGTH, LENGTH)
    assert (found["tokens"], found["bytes"]) == (tokens, size)
    assert found["bits_per_byte"] == pytest.approx(bits / size, rel=1e-4)


def test_a_part_of_a_document_is_given_no_control_token(packs: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    reader = open_packs(packs)
    first = reader.manifest["reserved_ids"]["control"][0]
    pieces = pretrain.held_out._pieces

    def later(*which: Any) -> list[Any]:
        found = pieces(*which)
        found[5][found[4] == 0] = 0  # documents' beginnings were removed
        return found

    whole = held_out("s", [reader], control=first)
    monkeypatch.setattr("pretrain.held_out._pieces", later)
    plain, led = (held_out("s", [reader], control=control) for control in (None, first))
    assert 1 <= plain.documents < whole.documents and np.array_equal(plain.ids, led.ids)
    assert (whole.ids == first).sum() == whole.documents


def test_several_lengths_are_one_set(model: Transformer, tokenizer: LoadedTokenizer, tmp_path: Path) -> None:
    parts = [text_packs(tmp_path / str(i), TEXTS[i::2], tokenizer, (LENGTH, 64)[i]) for i in (0, 1)]
    one = held_out("s", [open_packs(p) for p in parts])
    assert one.length == 64
    found = evaluate(model, {"s": one})["s"]
    bits, tokens, size = _oracle(model, tokenizer, TEXTS, 64, 64)
    assert (found["tokens"], found["bytes"]) == (tokens, size)
    assert found["bits_per_byte"] == pytest.approx(bits / size, rel=1e-4)


def test_bytes_of_byte_level_tokens(tokenizer: LoadedTokenizer) -> None:
    table = token_bytes(tokenizer, tokenizer.vocab_size + 128)
    for text in TEXTS:
        assert table[_encoded(tokenizer, text)].sum() == len(text.encode())
    assert table[tokenizer.eos_id] == 0 and not table[tokenizer.vocab_size :].any()


def _metaspace(path: Path) -> LoadedTokenizer:
    """Characters, with byte fallback, and a space put before the first word: as SentencePiece's models are."""
    words = sorted({c for t in TEXTS[:1] for c in t.replace(" ", "▁")})
    vocabulary = {"<unk>": 0, "</s>": 1, **{f"<0x{i:02X}>": 2 + i for i in range(256)}}
    vocabulary |= {word: len(vocabulary) + i for i, word in enumerate(words)}
    tokenizer = Tokenizer(models.BPE(vocab=vocabulary, merges=[], byte_fallback=True, unk_token="<unk>"))
    tokenizer.normalizer = normalizers.Sequence([normalizers.Prepend("▁"), normalizers.Replace(" ", "▁")])
    tokenizer.decoder = decoders.Sequence([decoders.Replace("▁", " "), decoders.ByteFallback(), decoders.Fuse()])
    tokenizer.add_special_tokens(["<unk>", "</s>"])
    tokenizer.save(str(path))
    return load_tokenizer(path)


def test_byte_fallback_and_a_first_space_are_exact(tmp_path: Path) -> None:
    tokenizer = _metaspace(tmp_path / "t.json")
    one = held_out("s", [open_packs(text_packs(tmp_path / "p", TEXTS, tokenizer, LENGTH))])
    assert one.exact
    assert one.n_bytes == sum(len(text.encode()) for text in TEXTS)  # each first token is the added space


def test_a_tokenizer_that_changes_text_is_scaled_to_the_texts_bytes(tmp_path: Path) -> None:
    texts = ["ﬁne ﬂour ½ ½", "plain ﬁfty words of text"]
    vocabulary = {c: i for i, c in enumerate(sorted(set("fine flour 1⁄2 plain fifty words of text")))}
    vocabulary["<|endoftext|>"] = len(vocabulary)
    raw = Tokenizer(models.WordLevel(vocab=vocabulary, unk_token="<|endoftext|>"))
    raw.normalizer = normalizers.NFKC()
    raw.pre_tokenizer = pre_tokenizers.Split("", "isolated")
    raw.add_special_tokens(["<|endoftext|>"])
    raw.save(str(tmp_path / "t.json"))
    tokenizer = load_tokenizer(tmp_path / "t.json")
    one = held_out("s", [open_packs(text_packs(tmp_path / "p", texts, tokenizer, LENGTH))])
    changed = [raw.normalizer.normalize_str(text) for text in texts]
    want = sum(len(t.encode()) for t in texts) / sum(len(t.encode()) for t in changed)
    assert not one.exact
    assert one.n_bytes == pytest.approx(sum(len(t.encode()) - 1 for t in changed) * want)


def test_what_cannot_be_measured(tokenizer: LoadedTokenizer, packs: Path, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="nothing can be predicted"):
        held_out("s", [open_packs(text_packs(tmp_path / "none", [""], tokenizer, 8))])
    with pytest.raises(ConfigError, match=r"stride must lie in 1\.\.32"):
        held_out("s", [open_packs(packs)], stride=33)
    other = text_packs(tmp_path / "p", TEXTS, bpe(tmp_path / "o.json", TEXTS[:1], 260), 8)
    with pytest.raises(ConfigError, match="another tokenizer"):
        held_out("s", [open_packs(packs), open_packs(other)])


def test_what_a_mixture_held_out_is_found(tokenizer: LoadedTokenizer, tmp_path: Path) -> None:
    step = tmp_path / "run" / "07-pack"
    for name in ("packset", "sets/held_out", "sets/fresh"):
        text_packs(step / name, TEXTS[:3], tokenizer, 8)
    want = {name: step / "sets" / name for name in ("fresh", "held_out")}
    for path in (tmp_path / "run", step, step / "packset"):
        assert held_out_sets(path) == want
    assert held_out_sets(step / "sets" / "fresh") == {}
    assert json.loads((step / "packset" / "manifest.json").read_text())["sequences"] > 0


def test_batches_are_padded_to_one_shape(packs: Path) -> None:
    one = held_out("s", [open_packs(packs)])
    empty = one.batch([])
    assert empty.input_ids.shape == (1, LENGTH) and empty.n_valid == 0 and np.all(empty.segment_ids == -1)


def test_an_empty_document_without_its_end_is_no_document(tmp_path: Path) -> None:
    sets = []
    for name, documents in (("full", [[7, 8], [9, 7, 8]]), ("some", [[7, 8], [], [9, 7, 8]])):
        ended = [(f"{sum(ids):032x}", [*ids, 256]) for ids in documents]
        (tmp_path / name).mkdir()
        sets.append(open_packs(pack_set(tmp_path / name, [ended], 16, 2)))
    for control in (None, sets[0].manifest["reserved_ids"]["control"][0]):
        want, got = (held_out("s", [one], ends=False, control=control) for one in sets)
        assert (got.documents, got.n_targets, got.n_bytes) == (want.documents, want.n_targets, want.n_bytes)
