"""Documents and models by `http://` and `https://`, which are one to us, from a server with ranges that fails."""

from __future__ import annotations

import io
import os
from collections.abc import Iterator

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from filters.classifier.fetch import fetch
from pipeline.documents import list_files, plan_documents, read_documents
from pipeline.errors import ConfigError
from pipeline.storage import filesystems
from tests.storage.faulty import FaultyFront, environment
from tests.storage.loopback import Answer, Asked, Loopback, ranged


def _parquet() -> bytes:
    sink = io.BytesIO()
    rows = [os.urandom(500).hex() for _ in range(9000)]
    pq.write_table(pa.table({"text": rows}), sink, row_group_size=1000, compression="NONE")
    return sink.getvalue()


FILES = {
    "/a.jsonl": b"".join(b'{"text": "line %d"}\n' % number for number in range(50)),
    "/b.parquet": _parquet(),
    "/m.ftz": os.urandom(3_000_000),
}
PAGE = b'<html><a href="a.jsonl">a</a> <a href="b.parquet">b</a></html>'


@pytest.fixture(scope="module")
def server() -> Iterator[Loopback]:
    def answer(asked: Asked) -> Answer:
        if asked.path == "/":
            return Answer(200, PAGE, {"Content-Type": "text/html"})
        if asked.path not in FILES:
            return Answer(404)
        return ranged(FILES[asked.path], asked, {"ETag": '"1"'})

    with Loopback(answer) as one:
        yield one


@pytest.fixture()
def front(server: Loopback, tmp_path) -> Iterator[FaultyFront]:
    server.forget()
    with FaultyFront(server.url) as one, environment(GRISTMILL_SCRATCH=str(tmp_path), GRISTMILL_CACHE=str(tmp_path)):
        yield one


@pytest.mark.parametrize("share", [0.0, 0.3])
def test_documents(front, share):
    front.share, front.slow_s = share, 0.05
    for where, name in ((f"{front.url}/a.jsonl", "/a.jsonl"), (f"{front.url}/b.parquet", "/b.parquet")):
        splits = plan_documents([where], 1_000_000)
        got = [text for one in splits for batch in read_documents(one) for text in batch.table["text"].to_pylist()]
        if name == "/a.jsonl":
            assert got == [f"line {number}" for number in range(50)]
        else:
            assert len(splits) == 9 and got == pq.read_table(io.BytesIO(FILES[name]))["text"].to_pylist()
    assert bool(front.failed) == bool(share)


def test_a_file_is_not_fetched_to_see_what_it_is(server, front):
    ((_, name, size),) = list_files([f"{front.url}/b.parquet"])
    assert (name, size) == ("b.parquet", len(FILES["/b.parquet"]))
    plan_documents([f"{front.url}/b.parquet"], 1_000_000)
    assert all(one.method == "HEAD" or one.headers.get("Range") for one in server.asked)


def test_a_page_with_links_is_a_folder(front):
    assert [name for _, name, _ in list_files([f"{front.url}/"])] == ["a.jsonl", "b.parquet"]


def test_what_is_missing_is_named(front):
    with pytest.raises(ConfigError, match="c.jsonl' does not exist"):
        list_files([f"{front.url}/c.jsonl"])


def test_a_model_comes_whole_or_not_at_all(server, front, monkeypatch):
    front.share, front.kinds = 0.5, ("503", "cut", "cut answer")
    assert fetch(f"{front.url}/m.ftz").read_bytes() == FILES["/m.ftz"]
    assert front.failed
    front.share = 1.0
    monkeypatch.setattr(filesystems, "FIRST_WAIT_S", 0.001)
    with pytest.raises(ConfigError, match="can't be fetched"):
        fetch(f"{front.url}/m.ftz?again")
