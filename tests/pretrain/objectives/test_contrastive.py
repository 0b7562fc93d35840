"""Text pairs: titles by the documents' ids, what counts as a negative, and the loss by its formula."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

torch = pytest.importorskip("torch")

from pipeline.bpe import load_tokenizer  # noqa: E402
from pipeline.errors import ConfigError  # noqa: E402
from pipeline.packreader import open_packs  # noqa: E402
from pipeline.progress import Progress  # noqa: E402
from pipeline.recipe import build  # noqa: E402
from pretrain.config import ModelConfig, train_config  # noqa: E402
from pretrain.data import PackLoader  # noqa: E402
from pretrain.inputs import Inputs  # noqa: E402
from pretrain.model import Transformer  # noqa: E402
from pretrain.objectives import make_objective  # noqa: E402
from pretrain.objectives.contrastive import Contrastive, embed, info_nce, pooled  # noqa: E402
from pretrain.objectives.titles import lay_out  # noqa: E402
from pretrain.train import few_negatives, train  # noqa: E402
from tests.pretrain.objectives.conftest import titled_documents, write_titled  # noqa: E402
from tests.runs import run_recipe  # noqa: E402


def contrastive(packs: Path, **options: object) -> Contrastive:
    made = make_objective("contrastive", dict(options), open_packs(packs))
    assert isinstance(made, Contrastive)
    return made


def texts_of(objective: Contrastive, inputs: Inputs) -> list[tuple[str, str]]:
    """(title, body) of each pair, decoded."""
    tokenizer = load_tokenizer(objective.reader.folder / "tokenizer.json")
    assert inputs.pairs is not None and inputs.groups is not None
    ids, numbers = inputs.input_ids.numpy(), inputs.pairs.numpy()
    made = [tokenizer.decode(ids[numbers == k].tolist()) for k in range(2 * len(inputs.groups))]
    return list(zip(made[: len(made) // 2], made[len(made) // 2 :], strict=True))


def test_pairs_are_titles_and_bodies_of_the_same_document(titled_packs: Path) -> None:
    objective = contrastive(titled_packs)
    documents = titled_documents()
    want = {}
    for _, title, text in documents:
        if title and title.strip():
            want.setdefault(title, set()).add(text.removeprefix(title))
    got: dict[str, set[str]] = {}
    pairs = 0
    for batch in PackLoader(objective.reader, 5, segments=True):
        inputs = objective.prepare(batch, 0)
        found = texts_of(objective, inputs)
        assert inputs.n_valid == len(found) and inputs.targets is None
        pairs += len(found)
        for title, body in found:
            got.setdefault(title, set()).add(body)
        groups = inputs.groups.numpy()  # type: ignore[union-attr]
        assert np.array_equal(groups[:, None] == groups, [[a == b for a, _ in found] for b, _ in found])
    assert got == want and pairs == sum(bool(title and title.strip()) for _, title, _ in documents)
    assert (objective.titles.documents, objective.titles.without_title) == (90, 90 - pairs)


def test_pairs_of_the_sample_crawl(tmp_path: Path) -> None:
    steps = ["extract", {"train_tokenizer": {"vocab_size": 1024}}, "tokenize", {"pack": {"sequence_length": 512}}]
    run = run_recipe(
        build({"name": "pages", "source": {"warc": {"inputs": ["sample"]}}, "steps": steps}), tmp_path / "run"
    )
    packs = next(run.glob("*-pack")) / "packset"
    objective = contrastive(packs)
    rows = {}
    for file in objective.reader.document_files():
        rows |= {row["id"]: row["title"] for row in pq.read_table(file, columns=["id", "title"]).to_pylist()}
    tokenizer = load_tokenizer(packs / "tokenizer.json")
    seen = 0
    for batch in PackLoader(objective.reader, 4, segments=True, shuffle=False):
        documents = [name for i in batch.indices.tolist() for name in objective.reader[i].doc_ids]
        whole = "".join(tokenizer.decode(row.tolist()) for row in batch.input_ids)
        for title, body in texts_of(objective, objective.prepare(batch, 0)):
            assert body in whole and not body.startswith(title)
            begun = title.rstrip("\N{REPLACEMENT CHARACTER}")  # cut within a character
            assert any((rows[name] or "").strip().startswith(begun) for name in documents)
            seen += 1
    assert seen > 20


def test_bounds_of_titles_and_bodies(titled_packs: Path) -> None:
    objective = contrastive(titled_packs, max_title=5, max_body=9, min_body=9)
    full = contrastive(titled_packs)
    batch = next(iter(PackLoader(objective.reader, 8, segments=True)))
    short = texts_of(objective, objective.prepare(batch, 0))
    assert short == [(title[:5], body[:9]) for title, body in texts_of(full, full.prepare(batch, 0))]
    assert contrastive(titled_packs, min_body=500).prepare(batch, 0).n_valid == 0


def test_titles_that_were_packed_before_their_text_are_not_in_the_body(tmp_path: Path) -> None:
    packs = write_titled(tmp_path, [(f"{i:032x}", f"Title {i}", f"body number {i}") for i in range(5)])
    objective = contrastive(packs)
    batch = next(iter(PackLoader(objective.reader, len(objective.reader), segments=True)))
    found = texts_of(objective, objective.prepare(batch, 0))
    assert sorted(found) == [(f"Title {i}", f"body number {i}") for i in range(5)]
    tokenizer = load_tokenizer(packs / "tokenizer.json")
    assert tokenizer.decode(batch.input_ids[0].tolist()).startswith("> body")


def test_a_document_cut_in_two_has_one_group(tmp_path: Path) -> None:
    texts = [(f"{i:032x}", f"Title {i}", f"{i}: " + "word " * 40) for i in range(6)]
    objective = contrastive(write_titled(tmp_path, texts, "concatenate"))
    batch = next(iter(PackLoader(objective.reader, len(objective.reader), segments=True)))
    inputs = objective.prepare(batch, 0)
    groups = inputs.groups.tolist()  # type: ignore[union-attr]
    assert len(groups) > len(set(groups)) == 6


def test_removed_documents_are_in_no_pair(tmp_path: Path) -> None:
    from pipeline.removal.apply import remove
    from pipeline.removal.lists import read_lists

    texts = [(f"{i:032x}", f"Title {i}", f"text of document {i}, and more of it") for i in range(12)]
    packs = write_titled(tmp_path / "old", texts)
    wanted = tmp_path / "ids.txt"
    wanted.write_text("".join(f"{i:032x}\n" for i in (2, 7)))
    remove(packs, read_lists([], [], [wanted]), output=tmp_path / "new")
    old, new = contrastive(packs), contrastive(tmp_path / "new")
    found = []
    for objective in (old, new):
        batch = next(iter(PackLoader(objective.reader, len(objective.reader), segments=True)))
        found.append({title for title, _ in texts_of(objective, objective.prepare(batch, 0))})
    assert found[0] - found[1] == {"Title 2", "Title 7"} and len(found[1]) == 10
    assert new.titles.without_title == 2


@settings(max_examples=40, deadline=None)
@given(st.lists(st.integers(0, 30), max_size=20))
def test_texts_are_laid_out_whole_in_order(sizes: list[int]) -> None:
    texts = [np.arange(size) + 100 * k for k, size in enumerate(sizes)]
    ids, segments, numbers = lay_out(texts, 24, 9999)
    assert ids.shape == segments.shape == numbers.shape and ids.shape[1] == 24
    for k, text in enumerate(texts):
        assert ids[numbers == k].tolist() == text[:24].tolist()
        places = np.argwhere(numbers == k)
        if len(places):
            assert len(set(places[:, 0])) == 1 and (np.diff(places[:, 1]) == 1).all()
            assert len(set(segments[numbers == k])) == 1
    assert (ids[numbers < 0] == 9999).all() and ((segments < 0) == (numbers < 0)).all()
    for row in range(len(ids)):  # one segment for each text of a row
        assert len(set(segments[row]) - {-1}) == len(set(numbers[row]) - {-1})


def test_the_loss_is_infonce_both_ways() -> None:
    generator = torch.Generator().manual_seed(0)
    a, b = (torch.nn.functional.normalize(torch.randn(6, 8, generator=generator), dim=1) for _ in range(2))
    groups = torch.tensor([0, 1, 2, 1, 4, 0])
    loss, accuracy = info_nce(a, b, groups, 0.1)
    similar = (a @ b.T / 0.1).double().numpy()
    want, hits = 0.0, 0
    for i in range(6):
        others = [j for j in range(6) if groups[j] != groups[i]]
        for row in (similar[i], similar[:, i]):
            want -= row[i] - math.log(math.exp(row[i]) + sum(math.exp(row[j]) for j in others))
            hits += all(row[i] > row[j] for j in others)
    assert loss.item() == pytest.approx(want / 2, rel=1e-5) and accuracy.item() == pytest.approx(hits / 12)


def test_one_pair_or_none_has_no_loss(titled_packs: Path) -> None:
    torch.manual_seed(0)
    objective = contrastive(titled_packs)
    model = Transformer(
        ModelConfig(vocab_size=objective.reader.total_ids, d_model=16, n_layers=1, n_heads=2, d_ff=16, form="encoder")
    )
    batch = next(iter(PackLoader(objective.reader, 1, segments=True)))
    empty = contrastive(titled_packs, min_body=500).prepare(batch, 0)
    output = objective.loss(model, empty)
    output.loss_sum.backward()
    assert output.loss_sum.item() == 0 and empty.n_valid == 0


def test_pairs_of_one_title_have_nothing_to_be_told_from(tmp_path: Path) -> None:
    """Copies of a page, or one pair in a micro-batch: a loss that is always 0 must not look like a learned one."""
    rows = [(f"{i:032x}", title, "bread and stone " * 3) for i, title in enumerate(["Mill", "mill", "River"])]
    objective = contrastive(write_titled(tmp_path / "p", rows))
    several = objective.prepare(next(iter(PackLoader(objective.reader, 9, segments=True))), 0)
    assert several.n_valid == 3
    objective = contrastive(write_titled(tmp_path / "q", rows[:2]))
    same = objective.prepare(next(iter(PackLoader(objective.reader, 9, segments=True))), 0)
    assert same.groups is not None and len(same.groups) == 2 and same.n_valid == 0


def test_an_embedding_is_the_mean_of_a_text_read_alone(titled_packs: Path) -> None:
    torch.manual_seed(0)
    objective = contrastive(titled_packs)
    total = objective.reader.total_ids
    model = Transformer(ModelConfig(vocab_size=total, d_model=32, n_layers=2, n_heads=2, d_ff=48, form="encoder"))
    texts = [[1, 2, 3], [], [7] * 10, [4, 5]]
    found = embed(model, texts, 12, objective.reader.pad_id)
    for text, vector in zip(texts, found, strict=True):
        if text:
            mean = model.hidden(Inputs(torch.tensor([text]))).mean(1)[0]
            torch.testing.assert_close(vector, mean / mean.norm(), atol=1e-5, rtol=1e-4)
        else:
            assert not vector.any()
    hidden = torch.randn(1, 4, 8)
    numbers = torch.tensor([[1, 1, -1, 0]])
    want = torch.nn.functional.normalize(torch.stack([hidden[0, 3], hidden[0, :2].mean(0)]), dim=1)
    torch.testing.assert_close(pooled(hidden, numbers, 2), want)


def test_a_held_out_set_has_titles_of_its_own(titled_packs: Path, tmp_path: Path) -> None:
    objective = contrastive(titled_packs)
    held = open_packs(write_titled(tmp_path, [(f"{i:032x}", f"Held {i}", f"body number {i}") for i in range(5)]))
    other = objective.of(held)
    assert other is objective.of(held) and objective.of(open_packs(titled_packs)) is objective
    assert isinstance(other, Contrastive)
    batch = next(iter(PackLoader(held, len(held), segments=True)))
    assert {title for title, _ in texts_of(other, other.prepare(batch, 0))} == {f"Held {i}" for i in range(5)}


def test_what_is_refused(titled_packs: Path, counting_packs: Path, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="titles"):
        contrastive(counting_packs)
    with pytest.raises(ConfigError, match="no document"):
        contrastive(write_titled(tmp_path, [("a" * 32, None, "some text")]))
    for options, words in [({"temperature": 0.0}, "temperature"), ({"max_body": 3}, "max_body")]:
        with pytest.raises(ConfigError, match=words):
            contrastive(titled_packs, **options)
    objective = contrastive(titled_packs)
    batch = next(iter(PackLoader(objective.reader, 2, segments=True)))
    for other in (batch._replace(indices=batch.indices + len(objective.reader)), batch._replace(
        indices=(batch.indices + 1) % len(objective.reader))):  # fmt: skip
        with pytest.raises(ConfigError, match="whose titles were read"):
            objective.prepare(other, 0)


@pytest.mark.parametrize(
    ("micro", "ranks", "size"), [(None, 1, None), (8, 1, None), (4, 1, 4), (None, 2, 4), (2, 2, 2)]
)
def test_fewer_negatives_than_the_step_has_are_said(micro: int | None, ranks: int, size: int | None) -> None:
    config = train_config({"objective": "contrastive", "batch_size": 8, "micro_batch": micro})
    said = few_negatives(config, ranks)
    assert (said is None) == (size is None)
    assert said is None or f"micro-batch of {size} sequences, not from all 8" in said
    assert few_negatives(train_config({"batch_size": 8, "micro_batch": 2}), 2) is None


def test_a_run_says_where_its_negatives_come_from(titled_packs: Path, tmp_path: Path) -> None:
    said: list[str] = []
    progress = Progress(quiet=True)
    progress.say = said.append  # type: ignore[method-assign, assignment]
    model = {"form": "encoder", "d_model": 32, "n_layers": 1, "n_heads": 2, "d_ff": 48}
    options = {"objective": "contrastive", "steps": 1, "model": model, "tensorboard": False, "threads": 1}
    train(train_config({**options, "micro_batch": 3}), titled_packs, tmp_path / "run", progress=progress)
    assert any("micro-batch of 3 sequences, not from all 8" in line for line in said)
