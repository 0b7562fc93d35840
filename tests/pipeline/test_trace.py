"""From every token of a small pack set back to its document."""

from __future__ import annotations

from pathlib import Path

import pytest

from pipeline.errors import ConfigError, SchemaError
from pipeline.trace import trace

from .token_tools import TEXTS, described_packs

LENGTH = 16


@pytest.fixture
def packs(tmp_path: Path) -> Path:
    return described_packs(tmp_path / "set", LENGTH)


def test_every_token_finds_its_document(packs: Path) -> None:
    stream = [(i, k, byte) for i, text in enumerate(TEXTS) if text for k, byte in enumerate([*text.encode(), -1])]
    for at, (document, offset, byte) in enumerate(stream):
        found = trace(packs, at // LENGTH, at % LENGTH)
        assert found.document == f"{document:032x}"
        assert found.token_offset == offset
        assert found.url == f"https://example.org/{document}"
        assert found.record["offset"] == 100 * document and found.title == f"Title {document}"
        assert found.context is not None
        if byte == -1:
            assert "⟦<|endoftext|>⟧" in found.context
        elif byte < 128:
            assert f"⟦{chr(byte)}⟧" in found.context


def test_context_stays_within_the_document(packs: Path) -> None:
    found = trace(packs, 0, 4)
    assert found.context == "The ⟦m⟧ill turns.<|endoftext|>"


def test_positions_that_do_not_exist(packs: Path) -> None:
    tokens = sum(len(t.encode()) + 1 for t in TEXTS if t)
    last = (tokens - 1) // LENGTH
    for sequence, position, message in [
        (last + 1, 0, "sequences 0 to"),
        (-1, 0, "sequences 0 to"),
        (0, LENGTH, "positions 0 to"),
        (0, -1, "positions 0 to"),
        (last, tokens % LENGTH, "padding"),
    ]:
        with pytest.raises(ConfigError, match=message):
            trace(packs, sequence, position)


def test_documents_that_are_missing(packs: Path) -> None:
    (packs / "documents" / "1.parquet").unlink()
    with pytest.raises(SchemaError, match="not in its documents/"):
        trace(packs, (sum(len(t.encode()) + 1 for t in TEXTS if t) - 1) // LENGTH, 0)
    (packs / "documents" / "0.parquet").unlink()
    with pytest.raises(ConfigError, match="can't be traced"):
        trace(packs, 0, 0)


def test_another_tokenizer_is_refused(packs: Path, tmp_path: Path) -> None:
    other = tmp_path / "other.json"
    other.write_text((packs / "tokenizer.json").read_text() + "\n")
    with pytest.raises(ConfigError, match="is not the tokenizer"):
        trace(packs, 0, 0, tokenizer=other)
    (packs / "tokenizer.json").unlink()
    assert trace(packs, 0, 0).context is None
