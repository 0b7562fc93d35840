"""What is fuzzed: each a callable of bytes with seeds, words of its format, and the modules whose coverage guides."""

from __future__ import annotations

import contextlib
import functools
import os
import tempfile
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from pipeline.errors import GristmillError

from . import bodies, index_bodies


@dataclass(frozen=True)
class Target:
    """`run` raises what is wrong; `allowed` are errors that may end it."""

    run: Callable[[bytes], object]
    seeds: Callable[[], Sequence[bytes]]
    tokens: Sequence[bytes] = ()
    traced: Sequence[str] = ()
    allowed: tuple[type[Exception], ...] = (GristmillError,)

    def prepare(self) -> None:
        """Whatever is compiled or loaded once: a child does it before its memory is bounded."""
        for seed in self.seeds():
            with contextlib.suppress(*self.allowed):
                self.run(seed)


HTML = (
    b"<div>",
    b"</div>",
    b"<p>",
    b"<table><tr><td>",
    b"<!--",
    b"-->",
    b"<script>",
    b"</script>",
    b"<meta charset=",
    b"<title>",
    b"&amp;",
    b"&#x110000;",
    b"&nGt;",
    b"<svg>",
    b"<math>",
    b"<template>",
    b"<![CDATA[",
    b"<a href=",
    b" class='",
    b'"',
    b"<h1>",
    b"<pre>",
    b"<li>",
    b"<ol>",
    b"<br>",
    b"<select><option>",
    b"<frameset>",
    b"</body>",
    b'<script type="application/ld+json">',
    b'{"@type":"Article","author":',
    b"<time datetime=",
    b"<xmp>",
)
WARC = (
    b"WARC/1.0\r\n",
    b"WARC-Type: response\r\n",
    b"Content-Length: ",
    b"\r\n\r\n",
    b"HTTP/1.1 200 OK\r\n",
    b"\x1f\x8b\x08",
    b"Transfer-Encoding: chunked\r\n",
    b"Content-Encoding: gzip\r\n",
    b"WARC-Truncated: length\r\n",
    b"\x28\xb5\x2f\xfd",
    b"\x5d\x2a\x4d\x18\x14\x00\x00\x00",
    b"\x37\xa4\x30\xec",
    b"WARC-Segment-Number: 2\r\n",
    b"WARC-Record-ID: <urn:uuid:0>\r\n",
    b"Content-Type: text/html\r\n",
    b"BZh9",
    b"PK\x03\x04",
    b"\x04\x22\x4d\x18",
    b"http://a.b/ 1.2.3.4 20200101000000 text/html 10\n",
    b"\r\n",
)
YAML = (
    b"source:",
    b"steps:",
    b"- ",
    b": ",
    b"{",
    b"}",
    b"[",
    b"]",
    b"&a ",
    b"*a",
    b"<<: *a",
    b"!!python/object:os.system",
    b"warc",
    b"documents",
    b"inputs",
    b"extract",
    b"language",
    b"pii",
    b"minhash_dedup",
    b"pack",
    b"mix",
    b"null",
    b"---\n",
    b"|\n",
    b"? ",
    b"!!binary ",
    b"mode: all_scores",
    b"name: ",
    b"\n  ",
    b"tokenize",
    b".inf",
    b"~",
)
TEXT = (
    b"email me at a@b.co",
    b"+49 30 123456",
    b"4111 1111 1111 1111",
    b"DE89 3704 0044 0532 0130 00",
    b"-----BEGIN PRIVATE KEY-----",
    b"lorem ipsum",
    b"{",
    b"...",
    b"javascript",
    b"\n\n",
    b"the be to of and",
    b"\xe2\x80\xa2 ",
    b"http://",
    b"\xc3\x83\xc2\xa9",
    b"AKIA",
    b"123-45-6789",
    b"\xe6\xbc\xa2\xe5\xad\x97",
    b"\n",
    b". ",
    b"[1]",
)
INDEX = (
    b"crawl-data/",
    b"../",
    b"\\udc80",
    b"\\ud800",
    b'"url": ',
    b'"warc_record_offset": ',
    b'"length": ',
    b'"fetch_status": ',
    b"[1]",
    b'{"a": 1}',
    b"null",
    b"true",
    b"1e300",
    b'"9223372036854775808"',
    b"-1",
    b'"',
    b",",
    b"},{",
    b"\n",
)
JSON = (
    b'{"text": "',
    b'"}\n',
    b'"id": ',
    b'"record": {"file": "a", "offset": 1}',
    b"\\ud800",
    b"null",
    b"[[[[",
    b"1e999",
    b'"lang": "en"',
    b"\xef\xbb\xbf",
    b"\n",
    b"NaN",
    b"true",
    b'"path": "../x"',
    b'"file": ',
    b'"bytes": -1',
    b'"fingerprint": ""',
)

TARGETS: dict[str, Target] = {
    "warc": Target(bodies.warc, bodies.warc_seeds, WARC, ("pipeline/warc/",)),
    "payload": Target(
        bodies.payload,
        bodies.payload_seeds,
        (b"gzip", b"br", b"0\r\n\r\n", b"5;x=y\r\n", b"\x1f\x8b\x08"),
        ("warc/payload",),
    ),
    "charset": Target(bodies.charset, bodies.html_seeds, HTML, ("extract/charset", "extract/page")),
    "metadata": Target(bodies.metadata, bodies.html_seeds, HTML, ("extract/metadata",)),
    "extraction": Target(bodies.extraction, bodies.html_seeds, HTML, ("extract/native", "extract/limits")),
    "markup": Target(
        bodies.markup, bodies.html_seeds, (*HTML, b"rel=license", b"tdm-reservation", b"noai"), ("filters/markup",)
    ),
    "filters": Target(bodies.filters, bodies.text_seeds, TEXT, ()),
    "dedup": Target(bodies.dedup, bodies.text_seeds, TEXT, ()),
    "recipe": Target(
        bodies.recipe,
        bodies.recipe_seeds,
        YAML,
        ("pipeline/recipe", "pipeline/yaml_input", "pipeline/stage", "pipeline/sources"),
    ),
    "documents": Target(bodies.documents, bodies.jsonl_seeds, JSON, ("pipeline/documents",)),
    "parquet": Target(bodies.parquet, bodies.parquet_seeds, (), ("pipeline/documents", "pipeline/columns")),
    "benchmarks": Target(bodies.benchmarks, bodies.jsonl_seeds, JSON, ("decontam/readers",)),
    "manifests": Target(
        bodies.manifests, bodies.manifest_seeds, JSON, ("pipeline/packs", "pipeline/store", "pipeline/names")
    ),
    "packs": Target(
        bodies.packs, bodies.pack_seeds, (), ("pipeline/packreader", "pipeline/packcheck", "pipeline/packfiles")
    ),
    "listing": Target(
        bodies.listing, bodies.listing_seeds, (b"../", b"/", b":", b"\n", b"crawl-data/"), ("warc/commoncrawl",)
    ),
    "columnar_index": Target(
        index_bodies.columnar, index_bodies.columnar_seeds, INDEX, ("commoncrawl/columnar", "commoncrawl/rows")
    ),
    "cdx_index": Target(index_bodies.cdx, index_bodies.cdx_seeds, INDEX, ("commoncrawl/cdx", "commoncrawl/rows")),
    "models": Target(bodies.models, bodies.model_seeds, (), ("native/model", "classifier/")),
}


SCRATCH = "GRISTMILL_FUZZ_SCRATCH"


@functools.cache
def scratch() -> Path:
    """A folder of this process: below the one that the engine names, which clears it away."""
    return Path(tempfile.mkdtemp(prefix="gristmill-fuzz-", dir=os.environ.get(SCRATCH)))


def regressions(folder: Path) -> Iterator[tuple[str, Path]]:
    """(target, file) of the inputs that once broke something."""
    for path in sorted(folder.glob("*/*")):
        yield path.parent.name, path
