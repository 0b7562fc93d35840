"""The functions that are fuzzed, each with what must hold for any bytes, and the inputs they begin with."""

from __future__ import annotations

import functools
import gzip
import io
import json
import math
import random
import zlib
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from .mutate import mutate

URL = "https://www.example.org/2024/05/06/an-article.html"
STORIES = (
    "The quick brown fox jumps over the lazy dog, and the dog will not have it. To be with the fox is of no use.\n"
    "Write to jane.doe@example.com or call +1 (555) 010-9999; the card 4111 1111 1111 1111 is no good.\n"
    "\n- one\n- two\n",
    "Größe, naïve, 漢字かな交じり文。 Это предложение. هذه جملة. यह एक वाक्य है।\r\n" * 8,
    "a a a a a a a a a a b b b b b\n" * 40,
    "lorem ipsum { javascript } ... … [1] [edit] terms of use cookie policy\nWord.\n",
    "",
    "Ã©tÃ© Ã  la plage â€œquoteâ€\x9d\n" * 10,
)
PAGE = f"""<!doctype html><html lang="en"><head><meta charset="utf-8"><title>An article | Site</title>
<meta name="author" content="Jane Doe"><meta property="article:published_time" content="2024-05-06T07:08:09Z">
<link rel="license" href="https://creativecommons.org/licenses/by/4.0/"><meta name="robots" content="noai">
<script type="application/ld+json">{{"@type":"Article","headline":"An article",
"author":{{"name":"Jane"}}}}</script></head>
<body><nav><a href="/">Home</a> <a href="/x">X</a></nav><article><h1>An article</h1>
<p class=byline>By Jane Doe, May 6, 2024</p>
<p>{STORIES[0] * 3}</p><table><tr><th>a<td>b</table><pre>code  here</pre><ul><li>one<li>two</ul><math><mfrac><mi>a</mi>
<mi>b</mi></mfrac></math><p>&eacute;&#233;&nbsp;&lt;b&gt;</p></article><footer>Copyright 2024</footer></body></html>"""


def html_seeds() -> list[bytes]:
    return [
        PAGE.encode(),
        PAGE.encode("utf-16"),
        PAGE.encode("latin-1", "ignore"),
        b"",
        b"<p>" + STORIES[1].encode() + b"</p>",
    ]


def text_seeds() -> list[bytes]:
    return [story.encode() for story in STORIES]


def _record(block: bytes, kind: str = "response", **fields: str) -> bytes:
    head = {
        "WARC-Type": kind,
        "WARC-Record-ID": "<urn:uuid:1>",
        "WARC-Date": "2024-05-06T00:00:00Z",
        "WARC-Target-URI": URL,
        "Content-Type": "application/http; msgtype=response",
        **fields,
    }
    lines = "".join(f"{name}: {value}\r\n" for name, value in head.items())
    return f"WARC/1.0\r\n{lines}Content-Length: {len(block)}\r\n\r\n".encode() + block + b"\r\n\r\n"


def _http(body: bytes, *more: str) -> bytes:
    lines = "".join(f"{one}\r\n" for one in ("Content-Type: text/html", *more))
    return f"HTTP/1.1 200 OK\r\n{lines}\r\n".encode() + body


def warc_seeds() -> list[bytes]:
    import bz2

    import zstandard

    body = b"<html><p>" + STORIES[0].encode() + b"</p></html>"
    records = [
        _record(_http(body)),
        _record(_http(gzip.compress(body, mtime=0), "Content-Encoding: gzip")),
        _record(_http(b"5\r\n<html\r\n1\r\n>\r\n0\r\n\r\n", "Transfer-Encoding: chunked")),
        _record(b"plain words of a page", "conversion", **{"Content-Type": "text/plain"}),
        _record(b"software: x\r\n", "warcinfo", **{"Content-Type": "application/warc-fields"}),
    ]
    arc = "filedesc://a.arc 0.0.0.0 20200101000000 text/plain 2\n1\n\n"
    arc += f"{URL} 1.2.3.4 20200101000000 text/html {len(body)}\n"
    whole = b"".join(records)
    pack = zstandard.ZstdCompressor().compress
    known = zstandard.ZstdCompressionDict(body)
    with_dictionary = b"\x5d\x2a\x4d\x18" + len(body).to_bytes(4, "little") + body
    with_dictionary += b"".join(zstandard.ZstdCompressor(dict_data=known).compress(one) for one in records)
    return [
        whole,
        b"".join(gzip.compress(one, mtime=0) for one in records),
        gzip.compress(whole, mtime=0),
        bz2.compress(whole),
        b"".join(pack(one) for one in records),
        with_dictionary,
        arc.encode() + body + b"\n",
    ]


def _warc_pages(path: Path, size: int, split_bytes: int, engine: str) -> list[tuple[Any, ...]]:
    from pipeline.warc import Source, plan_splits, read_pages

    found = []
    for split in plan_splits([Source(str(path), "f", size)], split_bytes):
        for batch in read_pages(split, engine=engine, max_payload_bytes=1 << 20):
            assert batch.records == batch.table.num_rows + len(batch.skips)
            batch.table.validate(full=True)
            for row in batch.table.to_pylist():
                assert len(row["payload"]) <= 1 << 20 and row["payload_kind"] in ("html", "text")
                found.append((row["id"], row["url"], row["payload"]))
    return found


def warc(data: bytes) -> None:
    """Both engines and any split give the same pages; counts add up."""
    from .targets import scratch

    path = scratch() / "a.warc"
    path.write_bytes(data)
    whole = _warc_pages(path, len(data), 1 << 30, "fastwarc")
    assert _warc_pages(path, len(data), 1 << 30, "warcio") == whole
    if data and data[0] % 4 == 0 or data[:2] == b"\x1f\x8b":
        assert _warc_pages(path, len(data), max(1, len(data) // 3), "fastwarc") == whole


def payload_seeds() -> list[bytes]:
    import brotli
    import zstandard

    body = PAGE.encode()
    return [
        b"\0" + gzip.compress(body, mtime=0),
        b"\1" + zlib.compress(body),
        b"\2" + brotli.compress(body),
        b"\3" + zstandard.compress(body),
        b"\4" + b"5\r\nhello\r\n0\r\n\r\n",
    ]


def payload(data: bytes) -> None:
    """A bounded result, or BadPayload."""
    from pipeline.warc.payload import BadPayload, decoded, unchunked

    which, body = (data[0] if data else 0), data[1:]
    token = ("gzip", "deflate", "br", "zstd")[which & 3]
    try:
        for cut in (False, True):
            plain = unchunked(body, cut) if which & 4 else body
            assert len(plain) <= len(body)
            out = decoded(plain, [token] * (1 + (which >> 4 & 3)), 1 << 20, cut)
            assert len(out) <= max(1 << 20, len(body))
    except BadPayload as error:
        assert error.kind in ("too_large", "bad_chunked", "bad_content_encoding", "bad_brotli")


def _clean(text: str | None) -> None:
    if text is not None:
        text.encode()


def charset(data: bytes) -> None:
    """Text that is UTF-8, whatever the bytes; the same each time."""
    from pipeline.extract.charset import decode
    from pipeline.extract.page import clean_text

    found = decode(data, "text/html; charset=" + data[:20].decode("latin-1"))
    assert decode(data, "text/html; charset=" + data[:20].decode("latin-1")) == found
    _clean(clean_text(found.text))


def metadata(data: bytes) -> None:
    """What the page says, in bounds."""
    from pipeline.extract.metadata import scan

    page = data.decode("utf-8", "replace").encode()
    said = scan(page, URL if data[:1] > b"@" else data[:200].decode("latin-1"), "2024-06-01T00:00:00Z")
    for one in (said.title, said.author, said.published, said.language):
        assert one is None or (one and len(one) < 2000 and one.isprintable() or one is said.title or one is said.author)
        _clean(one)
    assert said.published is None or (len(said.published) == 10 and said.published <= "2024-06-02")


@functools.cache
def _engine() -> Any:
    from pipeline.extract.engines import EngineOptions, make_engine

    return make_engine("gristmill", EngineOptions())


def extraction(data: bytes) -> None:
    """The engine's answer for any text: none of it invented, the same again."""
    from pipeline.extract.charset import decode
    from pipeline.extract.limits import Limits, measure
    from pipeline.extract.page import clean_text

    if Limits().too_much(data):
        return
    sizes = measure(data)
    assert sizes.nodes >= 0 <= sizes.depth and sizes.nodes <= len(data)
    text = clean_text(decode(data).text)
    found = _engine().extract(text, URL, "2024-06-01T00:00:00Z")
    assert len(found.text) <= 8 * len(text) + 100
    _clean(found.text)
    assert _engine().extract(text, URL, "2024-06-01T00:00:00Z") == found


def markup(data: bytes) -> None:
    """What a page says of its licence."""
    from filters.markup.page import MAX_MARKS, Findings, read_headers, read_payload

    found = Findings()
    head = data[:500].decode("latin-1")
    read_headers(found, {"x_robots_tag": head, "link": head, "tdm_reservation": head[:3], "tdm_policy": head}, URL)
    read_payload(found, data, "text/html; charset=utf-8", URL)
    assert len(found.marks) <= MAX_MARKS and len(found.reservations) <= MAX_MARKS


LEFT_OUT = ("extract", "funnel", "decontaminate", "license", "consent", "c4_bad_words")
"""Stages that read no text, or need an index or lists."""


@functools.cache
def _stages() -> dict[str, Any]:
    from pipeline.stage import make, registered

    return {name: make(name, {}, "fuzz") for name in registered() if name not in LEFT_OUT}


def _documents(texts: list[str], url: str) -> pa.Table:
    from pipeline.schema import DOCUMENT

    rows = [
        {"id": f"{i:032x}", "text": text, "url": url, "record": {"file": "f", "offset": i}}
        for i, text in enumerate(texts)
    ]
    table = pa.Table.from_pylist(rows, DOCUMENT)
    return table.append_column("lang", pa.array(["en"] * len(texts)))


def filters(data: bytes) -> None:
    """One answer a document, the same for a document alone as among others; an editor's spans lie in its text."""
    text = data.decode("utf-8", "replace")
    rng = random.Random(zlib.crc32(data))
    chosen = rng.sample(sorted(_stages()), 4)  # all for each input would take too long
    texts = [text, STORIES[0], text[: len(text) // 2], text + STORIES[1]]
    for _ in range(20):  # a call costs more than a text
        texts.append(mutate(data, rng, text_seeds(), ()).decode("utf-8", "replace"))
    for name, stage in _stages().items():
        if name not in chosen:
            continue
        table = _documents(texts, text[:200] if name == "url" else URL)
        if name == "language":
            table = table.drop_columns(["lang"])
        out = stage(table)
        out.validate(full=True)
        assert out["id"].to_pylist() == table["id"].to_pylist(), name
        if random.Random(len(data)).random() < 0.2:
            alone = stage(table.slice(0, 1))
            assert _same(alone.to_pylist()[0], out.to_pylist()[0]), f"{name}: alone and among others differ"
        for row, before in zip(out.to_pylist(), texts, strict=True):
            _clean(row["text"])
            size = len(before.encode())
            for span in row.get("cut_spans") or []:
                assert 0 <= span["start"] <= span["end"] <= size, (name, span)


def _same(a: Any, b: Any) -> bool:
    if isinstance(a, dict) and isinstance(b, dict):
        return a.keys() == b.keys() and all(_same(a[key], b[key]) for key in a)
    if isinstance(a, float) and isinstance(b, float):
        return a == b or (math.isnan(a) and math.isnan(b)) or abs(a - b) <= 1e-5 * max(1.0, abs(a))
    return bool(a == b)


def dedup(data: bytes) -> None:
    """Hashes, shingles and keys of any text."""
    from dedup.shingles import Shingling
    from dedup.signatures import signatures
    from dedup.urls import url_key

    text = data.decode("utf-8", "replace")
    texts = pa.array([text, STORIES[0], text], pa.large_string())
    for shingling in (Shingling(), Shingling(strip_punctuation=True)):
        found = signatures(texts, shingling, num_perm=16).tolist()
        assert found[0] == found[2]
    key = url_key(text[:2000])
    assert key is None or url_key(text[:2000]) == key


def recipe_seeds() -> list[bytes]:
    import pipeline.recipes

    folder = Path(pipeline.recipes.__file__).parent
    small = (
        b"source: {documents: {inputs: [a.jsonl]}}\nsteps:\n- gopher_quality: {min_words: 5}\n- exact_dedup\n- pii\n"
    )
    return [small, *(path.read_bytes() for path in sorted(folder.glob("*.yaml"))[2:6])]


def recipe(data: bytes) -> None:
    """A recipe or an error of ours; nothing is fetched and nothing is written."""
    import os
    import socket

    from pipeline.recipe import build, read_recipe

    from .targets import scratch

    def refused(*_: object, **__: object) -> None:
        raise OSError("no network here")

    folder = scratch() / "recipe"
    folder.mkdir(exist_ok=True)
    (folder / "a.jsonl").write_text('{"text": "words of a text"}\n')
    (folder / "r.yaml").write_bytes(data)
    before, connect, find = os.getcwd(), socket.socket.connect, socket.getaddrinfo
    os.chdir(folder)
    try:
        socket.socket.connect, socket.getaddrinfo = refused, refused  # type: ignore[method-assign, assignment]
        build(read_recipe("r.yaml"))
    finally:
        socket.socket.connect, socket.getaddrinfo = connect, find  # type: ignore[method-assign]
        os.chdir(before)
    assert sorted(path.name for path in folder.iterdir()) == ["a.jsonl", "r.yaml"]


def jsonl_seeds() -> list[bytes]:
    rows = [
        {"text": STORIES[0], "url": URL, "id": "a", "x": [1, {"y": None}]},
        {"text": STORIES[1], "lang": "de"},
        {"question": "What is it?", "choices": ["a", "b"], "answer": "a", "text": ""},
    ]
    lines = b"".join(json.dumps(row).encode() + b"\n" for row in rows)
    import zstandard

    return [
        lines,
        gzip.compress(lines, mtime=0),
        zstandard.compress(lines),
        json.dumps(rows).encode(),
        b"text,url\na,b\n",
    ]


def _ending(data: bytes) -> str:
    return ".gz" if data[:2] == b"\x1f\x8b" else ".zst" if data[:4] == b"\x28\xb5\x2f\xfd" else ""


def documents(data: bytes) -> None:
    """Every record is a row or a skip."""
    from .targets import scratch

    path = scratch() / f"a.jsonl{_ending(data)}"
    path.write_bytes(data)
    _read_documents(path)


def _read_documents(path: Path) -> None:
    from pipeline.documents import export, first_keys, plan_documents, read_documents

    for split in plan_documents([str(path)], 1 << 20):
        first_keys(split)
        for batch in read_documents(split):
            batch.table.validate(full=True)
            assert batch.records == batch.table.num_rows + len(batch.skips)
            assert len(batch.places) == batch.table.num_rows
            target = path.with_name("out.parquet")
            with pq.ParquetWriter(target, batch.table.schema) as writer:
                writer.write_table(batch.table)
            export([target], path.with_name("out.jsonl"))


def parquet_seeds() -> list[bytes]:
    out = []
    for version, compression, dictionary in (("2.6", "zstd", True), ("1.0", "snappy", False), ("2.6", "none", True)):
        sink = io.BytesIO()
        table = pa.table(
            {
                "text": [*STORIES, None] * 3,
                "id": [str(i) for i in range(3 * len(STORIES) + 3)],
                "n": range(3 * len(STORIES) + 3),
            }
        )
        pq.write_table(
            table, sink, version=version, compression=compression, use_dictionary=dictionary, row_group_size=7
        )
        out.append(sink.getvalue())
    return out


def parquet(data: bytes) -> None:
    """Rows, or an error of ours; never the end of the process."""
    from .targets import scratch

    path = scratch() / "a.parquet"
    path.write_bytes(data)
    _read_documents(path)


def benchmarks(data: bytes) -> None:
    """Rows with a record or a problem, or BenchmarkError."""
    from decontam.readers import records

    from .targets import scratch

    for ending in (".jsonl", ".json", ".csv", ".tsv"):
        path = scratch() / f"b{ending}{_ending(data)}"
        path.write_bytes(data)
        try:
            for row in records(path):
                assert (row.record is None) == (row.problem is not None) and row.number >= 1 <= row.line
        except ValueError as error:
            raise AssertionError(f"{ending}: {error}") from error
        finally:
            path.unlink()


@functools.cache
def _pack_set() -> Path:
    import shutil

    import tests.pipeline

    from .targets import scratch

    source = Path(tests.pipeline.__file__).parent / "packs_v1"
    target = scratch() / "packs"
    shutil.copytree(source, target)
    return target


def manifest_seeds() -> list[bytes]:
    step = {
        "fingerprint": "f",
        "step": "x",
        "files": [{"file": "kept/0.parquet", "bytes": 5, "rows": 1, "blake2b": "0"}],
        "artefact": ["kept/0.parquet"],
        "counts": [],
        "rows": 1,
    }
    return [(_pack_set() / "manifest.json").read_bytes(), json.dumps(step).encode()]


def manifests(data: bytes) -> None:
    """A pack set, a finished step or an error of ours."""
    from pipeline.errors import GristmillError
    from pipeline.packreader import open_packs
    from pipeline.store import StepFolder

    from .targets import scratch

    folder = scratch() / "step"
    folder.mkdir(exist_ok=True)
    (folder / "manifest.json").write_bytes(data)
    (folder / "done").mkdir(exist_ok=True)
    (folder / "done" / "t.json").write_bytes(data)
    for read in (lambda: StepFolder(folder).finished("f"), lambda: StepFolder(folder).marked("t")):
        try:
            read()
        except GristmillError:
            continue
    before = (_pack_set() / "manifest.json").read_bytes()
    try:
        (_pack_set() / "manifest.json").write_bytes(data)
        for row in open_packs(_pack_set()):
            assert row.length >= 0
    finally:
        (_pack_set() / "manifest.json").write_bytes(before)


def _pack_file() -> Path:
    return sorted(_pack_set().rglob("*.arrow"))[0]


@functools.cache
def _pack_bytes() -> bytes:
    return _pack_file().read_bytes()


def pack_seeds() -> list[bytes]:
    return [_pack_bytes()]


def packs(data: bytes) -> None:
    """Sequences, or an error of ours: on opening, on reading or on the check of the whole."""
    from pipeline.errors import GristmillError
    from pipeline.packreader import open_packs

    _pack_bytes()
    try:
        _pack_file().write_bytes(data)
        reader = open_packs(_pack_set())
        try:
            reader.verify()
        except GristmillError:
            for block in reader.blocks[:4]:
                assert block.rows >= 0
    finally:
        _pack_file().write_bytes(_pack_bytes())


def listing_seeds() -> list[bytes]:
    lines = (
        b"crawl-data/CC-MAIN-2024-33/segments/1/warc/a.warc.gz\ncrawl-data/CC-MAIN-2024-33/segments/1/warc/b.warc.gz\n"
    )
    return [lines, b"\0" + gzip.compress(lines, mtime=0)]


def listing(data: bytes) -> None:
    """Paths that stay below the base, or ConfigError."""
    from pipeline.warc.commoncrawl.release import read_listing

    from .targets import scratch

    packed = data[1:] if data[:1] == b"\0" else gzip.compress(data, mtime=0)
    path = scratch() / "cache" / "list.paths.gz"
    path.parent.mkdir(exist_ok=True)
    path.write_bytes(packed)
    for line in read_listing("list.paths.gz", path.parent):
        inside = (Path("/base") / line).resolve()
        assert inside.is_relative_to("/base"), line


def model_seeds() -> list[bytes]:
    import pipeline.extract.native as native

    return [path.read_bytes() for path in sorted(Path(native.__file__).parent.rglob("*.npz"))[:1]]


def models(data: bytes) -> None:
    """A model or ConfigError."""
    from pipeline.extract.native.model import Model

    from .targets import scratch

    path = scratch() / "m.npz"
    path.write_bytes(data)
    Model.load(path)
