"""Which URLs count as one page."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dedup.urls import TRACKING, _parsed_key, url_key

SAME = [
    ("http://www.Example.com:80/a/../b/?b=2&a=1&utm_source=x#frag", "https://example.com/b?a=1&b=2"),
    ("HTTPS://EXAMPLE.com/%7euser/%e4%b8%ad/", "http://example.com/~user/%E4%B8%AD"),
    ("http://example.com/中", "http://example.com/%e4%b8%ad"),
    ("http://müller.de/", "http://xn--mller-kva.de"),
    ("example.com/page", "https://example.com/page/"),
    ("  http://example.com./x\n", "http://example.com/x"),
    ("https://example.com:443//", "http://example.com"),
    ("http://user:secret@example.com/", "http://example.com/"),
    ("http://0x7f.1/", "http://127.0.0.1"),
    ("http://e.com/a;jsessionid=1A2B?q=1", "http://e.com/a?q=1&PHPSESSID=77"),
    ("http://e.com/?", "http://e.com/?&&"),
    ("http://e.com/a?x=%41&fbclid=1", "http://e.com/a?x=A"),
    ("http://e.com/a\tb", "http://e.com/ab"),
]
DIFFERENT = [
    ("http://e.com/a", "http://e.com/A"),
    ("http://e.com/a", "http://e.com/a/index.html"),
    ("http://e.com/?a=1&a=2", "http://e.com/?a=2&a=1"),
    ("http://e.com/?a=1", "http://e.com/?a=2"),
    ("http://e.com/a%2Fb", "http://e.com/a/b"),
    ("http://e.com/#!/a", "http://e.com/#!/b"),
    ("http://e.com/#/a", "http://e.com/"),
    ("http://e.com:8080/", "http://e.com/"),
    ("ftp://e.com/", "http://e.com/"),
    ("http://www.com/", "http://com/"),
    ("http://e.com/a%25b", "http://e.com/a%b5"),
    ("http://e.com/?q=a+b", "http://e.com/?q=a%2Bb"),
]
NONE = [
    None,
    "",
    " ",
    "N/A",
    "-",
    "unknown",
    "localhost/x",
    "mailto:a@b.c",
    "file:///a/b",
    "data:,x",
    "http://",
    "a b.c",
]


@pytest.mark.parametrize(("one", "other"), SAME)
def test_same(one, other):
    assert url_key(one) == url_key(other) is not None


@pytest.mark.parametrize(("one", "other"), DIFFERENT)
def test_different(one, other):
    assert url_key(one) != url_key(other)


@pytest.mark.parametrize("url", NONE)
def test_no_key(url):
    assert url_key(url) is None


def test_tracking_parameters_go_in_any_case():
    for name in [*TRACKING, "utm_x", "UTM_Campaign", "ASPSESSIONIDabc"]:
        assert url_key(f"http://e.com/?{name.upper()}=1&id=2&{name}") == "//e.com?id=2"
    assert {name.lower() for name in TRACKING} == TRACKING


PIECE = st.text(st.sampled_from("abcXY019./-_~:@!$*+,%&=?#;'()é中 |\\"), max_size=12)


@settings(max_examples=1500, deadline=None)
@given(
    st.sampled_from(["http://", "https://", "HTTP://", "ftp://", ""]),
    st.sampled_from(["www.", "", "a-b.", "x--y."]),
    st.sampled_from(["example.com", "e.co.uk", "1.2.3.4", "a", "e.c0m", "a_b.org", "xn--mller-kva.de"]),
    PIECE,
)
def test_the_quick_way_gives_what_the_parser_gives(scheme, sub, host, rest):
    url = f"{scheme}{sub}{host}/{rest}"
    key = url_key(url)
    assert key == _parsed_key(url)
    if key is not None and key.startswith("//"):
        assert url_key(f"http:{key}") == key  # a key is its own normal form
