"""The sample that is compared all along, and what a run does when it shows a difference."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from pipeline.bpe import LoadedTokenizer
from pipeline.engines import reference
from pipeline.engines.encoder import Encoder, Tally
from pipeline.engines.fast import FastEngine
from pipeline.errors import ConfigError, StepFailed
from pipeline.recipe import build
from pipeline.tokensteps import Tokenize
from tests.runs import digests, run_recipe

from .tools import GPT2, added, base_spec, made, random_texts

TEXTS = [f"document {i}: {text}" for i, text in enumerate(random_texts(400, 6))]
KEYS = [f"{i:032x}" for i in range(len(TEXTS))]


@pytest.fixture(scope="module")
def tok(tmp_path_factory: pytest.TempPathFactory) -> LoadedTokenizer:
    tokens = [added("<|endoftext|>", 0, special=True), added("<think>", 1500)]
    return made(tmp_path_factory.mktemp("tokenizer"), base_spec(), pre_tokenizer=GPT2, added_tokens=tokens)


def _column(texts: list[str]) -> pa.ChunkedArray:
    return pa.chunked_array([pa.array(texts, pa.large_string())])


def _verified(tok: LoadedTokenizer, share: float, order: list[int], size: int) -> Tally:
    encoder, tally = Encoder(tok, "fast", share), Tally()
    for begin in range(0, len(order), size):
        rows = order[begin : begin + size]
        keys = pa.chunked_array([[KEYS[row] for row in rows]])
        encoder.encode(_column([TEXTS[row] for row in rows]), eos=True, keys=keys, tally=tally)
    return tally


def test_the_sample_is_drawn_by_document_whatever_the_batches(tok: LoadedTokenizer) -> None:
    forward = _verified(tok, 0.3, list(range(400)), 64)
    assert 80 < forward.verified_documents < 160 and forward.mismatches == 0
    assert 0 < forward.verified_bytes < forward.bytes == sum(len(text.encode()) for text in TEXTS)
    assert _verified(tok, 0.3, list(range(399, -1, -1)), 7) == forward
    assert _verified(tok, 0.0, list(range(400)), 64).verified_documents == 0
    assert _verified(tok, 1.0, list(range(400)), 64).verified_documents == 400


def _spoil(monkeypatch: pytest.MonkeyPatch, mark: str) -> None:
    """From now on the engine's first id is wrong for texts that hold `mark`."""
    right = FastEngine.encode

    def encode(self: FastEngine, column: Any, *, eos: bool) -> Any:
        (offsets, ids), undone = right(self, column, eos=eos)
        rows = [row for row, text in enumerate(column.to_pylist()) if mark in text]
        ids[offsets[rows]] += 1
        return (offsets, ids), undone

    monkeypatch.setattr(FastEngine, "encode", encode)


def test_where_the_sample_differs_the_references_ids_are_taken(
    tok: LoadedTokenizer, monkeypatch: pytest.MonkeyPatch
) -> None:
    want, ids_wanted = Encoder(tok, "reference").encode(_column(TEXTS), eos=True, tally=Tally())
    _spoil(monkeypatch, "document 17")
    tally = Tally()
    keys = pa.chunked_array([KEYS])
    offsets, ids = Encoder(tok, "fast", 1.0).encode(_column(TEXTS), eos=True, keys=keys, tally=tally)
    assert tally.mismatches == 11  # 17 and 170 to 179
    assert np.array_equal(offsets, want) and np.array_equal(ids, ids_wanted)
    _, unseen = Encoder(tok, "fast", 0.0).encode(_column(TEXTS), eos=True, keys=keys, tally=Tally())
    assert not np.array_equal(unseen, ids_wanted)


@pytest.fixture
def run(tok: LoadedTokenizer, tmp_path: Path) -> Any:
    """Runs `tokenize` over two shards of the texts; returns its folder."""
    for shard in range(2):
        rows = slice(200 * shard, 200 * shard + 200)
        pq.write_table(pa.table({"id": KEYS[rows], "text": TEXTS[rows]}), tmp_path / f"{shard}.parquet")

    def run(name: str, **options: Any) -> Path:
        step = {"tokenize": {"tokenizer": str(tok.path), **options}}
        recipe = build(
            {"name": "t", "source": {"documents": {"inputs": [str(tmp_path / "*.parquet")]}}, "steps": [step]}
        )
        return next(run_recipe(recipe, tmp_path / name).glob("*-tokenize"))

    return run


def _engine(folder: Path) -> dict[str, Any]:
    return dict(json.loads((folder / "manifest.json").read_text())["engine"])


def _data(folder: Path) -> dict[str, str]:
    return {name: value for name, value in digests(folder).items() if name.startswith(("tokens/", "documents/"))}


def test_the_engine_changes_no_byte_and_the_manifest_names_it(run: Any) -> None:
    fast, slow = run("fast", engine="fast", verify_share=0.5), run("slow", engine="reference")
    assert _data(fast) == _data(slow) and len(_data(fast)) == 4
    told = _engine(fast)
    assert told["name"] == FastEngine.name and told["mismatches"] == told["fallback_bytes"] == 0
    assert 100 < told["verified_documents"] < 300 and 0 < told["verified_bytes"] < told["bytes"]
    assert _engine(slow)["name"].startswith("tokenizers ") and _engine(slow)["verified_documents"] == 0


def test_one_difference_is_counted_and_mended(run: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    want = _data(run("slow", engine="reference"))
    _spoil(monkeypatch, "document 399:")
    folder = run("one", verify_share=1.0)
    assert _data(folder) == want
    assert (_engine(folder)["name"], _engine(folder)["mismatches"]) == (FastEngine.name, 1)


def test_beyond_one_difference_the_run_is_made_anew_by_the_reference(run: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    want = _data(run("slow", engine="reference"))
    _spoil(monkeypatch, "document 1")  # in the first shard alone
    folder = run("many", verify_share=0.1)
    told = _engine(folder)
    assert _data(folder) == want
    assert told["name"].startswith("tokenizers ") and told["mismatches"] > 1
    assert "switched off" in told["note"] and FastEngine.name in told["note"]
    # stopped between the two: what the fast engine wrote is not taken up again
    (folder / "manifest.json").unlink()
    (folder / "done" / "00001-reference.json").unlink()
    assert run("many", verify_share=0.1) == folder and _data(folder) == want


def test_allowed_tokens_reach_the_tokens(tok: LoadedTokenizer, run: Any, tmp_path: Path) -> None:
    named = pa.table({"id": ["a", "b"], "text": ["x <think> y", "z"]})
    for shard in range(2):
        pq.write_table(named.slice(shard, 1), tmp_path / f"{shard}.parquet")

    def ids(folder: Path) -> list[int]:
        with pa.memory_map(str(folder / "tokens" / "00000.arrow")) as source:
            return list(pa.ipc.open_file(source).read_all()["input_ids"][0].as_py())

    assert 1500 not in ids(run("no")) and 1500 in ids(run("yes", allow_tokens=["<think>"]))
    with pytest.raises(ConfigError, match="no added token"):
        run("wrong", allow_tokens=["<thing>"])


@pytest.mark.parametrize("options", [{"engine": "quick"}, {"verify_share": 1.5}, {"verify_share": -0.1}])
def test_options_are_checked(options: dict[str, Any]) -> None:
    with pytest.raises(ConfigError, match=next(iter(options))):
        Tokenize(**options).check()


def test_a_panic_of_the_library_is_an_error_of_ours(tok: LoadedTokenizer) -> None:
    class PanicException(BaseException):  # pyo3's, which no `except Exception` catches
        pass

    class Panics:
        def encode_batch_fast(self, *_: Any, **__: Any) -> Any:
            raise PanicException("stack overflow")

    with pytest.raises(StepFailed, match="panicked on one of 2 texts of up to 5 characters"):
        reference._library_ids(["one", "three"], Panics())  # type: ignore[arg-type]
