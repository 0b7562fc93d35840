"""Shared fixtures: the real data where it is there, and the sample crawl's run, made once."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Files with the most long tests first: `make test` gives each file to a free process, and none is to be last."""
    long = Counter(item.path for item in items if item.get_closest_marker("slow") or item.get_closest_marker("ray"))
    items.sort(key=lambda item: -long[item.path])


@pytest.fixture(scope="session")
def root() -> Path:
    """The project's folder."""
    return ROOT


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """Real data beside the checkout, as `../shared/data`; tests that need it skip where it is absent."""
    path = ROOT.parent / "shared" / "data"
    if not path.is_dir():
        pytest.skip("needs ../shared/data, which is not here")
    return path


@pytest.fixture(scope="session")
def sample_run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The main job's default recipe on the sample crawl, inline, once for all tests."""
    from pipeline.recipe import build, read_recipe
    from tests.runs import run_recipe

    return run_recipe(build(read_recipe("crawl-to-shards")), tmp_path_factory.mktemp("sample") / "run")
