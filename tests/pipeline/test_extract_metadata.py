"""Title, author, day and language of pages that people wrote down, that we made, and that mean harm."""

from __future__ import annotations

import datetime
import gzip
import hashlib
import json
import re
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.extract.metadata import MAX_AUTHOR_CHARS, MAX_TITLE_CHARS, Metadata, scan, tidy
from pipeline.extract.metadata.dates import day_in_url, find_day, last_day
from pipeline.extract.metadata.language import primary
from pipeline.extract.metadata.names import clean_name, is_name

CRAWL = "2025-01-01T00:00:00Z"


def page(body: str = "", head: str = "", lang: str = "en") -> bytes:
    return f'<html lang="{lang}"><head>{head}</head><body>{body}</body></html>'.encode()


def said(
    body: str = "", head: str = "", lang: str = "en", url: str | None = "https://www.daily-herald.example/a/b"
) -> Metadata:
    return scan(page(body, head, lang), url, CRAWL)


def ld(value: object) -> str:
    text = value if isinstance(value, str) else json.dumps(value)
    return f'<script type="application/ld+json">{text}</script>'


H1 = "<h1>The river rose overnight</h1>"


@pytest.mark.parametrize(("title", "more", "expected"), [
    ("The river rose | Daily Herald", "", "The river rose"),
    ("Daily Herald - The river rose", "", "The river rose"),
    ("The river rose | News", '<meta property="og:site_name" content="News">', "The river rose"),
    ("The river rose - and fell", "", "The river rose - and fell"),
    ("The river | rose", '<meta property="og:title" content="The river">', "The river"),
    ("Rivers: a history", "", "Rivers: a history"),
    ("Daily Herald", "", "Daily Herald"),
])  # fmt: skip
def test_the_sites_name_is_no_part_of_the_title(title: str, more: str, expected: str) -> None:
    assert said(head=f"<title>{title}</title>{more}").title == expected


def test_the_title_is_the_heading_that_the_head_agrees_with() -> None:
    head = '<title>River rose overnight, officials say</title><meta property="og:title" content="The river rose">'
    assert said("<h1>Daily Herald</h1><h1>The river rose overnight</h1><h1>More</h1>", head).title == H1[4:-5]
    assert said("<h1>Subscribe now!</h1>", head).title == "The river rose"
    assert said('<h1 data-x="a > b">The ri<b>ver</b> rose <a href=#x>¶</a></h1>', head).title == "The river rose"


@pytest.mark.parametrize(("body", "expected"), [
    ("<p>By Ada Lovelace</p>", "Ada Lovelace"),
    ("<p>By <a href=/x>Ada Lovelace</a> and <a href=/y>Mary Shelley</a></p><p>London Calling</p>",
     "Ada Lovelace; Mary Shelley"),
    ("<div>Written by<!-- --> <span>Ada Lovelace</span></div>", "Ada Lovelace"),
    ("<p>BY ADA LOVELACE | May 3, 2019</p>", "ADA LOVELACE"),
    ("<div class=post-author><img class=avatar><span>By</span> <b>Ada Lovelace</b>, Staff</div>", "Ada Lovelace"),
    ("<div class=articleByline_x1>Ada King-Noel, 3 May 2019</div>", "Ada King-Noel"),
    ('<span itemprop="author" itemscope><span itemprop="name">ada99</span></span>', "ada99"),
    ('<a href="/authors/ada-lovelace/">Ada Lovelace</a>', "Ada Lovelace"),
    ("<p>Von Ada Lovelace</p>", "Ada Lovelace"),
    ("<p>Par Zoé de La Tour</p>", "Zoé de La Tour"),
    ("<p>Por José García</p>", "José García"),
    ("<p>Di Carlo Rossi</p>", "Carlo Rossi"),
    ("<p>Автор: Анна Ахматова</p>", "Анна Ахматова"),
    ("<p>Autor: Wisława Szymborska</p>", "Wisława Szymborska"),
    ("<p>著者：夏目漱石</p>", "夏目漱石"),
    ("<p>作者：鲁迅</p>", "鲁迅"),
    ("<p>By the time the river rose, it was late.</p>", None),
    ("<p>Von hier aus geht es weiter.</p>", None),
    ("<div class=author-bio>About the people of our town</div>", None),
    ("<div class=author>https://x.example/ada</div>", None),
    ("<div class=author>May 28</div>", None),
    ("<div class=author>Admin</div>", None),
    ('<ol id="comments"><li class=author>Ada Lovelace</li></ol>', None),
])  # fmt: skip
def test_a_byline_at_the_heading(body: str, expected: str | None) -> None:
    assert said(H1 + body).author == expected


@pytest.mark.parametrize(("author", "expected"), [
    ("Ada Lovelace", "Ada Lovelace"),
    ({"@type": "Person", "name": ["Ada Lovelace", "Mary Shelley"]}, "Ada Lovelace; Mary Shelley"),
    ([{"name": "<b>Ada</b> Lovelace"}, {"name": "By Mary Shelley"}], "Ada Lovelace; Mary Shelley"),
    ({"@id": "#ada"}, "Ada Lovelace"),
    ([["x"], 3, None, {"name": {"name": "Ada Lovelace"}}], "Ada Lovelace"),
    ("undefined", None),
    ("https://facebook.example/ada", None),
    ({"name": "Ada &amp;#8217; L"}, "Ada ’ L"),
])  # fmt: skip
def test_authors_of_json_ld(author: object, expected: str | None) -> None:
    graph = [{"@type": "NewsArticle", "headline": "The river rose", "author": author},
             {"@type": "Person", "@id": "#ada", "name": "Ada Lovelace"}]  # fmt: skip
    assert said(head=ld({"@graph": graph})).author == expected


def test_a_site_signs_its_articles_but_not_its_pages() -> None:
    author = '<meta name="author" content="Daily Herald">'
    assert said(H1, author).author is None
    assert said(H1, author + '<meta property="article:published_time" content="2019-05-03">').author == "Daily Herald"
    assert said(H1 + "<p>By Ada Lovelace</p>", author).author == "Ada Lovelace"


@pytest.mark.parametrize(("body", "lang", "expected"), [
    ("<p>Published on May 3, 2019</p>", "en", "2019-05-03"),
    ("<time datetime=2019-05-03T10:00Z>x</time>", "en", "2019-05-03"),
    ('<span class="post-date" title="1556841600000">x</span>', "en", "2019-05-03"),
    ("<p>Updated June 9, 2020</p><p>Published May 3, 2019</p>", "en", "2019-05-03"),
    ("<p>Last updated:</p><p>June 9, 2020</p>", "en", "2020-06-09"),
    ("<p>Joined: May 3, 2009</p>", "en", None),
    ("<p>© May 3, 2009</p>", "en", None),
    ("<p>3/5/2019</p>", "en", None),
    ("<p>3/5/2019</p>", "en-US", "2019-03-05"),
    ("<p>3/5/2019</p>", "en-GB", "2019-05-03"),
    ("<p>3/5/2019</p>", "fr", "2019-05-03"),
    ("<p>25/5/2019</p>", "en", "2019-05-25"),
    ("<p>03.05.2019, 14:12 Uhr</p>", "de", "2019-05-03"),
    ("<p>3. März 2019</p>", "de", "2019-03-03"),
    ("<p>le 1er août 2019 à 10 h</p>", "fr", "2019-08-01"),
    ("<p>3 de mayo de 2019</p>", "es", "2019-05-03"),
    ("<p>03 de março de 2019</p>", "pt", "2019-03-03"),
    ("<p>3 maggio 2019</p>", "it", "2019-05-03"),
    ("<p>3 мая 2019 г.</p>", "ru", "2019-05-03"),
    ("<p>3 października 2019</p>", "pl", "2019-10-03"),
    ("<p>2019年5月3日</p>", "ja", "2019-05-03"),
    ("<p>2019년 5월 3일</p>", "ko", "2019-05-03"),
    ("<p>3 Mayıs 2019</p>", "tr", "2019-05-03"),
    ("<p>The war of 3 May 2009 began on a Sunday, and it was a long time until anyone spoke of it</p>", "en", None),
    ("".join(f"<h2>Entry</h2><p>May {d}, 2019</p>" for d in range(1, 9)), "en", None),
])  # fmt: skip
def test_a_day_at_the_heading(body: str, lang: str, expected: str | None) -> None:
    assert said(H1 + body, lang=lang).published == expected


def test_every_citation_author_counts() -> None:
    names = "".join(f'<meta name="citation_author" content="{n}">' for n in ("Lovelace, Ada", "Shelley, Mary W."))
    assert said(H1, names).author == "Ada Lovelace; Mary W. Shelley"
    assert said("", '<meta content="Up > Down" property="og:title"><title>x</title>').title == "Up > Down"


def test_stated_days_go_before_seen_ones_and_none_after_the_crawl() -> None:
    seen = H1 + "<p>May 9, 2019</p>"
    assert said(seen, '<meta name="DC.Date.Issued" content="2019-05-03">').published == "2019-05-03"
    assert said(seen, ld({"@type": "Article", "datePublished": "2030-01-01"})).published == "2019-05-09"
    assert said(seen, ld({"@type": "WebPage", "datePublished": "2011-01-01"})).published == "2019-05-09"
    assert said(H1, ld({"@type": "WebPage", "datePublished": "2011-01-01"})).published is None
    utc = '<meta property="article:published_time" content="2019-05-04T02:00:00+00:00">'
    assert said(H1, utc, url="https://x.example/2019/05/03/river").published == "2019-05-03"
    assert said(H1, utc, url="https://x.example/2012/05/03/river").published == "2019-05-04"


def test_marks_far_from_the_heading_count_if_they_agree() -> None:
    far = H1 + "<p>word</p>" * 3000
    one = '<time datetime="2019-05-03">x</time><a rel="author">Ada Lovelace</a>'
    found = said(far + one * 2)
    assert (found.author, found.published) == ("Ada Lovelace", "2019-05-03")
    other = said(far + one + one.replace("03", "04").replace("Ada", "Mary"))
    assert (other.author, other.published) == (None, None)
    assert said(far + "<p>Last modified: <time datetime='2019-05-03'>x</time>").published is None


@pytest.mark.parametrize(("head", "expected"), [
    ('<html lang="de-AT">', "de"),
    ("<html xml:lang=pt_BR>", "pt"),
    ('<html lang=""><meta http-equiv="Content-Language" content="fr, en">', "fr"),
    ('<meta property="og:locale" content="ja_JP">', "ja"),
    ('<html lang="jp"><meta property="og:locale" content="ja_JP">', "ja"),
    ('<html lang="iw">', "he"),
    ('<html lang="zh-Hant-TW">', "zh"),
    ('<html lang="{{ locale }}">', None),
    ('<html lang="und">', None),
    (f'<html lang="{"a" * 1_000_000}">', None),
    ("", None),
])  # fmt: skip
def test_language(head: str, expected: str | None) -> None:
    assert scan(head.encode() + b"<title>x</title>").language == expected


def test_primary_tags_are_registered_ones() -> None:
    assert primary("EN_us") == ("en", "en-us")
    assert primary("fil") == ("fil", "fil")
    assert [primary(t)[0] for t in ("cn", "ua", "cz", "english", "e", "", None, "en us x")] == [None] * 8


@settings(max_examples=60, deadline=None)
@given(st.dates(datetime.date(1990, 1, 1), datetime.date(2030, 1, 1)))
def test_every_day_survives_its_own_spelling(day: datetime.date) -> None:
    for spelling in ("%Y-%m-%d", "%B %d, %Y", "%d %b %Y", "%A, %d %B %Y", "%a %b %d %Y", "%Y/%m/%d", "%d.%m.%Y"):
        assert find_day(day.strftime(spelling), None) == day.isoformat(), spelling
    assert find_day(day.strftime("%Y%m%d"), None, machine=True) == day.isoformat()
    seconds = int(datetime.datetime(day.year, day.month, day.day, 12, tzinfo=datetime.UTC).timestamp())
    if seconds > 10**9:
        assert find_day(str(seconds), None, machine=True) == day.isoformat()
        assert find_day(f"{seconds}000", None, machine=True) == day.isoformat()
    assert day_in_url(f"https://x.example/{day:%Y/%m/%d}/a", None) == day.isoformat()


@pytest.mark.parametrize("text", ["9999-12-31", "0000-01-01", "2019-13-01", "2019-02-30", "1889-05-03", "32 May 2019",
                                  "99999999999999999999", "May 2019", "", "version 1.2.2019.4", "０"])  # fmt: skip
def test_what_is_no_day(text: str) -> None:
    assert find_day(text, "2025-01-01", machine=True) is None


def test_a_page_may_be_hours_ahead_of_the_crawl() -> None:
    assert last_day("2019-12-31T20:00:00Z") == "2020-01-01"
    assert last_day("2019-12-31T05:00:00Z") == "2019-12-31"
    assert last_day("9999-12-31T23:00:00Z") == "9999-12-31"
    assert last_day("rubbish") is None


def test_names_lose_what_is_around_them() -> None:
    assert clean_name("Posted by: Ada Lovelace | 3 May 2019") == "Ada Lovelace"
    assert clean_name("<a href='/x'>Ada&nbsp;L.</a>") == "Ada L."
    assert not is_name("How to cook a river") and not is_name("12 345") and is_name("Ludwig van Beethoven")


def test_text_of_fields_is_one_clean_line() -> None:
    assert tidy("a\x00b\u202ec\r\n d&amp;amp;e", 100) == "a bc d&e"
    assert tidy("\ud800x", 10) == "?x"
    assert tidy("می\u200cخواهم", 10) == "می\u200cخواهم"
    assert tidy("\x00 \u200b", 10) is None


BIG = 300_000


@pytest.mark.timeout(60)
@pytest.mark.parametrize("hostile", [
    "<html " * BIG,
    f'<html lang="{"x" * 10 * BIG}"',
    "<head>" + "<meta name=author content=" * BIG,
    "<head>" + '<meta name="date" ' * BIG,
    "<head><meta " + "name=title " * BIG,
    "<title>" * BIG,
    "<h1>" * BIG,
    "<h1 a='" * BIG,
    "<h1>" + "<!--" * BIG + "</h1>",
    "<h1>x</h1>" + "<svg>" * BIG,
    "<h1>x</h1>" + "author date time " * BIG,
    "<h1>x</h1>" + "<a class=author " * BIG,
    "<h1>x</h1>" + "<a class=author>" * BIG,
    "<h1>x</h1>" + "<time datetime=2019-05-03 " * BIG,
    "<h1>x</h1>" + '<a rel="author">' * BIG,
    f"<title>{'a | ' * BIG}</title>",
    f"<title>{'&amp;' * BIG}</title>",
    f"<title>&#{'9' * BIG};</title>",
    ld("[" * BIG),
    ld('{"a":' * BIG),
    ld('{"@graph":[' * BIG),
    ld("[" + '{"@type":"Article","author":"A B"},' * 5000 + "1]"),
    ld({"author": [{"name": "A B"}] * 5000, "headline": "x" * BIG}),
    ld('"author"' * BIG),
    ld("," + " " * BIG + '"author": {"name": "A B"'),
    '<script type="application/ld+json">' * BIG,
    "ld+json<" * BIG,
    "<h1>\x00\ufffd\u202e</h1>" + "\x00" * BIG,
])  # fmt: skip
def test_hostile_pages_take_linear_time(hostile: str) -> None:
    payload = hostile.encode()
    found = scan(payload, "https://x.example/a", CRAWL)
    assert len(found.title or "") <= MAX_TITLE_CHARS and len(found.author or "") <= MAX_AUTHOR_CHARS
    assert scan(payload, "https://x.example/a", CRAWL) == found


@settings(max_examples=150, deadline=None)
@given(st.lists(st.sampled_from([
    b"<", b">", b"</", b"h1", b"<h1>", b"</h1>", b"<meta ", b"name=", b'"', b"'", b"author", b"content=", b"By Ada B",
    b"<time datetime=", b"2019-05-03", b"<script type=application/ld+json>", b"</script>", b'{"author":', b"{", b"}",
    b"<!--", b"-->", b"\x00", b"\xff", b"&#x110000;", b"<html lang=", b"class=byline", b" ", b"\n", b"|", b"<title>",
]), max_size=60))  # fmt: skip
def test_nothing_raises(parts: list[bytes]) -> None:
    found = scan(b"".join(parts), "http://[x", "not a date")
    for value in (found.title, found.author):
        assert value is None or (value == value.strip() and not re.search(r"[\x00-\x1f\x7f-\x9f]", value) and value)
    assert found.published is None or datetime.date.fromisoformat(found.published)


def test_every_truncation_of_a_page_gives_something(shared_data: Path) -> None:
    whole = page(
        H1 + "<p>By Ada Lovelace</p><time datetime=2019-05-03>", ld({"headline": "The river rose", "author": "A B"})
    )
    for end in range(len(whole) + 1):
        found = scan(whole[:end], "https://x.example/a", CRAWL)
        assert found.published in (None, "2019-05-03") and found.author in (None, "A B", "Ada Lovelace", "Ada")


def test_against_annotations(shared_data: Path) -> None:
    """WCXB: most authors right where given, few authors and days for pages that people found none on."""
    from fastwarc.warc import ArchiveIterator, WarcRecordType

    from pipeline.extract.charset import decode

    with gzip.open(shared_data / "html" / "gold" / "wcxb.jsonl.gz") as lines:
        gold = {row["sha1"]: row for row in map(json.loads, lines)}
    with_author = right = without = invented_author = undated = invented_day = 0
    with open(shared_data / "html" / "wcxb.warc.gz", "rb") as stream:
        for i, record in enumerate(ArchiveIterator(stream, WarcRecordType.response)):
            if i % 5:
                continue
            payload = record.reader.read()
            row = gold[hashlib.sha1(payload).hexdigest()]
            found = scan(decode(payload).text.encode(), row["url"])
            if row["author"]:
                theirs, ours = (set(re.findall(r"\w+", x.casefold())) for x in (row["author"], found.author or ""))
                with_author, right = with_author + 1, right + (len(theirs & ours) * 2 > len(theirs | ours))
            else:
                without, invented_author = without + 1, invented_author + (found.author is not None)
            if not row["date"]:
                undated, invented_day = undated + 1, invented_day + (found.published is not None)
    assert with_author > 100 and right / with_author > 0.68, (right, with_author)
    assert invented_author / without < 0.15 and invented_day / undated < 0.18, (invented_author, invented_day, undated)
