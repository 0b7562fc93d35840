"""A cache of indexes that the tests have for themselves."""

from __future__ import annotations

from pathlib import Path

import pytest


@pytest.fixture
def index_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty folder in place of the user's cache of indexes."""
    import decontam.cache

    folder = tmp_path / "indexes"
    folder.mkdir()
    monkeypatch.setattr(decontam.cache, "cache_folder", lambda name: folder)
    return folder
