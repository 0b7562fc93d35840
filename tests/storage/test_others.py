"""`gs://` and `hf://` by stand-ins of their file systems: how we call them, not the services themselves."""

from __future__ import annotations

import importlib

import pytest
from fsspec.implementations.memory import MemoryFileSystem

from pipeline.documents import list_files
from pipeline.errors import ConfigError
from pipeline.recipe import build
from pipeline.storage import fetch_tree, filesystems, held, open_input, place
from tests.runs import digests, run_recipe

REGISTRY = importlib.import_module("fsspec.registry")._registry


def stand_in(name: str, monkeypatch: pytest.MonkeyPatch, tmp_path) -> dict:
    """A file system in memory under the protocol `name`; what it was made with."""
    made: dict = {}

    class Fake(MemoryFileSystem):
        protocol = name
        store: dict = {}
        pseudo_dirs = [""]

        def __init__(self, **options):
            made.update(options)
            super().__init__()

        @classmethod
        def _strip_protocol(cls, path):
            return MemoryFileSystem._strip_protocol(path.replace(f"{name}://", "memory://"))

    monkeypatch.setattr(filesystems, "_made", {})
    monkeypatch.setitem(REGISTRY, name, Fake)
    monkeypatch.setenv("GRISTMILL_SCRATCH", str(tmp_path / "scratch"))
    return made


def test_a_run_on_google_storage(monkeypatch, tmp_path):
    made = stand_in("gs", monkeypatch, tmp_path)
    lines = "".join(f'{{"text": "document number {i % 7}", "id": "{i}"}}\n' for i in range(20))
    (tmp_path / "a.jsonl").write_text(lines)
    plain = {"name": "x", "source": {"documents": {"inputs": [str(tmp_path / "a.jsonl")]}}, "steps": ["exact_dedup"]}
    run_recipe(build(plain), place("gs://bucket/run"))
    got = fetch_tree(place("gs://bucket/run"), tmp_path / "got")
    assert digests(got) == digests(run_recipe(build(plain), tmp_path / "local"))
    assert made["use_listings_cache"] is False and made["timeout"]
    output = place("gs://bucket/run")
    with held(output), pytest.raises(ConfigError, match="another run"), held(output):
        raise AssertionError("two at once")


def test_documents_of_hugging_face(monkeypatch, tmp_path):
    stand_in("hf", monkeypatch, tmp_path)
    inner = place("hf://datasets/org/name/data/a.jsonl")
    inner.write_text('{"text": "one"}\n')
    ((path, name, size),) = list_files(["hf://datasets/org/name/data"])
    assert (path, name, size) == ("hf://datasets/org/name/data/a.jsonl", "a.jsonl", 16) or path.startswith("hf://")
    with open_input(path) as file:
        assert file.read() == b'{"text": "one"}\n'
