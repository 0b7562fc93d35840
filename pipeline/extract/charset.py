"""From the bytes of a page to its text: which character set, and who says so.

Order, as browsers have it (WHATWG HTML, "determining the character encoding"): byte order mark, HTTP
header, `<meta>` or XML declaration inside the first bytes, then detection. A declaration counts only if
the bytes can bear it. Headers and templates lie often, and the usual lies leave plain marks:

- legacy label, but the bytes are well-formed UTF-8 (chance alone hardly ever makes such sequences);
- `utf-8` or an East Asian label, but a good part of the characters does not decode;
- a Western label, but the letters above ASCII stand in unbroken runs, as Cyrillic, Greek or Chinese do;
- an ASCII-compatible label, but the bytes are full of NULs (UTF-16 without a mark).

Such a label is passed over. Detection is UTF-8 validation, then chardet 7 on at most `SAMPLE_BYTES`
around the densest non-ASCII part. Of chardet 7.7, faust-cchardet 3.2, resiliparse 2.0 (uchardet),
chardetng-py 0.3 and charset-normalizer 3.5 it was the most accurate on the texts of
`benchmarks/charset.py`, which commits the figures.
"""

from __future__ import annotations

import codecs
import re
from dataclasses import dataclass

import numpy as np

from .labels import CODECS, EXTRA, LABELS, MULTIBYTE, WIDE, resolve

SAMPLE_BYTES = 32_768
"""At most so many bytes go through statistical detection."""

PRESCAN_BYTES = 4096
"""Where a `<meta>` may stand. The standard asks for 1024 at least; templates with long heads pass that."""

_MAX_BAD = 0.05  # of the non-ASCII characters: more undecodable ones and the label is taken for a lie
_MAX_BAD_UTF8 = 0.3  # UTF-8 with pasted Latin-1 is still UTF-8: its well-formed sequences are no accident
_MAX_NUL = 0.1  # of the first bytes
_WESTERN = frozenset({"windows-1252", "iso-8859-15", "macintosh"})
_BOMS = (
    (codecs.BOM_UTF8, "utf-8"),
    (codecs.BOM_UTF32_LE, "utf-32le"),  # before utf-16le, whose mark it begins with
    (codecs.BOM_UTF32_BE, "utf-32be"),
    (codecs.BOM_UTF16_LE, "utf-16le"),
    (codecs.BOM_UTF16_BE, "utf-16be"),
)
# EBCDIC can't be HTML as anyone serves it; UTF-7 has no place on the web
_NEVER = ("cp037", "cp500", "cp875", "cp1026", "cp1140", "utf-7")


@dataclass(frozen=True, slots=True)
class Decoded:
    """`text` has no NUL, no lone surrogate and no BOM; `charset_from` as in `schema.EXTRACTED`."""

    text: str
    charset: str
    charset_from: str


def decode(payload: bytes, content_type: str | None = None) -> Decoded:
    """The text of a page. `content_type` is the HTTP header as sent. Raises nothing, whatever the bytes."""
    if not payload:
        return Decoded("", "utf-8", "default")
    utf8 = _try_utf8(payload)
    rejected: list[tuple[float, str, str, str]] = []  # share undecodable, text, charset, from
    for name, source in _declared(payload, content_type):
        text, bad = _attempt(payload, name, utf8)
        if not _lies(payload, name, source, utf8, bad):
            return Decoded(_clean(text, payload), name, source)
        rejected.append((bad, text, name, source))
    if utf8 is not None and not _hidden(payload):
        source = "default" if len(utf8) == len(payload) else "detected"
        return Decoded(_clean(utf8, payload), "utf-8", source)
    name = detect(payload)
    text, bad = _attempt(payload, name, utf8)
    # the detector saw a sample only: if the whole does not decode, the least bad reading wins
    best = min([(bad, text, name, "detected"), *rejected], key=lambda r: r[0]) if bad > _MAX_BAD else None
    if best is not None:
        _, text, name, source = best
        return Decoded(_clean(text, payload), name, source)
    return Decoded(_clean(text, payload), name, "detected")


def detect(payload: bytes) -> str:
    """The charset's name from the bytes alone, declarations left out of account. Never raises."""
    for mark, name in _BOMS:
        if payload.startswith(mark):
            return name
    utf8 = _try_utf8(payload)
    if utf8 is not None and not _hidden(payload):
        return "utf-8"
    if utf8 is None and _try_utf8_share(payload) <= _MAX_BAD_UTF8:
        return "utf-8"
    import chardet

    sample = _sample(payload)
    found = chardet.detect(
        sample, compat_names=False, max_bytes=SAMPLE_BYTES, exclude_encodings=_NEVER, no_match_encoding="cp1252"
    )["encoding"]
    name = _superset(found, payload)
    if name in _WESTERN and _in_runs(payload):  # strictness about one bad byte drove it from an East Asian answer
        from resiliparse.parse.encoding import detect_encoding

        other = _superset(detect_encoding(sample, html5_compatible=False), payload)
        if _attempt(payload, other, None)[1] <= _MAX_BAD:
            return other
    return name


def declared_in_header(content_type: str | None) -> str | None:
    """The label in an HTTP Content-Type, as written."""
    match = _HEADER_CHARSET.search(content_type) if content_type else None
    return match[1] if match else None


def prescan(payload: bytes) -> str | None:
    """The label that `<meta>` or an XML declaration gives, as written (WHATWG "prescan a byte stream")."""
    head = payload[:PRESCAN_BYTES]
    lower = head.lower()
    if b"charset" in lower:
        label = _prescan_meta(head, lower)
        if label is not None:
            return label
    if lower.startswith(b"<?xml"):
        match = _XML_ENCODING.match(head)
        if match:
            return match[1].decode("latin-1")
    return None


_HEADER_CHARSET = re.compile(r"""charset\s*=\s*["']?\s*([^\s"';,]+)""", re.IGNORECASE)
_XML_ENCODING = re.compile(rb"""<\?xml[^>]{0,200}?\sencoding\s*=\s*["']([^"'>]{1,40})["']""", re.IGNORECASE)
_META = re.compile(rb"<meta[\t\n\f\r /]", re.IGNORECASE)
_TAG = re.compile(rb"</?[a-z][^\t\n\f\r >]*", re.IGNORECASE)
_ATTRIBUTE = re.compile(
    rb"""[\t\n\f\r /]*(?!>)(=?[^\t\n\f\r />=]*)"""
    rb"""(?:[\t\n\f\r ]*=[\t\n\f\r ]*("[^"]*(?:"|\Z)|'[^']*(?:'|\Z)|[^\t\n\f\r >]*))?"""
)
_PRAGMA_CHARSET = re.compile(rb"""charset[\t\n\f\r ]*=[\t\n\f\r ]*(?:"([^"]*)"|'([^']*)'|([^\t\n\f\r ;"']+))""", re.I)


def _prescan_meta(head: bytes, lower: bytes) -> str | None:
    position = 0
    while (position := lower.find(b"<", position)) >= 0:
        if lower.startswith(b"<!--", position):
            position = lower.find(b"-->", position + 2)
            if position < 0:
                return None
            continue
        meta = _META.match(head, position)
        tag = None if meta else _TAG.match(head, position)
        if meta or tag:
            attributes, position = tag_attributes(head, (meta or tag).end())  # type: ignore[union-attr]
            label = _meta_label(attributes) if meta else None
            if label is not None:
                return label
        elif lower[position + 1 : position + 2] in (b"!", b"/", b"?"):
            position = lower.find(b">", position)
            if position < 0:
                return None
        else:
            position += 1
    return None


def tag_attributes(head: bytes, position: int) -> tuple[dict[bytes, bytes], int]:
    """A tag's attributes (the first of each name, in small letters) and where the tag ends.

    `position`: behind the tag's name. Names and values are read as WHATWG HTML tells a prescan to ("get an
    attribute"), in linear time; character references stay as they are.
    """
    found: dict[bytes, bytes] = {}
    while True:
        match = _ATTRIBUTE.match(head, position)
        if match is None or match.end() == match.start() or match.end() >= len(head):
            return found, match.end() if match else position
        if match[1]:
            value = match[2] or b""
            quoted = value[:1] in (b'"', b"'")
            found.setdefault(match[1].lower(), value[1:].removesuffix(value[:1]) if quoted else value)
        position = match.end()


def _meta_label(attributes: dict[bytes, bytes]) -> str | None:
    if b"charset" in attributes:
        label: bytes | None = attributes[b"charset"]
    elif attributes.get(b"http-equiv", b"").strip().lower() == b"content-type":
        match = _PRAGMA_CHARSET.search(attributes.get(b"content", b""))
        label = next((g for g in match.groups() if g is not None), None) if match else None
    else:
        return None
    text = label.decode("latin-1") if label else ""
    return text if resolve(text) or text.strip().lower() == "x-user-defined" else None


def _declared(payload: bytes, content_type: str | None) -> list[tuple[str, str]]:
    """(charset, source) of each declaration whose label is known, the strongest first."""
    found = [(name, "bom") for mark, name in _BOMS if payload.startswith(mark)][:1]
    label = declared_in_header(content_type)
    name = resolve(label) if label else None
    if name:
        found.append((name, "header"))
    label = prescan(payload)
    if label is not None:
        # the standard's two rules for a declaration that has been read byte by byte
        name = "windows-1252" if label.strip().lower() == "x-user-defined" else resolve(label)
        if name in WIDE:
            name = "utf-8"
        if name:
            found.append((name, "meta"))
    return found


def _lies(payload: bytes, name: str, source: str, utf8: str | None, bad: float) -> bool:
    """Whether the bytes plainly contradict a declared charset. `bad`: share of undecodable characters."""
    if name in WIDE:
        head = payload[:256]
        narrow = head.count(0) == 0 and sum(byte < 0x80 for byte in head) > 0.75 * len(head)
        return bad > _MAX_BAD or (source != "bom" and narrow)
    head = payload[:PRESCAN_BYTES]
    if source != "bom" and head.count(0) > _MAX_NUL * len(head):
        return True
    if name == "utf-8":
        return bad > _MAX_BAD_UTF8
    if utf8 is not None and not utf8.isascii():
        # two-byte East Asian characters pass for UTF-8 by chance when they are few
        return name not in MULTIBYTE or len(payload) - len(utf8) >= 12
    return bad > _MAX_BAD or (name in _WESTERN and _in_runs(payload))


def _in_runs(payload: bytes) -> bool:
    """Whether the letters above ASCII nearly all have a neighbour above ASCII: no Western language does that."""
    data = np.frombuffer(payload, np.uint8)
    letters = data >= 0xC0
    count = int(letters.sum())
    if count < 30:
        return False
    high = data >= 0xA1
    beside = np.zeros(len(data), bool)
    beside[1:] |= high[:-1]
    beside[:-1] |= high[1:]
    return int((letters & beside).sum()) >= 0.8 * count


def _hidden(payload: bytes) -> bool:
    """Bytes that pass for ASCII or UTF-8, but mark another encoding: NULs, ISO-2022 escapes, HZ."""
    head = payload[:PRESCAN_BYTES]
    if head.count(0) > _MAX_NUL * len(head):
        return True
    if b"\x1b" in payload and any(mark in payload for mark in (b"\x1b$", b"\x1b(J", b"\x1b(I")):
        return True
    return payload.isascii() and b"~{" in payload and b"~}" in payload


def _try_utf8(payload: bytes) -> str | None:
    """The text if the bytes are UTF-8 (a last character cut off by a size limit is forgiven)."""
    try:
        return payload.decode("utf-8")
    except UnicodeDecodeError as error:
        if error.reason == "unexpected end of data" and error.start > len(payload) - 4 and error.start > 0:
            head = payload[: error.start].decode("utf-8")
            return head if not head.isascii() else None
        return None


def _try_utf8_share(payload: bytes) -> float:
    return _attempt(payload, "utf-8", None)[1]


def _attempt(payload: bytes, name: str, utf8: str | None) -> tuple[str, float]:
    """The text by one charset and the share of its non-ASCII characters that did not decode."""
    if name == "utf-8" and utf8 is not None:
        return utf8, 0.0
    errors = _EUC_JP_ERRORS if name == "euc-jp" else "replace"
    text = payload.decode(CODECS[name], errors)
    bad = text.count("\ufffd")
    if bad and name in ("utf-8", "gb18030", "gbk"):  # these can spell U+FFFD themselves
        bad = max(0, bad - payload.count("\ufffd".encode(CODECS[name])))
    if not bad:
        return text, 0.0
    encoded = np.frombuffer(text.encode("utf-8", "replace"), np.uint8)
    return text, bad / max(int((encoded >= 0xC0).sum()), 1)


def _sample(payload: bytes) -> bytes:
    """At most SAMPLE_BYTES where non-ASCII bytes are densest, its declarations made unreadable."""
    sample = payload
    if len(payload) > SAMPLE_BYTES:
        data = np.frombuffer(payload, np.uint8)
        block = SAMPLE_BYTES // 4
        high = np.flatnonzero((data >= 0x80) | (data == 0x1B))
        counts = np.bincount(high // block, minlength=-(-len(data) // block))
        windows = np.convolve(counts, np.ones(4, np.int64))[3:] if len(counts) > 3 else counts
        start = int(windows.argmax()) * block
        if start:  # begin at an ASCII byte, so that no character is cut in two
            low = np.flatnonzero(data[start : start + block] < 0x40)
            start += int(low[0]) if len(low) else 0
        sample = payload[start : start + SAMPLE_BYTES]
    return _DECLARATION.sub(rb"\1-", sample)


_DECLARATION = re.compile(rb"(charset|encoding)(?=[\t\n\f\r ]*=)", re.IGNORECASE)

# the detector's answers that are subsets of a Windows page, where bytes 80 to 9F settle the matter
_WINDOWS = {
    "iso-8859-2": "windows-1250",
    "iso-8859-5": "windows-1251",
    "iso-8859-7": "windows-1253",
    "iso-8859-8": "windows-1255",
    "iso-8859-13": "windows-1257",
    "iso-8859-15": "windows-1252",
}
# what browsers decode in their stead
_WEB = {"shift_jis-2004": "shift_jis", "euc-jis-2004": "euc-jp"}


def _superset(found: str | None, payload: bytes) -> str:
    """A Python codec's name, as a detector gives it, as the charset that a browser would use."""
    if found is None:
        return "utf-8" if _try_utf8(payload) is not None else "windows-1252"
    try:
        codec = codecs.lookup(found).name
    except LookupError:
        return "windows-1252"
    name = "iso-2022-jp" if codec.startswith("iso2022_jp") else _BY_CODEC.get(codec)
    if name is None:
        return "windows-1252"
    name = _WEB.get(name, name)
    if name in _WINDOWS:
        data = np.frombuffer(payload, np.uint8)
        if int(((data >= 0x80) & (data < 0xA0)).sum()) > 0:
            return _WINDOWS[name]
    return name


def _by_codec() -> dict[str, str]:
    found = {codecs.lookup(CODECS[name]).name: name for name in reversed(CODECS)}
    # codecs whose own name is a label of another charset: ascii, latin-1, gb2312, big5 ...
    for label, name in (LABELS | EXTRA).items():
        try:
            found.setdefault(codecs.lookup(label).name, name)
        except LookupError:
            continue
    found["cp950"] = "big5"
    found[codecs.lookup("utf-16").name] = "utf-16le"
    return found


_BY_CODEC = _by_codec()


def _clean(text: str, payload: bytes) -> str:
    """Without the mark at the start; NUL becomes U+FFFD, as in an HTML parser."""
    if text.startswith("\ufeff"):
        text = text[1:]
    return text.replace("\0", "\ufffd") if b"\0" in payload else text


def _euc_jp_row_13(error: UnicodeError) -> tuple[str, int]:
    """NEC's row 13 (circled digits, units), which pages use and Python's `euc_jp` lacks."""
    if not isinstance(error, UnicodeDecodeError):
        raise error
    pair = error.object[error.start : error.start + 2]
    if len(pair) == 2 and pair[0] == 0xAD and pair[1] >= 0xA1:
        text = pair.decode("euc_jis_2004", "replace")
        if "\ufffd" not in text:
            return text, error.start + 2
    return "\ufffd", error.start + 1


_EUC_JP_ERRORS = "gristmill-euc-jp"
codecs.register_error(_EUC_JP_ERRORS, _euc_jp_row_13)
