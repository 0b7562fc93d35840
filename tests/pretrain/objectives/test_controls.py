"""Control tokens: read and not predicted unless asked for, and put before documents for an evaluation."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import yaml

torch = pytest.importorskip("torch")

import mixtures  # noqa: E402
from pipeline.cli import main  # noqa: E402
from pipeline.errors import ConfigError  # noqa: E402
from pipeline.packreader import open_packs  # noqa: E402
from pipeline.packstep import find_packs  # noqa: E402
from pretrain.data import PackLoader  # noqa: E402
from pretrain.objectives import make_objective  # noqa: E402
from pretrain.objectives.controls import conditioned, control_id, control_ids  # noqa: E402
from tests.pipeline.token_tools import byte_tokenizer  # noqa: E402
from tests.pretrain.objectives.tools import batch_of  # noqa: E402


def test_a_document_is_learned_given_its_control_token(counting_packs: Path) -> None:
    reader = open_packs(counting_packs)
    c = reader.manifest["reserved_ids"]["control"][0]
    ids = [[c, 1, 2, 256, c + 1, 3, 256, 4, 256, c, 5, 256, c + 2]]
    segments = [[0, 0, 0, 0, 1, 1, 1, 2, 2, -1, -1, -1, 4]]
    n = -100
    inputs = make_objective("causal", {}, reader).prepare(batch_of(ids, segments), 0)
    assert inputs.targets is not None
    assert inputs.targets.tolist() == [[1, 2, 256, n, 3, 256, n, 256, n, n, n, n, n]] and inputs.n_valid == 6
    predicted = make_objective("causal", {"predict_controls": True}, reader).prepare(batch_of(ids, segments), 0)
    assert predicted.targets is not None
    assert predicted.targets.tolist() == [[1, 2, 256, c + 1, 3, 256, n, 256, n, n, n, n, n]]
    # Masked and span corruption leave it in what is read.
    many = [[c, *range(30), 256] * 2] * 50
    marks = [[0] * 32 + [1] * 32] * 50
    for name in ("masked", "spans"):
        made = make_objective(name, {}, reader).prepare(batch_of(many, marks), 0)
        assert made.targets is not None
        assert (made.input_ids == c).sum() == 100 and not (made.targets == c).any() and made.n_valid > 300
        also = make_objective(name, {"predict_controls": True}, reader).prepare(batch_of(many, marks), 0)
        assert also.targets is not None and (also.targets == c).any()


def test_evaluation_given_a_control_token(counting_packs: Path) -> None:
    reader = open_packs(counting_packs)
    first = reader.manifest["reserved_ids"]["control"][0]
    batch = next(iter(PackLoader(reader, len(reader), segments=True)))
    made = conditioned(batch, reader, first + 1)
    assert made.segment_ids is not None
    for b, index in enumerate(batch.indices.tolist()):
        row = reader[index]
        bounds = [*row.doc_starts.tolist(), row.length]
        want, marks = [], []
        for k, (start, stop) in enumerate(zip(bounds, bounds[1:], strict=False)):
            piece = ([first + 1] if row.doc_offsets[k] == 0 else []) + row.input_ids[start:stop].tolist()
            want += piece
            marks += [k] * len(piece)
        room = made.input_ids.shape[1] - len(want)
        assert made.input_ids[b].tolist() == want + [reader.pad_id] * room
        assert made.segment_ids[b].tolist() == marks + [-1] * room
    again = conditioned(
        made._replace(input_ids=made.input_ids[:, :32], segment_ids=made.segment_ids[:, :32]), reader, first
    )
    assert (made.input_ids == first + 1).any() and again.input_ids.shape[0] == len(reader)
    with pytest.raises(ConfigError, match="no control id"):
        conditioned(batch, reader, 5)


def test_a_documents_own_control_token_is_exchanged(counting_packs: Path) -> None:
    reader = open_packs(counting_packs)
    first = reader.manifest["reserved_ids"]["control"][0]
    batch = next(iter(PackLoader(reader, 4, segments=True, shuffle=False)))
    for b, index in enumerate(batch.indices.tolist()):
        row = reader[index]
        batch.input_ids[b, torch.from_numpy(row.doc_starts[row.doc_offsets == 0].astype(np.int64))] = first + 3
    made = conditioned(batch, reader, first)
    assert torch.equal(made.input_ids[:, :32].where(batch.input_ids != first + 3, first), made.input_ids[:, :32])
    assert not (made.input_ids == first + 3).any()
    assert (made.input_ids == first).sum() == (batch.input_ids == first + 3).sum()


@pytest.mark.parametrize(("recipe", "names"), [("quality-control", 3), ("toxicity-control", 2)])
def test_the_recipes_put_control_tokens_before_documents(tmp_path: Path, recipe: str, names: int) -> None:
    # The bundled mixtures, over JSON lines that have the scores.
    mixture = yaml.safe_load((Path(mixtures.__file__).parent / f"{recipe}.yaml").read_text())
    lines = []
    for i in range(300):
        score = i / 300
        fields = {"quality": score, "hate": {"document": score}}
        lines.append(json.dumps({"id": f"{i:032x}", "text": f"{score} of it " * 8, "lang": "en", **fields}))
    (tmp_path / "documents.jsonl").write_text("\n".join(lines) + "\n")
    mixture["sources"] = {"crawl": {"inputs": [str(tmp_path / "documents.jsonl")]}}
    (tmp_path / "m.yaml").write_text(yaml.safe_dump(mixture))
    command = ["mix", "run", str(tmp_path / "m.yaml"), "-o", str(tmp_path / "out"), "--inline", "--quiet"]
    byte_tokenizer(tmp_path / "t.json")
    assert main([*command, "--tokenizer", str(tmp_path / "t.json"), "--sequence-length", "256"]) == 0
    reader = open_packs(find_packs(tmp_path / "out"))
    known = control_ids(reader)
    assert list(known) == mixture["control"]["names"] and len(known) == names
    edges = mixture["control"]["edges"]
    objective = make_objective("causal", {}, reader)
    led = 0
    for batch in PackLoader(reader, 8, segments=True):
        targets = objective.prepare(batch, 0).targets
        assert targets is not None and not (targets >= min(known.values())).any()
        for row in batch.indices.tolist():
            sequence = reader[row]
            for name, start, offset in zip(sequence.doc_ids, sequence.doc_starts, sequence.doc_offsets, strict=True):
                token = int(sequence.input_ids[start])
                if offset == 0 and token in known.values():
                    score = int(name.removeprefix("crawl/"), 16) / 300
                    assert token == min(known.values()) + sum(score >= edge for edge in edges)
                    led += 1
    assert led > 250
    with pytest.raises(ConfigError, match="did you mean"):
        control_id(reader, next(iter(known)) + "x")
    assert control_id(reader, next(iter(known))) == min(known.values())
