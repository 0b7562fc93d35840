"""A pack set that a small model learns quickly: each document counts up by one from some byte."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.pipeline.token_tools import pack_set


@pytest.fixture(scope="session")
def counting_packs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """53 sequences of 32 tokens in four files; documents of 5 to 44 tokens."""
    pytest.importorskip("torch")
    documents = []
    for i in range(68):
        size = 5 + (i * 17) % 40
        documents.append((f"{i:032x}", [(i * 37 + k) % 64 for k in range(size - 1)] + [256]))
    return pack_set(tmp_path_factory.mktemp("counting"), [documents[:30], documents[30:]], 32, 15)
