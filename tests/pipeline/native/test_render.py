"""Text and Markdown of kept blocks: by expectations, read back by a Markdown parser, by properties, on real pages."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from markdown_it import MarkdownIt

from pipeline.extract.native.columns import MAX_BLOCKS
from pipeline.extract.native.page import Page, scan_page
from pipeline.extract.native.render import render


def page_of(html: str) -> Page:
    return scan_page(html.encode())


def plain(html: str, dropped: str = "", **options: bool) -> str:
    """Plain text of all blocks but those whose text is among the words in `dropped`."""
    page = page_of(html)
    keep = np.array([page.block_text(k) not in dropped.split() for k in range(len(page.blocks))], np.bool_)
    return render(page, keep, **options)


def markdown(html: str, dropped: str = "", **options: bool) -> str:
    return plain(html, dropped, markdown=True, **options)


CASES = {
    "paragraphs and headings": (
        "<h1>Top</h1><p>one <b>two</b></p><h3><a href=x>in a link</a></h3><a href=y><h2>linked</h2></a><div>three",
        "Top\none two\nin a link\nlinked\nthree",
        "# Top\n\none two\n\n### in a link\n\n## linked\n\nthree",
    ),
    "line breaks": ("<p>a<br>b<br><br>c</p>", "a\nb\nc", "a  \nb\n\nc"),
    "a heading of two lines and with a run of #": (
        "<h2>a<br>b</h2><h2>C #</h2><h2>C#</h2><h2>#</h2>",
        "a\nb\nC #\nC#\n#",
        "## a b\n\n## C \\#\n\n## C#\n\n## \\#",
    ),
    "a heading never closed": (
        "<h2>a<p>b</p><p>c</p><p>d</p><p>e</p>",
        "a\nb\nc\nd\ne",
        "a\n\nb\n\nc\n\nd\n\ne",
    ),
    "nested lists": (
        "<ul><li>a<ul><li>b<ul><li>c</ul></ul><li>d</ul>",
        "- a\n  - b\n    - c\n- d",
        "- a\n  - b\n    - c\n- d",
    ),
    "ordered lists": (
        "<ol start=9><li>a<li>b<ul><li>c</ul></ol><p>p</p><ol reversed><li>d<li value=7>e<li>f</ol>",
        "9. a\n10. b\n  - c\np\n1. d\n7. e\n8. f",
        "9. a\n10. b\n    - c\n\np\n\n1. d\n7. e\n8. f",
    ),
    "numbers count what is dropped": ("<ol><li>x<li>a<li>x<li>b</ol>", "2. a\n4. b", "2. a\n4. b", "x"),
    "an ordered list in an item that does not begin with 1": (
        "<ul><li>a<ol><li>x<li>b</ol></ul>",
        "- a\n  2. b",
        "- a\n\n  2. b",
        "x",
    ),
    "items of several blocks": (
        "<ul><li><p>a</p><p>b<br>c</p></li><li>d</li></ul><p>e</p>",
        "- a\n  b\n  c\n- d\ne",
        "- a\n\n  b  \n  c\n- d\n\ne",
    ),
    "an item whose first block is dropped": (
        "<ul><li><p>x</p><p>a</p><p>b</p></li><li>c</li></ul>",
        "- a\n  b\n- c",
        "- a\n\n  b\n- c",
        "x",
    ),
    "an item of which only the inner list is kept": (
        "<ul><li>x<ul><li>a</li><li>b</li></ul></li><li>c</li></ul>",
        "- a\n- b\n- c",
        "- a\n- b\n\n* c",
        "x",
    ),
    "broken lists": (
        "<ul><li>a</li><ul><li>b</li></ul><li>c</ul>text<li>d",
        "- a\n  - b\n- c\ntext\n- d",
        "- a\n  - b\n- c\n\ntext\n\n- d",
    ),
    "two lists side by side": (
        "<ul><li>a</ul><ul><li>b</ul><ul><li>c</ul><ol><li>d</ol><ol><li>e</ol>",
        "- a\n- b\n- c\n1. d\n1. e",
        "- a\n\n* b\n\n- c\n\n1. d\n\n1) e",
    ),
    "a list for layout": (
        "<ul><li><h3>T</h3><p>a</p></li><li><h3>U</h3><p>b</p><ul><li>c</ul></li></ul>",
        "T\na\nU\nb\n- c",
        "### T\n\na\n\n### U\n\nb\n\n- c",
    ),
    "definition lists": ("<dl><dt>T<dd>a<dd>b<dt>U<dd>c</dl>", "T\na\nb\nU\nc", "T\n\na\n\nb\n\nU\n\nc"),
    "a table": (
        "<table><caption>Cap</caption><thead><tr><th>A|B</th><th>C</th></tr></thead>"
        "<tbody><tr><td>1</td><td>2<br>3</td></tr></tbody></table><p>p",
        "Cap\nA|B | C\n1 | 2 3\np",
        "Cap\n\n| A\\|B | C |\n| --- | --- |\n| 1 | 2<br>3 |\n\np",
    ),
    "empty cells": (
        "<table><tr><th><th>B<th>C<tr><td>1<td><td>3<tr><td>4<td>5<td></table>",
        "| B | C\n1 | | 3\n4 | 5",
        "| | B | C |\n| --- | --- | --- |\n| 1 | | 3 |\n| 4 | 5 | |",
    ),
    "spans": (
        "<table><tr><td rowspan=2>a<td colspan='2'>b<td>c<tr><td>d<td>e<td>f<tr><td colspan=4>g</table>",
        "a | b | | c\n| d | e | f\ng",
        "| a | b | | c |\n| --- | --- | --- | --- |\n| | d | e | f |\n| g | | | |",
    ),
    "some cells kept": (
        "<table><tr><td>x<td>a<td>b<tr><td>x<td>x<td>x<tr><td>x<td>c<td>x</table>",
        "a | b\nc",
        "| a | b |\n| --- | --- |\n| c | |",
        "x",
    ),
    "two blocks in one of many cells": (
        "<table><tr><td><p>a</p><p>b</p><td>c<td>d<tr><td>e<td>f<td>g</table>",
        "a b | c | d\ne | f | g",
        "| a<br>b | c | d |\n| --- | --- | --- |\n| e | f | g |",
    ),
    "tables for layout": (
        "<table><tr><td>a<td><table><tr><td>b<td>c</table></table><table><tr><td>d<tr><td>e</table>"
        "<table><tr><td><p>f</p><p>g</p><td>h</table><table><tr><td><h2>i</h2><td>j</table>",
        "a\nb | c\nd\ne\nf\ng\nh\ni\nj",
        "a\n\n| b | c |\n| --- | --- |\n\nd\n\ne\n\nf\n\ng\n\nh\n\n## i\n\nj",
    ),
    "a table in an item in a quotation": (
        "<blockquote><ol><li>a<table><tr><td>b<td>c<tr><td>d<td>e</table></ol></blockquote>",
        "1. a\n  b | c\n  d | e",
        "> 1. a\n>\n>    | b | c |\n>    | --- | --- |\n>    | d | e |",
    ),
    "two tables": (
        "<table><tr><td>a<td>b</table><table><tr><td>c<td>d</table>",
        "a | b\nc | d",
        "| a | b |\n| --- | --- |\n\n| c | d |\n| --- | --- |",
    ),
    "code": (
        "<p>p<pre>\n\tif x:\n\n\t    y  =  1\n</pre><p>q",
        "p\n\tif x:\n\n\t    y  =  1\nq",
        "p\n\n```\n\tif x:\n\n\t    y  =  1\n```\n\nq",
    ),
    "code with backticks and its language": (
        "<div class='highlight-python3 notranslate'><div><pre>a```b</pre></div></div>"
        "<pre><code class='hljs language-c++'>c</code></pre><pre class='brush: js; toolbar'>d</pre>",
        "a```b\nc\nd",
        "````python3\na```b\n````\n\n```c++\nc\n```\n\n```js\nd\n```",
    ),
    "code in lines that are elements": ("<pre><div>a</div><div>  b</div></pre>", "a\n  b", "```\na\n  b\n```"),
    "code in a list": (
        "<ul><li>a<pre>if x:\n\n  y</pre><p>b</p></li></ul>",
        "- a\nif x:\n\n  y\n  b",
        "- a\n\n  ```\n  if x:\n\n    y\n  ```\n\n  b",
    ),
    "quotations": (
        "<blockquote><p>a</p><p>b<br>c</p><blockquote>d</blockquote></blockquote><blockquote>e</blockquote>",
        "a\nb\nc\nd\ne",
        "> a\n>\n> b  \n> c\n>\n> > d\n\n> e",
    ),
    "a quotation for layout": (
        "<blockquote><h2>a</h2><p>b</p><blockquote>c</blockquote></blockquote>",
        "a\nb\nc",
        "## a\n\nb\n\n> c",
    ),
    "a quotation in a list": (
        "<ul><li>a<blockquote>b<pre>c\n\nd</pre></blockquote></li><li><blockquote>e</blockquote></ul>",
        "- a\n  b\nc\n\nd\n- e",
        "- a\n\n  > b\n  >\n  > ```\n  > c\n  >\n  > d\n  > ```\n- > e",
    ),
    "escapes at line starts": (
        "<p># a<p>#a<p>- b<br>+ c<br>-d<p>1. e<br>2) f<br>3.4<p>&gt; g<p>---<p>=== ==<p>a | b<br>--|:-:<p>``` x<p>~~~"
        "<p>&lt;div&gt; h<p>&lt; 3<p>[i]: j<p>[k](l)<p>* * *<p>*m*<p>__<p>|",
        "# a\n#a\n- b\n+ c\n-d\n1. e\n2) f\n3.4\n> g\n---\n=== ==\na | b\n--|:-:\n``` x\n~~~\n<div> h\n< 3\n[i]: j\n"
        "[k](l)\n* * *\n*m*\n__\n|",
        "\\# a\n\n#a\n\n\\- b  \n\\+ c  \n-d\n\n1\\. e  \n2\\) f  \n3.4\n\n\\> g\n\n\\---\n\n\\=== ==\n\na | b  \n"
        "\\--|:-:\n\n\\``` x\n\n\\~~~\n\n\\<div> h\n\n< 3\n\n\\[i]: j\n\n[k](l)\n\n\\* * *\n\n*m*\n\n\\__\n\n\\|",
    ),
    "right to left": (
        "<div dir=rtl><p>שלום, <b>עולם</b>!</p><ul><li>مرحبا<li>العالم</ul><table><tr><td>א<td>ב</table></div>",
        "שלום, עולם!\n- مرحبا\n- العالم\nא | ב",
        "שלום, עולם!\n\n- مرحبا\n- العالم\n\n| א | ב |\n| --- | --- |",
    ),
    "no spaces between words": (
        "<h1>中文<span>标题</span></h1><p>第一<b>段</b>。<ol><li>一、<em>二</em></ol>",
        "中文标题\n第一段。\n1. 一、二",
        "# 中文标题\n\n第一段。\n\n1. 一、二",
    ),
    "MathML": (
        "<p>Let <math><msup><mi>x</mi><mn>2</mn></msup></math> be.",
        "Let $x^{2}$ be.",
        "Let $x^{2}$ be.",
    ),
}


@pytest.mark.parametrize("name", CASES)
def test_expected(name: str) -> None:
    html, text, marked, *dropped = CASES[name]
    assert plain(html, *dropped) == text
    assert markdown(html, *dropped) == marked


def test_tables_are_left_out_on_request() -> None:
    html = (
        "<p>a<table><caption>c</caption><tr><td>1<td>2</table><table><tr><td>d</table>"
        "<ul><li>e<table><tr><td>3<td>4</table>"
    )
    assert plain(html, tables=False) == "a\nd\n- e"
    assert markdown(html, tables=False) == "a\n\nd\n\n- e"
    assert plain("<table><tr><td>1<td>2</table>", tables=False) == ""


def test_a_mask_of_another_length_is_refused() -> None:
    with pytest.raises(ValueError, match=r"\(2,\).*1 blocks"):
        render(page_of("<p>a"), np.ones(2, np.bool_))


def test_nothing_kept_is_nothing_written() -> None:
    page = page_of("".join(case[0] for case in CASES.values()))
    for marked in (False, True):
        assert render(page, np.zeros(len(page.blocks), np.bool_), markdown=marked) == ""
    empty = page_of("")
    assert render(empty, np.zeros(0, np.bool_), markdown=True) == ""


# ---- read back by a Markdown parser ----

PARSER = MarkdownIt("commonmark", {"html": False}).enable("table")


def tree_of(text: str) -> list[str]:
    """The structure that a Markdown parser sees: one string a node, `>` for going in and `<` for out."""
    found = []
    for token in PARSER.parse(text):
        if token.type == "inline":
            text = "".join("\n" if c.type in ("hardbreak", "softbreak") else c.content for c in token.children or [])
            found.append(text.replace("<br>", "\n"))
        elif token.type == "fence":
            found.append(f"fence {token.info}:{token.content}")
        elif token.type.endswith("_open") and token.type != "paragraph_open":
            found.append(f">{token.tag} {token.attrGet('start') or ''}".strip())
        elif token.type.endswith("_close") and token.type != "paragraph_close":
            found.append("<")
    return found


WORDS = st.sampled_from(
    ["alpha", "beta 2", "- c", "# d", "3. e", "> f", "---", "`g", "<i> h", "=", "中文", "אב", "|", "a | b"]
)


def _escaped(text: str) -> str:
    return text.replace("&", "&amp;").replace("<", "&lt;")


def _html_and_tree(node: tuple) -> tuple[str, list[str]]:
    """HTML of a generated node, and what `tree_of` should find for it: the oracle, by recursion on the source."""
    kind, content = node
    if kind in ("p", "h2"):
        return f"<{kind}>{_escaped(content)}</{kind}>", [content] if kind == "p" else [">h2", content, "<"]
    if kind == "pre":
        return f"<pre>{_escaped(content)}</pre>", [f"fence :{content}\n"]
    if kind == "table":
        rows = ["".join(f"<td>{_escaped(cell)}</td>" for cell in row) for row in content]
        html = "<table>" + "".join(f"<tr>{row}</tr>" for row in rows) + "</table>"
        tree = [">table", ">thead", ">tr"]
        for number, row in enumerate(content):
            cell_tag = "th" if number == 0 else "td"
            if number:
                tree.append(">tr")
            for cell in row:
                tree += [f">{cell_tag}", cell, "<"]
            tree.append("<")
            if number == 0:
                tree += ["<"] + ([">tbody"] if len(content) > 1 else [])
        return html, tree + (["<"] if len(content) > 1 else []) + ["<"]
    if kind == "blockquote":
        parts = [_html_and_tree(child) for child in content]
        inside = [line for _, tree in parts for line in tree]
        return "<blockquote>" + "".join(html for html, _ in parts) + "</blockquote>", [">blockquote", *inside, "<"]
    start = content[0]
    html = f"<ol start={start}>" if kind == "ol" else "<ul>"
    tree = [f">ol {start}" if kind == "ol" and start != 1 else f">{kind}"]
    for item in content[1]:
        parts = [_html_and_tree(child) for child in item]
        html += "<li>" + "".join(part for part, _ in parts) + "</li>"
        tree += [">li", *(line for _, part in parts for line in part), "<"]
    return html + f"</{kind}>", [*tree, "<"]


_LEAF = st.one_of(
    st.tuples(st.just("p"), WORDS),
    st.tuples(st.just("pre"), st.sampled_from(["a", "  b\n\n\tc", "```", "x\n~~~\n# y", "- z\n    1. w"])),
    st.tuples(
        st.just("table"),
        st.integers(2, 3).flatmap(
            lambda n: st.lists(
                st.lists(st.sampled_from(["1", "b | c", "中"]), min_size=n, max_size=n), min_size=1, max_size=3
            )
        ),
    ),
)


def _containers(children: st.SearchStrategy) -> st.SearchStrategy:
    # an item opens with a paragraph: its own block, without which it would be no level of its own
    item = st.tuples(st.tuples(st.just("p"), WORDS), st.lists(children, max_size=2)).map(lambda x: [x[0], *x[1]])
    lists = st.tuples(
        st.sampled_from(["ul", "ol"]), st.tuples(st.sampled_from([1, 2, 10]), st.lists(item, min_size=1, max_size=3))
    )
    return st.one_of(lists, st.tuples(st.just("blockquote"), st.lists(children, min_size=1, max_size=3)))


_NODES = st.lists(
    st.one_of(st.recursive(_LEAF, _containers, max_leaves=8), st.tuples(st.just("h2"), WORDS)), min_size=1, max_size=5
)


@settings(max_examples=250, deadline=None, derandomize=True)
@given(_NODES)
def test_markdown_reads_back_as_the_same_structure(nodes: list[tuple]) -> None:
    parts = [_html_and_tree(node) for node in nodes]
    text = markdown("".join(html for html, _ in parts))
    assert tree_of(text) == [line for _, tree in parts for line in tree], text


# ---- properties ----

_PIECES = (
    "<p> </p> <li> </li> <ul> </ul> <ol> <ol_start=4> </ol> <table> </table> <tr> </tr> <td> <td_colspan=3> <th> </td>"
    " <h2> </h2> <pre> </pre> <blockquote> </blockquote> <br> <div> </div> <code_class=lang-x> </code> <caption> <dl>"
    " <dt> <dd> word a|b #_x 1._y ` ```` 中文 &lt;b&gt; <td_rowspan=9>"
)


def _in_order(text: str, blocks: list[str]) -> bool:
    """Whether the blocks' visible characters are in the text in order, whatever stands between."""
    at = 0
    for block in blocks:
        for character in block:
            if not character.isspace():
                at = text.find(character, at) + 1
                if at == 0:
                    return False
    return True


@settings(max_examples=300, deadline=None, derandomize=True)
@given(st.lists(st.sampled_from(_PIECES.split()), max_size=60), st.integers(0, 2**32 - 1))
def test_any_mask_on_any_markup(pieces: list[str], seed: int) -> None:
    page = page_of("".join(piece.replace("_", " ") for piece in pieces))
    rng = np.random.default_rng(seed)
    for share in (1.0, 0.5):
        keep = rng.random(len(page.blocks)) < share
        kept = [page.block_text(k) for k in np.flatnonzero(keep)]
        text = render(page, keep)
        assert _in_order(text, kept)
        # between the blocks stand white space, list markers and bars, and nothing else
        rest = text
        for block in kept:
            for line in block.split("\n"):
                rest = rest.replace(line.strip(), "", 1)
        assert re.fullmatch(r"[-\s|]*", re.sub(r"(?m)^\s*(- |\d+\. )*", "", rest)), (text, kept)
        marked = render(page, keep, markdown=True)
        assert _in_order(marked, kept)
        assert bool(text) == bool(kept) == bool(marked)
        assert render(page, keep, markdown=True) == marked


# ---- hostile and real pages ----


def _size_bound(page: Page) -> int:
    """Bytes that the output may have: each block twice, its boxes' marks at most five times, and table edges."""
    return 10 * len(page.text) + 2000 * len(page.blocks) + 2000


HOSTILE = {
    "deep lists": "<ul><li>a" * 3000,
    "deep quotations": "<blockquote>a" * 3000,
    "deep tables": "<table><tr><td>a<td>b" * 1500,
    "a wide sparse table": "<table>" + "<tr><td colspan=200><td>a<td>b" * 500 + "</table>",
    "a row of many cells": "<table><tr>" + "<td>a" * 5000 + "</table>",
    "tall spans": "<table>" + ("<tr>" + "<td rowspan=65534>a" * 20) * 300,
    "empty lines in code in lists": "<ul><li>" * 12 + "x<pre>" + "\n" * 50000 + "y" + "\n" * 50000 + "z",
    "lines of one letter in code in lists": "<ul><li>" * 12 + "x<pre>" + "y\n" * 50000,
    "backticks": "<pre>" + "`" * 20000,
    "many blocks of code": "<pre>`</pre>" * 5000,
    "numbers": "<ol start=99999999999999999999><li>a<li>b" + "<ol start=999999999><li>c<li>d" * 20,
    "brackets": "<p>" + "[" * 50000,
    "a tag that never ends": "<ol><li>a<li value=" + "1" * 50000,
    "a long class around much code": "<div class='" + "x " * 50000 + "'>" + "<pre>a</pre>" * 5000,
    "a class without end": "<pre class='" + "lang- " * 20000 + "'>a",
}


@pytest.mark.parametrize("name", HOSTILE)
def test_hostile_pages(name: str) -> None:
    page = page_of(HOSTILE[name])
    keep = np.ones(len(page.blocks), np.bool_)
    for marked in (False, True):
        text = render(page, keep, markdown=marked)
        assert len(text.encode()) <= _size_bound(page)
        assert _in_order(text, [page.block_text(k) for k in range(len(page.blocks))])


@pytest.mark.timeout(60)
@pytest.mark.parametrize(
    "piece",
    ["<ul><li>a<p>b", "<table><tr><td>a<td>b</table>", "<blockquote><pre>a\n</pre>", "<tr><td>a", "<pre>a</pre>"],
)
def test_a_large_page_is_soon_done(piece: str) -> None:
    """As many blocks as there can be: work that grew with their square would take minutes."""
    page = page_of("<table>" + piece * MAX_BLOCKS)
    keep = np.ones(len(page.blocks), np.bool_)
    assert len(keep) == MAX_BLOCKS
    for marked in (False, True):
        assert len(render(page, keep, markdown=marked).encode()) <= _size_bound(page)


_SWEEP = """
import sys
import numba
import numpy as np
from warcio.archiveiterator import ArchiveIterator
from pipeline.extract.native.page import scan_page

scan_page(b"<p>a")  # the scanner as it is in the cache; what follows is compiled anew where a folder is given
if sys.argv[1]:
    numba.config.CACHE_DIR = sys.argv[1]
    numba.config.BOUNDSCHECK = 1
from pipeline.extract.native.render import render

pages = 0
for path in sys.argv[3:]:
    with open(path, "rb") as stream:
        for number, record in enumerate(ArchiveIterator(stream)):
            if number >= int(sys.argv[2]):
                break
            if record.rec_type != "response":
                continue
            page = scan_page(record.content_stream().read().decode("utf-8", "replace").encode())
            rng = np.random.default_rng(number)
            for share in (1.0, 0.3):
                keep = rng.random(len(page.blocks)) < share
                kept = "".join(page.block_text(k) for k in np.flatnonzero(keep))
                bound = 4 * len(kept) + 60 * int(keep.sum()) + 4000
                for markdown in (False, True):
                    text = render(page, keep, markdown=markdown)
                    assert len(text) <= bound, (path, number, len(text), bound)
                    left = sum(map(str.isspace, kept))
                    assert sum(not c.isspace() for c in text) >= len(kept) - left, (path, number)
            pages += 1
print(pages)
"""


@pytest.mark.parametrize("checked", [False, True])
def test_real_pages(checked: bool, shared_data: Path, root: Path, tmp_path: Path) -> None:
    """No exception, no lost character and no flood on real pages; some of them with every index checked."""
    names = ["wcxb", "trafilatura", "daniel_waddle", "webkb", "debian_cppreference", "edgar_sec", "formasaurus"]
    paths = [str(shared_data / "html" / f"{name}.warc.gz") for name in (names[:1] if checked else names)]
    command = [sys.executable, "-c", _SWEEP, str(tmp_path) if checked else "", "12" if checked else "16", *paths]
    done = subprocess.run(command, cwd=root, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr[-3000:]
    assert int(done.stdout) >= (5 if checked else 60)


def test_every_real_character_in_order(shared_data: Path) -> None:
    """On pages of five languages the blocks' characters are in the text in order, in both forms."""
    from warcio.archiveiterator import ArchiveIterator

    seen = 0
    with open(shared_data / "html" / "daniel_waddle.warc.gz", "rb") as stream:
        for record in ArchiveIterator(stream):
            page = scan_page(record.content_stream().read().decode("utf-8", "replace").encode())
            keep = np.ones(len(page.blocks), np.bool_)
            blocks = [page.block_text(k) for k in range(len(page.blocks))]
            assert _in_order(render(page, keep), blocks)
            assert _in_order(render(page, keep, markdown=True), blocks)
            seen += 1
            if seen == 25:
                return
    raise AssertionError("too few pages")
