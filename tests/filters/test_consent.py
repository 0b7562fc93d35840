"""Reservations and licences: the specifications' own examples, an HTML parser as the oracle, hostile pages."""

from __future__ import annotations

import json
import re
import time

import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from filters.consent import Consent
from filters.license import License
from filters.markup import tdm
from filters.markup.page import Findings, read_payload
from filters.markup.robots import parse_header, parse_meta
from pipeline.errors import ConfigError, SchemaError
from pipeline.recipe import build
from pipeline.schema import PAGE
from pipeline.stage import DROP_REASON, split

DEEP = "https://example.org/a/b.html"


def read(html, content_type="text/html", url=DEEP):
    found = Findings()
    read_payload(found, html.encode() if isinstance(html, str) else html, content_type, url)
    return found


def said(html, **kwargs):
    return [(r.agent, r.says) for r in read(html, **kwargs).reservations]


def pages(*rows):
    made = []
    for i, row in enumerate(rows):
        record = {k: v for k, v in row.items() if k not in ("html", "url", "kind")}
        made.append(
            {
                "id": str(i),
                "url": row.get("url", DEEP),
                "record": {"content_type": "text/html", **record},
                "payload": row.get("html", "<p>text</p>").encode(),
                "payload_kind": row.get("kind", "html"),
            }
        )
    return pa.Table.from_pylist(made, PAGE)


def reasons(stage, *rows):
    return stage(pages(*rows))[DROP_REASON].to_pylist()


NOAI = '<meta name="robots" content="noai">'


# --- robots directives -------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("value", "want"),
    [
        ("noindex", [("*", "noindex")]),
        ("noai, noimageai", [("*", "noai"), ("*", "noimageai")]),
        ("googlebot: nofollow", []),
        ("googlebot: nofollow, otherbot: noindex, nofollow", [("otherbot", "noindex")]),  # Google's example, joined
        ("googlebot: noindex, noarchive", [("googlebot", "noindex"), ("googlebot", "noarchive")]),
        ("BadBot: NoIndex", [("badbot", "noindex")]),
        ("max-snippet: 0, noarchive", [("*", "max-snippet:0"), ("*", "noarchive")]),
        ("max-snippet:50, max-image-preview: large", []),
        ("unavailable_after: 25 Jun 2010 15:00:00 PST, none", [("*", "none")]),
        ("unavailable_after: Wednesday, 25-Jun-10 15:00:00 PST", []),
        ("", []),
        ("index, follow, noaim", []),
        (",,::, :noai", []),
    ],
)
def test_x_robots_tag(value, want):
    assert [(d.agent, d.says) for d in parse_header(value)] == want


@pytest.mark.parametrize(
    ("name", "content", "want"),
    [
        ("robots", "NOAI", [("*", "noai")]),
        ("Robots", "noindex,nofollow max-snippet: 0;noarchive", ["noindex", "max-snippet:0", "noarchive"]),
        ("GPTBot", "noindex", [("gptbot", "noindex")]),
        ("Google-Extended", "none", [("google-extended", "none")]),
        ("newbot", "nosnippet", [("newbot", "nosnippet")]),
        ("description", "noindex", []),
        ("robots", "index, all", []),
    ],
)
def test_meta_robots(name, content, want):
    got = [(d.agent, d.says) for d in parse_meta(name, content)]
    assert got == [w if isinstance(w, tuple) else ("*", w) for w in want]


def test_which_directives_drop():
    default = Consent()
    rows = [{"x_robots_tag": v} for v in ("noai", "noimageai", "noindex", "none", "googlebot: noai", "nosnippet")]
    assert reasons(default, *rows) == ["noai", None, None, None, "noai", None]
    assert reasons(Consent(directives=("noindex",)), *rows) == [None, None, "noindex", "none", None, None]
    assert reasons(Consent(directives=("none",)), *rows) == [None, None, None, "none", None, None]
    assert reasons(Consent(directives=("noimageai", "nosnippet")), *rows)[1::4] == ["noimageai", "nosnippet"]
    assert reasons(Consent(directives=()), *rows) == [None] * 6


def test_directives_for_named_agents():
    stage = Consent(directives=("noindex", "noarchive"))
    rows = [{"x_robots_tag": "googlebot: noindex, noarchive"}, {"x_robots_tag": "gptbot: noindex"}]
    rows += [{"html": '<meta content="noindex" name="CCBot">'}, {"html": '<meta name="bingbot" content="noarchive">'}]
    assert reasons(stage, *rows) == [None, "noindex", "noindex", None]
    assert reasons(Consent(directives=("noarchive",), agents=("BingBot",)), *rows) == [None, None, None, "noarchive"]


def test_mark_keeps_everything_and_scores_alike():
    docs = pages({"x_robots_tag": "noai"}, {"html": NOAI}, {})
    drop, mark = Consent()(docs), Consent(action="mark")(docs)
    assert mark[DROP_REASON].null_count == 3 and drop[DROP_REASON].to_pylist() == ["noai", "noai", None]
    assert drop.drop_columns([DROP_REASON]).equals(mark.drop_columns([DROP_REASON]), check_metadata=True)
    assert mark["consent"].to_pylist()[:2] == [
        [{"where": "header", "agent": "*", "says": "noai"}],
        [{"where": "meta", "agent": "*", "says": "noai"}],
    ]


# --- TDMRep ------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("row", "why"),
    [
        ({"tdm_reservation": "1"}, "tdm_reservation"),
        ({"tdm_reservation": "0"}, None),
        ({"tdm_reservation": "2"}, None),  # not in the protocol: unset
        ({"tdm_reservation": "0, 1"}, "tdm_reservation"),
        ({"tdm_policy": "https://provider.example/policy.json"}, None),
        ({"html": '<meta name="tdm-reservation" content="1">'}, "tdm_reservation"),
        ({"html": '<META CONTENT=1 NAME=TDM-Reservation>'}, "tdm_reservation"),
        ({"tdm_reservation": "1", "html": '<meta name="tdm-reservation" content="0">'}, None),
        ({"tdm_reservation": "0", "html": '<meta name="tdm-reservation" content="1">'}, "tdm_reservation"),
    ],
)  # fmt: skip
def test_tdm_reservation(row, why):
    assert reasons(Consent(), row) == [why]
    assert reasons(Consent(tdm=False), row) == [None]


def test_tdm_policy_is_noted():
    html = '<meta name="tdm-reservation" content="1"><meta name="tdm-policy" content="https://p.example/policy.json">'
    assert said(html) == [("*", "tdm-reservation=1"), ("*", "tdm-policy=https://p.example/policy.json")]


RULES = [
    {"location": "/directory-a/", "tdm-reservation": 1, "tdm-policy": "https://provider.example/policies/a.json"},
    {"location": "/directory-b/html/*.js", "tdm-reservation": 1},
    {"location": "/directory-b/images/*.jpg$", "tdm-reservation": "1"},
    {"location": "/directory-a/free/", "tdm-reservation": 0},
    {"location": 3, "tdm-reservation": 1},
    {"location": "/unset", "tdm-reservation": 7},
    "no rule",
]


@pytest.mark.parametrize(
    ("path", "want"),
    [
        ("/directory-a/page.html", 1),
        ("/directory-a/free/page.html", 0),
        ("/directory-b/html/x/script.js?v=2", 1),
        ("/directory-b/images/a.jpg", 1),
        ("/directory-b/images/a.jpg?big", None),
        ("/elsewhere", None),
        ("/unset", None),
    ],
)
def test_tdmrep_json(path, want):
    rule = tdm.match_rule(tdm.parse_rules(RULES), path)
    assert (rule.reservation if rule else None) == want


@given(st.text("ab/*$", max_size=8), st.text("ab/", max_size=10))
@settings(max_examples=300, deadline=None)
def test_patterns_match_as_a_plain_regular_expression_does(location, path):
    location, path = "/" + location, "/" + path
    end = r"\Z" if location.endswith("$") else ""
    plain = re.compile("".join(".*" if c == "*" else re.escape(c) for c in location.removesuffix("$")) + end, re.S)
    rules = [tdm.Rule(location, 1, None)]
    assert (tdm.match_rule(rules, path) is not None) == (plain.match(path) is not None)


def test_a_hostile_pattern_takes_no_time():
    start = time.process_time()
    tdm.match_rule([tdm.Rule("/" + "a*" * 40 + "b$", 1, None)], "/" + "a" * 5000)
    assert time.process_time() - start < 1


def test_a_sites_file_counts_where_header_and_page_are_silent(tmp_path):
    file = tmp_path / "tdmrep.json"
    file.write_text(json.dumps({"Example.org": RULES}))
    stage = Consent(tdmrep_files=(str(file),))
    stage.check()
    reserved, other = "https://example.org/directory-a/x", "https://example.com/directory-a/x"
    rows = [{"url": reserved}, {"url": other}, {"url": reserved, "tdm_reservation": "0"}]
    assert reasons(stage, *rows) == ["tdm_reservation", None, None]
    before = stage.fingerprint()
    file.write_text("{}")
    tdm.read_files.cache_clear()
    assert stage.fingerprint() != before
    file.write_text("[")
    tdm.read_files.cache_clear()
    with pytest.raises(ConfigError, match="tdmrep_files"):
        stage.check()


def test_files_are_collected_from_a_crawl(tmp_path):
    from warcio.statusandheaders import StatusAndHeaders
    from warcio.warcwriter import WARCWriter

    def add(writer, url, body, kind):
        import io

        head = StatusAndHeaders("200 OK", [("Content-Type", kind)], protocol="HTTP/1.1")
        writer.write_record(writer.create_warc_record(url, "response", payload=io.BytesIO(body), http_headers=head))

    with open(tmp_path / "crawl.warc.gz", "wb") as handle:
        writer = WARCWriter(handle, gzip=True)
        add(writer, "https://a.example/.well-known/tdmrep.json", json.dumps(RULES).encode(), "application/json")
        add(writer, "https://b.example/.well-known/tdmrep.json", b"{broken", "application/json")
        add(writer, "https://c.example/data.json", b"[]", "application/json")
        add(writer, "https://a.example/", b"<html><p>page</p></html>", "text/html")
    assert tdm.collect([str(tmp_path / "crawl.warc.gz")]) == {"a.example": RULES}


# --- markup ------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "html",
    [
        "<meta name=robots content=noai>",
        "<META CONTENT='NOAI' NAME='ROBOTS'/>",
        "<meta\n\tname\n=\n'robots'\fcontent = noai >",
        "<meta/name='robots'/content='noai'>",
        '<meta content="noai" data-x="a > b" name="robots">',
        '<meta data-x="it\'s > that" name="robots" content="noai">',
        '<meta name="robots" content="no&#97;i">',
        '<meta name="&#114;obots" content="noai">',
        '<meta name="robots" name="other" content="noai" content="all">',
        '<meta name="robots"" content="noai">',
        "<body><div>text<meta name=robots content='follow, noai'></div></body>",
        "<!-->" + NOAI,
        "<!-- <meta name=robots content=none> -->" + NOAI,
        "<script>var a = '<!--';</script>" + NOAI,
        "<title>a <b></title>" + NOAI,
        "<noscript>" + NOAI + "</noscript>",
        "<meta charset=utf-8>" * 3000 + NOAI,
        '<meta http-equiv="X-Robots-Tag" content="noai">',
    ],
)
def test_meta_tags_are_read_however_they_are_written(html):
    assert ("*", "noai") in said(html)


@pytest.mark.parametrize(
    "html",
    [
        f"<!-- {NOAI} -->",
        f"<!-- never closed {NOAI}",
        f"<script>document.write('{NOAI}')</script>",
        f"<SCRIPT type='a>b'>{NOAI}</SCRIPT>",
        f"<textarea>{NOAI}</textarea>",
        f"<title>{NOAI}</title>",
        f"<style>{NOAI}</style>",
        f"<iframe>{NOAI}</iframe>",
        "<p>robots: noai</p>",
        '<meta name="description" content="robots noai">',
        "&lt;meta name=robots content=noai&gt;",
        '<metadata name="robots" content="noai">',
    ],
)
def test_what_shows_no_markup_says_nothing(html):
    assert said(html) == []


@pytest.mark.parametrize("charset", ["utf-16", "utf-16-le", "utf-16-be", "utf-8-sig", "shift_jis", "cp1251"])
def test_every_charset(charset):
    html = f"<html><head>{NOAI}</head><body>" + "<p>text</p>" * 20
    assert said(html.encode(charset), content_type=f"text/html; charset={charset.removesuffix('-sig')}") == [
        ("*", "noai")
    ]


# --- licences ----------------------------------------------------------------------------------------

BY = "https://creativecommons.org/licenses/by/4.0/"
SA = "https://creativecommons.org/licenses/by-sa/3.0/"


@pytest.mark.parametrize(
    ("html", "want"),
    [
        (f'<link rel="license" href="{BY}">', "CC-BY-4.0"),
        (f'<a rel="license noopener" href="{SA}">CC</a>', "CC-BY-SA-3.0"),
        (f"<A HREF='{SA}' REL=LICENSE>CC</A>", "CC-BY-SA-3.0"),
        (f'<a href="{BY}">a link alone says nothing</a>', None),
        (f'<!-- <a rel="license" href="{BY}"> -->', None),
        ('<a rel="license" href="/terms">terms</a>', "https://example.org/terms"),
        (f'<link rel="copyright" href="{SA}">', "CC-BY-SA-3.0"),
        ('<link rel="copyright" href="/imprint">', None),
        (f'<meta name="DC.rights" content="{BY}">', "CC-BY-4.0"),
        ('<meta name="dcterms.license" content="https://own.example/l">', "https://own.example/l"),
        ('<meta name="copyright" content="2020 A. Author">', None),
        (f'<span property="cc:license" resource="{BY}"></span>', "CC-BY-4.0"),
        (f'<div itemscope><a itemprop="license" href="{BY}">x</a></div>', "CC-BY-4.0"),
        (f'<div itemscope itemtype="https://schema.org/ImageObject"><a itemprop=license href="{BY}"></a></div>', None),
        (f'<figure><img src=a><a rel="license" href="{BY}">photo</a></figure>', None),
        (f'<figure><img></figure><a rel="license" href="{BY}">page</a>', "CC-BY-4.0"),
        (f'<a about="photo.jpg" rel="license" href="{BY}">photo</a>', None),
        (f'<a rel="license" href="{BY}"></a><a rel="license" href="{BY}deed.de"></a>', "CC-BY-4.0"),
        (f'<a rel="license" href="{BY}"></a><a rel="license" href="{SA}"></a>', "several"),
        (f'<a rel="license" href="{BY}"></a><link rel="license" href="{SA}">', "CC-BY-SA-3.0"),
        (f'<script type="application/ld+json">{{"@type": "Article", "license": "{BY}"}}</script>', "CC-BY-4.0"),
        (f'<script type="application/ld+json">{{"license": {{"@id": "{BY}"}}}}</script>', "CC-BY-4.0"),
        (f'<script type="application/ld+json">{{"@type": "ImageObject", "license": "{BY}"}}</script>', None),
        (f'<script>{{"license": "{BY}"}}</script>', None),
        ('<script type="application/ld+json">{"license": [[[[', None),
        ('<!-- <rdf:RDF xmlns="http://web.resource.org/cc/"><Work rdf:about=""><license '
         'rdf:resource="http://creativecommons.org/licenses/by-nc/2.0/" /></Work></rdf:RDF> -->', "CC-BY-NC-2.0"),
    ],
)  # fmt: skip
def test_the_pages_licence(html, want):
    assert read(html).license() == want


def test_embedded_marks_stay_visible():
    marks = read(f'<figure><a rel="license" href="{BY}">photo</a></figure><link rel=license href="{SA}">').marks
    assert {(m.where, m.license, m.level) for m in marks} == {
        ("a", "CC-BY-4.0", "embedded"),
        ("link", "CC-BY-SA-3.0", "page"),
    }


@pytest.mark.parametrize(
    ("link", "want"),
    [
        (f'<{BY}>; rel="license"', "CC-BY-4.0"),
        (f'</style.css>; rel=preload; as="a,b", <{SA}>; title="x; rel=y"; rel="describedby license"', "CC-BY-SA-3.0"),
        (f'<{BY}>; rel=license; anchor="/photo.jpg"', None),
        (f'<{BY}>; rel="nolicense"', None),
        ("<", None),
        ('</terms>; rel="license"', "https://example.org/terms"),
    ],
)
def test_link_headers(link, want):
    assert Consent()(pages({"link": link}))["license"].to_pylist() == [want]


# --- the stages --------------------------------------------------------------------------------------


def test_documents_without_payload_go_by_their_headers():
    docs = pages({"x_robots_tag": "noai"}, {"html": NOAI}, {"link": f"<{BY}>; rel=license"})
    docs = docs.drop_columns(["payload", "payload_kind"])
    out = Consent(markup=False)(docs)
    assert out[DROP_REASON].to_pylist() == ["noai", None, None]
    assert out["license"].to_pylist() == [None, None, "CC-BY-4.0"]
    with pytest.raises(SchemaError, match="payload"):
        build({"source": {"warc": {"inputs": ["sample"]}}, "steps": ["extract", "consent"]})
    build({"source": {"warc": {"inputs": ["sample"]}}, "steps": ["extract", {"consent": {"markup": False}}]})


def test_plain_text_pages_nulls_and_empty_tables():
    docs = pages({"html": NOAI, "kind": "text"}, {})
    record = pa.array([None, None], PAGE.field("record").type)
    docs = docs.set_column(docs.column_names.index("record"), "record", record)
    docs = docs.set_column(docs.column_names.index("url"), "url", pa.nulls(2, pa.string()))
    out = Consent()(docs)
    assert out["consent"].to_pylist() == [[], []] and out["license"].null_count == 2
    empty = Consent()(PAGE.empty_table())
    assert empty.schema.equals(out.schema) and empty.num_rows == 0


def test_scores_are_taken_over_when_only_the_decision_changes():
    docs = pages({"x_robots_tag": "noai"})
    scored, _ = split(Consent(action="mark")(docs), Consent())
    assert Consent(directives=("noindex",)).has_score(scored)
    assert Consent().scored(scored) is scored
    assert not Consent(markup=False).has_score(scored)


def test_license_filter():
    docs = pa.table({"license": ["CC-BY-4.0", "CC-BY-SA-3.0", "CC-BY-NC-4.0", None, "https://e.org/t", "several"]})
    got = License(require=("CC-BY-[0-9]*", "cc-by-sa-*"), exclude=("CC-BY-SA-3.0",))(docs)[DROP_REASON].to_pylist()
    assert got == [None, "license_excluded", "license_other", "license_missing", "license_other", "license_other"]
    assert License(exclude=("*-NC-*",))(docs)[DROP_REASON].to_pylist() == [
        None,
        None,
        "license_excluded",
        None,
        None,
        None,
    ]


@pytest.mark.parametrize(
    ("stage", "options", "message"),
    [
        ("consent", {"action": "delete"}, "drop or mark"),
        ("consent", {"directives": ["noia"]}, "did you mean 'noai'"),
        ("consent", {"agents": [""]}, "user agent tokens"),
        ("consent", {"tdmrep_files": ["nowhere.json"]}, "nowhere.json"),
        ("license", {}, "require"),
    ],
)
def test_mistakes_are_found_before_a_run(stage, options, message):
    with pytest.raises(ConfigError, match=message):
        build({"source": {"warc": {"inputs": ["sample"]}}, "steps": [{"consent": {}}, {stage: options}, "extract"]})


# --- hostile and random pages ------------------------------------------------------------------------


@pytest.mark.parametrize(
    "unit",
    ["<meta ", "<meta name=robots content='", '<a rel="license" ', "license", "<!--", "<script>", "</script", "<",
     '"', "<figure>license", "<meta name=bot content=noai>", "&#97;", "<title", "<!--license", "<style>license"],
)  # fmt: skip
def test_hostile_pages_take_linear_time(unit):
    start = time.process_time()
    read((unit * (1_000_000 // len(unit)))[:1_000_000])
    assert time.process_time() - start < 6  # quadratic work would take minutes


@given(st.binary(max_size=300))
@settings(max_examples=200, deadline=None)
def test_any_bytes_are_read(payload):
    read(b"<meta name=robots " + payload + b"license" + payload, content_type=None)


PIECES = ["<meta name=robots content=noai>", "<meta content='noindex' name='googlebot'>", "<!--", "-->", "<script>",
          "</script>", "<style>", "</style>", "<p>", "</p>", " text ", "<meta name='tdm-reservation' content='1'>",
          "<title>", "</title>", "<a rel='license' href='/l'>", "</a>", "<meta name=description content='noai'>",
          "<textarea>", "</textarea>", "<noscript>", "</noscript>", "<b title='>'>", "&lt;"]  # fmt: skip


def by_parser(html):
    """(agent, directive) of visible metas and hrefs of rel=license, by lexbor, a WHATWG parser."""
    from resiliparse.parse.html import HTMLTree

    tree = HTMLTree.parse(html)
    found, licenses = set(), set()
    for meta in tree.document.query_selector_all("meta[name]"):
        name, content = (meta.getattr("name") or ""), (meta.getattr("content") or "")
        found |= {(d.agent, d.says) for d in parse_meta(name, content)}
        if name.strip().lower() == "tdm-reservation" and content.strip() in ("0", "1"):
            found.add(("*", f"tdm-reservation={content.strip()}"))
    for one in tree.document.query_selector_all("a[rel][href], link[rel][href], area[rel][href]"):
        if "license" in one.getattr("rel").lower().split() and one.getattr("href").strip():
            licenses.add(one.getattr("href").strip()[:1000])
    return found, licenses


def by_us(found):
    robots = {(r.agent, r.says) for r in found.reservations if r.where == "meta" and "policy" not in r.says}
    return robots, {m.href for m in found.marks if m.where in ("a", "link")}


@given(st.lists(st.sampled_from(PIECES), max_size=14))
@settings(max_examples=400, deadline=None)
def test_visible_tags_are_those_of_a_parser(pieces):
    html = "<body>" + "".join(pieces) + "</body>"
    assert by_us(read(html)) == by_parser(html)


def test_real_pages_give_what_a_parser_gives(shared_data):
    from pipeline.extract.charset import decode
    from pipeline.warc import list_sources, plan_splits, read_pages

    checked = hits = 0
    for name in ("trafilatura", "fundus", "ota_recrawl"):
        for one in plan_splits(list_sources([str(shared_data / "html" / f"{name}.warc.gz")]), split_bytes=1 << 40):
            for batch in read_pages(one):
                for row in batch.table.to_pylist():
                    if not re.search(rb"licen|robots|tdm-|bot\b", row["payload"], re.I):
                        continue
                    text = decode(row["payload"], row["record"]["content_type"]).text
                    ours = by_us(read(row["payload"], row["record"]["content_type"], row["url"]))
                    assert ours == by_parser(text), row["url"]
                    checked += 1
                    hits += bool(ours[0]) + bool(ours[1])
    assert checked > 400 and hits > 50
