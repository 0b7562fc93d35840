"""Character sets: who is believed, what is a lie, and that nothing raises."""

from __future__ import annotations

import base64
import gzip
import json
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from resiliparse.parse.encoding import map_encoding_to_html5

from pipeline.extract.charset import PRESCAN_BYTES, Decoded, declared_in_header, decode, detect, prescan
from pipeline.extract.labels import CODECS, EXTRA, LABELS, resolve

RUSSIAN = "Съешь же ещё этих мягких французских булок, да выпей чаю. Широкая электрификация южных губерний. " * 3
GERMAN = "Zwölf Boxkämpfer jagen Viktor quer über den großen Sylter Deich. Falsches Üben von Xylophonmusik. " * 3
JAPANESE = "これは日本語の文章です。文字コードを正しく判定できるかどうかを調べます。東京都は晴れのち曇り。" * 3
CHINESE = "这是一段简体中文文本，用来检查字符编码的判定是否正确。今天北京天气晴朗，适合外出散步。" * 3
KOREAN = "이것은 한국어 문장입니다. 문자 인코딩을 올바르게 판별하는지 확인합니다. 오늘 서울의 날씨는 맑습니다. " * 3
GREEK = "Ξεσκεπάζω την ψυχοφθόρα βδελυγμία. Η γρήγορη καφέ αλεπού πηδάει πάνω από τον τεμπέλη σκύλο. " * 3


def page(text: str, codec: str, meta: str = "") -> bytes:
    return f"<html><head>{meta}<title>t</title></head><body><p>{text}</p></body></html>".encode(codec)


def meta(label: str) -> str:
    return f'<meta charset="{label}">'


# -- order ------------------------------------------------------------------------------------------------


def test_a_bom_beats_header_and_meta() -> None:
    payload = b"\xef\xbb\xbf" + page(GERMAN, "utf-8", meta("windows-1251"))
    found = decode(payload, "text/html; charset=koi8-r")
    assert (found.charset, found.charset_from) == ("utf-8", "bom")
    assert GERMAN in found.text and not found.text.startswith("\ufeff")


@pytest.mark.parametrize(("bom", "codec", "name"), [
    (b"\xff\xfe", "utf-16-le", "utf-16le"),
    (b"\xfe\xff", "utf-16-be", "utf-16be"),
    (b"\xff\xfe\0\0", "utf-32-le", "utf-32le"),
    (b"\0\0\xfe\xff", "utf-32-be", "utf-32be"),
])  # fmt: skip
def test_wide_boms(bom: bytes, codec: str, name: str) -> None:
    found = decode(bom + page(RUSSIAN, codec), None)
    assert (found.charset, found.charset_from) == (name, "bom") and found.text == page(RUSSIAN, "utf-8").decode()


def test_the_header_beats_meta_and_meta_beats_detection() -> None:
    payload = page(RUSSIAN, "koi8-r", meta("windows-1251"))  # either label can decode it
    by_header = decode(payload, "text/html; charset=KOI8-R")
    assert (by_header.charset, by_header.charset_from) == ("koi8-r", "header") and RUSSIAN in by_header.text
    by_meta = decode(payload, "text/html")
    assert (by_meta.charset, by_meta.charset_from) == ("windows-1251", "meta") and RUSSIAN not in by_meta.text
    detected = decode(page(RUSSIAN, "koi8-r"), "text/html")
    assert (detected.charset, detected.charset_from) == ("koi8-r", "detected") and RUSSIAN in detected.text


def test_plain_ascii_without_any_word_of_it_is_the_default() -> None:
    assert decode(b"<p>hello</p>") == Decoded("<p>hello</p>", "utf-8", "default")
    assert decode(b"") == Decoded("", "utf-8", "default")


# -- lies -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("label", ["iso-8859-1", "windows-1251", "euc-kr", "ascii", "shift_jis"])
@pytest.mark.parametrize("text", [GERMAN, RUSSIAN, JAPANESE])
def test_a_legacy_label_on_utf_8_bytes_is_passed_over(label: str, text: str) -> None:
    for found in (
        decode(page(text, "utf-8"), f"text/html; charset={label}"),
        decode(page(text, "utf-8", meta(label)), None),
    ):
        assert found.charset == "utf-8" and found.charset_from == "detected" and text in found.text


@pytest.mark.parametrize(("text", "codec", "name"), [
    (GERMAN, "cp1252", "windows-1252"), (RUSSIAN, "cp1251", "windows-1251"), (JAPANESE, "cp932", "shift_jis"),
    (CHINESE, "gb18030", "gbk"), (KOREAN, "cp949", "euc-kr"), (GREEK, "iso8859_7", "iso-8859-7"),
])  # fmt: skip
def test_a_utf_8_label_on_legacy_bytes_is_passed_over(text: str, codec: str, name: str) -> None:
    found = decode(page(text, codec, meta("utf-8")), "text/html; charset=utf-8")
    assert found.charset_from == "detected" and text in found.text
    assert found.charset in (name, "gb18030", "windows-1253")
    # and the meta is asked when the header lies
    found = decode(page(text, codec, meta(name)), "text/html; charset=utf-8")
    assert (found.charset, found.charset_from) == (name, "meta") and text in found.text


@pytest.mark.parametrize(("text", "codec"), [(RUSSIAN, "cp1251"), (GREEK, "cp1253"), (CHINESE, "gb18030")])
def test_a_servers_default_latin_1_is_no_word_on_unbroken_runs(text: str, codec: str) -> None:
    found = decode(page(text, codec), "text/html; charset=ISO-8859-1")
    assert found.charset_from == "detected" and text in found.text


def test_honest_latin_1_is_believed() -> None:
    found = decode(page(GERMAN, "cp1252"), "text/html; charset=ISO-8859-1")
    assert (found.charset, found.charset_from) == ("windows-1252", "header") and GERMAN in found.text
    assert "“quoted” €" in decode(page("“quoted” €", "cp1252"), "text/html; charset=us-ascii").text


def test_utf_8_with_a_pasted_latin_1_byte_stays_utf_8() -> None:
    payload = page(RUSSIAN, "utf-8") + b"\xe4 end"
    found = decode(payload, "text/html; charset=utf-8")
    assert (found.charset, found.charset_from) == ("utf-8", "header")
    assert RUSSIAN in found.text and found.text.endswith("\ufffd end")
    assert decode(payload).charset == "utf-8"


def test_a_page_cut_inside_a_character_stays_utf_8() -> None:
    payload = page(JAPANESE, "utf-8")
    for cut in range(len(payload) - 400, len(payload) - 20):
        assert decode(payload[:cut]).charset == "utf-8", cut


def test_wide_labels_inside_ascii_bytes_are_impossible() -> None:
    assert decode(page(GERMAN, "utf-8", meta("utf-16"))).charset == "utf-8"
    found = decode(page(GERMAN, "cp1252"), "text/html; charset=utf-16")
    assert found.charset == "windows-1252" and GERMAN in found.text


@pytest.mark.parametrize("codec", ["utf-16-le", "utf-16-be"])
def test_utf_16_without_a_mark(codec: str) -> None:
    for header in (None, "text/html; charset=utf-8", "text/html; charset=iso-8859-1"):
        found = decode(page(GERMAN, codec), header)
        assert GERMAN in found.text and found.charset == codec.replace("16-", "16")


@pytest.mark.parametrize(
    "label", ["", "none", "utf-9", "%s", "windows-99999", "base64", "rot13", "unicode_escape", "idna"]
)
def test_unknown_labels_fall_on(label: str) -> None:
    found = decode(page(RUSSIAN, "cp1251", meta("windows-1251")), f"text/html; charset={label}")
    assert (found.charset, found.charset_from) == ("windows-1251", "meta")


def test_iso_2022_jp_and_hz_hide_in_ascii() -> None:
    found = decode(page(JAPANESE, "iso2022_jp"))
    assert found.charset == "iso-2022-jp" and JAPANESE in found.text
    assert CHINESE in decode(page(CHINESE, "hz", meta("hz-gb-2312"))).text


def test_necs_circled_digits_in_euc_jp() -> None:
    payload = page(JAPANESE, "euc_jp").replace("東京".encode("euc_jp"), b"\xad\xa1\xad\xea")
    found = decode(payload, "text/html; charset=euc-jp")
    assert "①㈱" in found.text and "\ufffd" not in found.text


# -- labels and declarations -----------------------------------------------------------------------------------


def test_labels_against_an_independent_table() -> None:
    """resiliparse (Rust) holds the WHATWG table too; it gives Python codecs, so compare what they decode."""
    differing = set()
    for label, name in LABELS.items():
        other = map_encoding_to_html5(label, fallback_utf8=False)
        if other is None:
            continue  # resiliparse leaves out what it has no decoder for
        sample = bytes(range(0x20, 0x7F)) + bytes(range(0xA0, 0x100))
        ours, theirs = (sample.decode(c, "replace") for c in (CODECS[name], other))
        if ours != theirs:
            differing.add(name)
    # supersets that this module takes on purpose, and double-byte sets, in which this sample is no text
    assert differing <= {
        "gbk",
        "gb18030",
        "big5",
        "euc-kr",
        "shift_jis",
        "euc-jp",
        "iso-2022-jp",
        "utf-16le",
        "utf-16be",
    }


@pytest.mark.parametrize(("label", "codec"), [
    ("latin1", "cp1252"), ("ISO-8859-1", "cp1252"), (" us-ascii\n", "cp1252"), ("iso-8859-9", "cp1254"),
    ("gb2312", "gb18030"), ("GBK", "gb18030"), ("x-sjis", "cp932"), ("ks_c_5601-1987", "cp949"), ("tis-620", "cp874"),
    ("iso-8859-11", "cp874"), ("utf8", "utf-8"), ("x-cp1251", "cp1251"), ("koi8-ru", "koi8_u"), ("cp866", "cp866"),
    ("logical", "iso8859_8"), ("unicode", "utf-16-le"), ("x-mac-ukrainian", "mac_cyrillic"), ("windows-949", "cp949"),
])  # fmt: skip
def test_what_the_standard_says(label: str, codec: str) -> None:
    name = resolve(label)
    assert name is not None and CODECS[name] == codec


def test_every_charset_has_a_text_codec_and_every_label_a_charset() -> None:
    assert len(LABELS) == 221  # the standard's 228 without those of `replacement` and x-user-defined
    assert not LABELS.keys() & EXTRA.keys()
    for name in {*LABELS.values(), *EXTRA.values()}:
        assert isinstance(b"ab".decode(CODECS[name], "replace"), str)


@pytest.mark.parametrize(("head", "label"), [
    ('<meta charset=utf-8>', "utf-8"),
    ("<META CHARSET='Windows-1251' />", "Windows-1251"),
    ('<meta name=x content=y charset = "koi8-r">', "koi8-r"),
    ('<meta http-equiv="Content-Type" content="text/html; charset=euc-jp">', "euc-jp"),
    ("<meta content='text/html; charset = \"gbk\"' http-equiv=content-type>", "gbk"),
    ('<meta content="text/html; charset=euc-jp">', None),
    ('<!-- <meta charset=koi8-r> --><meta charset=utf-8>', "utf-8"),
    ('<!--><meta charset=utf-8>', "utf-8"),
    ('<script data-x="<meta charset=koi8-r>"></script><meta charset=utf-8>', "utf-8"),
    ('<metadata charset=koi8-r><meta charset=utf-8>', "utf-8"),
    ('<meta charset=bogus><meta charset=utf-8>', "utf-8"),
    ('</meta charset=koi8-r><meta charset=utf-8>', "utf-8"),
    ('<?xml version="1.0" encoding="shift_jis"?><html>', "shift_jis"),
    ('<p>charset=koi8-r</p>', None),
    ('<meta charset="utf-8', None),
    (' ' * (PRESCAN_BYTES + 1) + '<meta charset=utf-8>', None),
])  # fmt: skip
def test_prescan(head: str, label: str | None) -> None:
    assert prescan(head.encode()) == label


@pytest.mark.parametrize(("header", "label"), [
    ("text/html; charset=utf-8", "utf-8"), ('text/html;CHARSET="koi8-r"; x=y', "koi8-r"), ("text/html", None),
    ("text/html; charset = 'gbk'", "gbk"), (None, None), ("text/html; charset=", None),
])  # fmt: skip
def test_header(header: str | None, label: str | None) -> None:
    assert declared_in_header(header) == label


# -- robustness -----------------------------------------------------------------------------------------------


@settings(max_examples=300, deadline=None)
@given(st.binary(max_size=300), st.sampled_from([None, *sorted({*LABELS, *EXTRA})]), st.booleans())
def test_no_bytes_raise_and_no_text_is_unencodable(payload: bytes, label: str | None, in_meta: bool) -> None:
    header = None
    if label is not None and in_meta:
        payload = f"<meta charset={label}>".encode() + payload
    elif label is not None:
        header = f"text/html; charset={label}"
    found = decode(payload, header)
    found.text.encode("utf-8")  # raises on a lone surrogate
    assert "\0" not in found.text
    assert found.charset in CODECS and found.charset_from in ("bom", "header", "meta", "detected", "default")


def test_nuls_become_replacement_characters() -> None:
    assert decode(b"<p>" + b"a" * 500 + b"\0b</p>").text.count("\ufffd") == 1


@pytest.mark.parametrize("payload", [
    b"<" * 300_000, b"<meta " * 50_000, b"<!--" * 80_000, b"\xff" * 300_000, b"\x1b$B" * 100_000, b"~{" * 150_000,
    b"\0" * 300_000, b"<meta charset=" + b"a" * 300_000, b"<?xml " + b"encoding=" * 40_000, b"\x80<" * 150_000,
])  # fmt: skip
@pytest.mark.timeout(20)
def test_hostile_bytes_are_quick(payload: bytes) -> None:
    """Within the time limit above, and what comes back is text that UTF-8 can hold, without NULs."""
    text = decode(payload, "text/html; charset=").text
    assert "\0" not in text
    assert text.encode("utf-8").decode("utf-8") == text


def test_real_files_beat_charset_normalizer_without_declarations(shared_data: Path) -> None:
    """Every fifth file of chardet's collection; the whole is measured by benchmarks/charset.py."""
    import re

    import charset_normalizer

    with gzip.open(shared_data / "charset" / "chardet_tests.jsonl.gz") as stream:
        rows = [json.loads(line) for line in stream][::5]
    right = {"ours": 0, "peer": 0}
    for row in rows:
        payload = re.sub(rb"(?i)(charset|encoding)(?=\s*=)", b"x", base64.b64decode(row["b64"]))
        truth = re.match(r"(?i)(windows-\d+|iso-8859-\d+|[^-]+(?:-.+)?)", row["encoding_dir"])
        assert truth is not None
        codec = {"IBM855": "cp855", "IBM866": "cp866", "MacCyrillic": "mac_cyrillic", "MacRoman": "mac_roman"}.get(
            truth[1], truth[1]
        )
        if codec == "EUC-TW":
            continue
        accepted = {payload.decode(c, "replace").lstrip("\ufeff") for c in (codec, CODECS[resolve(codec) or "utf-8"])}
        right["ours"] += (
            decode(payload).text in accepted or payload.decode(CODECS[detect(payload)], "replace") in accepted
        )
        best = charset_normalizer.from_bytes(payload, preemptive_behaviour=False).best()
        right["peer"] += best is not None and str(best).lstrip("\ufeff") in accepted
    assert right["ours"] >= 0.97 * len(rows) and right["ours"] > right["peer"]
