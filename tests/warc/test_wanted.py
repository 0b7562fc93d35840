"""Domains and patterns: which URLs they take, against plain Python; index ranges never leave a wanted URL out."""

from __future__ import annotations

import fnmatch
import itertools
import re
import urllib.parse

import pyarrow as pa
import pyarrow.compute as pc
import pytest

from pipeline.errors import ConfigError
from pipeline.warc.commoncrawl.wanted import Query, wanted
from tests.commoncrawl_server import surt

HOSTS = ["example.org", "www.example.org", "a.example.org", "x.a.example.org", "notexample.org", "example.org.evil.net"]
HOSTS += ["EXAMPLE.org", "example.com", "sub-example.org", "1.2.3.4", "www2.shop.example.org", "xn--bcher-kva.example"]
PATHS = [
    "",
    "/",
    "/blog",
    "/blog/",
    "/blog/a",
    "/Blog/a",
    "/blogger",
    "/a?b=/blog/",
    "/x/../blog/a",
    "/b.html",
    "//blog/a",
]
URLS = [f"{s}://{h}{port}{p}" for s in ("http", "https") for h in HOSTS for p in PATHS for port in ("", ":8080")]


def taken(domains: list[str], urls: list[str]) -> set[str]:
    """The URLs that the regex takes; all of them lie in a range, and in what a CDX query gives."""
    want = wanted(domains, urls)
    found = {
        u for u, ok in zip(URLS, pc.match_substring_regex(pa.array(URLS), want.regex).to_pylist(), strict=True) if ok
    }
    for url in found:
        key = surt(url)
        if ":8080" in url:
            key = key.replace(")", ":8080)", 1)
        assert want.may_hold(key, key), (url, key, want.ranges)
        if ":" not in key.partition(")")[0]:
            assert any(cdx_gives(query, key) for query in want.queries), (url, want.queries)
    return found


def cdx_gives(query: Query, key: str) -> bool:
    mine = surt(query.url)
    if query.match == "domain":
        host = mine.partition(")")[0]
        return key.startswith((host + ")", host + ","))
    return key.startswith(mine if not mine.endswith(")/") else mine[:-1])


def host_of(url: str) -> str:
    return (urllib.parse.urlsplit(url).hostname or "").lower()


@pytest.mark.parametrize("domain", ["example.org", "a.example.org", "Example.ORG", "org", "www.example.org", "1.2.3.4"])
def test_domain_is_the_host_and_all_below(domain: str) -> None:
    name = domain.lower()
    assert taken([domain], []) == {u for u in URLS if host_of(u) == name or host_of(u).endswith("." + name)}


def test_international_domain() -> None:
    assert taken(["bücher.example"], []) == {u for u in URLS if host_of(u) == "xn--bcher-kva.example"}


PATTERNS = [
    "*.example.org/*",
    "example.org/blog/*",
    "https://example.org/*",
    "http://*.example.org/blog*",
    "example.org/b*l",
]
PATTERNS += ["example.org:8080/*", "example.org/b*l", "*.example.org/*?b=*", "example.org/blog"]
PATTERNS += ["a.example.org", "www.example.org/blog/a"]


@pytest.mark.parametrize("pattern", PATTERNS)
def test_pattern_against_fnmatch(pattern: str) -> None:
    """The same by the standard library's wildcards over the URL written out in parts."""
    scheme, _, rest = pattern.rpartition("://")
    place, slash, path = rest.partition("/")
    port = place.partition(":")[2]
    name = place.partition(":")[0].removeprefix("*.")

    def matches(url: str) -> bool:
        parts = urllib.parse.urlsplit(url)
        host = host_of(url)
        tail = url.partition("://")[2].partition("/")[2] if parts.path else ""
        if scheme and parts.scheme != scheme:
            return False
        if port and str(parts.port or "") != port:
            return False
        if not (host == name or (place.startswith("*.") and host.endswith("." + name))):
            return False
        wild = "".join(f"[{c}]" if c in "?[" else c for c in path) if slash else "*"
        if not parts.path:
            return not wild.strip("*")
        return fnmatch.fnmatchcase(tail, wild)

    # a URL without any path is that of the root; a pattern that asks for more of the path can't take it
    expected = {u for u in URLS if matches(u)}
    found = taken([], [pattern])
    bare = {u for u in URLS if re.fullmatch(r"\w+://[^/]*", u)}
    assert found - bare == expected - bare
    assert found


def test_several_are_joined() -> None:
    one, two = taken(["a.example.org"], []), taken([], ["example.com/blog*"])
    assert taken(["a.example.org"], ["example.com/blog*"]) == one | two and one and two


def test_wildcards_within_a_host() -> None:
    assert {host_of(u) for u in taken([], ["*example.org/*"])} == {
        "example.org", "www.example.org", "a.example.org", "x.a.example.org", "notexample.org", "sub-example.org",
        "www2.shop.example.org",
    }  # fmt: skip


@pytest.mark.parametrize("wrong", ["*/blog", "*", "example.*/x", "http://", "exa mple.org", "a..b", "@x/y", ""])
def test_patterns_that_cannot_be_looked_up(wrong: str) -> None:
    with pytest.raises(ConfigError, match="host|pattern"):
        wanted([], [wrong])


def test_nothing_wanted() -> None:
    with pytest.raises(ConfigError):
        wanted([], [])


def test_ranges_are_narrow_and_apart() -> None:
    want = wanted(["example.org", "b.example.org"], ["example.org/blog/*"])
    assert not want.may_hold("org,examplf)", "org,zz)") and not want.may_hold("com,", "org,exampld)")
    assert want.may_hold("a", "z") and want.may_hold(None, None)
    assert all(a[1] < b[0] for a, b in itertools.pairwise(want.ranges))
    path = wanted([], ["example.org/blog/*"])
    assert path.may_hold("org,example)/blog", "org,example)/blog")
    assert not path.may_hold("org,example)/c", "org,example)/d")


def test_hostile_patterns_stay_linear() -> None:
    """RE2 has no blow-up: many wildcards over a long URL are settled at once."""
    want = wanted([], ["example.org/" + "a*" * 500 + "b"])
    url = "http://example.org/" + "a" * 100_000
    assert pc.match_substring_regex(pa.array([url]), want.regex).to_pylist() == [False]
