"""`hf://` by huggingface_hub against a stand-in of the Hub's API over HTTP."""

from __future__ import annotations

import io
import json
import os
import time
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from filters.classifier.fetch import fetch
from pipeline.cli import main
from pipeline.documents import list_files, plan_documents, read_documents
from pipeline.errors import ConfigError, StepFailed
from pipeline.recipe import build
from pipeline.sources import sample_warc
from pipeline.storage import filesystems, local_file, open_input, place
from pipeline.warc import list_sources
from tests.pipeline.test_warc_build import batches, rows
from tests.runs import digests, run_recipe
from tests.storage.faulty import FaultyFront, environment
from tests.storage.hub import Hub

TOKEN = "hf_testing_secret"
DATA = "hf://datasets/org/name"
WARC = "sample-00001.warc.gz"


def parquet(texts: list[str], **options) -> bytes:
    sink = io.BytesIO()
    pq.write_table(pa.table({"text": texts}), sink, **options)
    return sink.getvalue()


@pytest.fixture(scope="module")
def hub() -> Iterator[Hub]:
    with Hub(TOKEN) as server:
        server.repositories["org/name"] = {
            "README.md": b"# data\n",
            "data/a.jsonl": b"".join(b'{"text": "line %d"}\n' % number for number in range(50)),
            "data/more/b.parquet": parquet([f"row {number}" for number in range(40)]),
            f"crawl/{WARC}": (sample_warc() / WARC).read_bytes(),
        }
        server.repositories["org/private"] = {"a.jsonl": b'{"text": "one"}\n', "m.ftz": os.urandom(50_000)}
        server.private.add("org/private")
        yield server


@pytest.fixture()
def front(hub: Hub, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[FaultyFront]:
    """What stands before the hub; the library waits a hundredth of its seconds before it tries again."""
    monkeypatch.setattr(
        "huggingface_hub.utils._http.time", SimpleNamespace(sleep=lambda seconds: time.sleep(seconds / 100))
    )
    monkeypatch.setattr(filesystems, "_made", {})
    monkeypatch.delenv("HF_TOKEN", raising=False)
    hub.forget()
    hub.large.forget()
    hub.page = 1000
    home = {"HF_HOME": str(tmp_path / "home"), "GRISTMILL_SCRATCH": str(tmp_path / "scratch")}
    with FaultyFront(hub.url) as one, environment(HF_ENDPOINT=one.url, **home):
        yield one


def texts(inputs: list[str], split_bytes: int = 1 << 30) -> list[str]:
    splits = plan_documents(inputs, split_bytes)
    return [text for split in splits for batch in read_documents(split) for text in batch.table["text"].to_pylist()]


@pytest.mark.parametrize("kind", ["", "503", "cut", "cut answer", "lost answer"])
def test_documents_are_listed_in_pages_and_read_whatever_fails(hub, front, kind):
    """Each request fails at first."""
    hub.page = 1
    seen: set[str] = set()
    front.share, front.kinds = (1.0, (kind,)) if kind else (0.0, ())
    front.only = lambda method, path: path not in seen and not seen.add(path)
    want = [f"line {number}" for number in range(50)] + [f"row {number}" for number in range(40)]
    found = list_files([f"{DATA}/data"])
    assert [name for _, name, _ in found] == ["a.jsonl", "more/b.parquet"]
    assert [size for _, _, size in found] == [len(hub.repositories["org/name"][f"data/{name}"]) for _, name, _ in found]
    assert texts([f"{DATA}/data"]) == want
    assert texts([f"{DATA}/data/**/*.parquet"]) == want[50:] == texts([f"{DATA}/data/more/b.parquet"])
    assert any("cursor" in one.query for one in hub.asked)
    assert bool(front.failed) == bool(kind)


def test_a_warc_is_read_by_ranges(hub, front):
    local = next(iter(list_sources([str(sample_warc() / WARC)])))
    (remote,) = list_sources([f"{DATA}/crawl"])
    assert (remote.name, remote.size) == (WARC, local.size) and remote.mark
    front.share = 0.1
    assert rows(batches(remote, 131072)) == rows(batches(local))
    assert hub.large.asked and all(one.headers.get("Range") for one in hub.large.asked)


def test_a_run_reads_a_dataset(front, tmp_path):
    def recipe(where: str):
        return build({"name": "x", "source": {"documents": {"inputs": [where]}}, "steps": ["exact_dedup"]})

    (tmp_path / "data" / "more").mkdir(parents=True)
    for name in ("a.jsonl", "more/b.parquet"):
        (tmp_path / "data" / name).write_bytes(Path(local_file(f"{DATA}/data/{name}")).read_bytes())
    front.share = 0.05
    folders = (
        run_recipe(recipe(f"{DATA}/data"), tmp_path / "1"),
        run_recipe(recipe(str(tmp_path / "data")), tmp_path / "2"),
    )
    got, want = (digests(one, skip=("manifest.json", "plan.json", "recipe.yaml", "done")) for one in folders)
    assert got == want and any(name.endswith(".parquet") for name in want)


def test_of_a_large_file_only_what_is_asked_for_is_fetched(hub, front, monkeypatch):
    content = parquet([os.urandom(500).hex() for _ in range(9000)], row_group_size=1000, compression="NONE")
    monkeypatch.setitem(hub.repositories, "org/big", {"b.parquet": content})
    with open_input("hf://datasets/org/big/b.parquet") as file:
        assert file.raw.read_at(3 << 20, 1000) == content[3 << 20 :][:1000]
    asked = [one.headers["Range"].removeprefix("bytes=").split("-") for one in hub.large.asked]
    assert sum(int(last) - int(first) + 1 for first, last in asked) <= 1 << 18
    assert len(plan_documents(["hf://datasets/org/big"], 1_000_000)) == 9


def test_a_changed_file_is_fetched_anew(hub, front, monkeypatch):
    monkeypatch.setitem(hub.repositories, "org/changing", {"a.jsonl": b'{"text": "one"}\n'})
    where = "hf://datasets/org/changing/a.jsonl"
    assert "one" in Path(local_file(where)).read_text()
    hub.repositories["org/changing"]["a.jsonl"] = b'{"text": "two"}\n'
    filesystems._made.clear()  # as another process: one keeps the listing that it has seen
    assert "two" in Path(local_file(where)).read_text()


def test_a_token_comes_from_the_environment_alone_and_is_told_to_nobody_else(hub, front, tmp_path, capfd, monkeypatch):
    private = "hf://datasets/org/private"
    with pytest.raises(ConfigError, match="no such repository.*or it is private.*HF_TOKEN"):
        list_files([private])
    with (
        environment(HF_TOKEN="hf_wrong"),
        pytest.raises(ConfigError, match="doesn't accept these credentials") as wrong,
    ):
        list_files([private])
    with environment(HF_TOKEN=TOKEN, GRISTMILL_CACHE=str(tmp_path / "cache")):
        front.share, front.kinds = 0.3, ("503", "cut")
        assert texts([private]) == ["one"]
        front.share = 0.0
        model = fetch("hf://org/private/m.ftz")
        assert model.read_bytes() == hub.repositories["org/private"]["m.ftz"]
        assert texts([f"{DATA}/data/more/b.parquet"])
        assert hub.large.asked and not [one for one in hub.large.asked if "Authorization" in one.headers]
        front.share, front.kinds = 1.0, ("503",)
        monkeypatch.setattr(filesystems, "FIRST_WAIT_S", 0.001)
        filesystems._made.clear()
        with pytest.raises(StepFailed, match="hf://datasets/org/private.*503") as failing:
            list_files([private])
    said = "".join(capfd.readouterr()) + str(wrong.value) + str(failing.value)
    assert TOKEN not in said and "hf_wrong" not in said


def test_what_is_missing_is_named(front):
    for where, said in (
        ("hf://datasets/org/nothing/a.jsonl", "no such repository"),
        (f"{DATA}@v9/data", "no such repository or revision"),
        (f"{DATA}/nothing.jsonl", "does not exist"),
        (f"{DATA}/data/*.json", "holds no file"),
    ):
        with pytest.raises(ConfigError, match=said):
            list_files([where])
    with pytest.raises(ConfigError, match="no such repository"):
        list_sources(["hf://datasets/org/nothing/a.warc.gz"])
    with pytest.raises(ConfigError, match="nothing found"):
        list_sources([f"{DATA}/crawl/b.warc.gz"])
    assert not place(f"{DATA}/nothing").exists() and place(f"{DATA}/data").is_dir()


def test_writing_is_refused_before_any_work(hub, front, tmp_path, capfd):
    recipe, file = tmp_path / "r.yaml", tmp_path / "a.jsonl"
    file.write_text('{"text": "one"}\n')
    source = {"documents": {"inputs": [str(file)]}}
    recipe.write_text(json.dumps({"name": "x", "source": source, "steps": ["exact_dedup"]}))
    assert main(["run", str(recipe), "--inline", "--output", f"{DATA}/run"]) == 2
    assert "hf:// is for reading" in capfd.readouterr().err
    assert not hub.asked
