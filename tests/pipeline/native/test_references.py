"""Character references against Python's own `html` module."""

from __future__ import annotations

import html
import html.entities

import pytest

from pipeline.extract.native.page import scan_page

# white space and what the scanner takes out for good
UNSEEN = {0x20, 0x9, 0xA, 0xA0, 0xAD, 0x200B, 0x205F, 0x3000, *range(0x2000, 0x200B)}


def text(source: str) -> str:
    page = scan_page(source.encode())
    return "".join(page.block_text(k) for k in range(len(page.blocks)))


def seen(value: str) -> str:
    return "".join(c for c in value if ord(c) not in UNSEEN)


def test_all_names() -> None:
    for name, value in html.entities.html5.items():
        assert seen(text(f"<p>[&{name}]")) == "[" + seen(value) + "]", name


def test_all_names_with_letters_after_them() -> None:
    for name in html.entities.html5:
        assert seen(text(f"<p>[&{name}xyz]")) == seen(html.unescape(f"[&{name}xyz]")), name


def test_no_reference_outgrows_the_room_for_text() -> None:
    """The scanner writes into 4/3 of the page's length."""
    assert max(len(v.encode()) / (len(n) + 1) for n, v in html.entities.html5.items()) <= 4 / 3


@pytest.mark.parametrize("number", [1, 8, 31, 127, 128, 129, 141, 150, 159, 0, 0xD800, 0x10FFFF, 0x110000, 10**30])
@pytest.mark.parametrize("form", ["&#{};", "&#{}", "&#x{:x};", "&#X{:X}"])
def test_numbers(number: int, form: str) -> None:
    source = "[" + form.format(number) + "]"
    expected = html.unescape(source)
    if number in (1, 8, 31, 127, 129, 141):  # control characters leave no trace
        expected = "[]"
    if number == 0x10FFFF:
        expected = "[\U0010ffff]"  # `html` takes out noncharacters, which browsers keep
    assert text("<p>" + source) == expected


@pytest.mark.parametrize(
    "source", ["&", "&;", "&#", "&#;", "&#x", "&#xg;", "&nosuch;", "& amp;", "&AMp;", "&ampersand"]
)
def test_what_is_no_reference(source: str) -> None:
    assert text(f"<p>[{source}]") == html.unescape(f"[{source}]")


def test_angle_brackets_from_references_are_text() -> None:
    assert text("<p>&lt;b&gt;x&#60;/b&#62;") == "<b>x</b>"
