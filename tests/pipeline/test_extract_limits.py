"""Limits: counts against an independent parser's, and hostile pages through the whole stage."""

from __future__ import annotations

import time
from html.parser import HTMLParser

import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.extract.limits import Limits, Measured, measure
from pipeline.extract.stage import Extract
from pipeline.schema import PAGE

VOID = {"br", "img", "input", "meta", "link", "hr"}
OPTIONAL = {"p", "li", "td", "tr", "option"}


class Oracle(HTMLParser):
    """The standard library's tokenizer with the same definition of depth."""

    def __init__(self) -> None:
        super().__init__()
        self.nodes = self.level = self.depth = self.attributes = 0

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.nodes += 1
        self.attributes = max(self.attributes, len(attrs))
        if tag not in VOID | OPTIONAL:
            self.level += 1
            self.depth = max(self.depth, self.level)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        if tag == "path":
            self.nodes += 1
            self.attributes = max(self.attributes, len(attrs))
        else:
            self.handle_starttag(tag, attrs)

    def handle_endtag(self, tag: str) -> None:
        if tag not in VOID | OPTIONAL:
            self.level = max(0, self.level - 1)


PIECES = st.sampled_from(
    ["<div>", "</div>", "<b>", "</b>", "<p>", "<br/>", "<LI>", "text ", "a < b", "<span class='x' id=y>", "</span>"]
    + ["<!-- <div><div> -->", "<script>if (a<b) '<div><div>'</script>", "<path d='M0'/>", "<img src=x>", "<div/>"]
    + ["<style>p<q</style>", "<a href='y'>", "</a>", "<td>", "<1>", "<h1>", "</h1>"]
)


@settings(max_examples=300, deadline=None)
@given(st.lists(PIECES, max_size=40))
def test_counts_are_those_of_a_tokenizer(pieces: list[str]) -> None:
    page = "".join(pieces)
    oracle = Oracle()
    oracle.feed(page)
    oracle.close()
    assert measure(page.encode()) == Measured(oracle.nodes, oracle.depth, oracle.attributes)


def test_an_unclosed_comment_or_script_hides_the_rest_as_it_does_from_parsers() -> None:
    assert measure(b"<div><!-- " + b"<div>" * 9) == Measured(1, 1, 0)
    assert measure(b"<div><script>" + b"<div>" * 9).depth == 2
    assert measure(b"") == Measured(0, 0, 0)
    assert measure(b"<") == Measured(0, 0, 0)


@pytest.mark.parametrize(("payload", "reason"), [
    (b"<div>" * 11, "too_deep"),
    (b"<div>" * 10 + b"</div>" * 10, None),
    (b"<p>x" * 20, None),
    (b"<p>x" * 21, "too_many_nodes"),
    (b"<a " + b"x=1 " * 6 + b">", "too_many_nodes"),
    (b"<a x=1 y=2>" * 9, None),
    (b"x" * 301, "too_many_bytes"),
    (b"x" * 300, None),
])  # fmt: skip
def test_thresholds(payload: bytes, reason: str | None) -> None:
    limits = Limits(max_bytes=300, max_nodes=20, max_depth=10, max_attributes=5)
    assert limits.too_much(payload) == reason


P = b"<p>A paragraph of the page, long enough to be taken for its text, with commas and a full stop.</p>"
HOSTILE = {
    "50 MB of nested div": (b"<div>" * 10_000_000, "too_many_bytes"),
    "nested div": (b"<div>" * 80_000 + P, "too_deep"),
    "nested div, hidden in upper case": (b"<DIV\n>" * 80_000 + P, "too_deep"),
    "unclosed b": (b"<b>x " * 1_000_000, "too_many_nodes"),
    "unclosed font": (b"".join(b"<p><font color=%d>x" % i for i in range(10_000)), "too_deep"),
    "nested tables": (b"<table><tr><td>" * 20_000 + P, "too_deep"),
    "a million attributes": (b"<div " + b"".join(b"a%d=1 " % i for i in range(1_000_000)) + b">" + P, "too_many_nodes"),
    "huge table": (b"<table>" + b"<tr><td>1</td><td>2</td></tr>" * 200_000, "too_many_nodes"),
}


@pytest.mark.timeout(60)
@pytest.mark.parametrize("name", HOSTILE)
def test_hostile_pages_are_decided_in_advance_and_at_once(name: str) -> None:
    payload, reason = HOSTILE[name]
    start = time.process_time()
    assert Limits().too_much(payload) == reason
    assert time.process_time() - start < 5


TOLERABLE = {
    "as deep as allowed": b"<div>" * 1_900 + P,
    "a large flat page": b"<html><body>" + P * 3_000,
    "entities": b"<p>" + b"&amp;&lt;&#x41;&bogus;" * 50_000 + b"</p>",
    "NULs": b"\0" * 100_000 + P + b"\0",
    "one long word": b"<p>" + b"a" * 1_000_000,
    "only <": b"<" * 200_000,
    "only comments": b"<!--" * 100_000,
    "json nested in ld+json": b"<script type='application/ld+json'>" + b"[" * 100_000 + b"</script>" + P,
}


@pytest.mark.timeout(120)
@pytest.mark.parametrize("engine", ["trafilatura", "resiliparse"])
def test_what_passes_the_limits_ends_within_time_and_memory(engine: str) -> None:
    rows = [
        {"id": name, "url": None, "record": None, "payload": payload, "payload_kind": "html"}
        for name, payload in TOLERABLE.items()
    ]
    found = Extract(engine=engine, timeout_s=20)(pa.Table.from_pylist(rows, PAGE))
    reasons = dict(zip(TOLERABLE, found["drop_reason"].to_pylist(), strict=True))
    assert set(reasons.values()) <= {None, "no_text"}, reasons
    assert reasons["a large flat page"] is None
