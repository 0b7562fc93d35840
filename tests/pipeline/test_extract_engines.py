"""Engines: equal to the library's own call, and independent of what came before."""

from __future__ import annotations

from pathlib import Path

import pyarrow as pa
import pytest

from pipeline.errors import ConfigError
from pipeline.extract.engines import EngineOptions, engine_names, make_engine
from pipeline.extract.guard import shut_down
from pipeline.extract.metadata import scan
from pipeline.extract.stage import Extract
from pipeline.schema import PAGE

LONG = "The river rose by two metres in the night, and the people of the lower town carried what they could upstairs. "


def article(number: int) -> str:
    """Pages that share paragraphs and lines, which is what caches of earlier pages would act on."""
    shared = "".join(f"<p>{LONG}Paragraph {i} stands on several pages of this site.</p>" for i in range(3))
    own = "".join(f"<p>Page {number}, part {i}: {LONG}</p>" for i in range(3))
    return (
        f"<html><head><title>Page {number}</title></head><body><nav><a href=/>Home</a></nav>"
        f"<article><h1>Heading {number}</h1>{shared}{own}"
        f"<table><tr><td>Cell of the table {number}</td><td>{LONG}</td></tr></table></article>"
        f"<div id=comments class=comments><div class=comment><p>A reader's comment {number}. {LONG}</p></div></div>"
        "<footer>Imprint</footer></body></html>"
    )


def stage_texts(engine: str, pages: list[str], **options: object) -> list[str | None]:
    rows = [
        {"id": str(i), "url": f"http://x/{i}", "record": None, "payload": p.encode(), "payload_kind": "html"}
        for i, p in enumerate(pages)
    ]
    return Extract(engine=engine, **options)(pa.Table.from_pylist(rows, PAGE))["text"].to_pylist()  # type: ignore[arg-type]


def real_pages(shared_data: Path, count: int) -> list[str]:
    from fastwarc.warc import ArchiveIterator, WarcRecordType

    from pipeline.extract.charset import decode

    pages = []
    for name in ("wcxb", "htmldate", "formasaurus", "gne_zh"):
        with open(shared_data / "html" / f"{name}.warc.gz", "rb") as stream:
            for i, record in enumerate(ArchiveIterator(stream, WarcRecordType.response)):
                if i % 11 == 0:
                    pages.append(decode(record.reader.read()).text)
                if i == 11 * (count // 4):
                    break
    return pages


@pytest.mark.parametrize("engine", ["trafilatura", "resiliparse"])
def test_the_text_is_the_librarys_own(engine: str) -> None:
    pages = [article(i) for i in range(3)]
    if engine == "trafilatura":
        import trafilatura

        expected = [trafilatura.extract(p, include_comments=False) for p in pages]
    else:
        from resiliparse.extract.html2text import extract_plain_text

        expected = [extract_plain_text(p, main_content=True, comments=False) for p in pages]
    assert stage_texts(engine, pages, isolate=False) == [e.strip() for e in expected]
    assert stage_texts(engine, pages) == [e.strip() for e in expected]


@pytest.mark.parametrize("engine", ["trafilatura", "resiliparse"])
def test_neither_order_nor_the_process_history_changes_a_text(engine: str) -> None:
    pages = [article(i % 4) for i in range(8)]
    forward = stage_texts(engine, pages)
    backward = stage_texts(engine, pages[::-1])[::-1]  # same process, another history
    shut_down()
    alone = [stage_texts(engine, [p])[0] for p in pages[:2]]  # a new process
    assert forward == backward and forward[:2] == alone
    assert forward[:4] == forward[4:], "a page seen before reads the same the second time"
    assert all(text and LONG.strip() in text for text in forward)


@pytest.mark.timeout(120)
def test_real_pages_read_the_same_in_any_order(shared_data: Path) -> None:
    pages = real_pages(shared_data, 16)
    assert len(pages) >= 16
    for engine in engine_names():
        forward = stage_texts(engine, pages)
        shut_down()
        assert forward == stage_texts(engine, pages[::-1])[::-1]


@pytest.mark.parametrize("engine", ["trafilatura", "resiliparse"])
def test_options_reach_the_engine(engine: str) -> None:
    page = article(7)

    def text(**options: object) -> str:
        return make_engine(engine, EngineOptions(**options)).extract(page, None).text  # type: ignore[arg-type]

    assert "reader's comment" not in text() and "reader's comment" in text(comments=True)
    assert "Cell of the table" in text() and "Cell of the table" not in text(tables=False)


def test_favor_changes_what_is_taken(shared_data: Path) -> None:
    pages = real_pages(shared_data, 16)
    for engine in engine_names():
        chars = {
            favor: sum(len(make_engine(engine, EngineOptions(favor=favor)).extract(p, None).text) for p in pages)  # type: ignore[arg-type]
            for favor in ("precision", "balanced", "recall")
        }
        assert chars["precision"] < chars["balanced"] < chars["recall"], (engine, chars)


def test_wrong_options_name_the_nearest() -> None:
    with pytest.raises(ConfigError, match="did you mean 'recall'"):
        Extract(favor="recal").check()  # type: ignore[arg-type]
    with pytest.raises(ConfigError, match="max_depth"):
        Extract(max_depth=0).check()
    with pytest.raises(ConfigError, match="metadata"):
        Extract(engine="resiliparse", metadata="engine").check()


def test_trafilaturas_own_metadata_is_bound_by_the_crawl_not_by_today() -> None:
    page = article(1).replace("<head>", '<head><meta property="article:published_time" content="2021-03-04T10:00:00Z">')
    engine = make_engine("trafilatura", EngineOptions(metadata="engine"))
    assert engine.extract(page, None, "2022-01-01T00:00:00Z").published == "2021-03-04"
    assert engine.extract(page, None, "2020-01-01T00:00:00Z").published is None
    assert engine.extract(page.replace("2021", "2098"), None, None).published == "2098-03-04"


def head(*lines: str, body: str = "") -> str:
    return f"<html><head>{''.join(lines)}</head><body>{body}</body></html>"


@pytest.mark.parametrize(("html", "expected"), [
    (head("<title>A &amp; B\n C</title>"), ("A & B C", None, None)),
    (head("<title>T</title>", body="<h1>The <b>one</b> heading</h1>"), ("The one heading", None, None)),
    (head("<title>T</title>", body="<h1>One</h1><h1>Two</h1>"), ("T", None, None)),
    (head('<meta property="og:title" content="OG">', "<title>T</title>", body="<h1>Head</h1>"), ("OG", None, None)),
    (head('<META NAME=Author CONTENT="Ada L.">', "<TITLE>T</TITLE>"), ("T", "Ada L.", None)),
    (head('<meta name="author" content="https://x/ada">', "<title>T</title>"), ("T", None, None)),
    (head("<title>T</title>", body='<a class=x rel="author" href=/ada>Ada</a>'), ("T", "Ada", None)),
    (head('<meta content="2020-02-30" property="article:published_time"><title>T</title>'), ("T", None, None)),
    (head('<meta content="2020-02-29T23:00+02:00" property="article:published_time"><title>T</title>'),
     ("T", None, "2020-02-29")),
    (head('<meta name="date" content="3 May 2019"><title>T</title>'), ("T", None, "2019-05-03")),
    (head('<meta name="pubdate" content="May 3rd, 2019"><title>T</title>'), ("T", None, "2019-05-03")),
    (head('<meta name="citation_date" content="2019/5/3"><title>T</title>'), ("T", None, "2019-05-03")),
    (head('<meta itemprop="datePublished" content="20190503"><title>T</title>'), ("T", None, "2019-05-03")),
    (head("<title>T</title>", body='<time class=d datetime="2018-01-02 10:00">x</time>'), ("T", None, "2018-01-02")),
    (head('<meta name="date" content="2030-01-01"><title>T</title>'), ("T", None, None)),
    (head('<script type="application/ld+json">{"@graph": [{"@type": "WebPage", "name": "no"}, {"@type": "Article", '
          '"headline": "LD", "datePublished": "2017-06-05", "author": [{"name": "A B"}, {"name": "C D"}]}]}</script>'),
     ("LD", "A B; C D", "2017-06-05")),
    (head("<title>T</title>", body='<script type="application/ld+json">{"headline": "Low", "author": "X Y"}</script>'),
     ("Low", "X Y", None)),
    (head('<script type="application/ld+json">{"headline": </script>', "<title>T</title>"), ("T", None, None)),
    ("", (None, None, None)),
])  # fmt: skip
def test_a_pages_word_of_itself(html: str, expected: tuple[str | None, str | None, str | None]) -> None:
    found = scan(html.encode(), "http://x/page", "2025-01-01T00:00:00Z")
    assert (found.title, found.author, found.published) == expected


def test_the_day_in_a_url_is_the_last_resort() -> None:
    assert scan(b"", "https://news.example/2016/07/08/flood", "2020-01-01").published == "2016-07-08"
    assert scan(b"", "https://news.example/2016/17/08/flood", "2020-01-01").published is None
    assert scan(b"", "https://news.example/2026/07/08/flood", "2020-01-01").published is None


def test_metadata_against_the_gold_annotations(shared_data: Path) -> None:
    """Titles and dates that people wrote down: most of ours must agree where we give one."""
    import gzip
    import hashlib
    import json

    from fastwarc.warc import ArchiveIterator, WarcRecordType

    from pipeline.extract.charset import decode

    with gzip.open(shared_data / "html" / "gold" / "wcxb.jsonl.gz") as lines:
        gold = {row["sha1"]: row for row in map(json.loads, lines)}
    given = agree = dated = same_day = 0
    with open(shared_data / "html" / "wcxb.warc.gz", "rb") as stream:
        for i, record in enumerate(ArchiveIterator(stream, WarcRecordType.response)):
            if i % 4:
                continue
            payload = record.reader.read()
            row = gold.get(hashlib.sha1(payload).hexdigest())
            if row is None:
                continue
            found = scan(decode(payload).text.encode(), row["url"])
            if row.get("title") and found.title:
                ours, theirs = (" ".join(t.lower().split()) for t in (found.title, row["title"]))
                given, agree = given + 1, agree + (ours in theirs or theirs in ours)
            if row.get("date") and found.published:
                dated, same_day = dated + 1, same_day + (row["date"][:10] == found.published)
    assert given > 100 and agree / given > 0.7, (agree, given)
    assert dated > 20 and same_day / dated > 0.7, (same_day, dated)
