"""URL parsing by the WHATWG vectors, and the rules against an independent reading of small lists."""

from __future__ import annotations

import gzip
import json

import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from filters.url import UrlFilter, normalise_url, parse_url, registered_domain
from pipeline.errors import ConfigError


def flags(urls, **options):
    return UrlFilter(**options)(pa.table({"url": pa.array(urls, pa.string())}))


def test_whatwg_vectors(shared_data):
    vectors = [v for v in json.loads((shared_data / "urls/wpt_urltestdata.json").read_text()) if isinstance(v, dict)]
    assert len(vectors) > 800
    wrong = []
    for vector in vectors:
        parsed = parse_url(vector["input"], vector.get("base"))
        got = parsed.href if parsed else None
        if got != (None if vector.get("failure") else vector["href"]):
            wrong.append((vector["input"], got))
    assert not wrong


@pytest.mark.parametrize(
    ("url", "want"),
    [
        ("HTTP://EXAMPLE.com:80/a/../b#frag", "http://example.com/b"),
        ("https://bücher.example/ä?q=1", "https://xn--bcher-kva.example/%C3%A4?q=1"),
        ("https://example.com", "https://example.com/"),
        ("http://[::1]:8080/x", "http://[::1]:8080/x"),
        ("no url", None),
    ],
)
def test_normalise(url, want):
    assert normalise_url(url) == want


@pytest.mark.parametrize(
    ("host", "want"),
    [
        ("news.bbc.co.uk", "bbc.co.uk"),
        ("a.b.example.com", "example.com"),
        ("co.uk", None),
        ("192.168.0.1", None),
        ("www.city.kawasaki.jp", "city.kawasaki.jp"),
    ],
)
def test_registered_domain(host, want):
    assert registered_domain(host) == want


def test_blocklists_in_both_layouts(tmp_path):
    ut1 = tmp_path / "ut1" / "malware"
    ut1.mkdir(parents=True)
    (ut1 / "domains").write_text("bad.example\n10.1.2.3\n")
    (ut1 / "urls").write_text("half.example/dirty\n")
    (ut1 / "expressions").write_text("(a|a)*$\n")
    plain = tmp_path / "mine.txt"
    plain.write_text("# a comment\n0.0.0.0 hosts.example\n||adblock.example^$third-party\n*.star.example\n\n")
    packed = tmp_path / "packed.txt.gz"
    packed.write_bytes(gzip.compress(b"zipped.example\n"))
    cases = {
        "http://bad.example/": "blocklist:malware",
        "http://deep.sub.bad.example/x": "blocklist:malware",
        "http://notbad.example/": None,
        "http://10.1.2.3/": "blocklist:malware",
        "http://half.example/clean": None,
        "http://half.example/dirty": "blocklist:malware",
        "http://www.half.example/dirty/more?x=1": "blocklist:malware",
        "http://half.example/dirtyish": None,
        "http://hosts.example/": "blocklist:mine",
        "http://adblock.example/": "blocklist:mine",
        "http://x.star.example/": "blocklist:mine",
        "http://zipped.example/": "blocklist:packed",
        "https://a.bit.ly/xyz": "blocklist:gristmill",
    }
    out = flags(list(cases), blocklists=(str(tmp_path / "ut1"), str(plain), str(packed)))
    assert dict(zip(cases, out["url_flag"].to_pylist(), strict=True)) == cases
    assert out["drop_reason"].to_pylist() == list(cases.values())


def test_words():
    cases = {
        "https://example.com/casino-bonus": "words:gambling",
        "https://sussex.example/adult-education": None,
        "https://adult-dating.example/": "words:adult",
        "https://scunthorpe.example/essex/analysis": None,
        "https://myfreepornhub.example/": "words:adult",
        "https://example.com/buy/viagra?x": "words:spam",
        "https://example.com/casinoroyale": None,
        "::::": "bad_url",
    }
    assert dict(zip(cases, flags(list(cases))["url_flag"].to_pylist(), strict=True)) == cases
    assert flags(list(cases)[:1], words=())["url_flag"].to_pylist() == [None]
    assert flags([None])["drop_reason"].to_pylist() == [None]


def test_own_words(tmp_path):
    file = tmp_path / "tulips.txt"
    file.write_text("Tulip\n")
    assert flags(["http://x.example/tulip", "http://x.example/tulips"], word_files=(str(file),))[
        "url_flag"
    ].to_pylist() == [
        "words:tulips",
        None,
    ]


def test_configuration_errors(tmp_path):
    with pytest.raises(ConfigError, match="does not exist"):
        UrlFilter(blocklists=(str(tmp_path / "no"),)).check()
    with pytest.raises(ConfigError, match="no word lists"):
        UrlFilter(words=("adlut",)).check()


def test_fingerprint_follows_the_list_not_its_path(tmp_path):
    one, two = tmp_path / "a", tmp_path / "b"
    for folder in (one, two):
        folder.mkdir()
        (folder / "list.txt").write_text("x.example\n")
    before = UrlFilter(blocklists=(str(one / "list.txt"),)).fingerprint()
    assert before == UrlFilter(blocklists=(str(two / "list.txt"),)).fingerprint()
    (two / "list.txt").write_text("y.example\n")
    assert before != UrlFilter(blocklists=(str(two / "list.txt"),)).fingerprint()


@given(st.lists(st.text(), max_size=5))
def test_any_text_has_a_verdict(urls):
    clean = [u.encode("utf-8", "replace").decode() for u in urls]
    out = flags(clean)
    assert out.num_rows == len(clean)
    for url, flag in zip(clean, out["url_flag"].to_pylist(), strict=True):
        assert (flag == "bad_url") == (parse_url(url.strip()) is None)


def test_ut1_lists_hit_their_own_entries(shared_data, tmp_path):
    with gzip.open(shared_data / "urls/ut1_categories.jsonl.gz") as handle:
        lines = [json.loads(line) for line in handle]
    category = next(c for c in lines if c["category"] == "agressif" and c["type"] == "domains")
    folder = tmp_path / "agressif"
    folder.mkdir()
    (folder / "domains").write_text("\n".join(category["entries"]))
    urls = [f"http://{entry}/page" for entry in category["entries"] if entry.isascii()]
    hit = flags(urls, blocklists=(str(folder),), words=())["url_flag"].to_pylist()
    assert hit.count("blocklist:agressif") == len(urls) > 100
    assert flags(["http://example.org/"], blocklists=(str(folder),), words=())["url_flag"].to_pylist() == [None]
