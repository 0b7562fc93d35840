"""The scanner's reading of HTML: hand-made cases, and lexbor's tree as oracle on real pages."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from pipeline.extract.native import scan as s
from pipeline.extract.native import tables as t
from pipeline.extract.native.page import Page, scan_page
from tests.pipeline.native.soup import check


def blocks(source: str) -> list[str]:
    page = scan_page(source.encode())
    check(page)
    return [page.block_text(k) for k in range(len(page.blocks))]


@pytest.mark.parametrize(
    ("source", "expected"),
    [
        # white space and invisible characters
        ("<p> a \n\t b </p>", ["a b"]),
        ("<p>a&nbsp;&nbsp;b\u00a0c\u3000d\u2009e", ["a b c d e"]),
        ("<p>soft\u00adhy&shy;phen zero\u200bwidth \ufeffbom", ["softhyphen zerowidth bom"]),
        ("<p>\u0645\u06cc\u200c\u062e\u0648\u0627\u0647\u0645", ["\u0645\u06cc\u200c\u062e\u0648\u0627\u0647\u0645"]),
        ("<p>\u0e44\u0e17\u0e22\u200b\u0e20\u0e32\u0e29\u0e32", ["\u0e44\u0e17\u0e22\u200b\u0e20\u0e32\u0e29\u0e32"]),
        ("<p>\u1781\u17d2\u1798\u17c2\u179a", ["\u1781\u17d2\u1798\u17c2\u179a"]),
        ("<p>\u4e2d\u6587\u3002<b>\u5b57</b>", ["\u4e2d\u6587\u3002\u5b57"]),
        ("<p dir=rtl>\u05e9\u05dc\u05d5\u05dd <b>x</b>", ["\u05e9\u05dc\u05d5\u05dd x"]),
        ("<p>a\x00b\x01c", ["abc"]),
        # inline and block
        ("a<b>b</b>c <i> d</i>", ["abc d"]),
        ("<div>a<p>b</p>c</div>d", ["a", "b", "c", "d"]),
        ("a<br>b", ["a\nb"]),
        ("a<br><br/>b", ["a", "b"]),
        ("a<br> <!-- --> <br>b", ["a", "b"]),
        ("a</br>b", ["a\nb"]),
        ("a<hr>b<wbr>c", ["a", "bc"]),
        ("<pre>\n  a\n\n    b  c\n</pre>", ["  a\n\n    b  c"]),
        ("<pre>a<br><br>b</pre>", ["a\nb"]),
        # end tags left out, nesting broken
        ("<p>a<p>b<div>c", ["a", "b", "c"]),
        ("<ul><li>a<li>b<ul><li>c</ul>d</ul>", ["a", "b", "c", "d"]),
        ("<dl><dt>a<dd>b<dt>c<dd>d", ["a", "b", "c", "d"]),
        ("<table><tr><td>a<td>b<tr><th>c<td>d</table>e", ["a", "b", "c", "d", "e"]),
        ("<table><tr><td><table><tr><td>a</table>b</table>c", ["a", "b", "c"]),
        ("<select><option>a<option>b</select>c", ["a", "b", "c"]),
        ("<b><p>a</b>b</p>c", ["ab", "c"]),
        ("<a href=1>a<a href=2>b</a>c", ["abc"]),
        ("</p></div></b></x-y>a", ["a"]),
        # attributes
        ("<p title='a>b'>c", ["c"]),
        ('<p title="a>b"class=x id=y>c', ["c"]),
        ("<p a=1b=2 / c>d", ["d"]),
        ("<p title='never closed>a</p>b", ["a", "b"]),
        ('<p title="never closed>a<p title=">b', ["b"]),
        ("<a href=x/>a</a>b", ["ab"]),
        # old pages
        ("<CENTER><FONT COLOR=red>A</FONT></CENTER><LISTING> b</LISTING>", ["A", " b"]),
        ("<frameset><frame src=a></frameset><noframes><body>a</body></noframes>", ["a"]),
        ("<xmp><b>&amp;</xmp>c", ["<b>&amp;", "c"]),
        ("<isindex>a<marquee>b</marquee>", ["ab"]),
        # what is not shown
        ("a<script>x</script>b<style>y</style>c", ["abc"]),
        ("a<SCRIPT>if (a</b) x</scripty></SCRIPT >b", ["ab"]),
        ("a<script><!-- '<script></script>' //--></script>b", ["ab"]),
        ("<title>t</title><textarea>x</textarea><iframe><p>y</iframe>z", ["z"]),
        ("a<svg><title>t</title><text>u</text></svg>b", ["ab"]),
        ("a<svg><title/><path/></svg>b", ["ab"]),
        ("<svg><path><div>a</div>", ["a"]),
        ("a<noscript><p>b</noscript>c", ["a", "b", "c"]),
        # comments and their like
        ("a<!-- x > y -->b<!-->c<!--->d<!-- e --!>f", ["abcdf"]),
        ("a<!-- never closed <p>b", ["a", "b"]),
        ("a<![CDATA[x]]>b<?php x ?>c<!DOCTYPE d></ e>f", ["abcf"]),
        ("a < b <3 c<", ["a < b <3 c<"]),
        # XHTML, custom elements, shadow roots, AMP
        ("<?xml version='1.0'?><html:div xmlns:html='x'><html:p>a</html:p>b</html:div>", ["a", "b"]),
        ("<o:p>a</o:p>b", ["ab"]),
        ("<my-box>a<my-item>b</my-item></my-box>", ["ab"]),
        ("<amp-img src=x><noscript>a</noscript></amp-img><amp-list>b</amp-list>", ["a", "b"]),
        ("<x-y><template shadowrootmode=open><p>a</p></template>b</x-y>", ["a", "b"]),
        # nothing
        ("", []),
        ("<p></p><div> &nbsp; </div>", []),
    ],
)
def test_blocks(source: str, expected: list[str]) -> None:
    assert blocks(source) == expected


@pytest.mark.parametrize(
    ("attributes", "flag", "given"),
    [
        ("style='display:none'", s.F_HIDDEN, True),
        ("style='color:red; DISPLAY : none !important'", s.F_HIDDEN, True),
        ("style='visibility:hidden'", s.F_HIDDEN, True),
        ("style='display:block;text-decoration:none'", s.F_HIDDEN, False),
        ("hidden", s.F_HIDDEN, True),
        ("header=1", s.F_HIDDEN, False),
        ("aria-hidden=true", s.F_ARIA_HIDDEN, True),
        ("aria-hidden=false", s.F_ARIA_HIDDEN, False),
        ("DIR=RTL", s.F_RTL, True),
    ],
)
def test_flags_of_attributes(attributes: str, flag: int, given: bool) -> None:
    page = scan_page(f"<div {attributes}><p>a</p></div><p>b</p>".encode())
    flags = page.elements[page.blocks[:, s.ELEMENT], s.FLAGS]
    assert [bool(f & flag) for f in flags] == [given, False]


@pytest.mark.parametrize(
    ("source", "flag"),
    [
        ("<a href=x>a</a>", s.F_LINK), ("<pre>a</pre>", s.F_PRE), ("<b>a</b>", s.F_BOLD), ("<h2>a</h2>", s.F_HEADING),
        ("<ol><li>a</ol>", s.F_LIST), ("<table><td>a</table>", s.F_TABLE), ("<blockquote>a</blockquote>", s.F_QUOTE),
        ("<code>a</code>", s.F_CODE), ("<noscript>a</noscript>", s.F_NOSCRIPT), ("<form>a</form>", s.F_FORM),
        ("<nav>a</nav>", s.F_NAV), ("<footer>a</footer>", s.F_FOOTER), ("<template>a</template>", s.F_HIDDEN),
    ],
)  # fmt: skip
def test_flags_of_elements(source: str, flag: int) -> None:
    page = scan_page(source.encode())
    assert page.elements[page.blocks[0, s.ELEMENT], s.FLAGS] & flag
    assert not scan_page(b"<a>a</a>").elements[0, s.FLAGS] & flag


def test_counts() -> None:
    page = scan_page("<p>The 2 Cats, of <a href=x>my</a> <b>house</b>! <img><input>\u4e2d</p>".encode())
    row = page.blocks[0]
    names = "CHARS WORDS LINK_CHARS LINKS STOPS COMMAS DIGITS CAPITALS IMAGES INPUTS BOLD_CHARS WIDE_CHARS"
    got = {name: int(row[getattr(s, name)]) for name in names.split()}
    assert got == {
        "CHARS": 20, "WORDS": 6, "LINK_CHARS": 2, "LINKS": 1, "STOPS": 1, "COMMAS": 1, "DIGITS": 1, "CAPITALS": 2,
        "IMAGES": 1, "INPUTS": 1, "BOLD_CHARS": 5, "WIDE_CHARS": 1,
    }  # fmt: skip


def test_first_of_two_attributes_counts_and_others_of_its_length_do_not() -> None:
    page = scan_page(b"<div clear=all class=a class=b is=c id=d itemtype=e itemprop=f><p>x")
    row = page.elements[1]
    values = [page.source[row[c] : row[c + 1]].tobytes() for c in (s.CLASS0, s.ID0, s.PROP0)]
    assert values == [b"a", b"d", b"f"]


def test_title_is_the_first_outside_drawings() -> None:
    page = scan_page(b"<svg><title>no</title></svg><title>yes</title><title>late</title>")
    assert page.source[slice(*page.title)].tobytes() == b"yes"


UNSEEN = re.compile("[\\s\x00-\x20\x7f-\xa0\xad\u1680\u2000-\u200b\u2028\u2029\u202f\u205f\u3000\ufeff\ufff9-\uffff]+")
NOT_SHOWN = "script,style,textarea,iframe,noembed,title,svg,template"
_DIFFERENT = re.compile('<math|<noframes|MathJax|katex|<xmp|math/tex|class="?[^">]*\\b(la)?tex\\b')


def lexbor_text(source: str) -> str:
    from resiliparse.parse.html import HTMLTree

    body = HTMLTree.parse(source).body
    if body is None:
        return ""
    for element in body.query_selector_all(NOT_SHOWN):
        element.decompose()
    return UNSEEN.sub("", body.text or "")


def our_text(page: Page) -> str:
    shown = [True] * len(page.elements)
    for number, row in enumerate(page.elements.tolist()):
        shown[number] = (number == 0 or shown[row[s.PARENT]]) and row[s.TAG] != t.TAG["template"]
    texts = [page.block_text(k) for k in range(len(page.blocks)) if shown[page.blocks[k, s.ELEMENT]]]
    return UNSEEN.sub("", "".join(texts))


@pytest.mark.parametrize("name", ["wcxb", "daniel_waddle", "udhr_html", "htmlparser_benchmark", "webkb", "formasaurus"])
def test_same_text_as_an_html5_parser(name: str, shared_data: Path) -> None:
    """Of 7 167 pages in all sets 9 differed: framesets, and comments and frames that are never closed."""
    from fastwarc.warc import ArchiveIterator, WarcRecordType

    compared = differing = 0
    with (shared_data / "html" / f"{name}.warc.gz").open("rb") as file:
        for number, record in enumerate(ArchiveIterator(file, record_types=WarcRecordType.response, parse_http=True)):
            body = record.reader.read()
            source = body.decode("utf-8", "replace")
            if number % 12 or _DIFFERENT.search(source):
                continue
            page = scan_page(source.encode())
            check(page)
            compared += 1
            differing += our_text(page) != lexbor_text(source)
    assert compared >= 20
    assert differing <= compared // 20
