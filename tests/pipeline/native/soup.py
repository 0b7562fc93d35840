"""Hostile pages for the scanner, and what must hold of every scan. `python -m tests.pipeline.native.soup` checks them
all; it is run with NUMBA_BOUNDSCHECK=1, since compiled code writes past an array's end without a word otherwise."""

from __future__ import annotations

import contextlib
import random
from collections.abc import Iterator

from pipeline.extract.native import scan as s
from pipeline.extract.native.page import Page, scan_page

_PIECES = """<p> </p> <div> </div> <b> </b>
<a_href=x> </a> <table> <tr> <td> </td> </tr> </table> <tbody> <ul> <li> </ul>
<br> <br/> <pre> </pre> <math> </math> <mfrac> </mfrac> <msqrt> <mroot> <msup> </msup> <mi> </mi> <annotation> x-tex
<script> </script> <script_type=math/tex;mode=display> <style> </style> <title> </title> <xmp> </xmp>
<svg> </svg> <svg/>
<textarea> </textarea> <template> <template_shadowrootmode=open> </template> <select> <option> </select>
<img_class=latex_alt=x^2> <img_class=latex_alt='$x$'> <math_alttext=y> <x-y> </x-y> <m:math> </m:math> <!-- --> <!-->
<![CDATA[ ]]> <?xml ?> <!doctype> </ </> < > & &amp; &nGt; &nGt &bne; &#x41; &#65 &#0; &#x110000; &#xD800; &; &# &#x
' " = / \\ $ $$ { } word Word 12 . , ! é € 𝒳 漢 ไทย \u200b \u200d \u00ad \ufeff \x00 \x01
<p_class='a_b'_id=c style=
style='display:none' hidden aria-hidden=true <div_class=MathJax> <span_class=katex_aria-hidden=true> <html>
<body> </body>
</html> <head> </head> <frameset> <noframes> <noscript> </noscript> <button> </button> <iframe> </iframe>"""
PIECES = [piece.replace("_", " ") for piece in _PIECES.split()]
BYTES = (b"\xc0", b"\x80", b"\xe2\x82", b"\xf0\x9f", b"\xff", b"\xed\xa0\x80", b"\xf4\x90\x80\x80")


def check(page: Page) -> None:
    """Raise AssertionError unless the tables are such as their readers rely on."""
    text = page.text.tobytes()
    text.decode("utf-8")
    elements, blocks = page.elements, page.blocks
    at = 0
    for row in blocks.tolist():
        assert at <= row[s.TEXT0] <= row[s.TEXT1] <= len(text)
        assert row[s.CHARS] > 0
        at = row[s.TEXT1]
        assert 0 <= row[s.ELEMENT] < len(elements)
    for number, row in enumerate(elements.tolist()):
        assert row[s.PARENT] < number < row[s.END] <= len(elements)
        assert 0 <= row[s.FIRST_BLOCK] <= row[s.END_BLOCK] <= len(blocks)
        for column in (s.CLASS0, s.ID0, s.ROLE0, s.PROP0, s.HREF0):
            assert 0 <= row[column] <= row[column + 1] <= len(page.source)


def soups(count: int, seed: int) -> Iterator[bytes]:
    """Pages of random pieces."""
    draw = random.Random(seed)
    pieces = [p.encode() for p in PIECES] + list(BYTES) + [b" ", b"\n"]
    for _ in range(count):
        chosen = draw.choices(pieces, k=draw.choice((5, 40, 400)))
        yield draw.choice((b"", b" ")).join(chosen)


def repeats() -> Iterator[bytes]:
    """Each piece, and each pair of neighbours, over and over: what grows most would show."""
    for one, two in zip(PIECES, PIECES[1:] + PIECES[:1], strict=True):
        for unit in (one, one + two, two + one + "x"):
            yield (unit * 300).encode()
            yield b"<math>" + (unit * 300).encode() + b"</math>"
            yield b"<script type=math/tex>" + (unit * 300).encode() + b"</script>"


def truncations(page: bytes, step: int = 1) -> Iterator[bytes]:
    """A page cut off at every step-th byte."""
    for end in range(0, len(page), step):
        yield page[:end]


def mutations(page: bytes, count: int, seed: int) -> Iterator[bytes]:
    """A page with bytes changed, spans taken out and spans doubled."""
    draw = random.Random(seed)
    for _ in range(count):
        data = bytearray(page)
        for _ in range(draw.choice((1, 5, 50))):
            at = draw.randrange(len(data))
            span = draw.randrange(1, 40)
            kind = draw.randrange(3)
            if kind == 0:
                data[at] = draw.choice(b"<>\"'&/=- \x00\xff!x")
            elif kind == 1 and len(data) > 2 * span:
                del data[at : at + span]
            else:
                data[at:at] = data[at : at + span]
        yield bytes(data)


def sample_pages() -> list[bytes]:
    """Some pages of the bundled sample crawl."""
    from pathlib import Path

    from fastwarc.warc import ArchiveIterator, WarcRecordType

    import pipeline

    pages: list[bytes] = []
    for path in sorted((Path(pipeline.__file__).parent / "sample" / "crawl").rglob("*.warc.gz")):
        with path.open("rb") as file, contextlib.suppress(OSError):  # some of the sample's files are broken
            for record in ArchiveIterator(file, record_types=WarcRecordType.response, parse_http=True):
                body = record.reader.read()
                if body.isascii() or b"utf-8" in body[:1000].lower():
                    pages.append(body)
    return sorted(pages, key=len)


def main() -> None:
    """Scan and check them all."""
    done = 0
    pages = [p for p in sample_pages() if b"<" in p]
    chosen = pages[:: max(1, len(pages) // 40)]
    for page in [*repeats(), *soups(1500, 7)]:
        check(scan_page(page))
        done += 1
    for number, page in enumerate(chosen):
        for cut in truncations(page, max(1, len(page) // 60)):
            check(scan_page(cut))
            done += 1
        for changed in mutations(page, 15, number):
            check(scan_page(changed))
            done += 1
    print(done)


if __name__ == "__main__":
    main()
