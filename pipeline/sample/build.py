"""Builds the sample crawl and its truth table from the page files, the same bytes each time.

`crawl/` gets four files: two record-gzipped WARC files, a plain WARC and a WET file, damaged records
among them. `truth.tsv` names for every record what is expected of it. The fates are written down here,
as the plan that pages are planted by; they are not read off a run.

Columns of the truth table: file, offset, key, url, fate (`kept`, `dropped` or `skipped`), by (the filter
or `reader`), reason, note.
"""

from __future__ import annotations

import csv
import gzip
import io
import uuid
import zlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from .layouts import pick, render, words
from .pages import Page, read_pages

HERE = Path(__file__).parent
BENCHMARK = "benchmark"
"""What pages are planted as that hold questions of benchmark.jsonl; the registry calls it `gristmill_sample`."""
KEPT_LANGUAGES = ("ar", "de", "en", "es", "fr", "hi", "it", "ja", "ko", "nl", "pl", "pt", "ru", "zh")
FILES = ("sample-00000.warc.gz", "sample-00001.warc.gz", "sample-00002.warc", "sample-00003.warc.wet.gz")

LEGACY = {
    "de": ("iso-8859-1", "windows-1252"),
    "fr": ("iso-8859-15", "windows-1252"),
    "es": ("iso-8859-1",),
    "it": ("windows-1252",),
    "pt": ("iso-8859-1",),
    "nl": ("windows-1252",),
    "pl": ("iso-8859-2", "windows-1250"),
    "ru": ("windows-1251", "koi8-r"),
    "zh": ("gb18030", "gbk"),
    "ja": ("shift_jis", "euc-jp", "iso-2022-jp"),
    "ko": ("euc-kr",),
    "ar": ("windows-1256",),
    "el": ("iso-8859-7",),
    "he": ("windows-1255",),
    "th": ("windows-874",),
}
_CODEC = {"windows-874": "cp874"}


@dataclass(frozen=True)
class Mark:
    """An opt-out or a licence that a page is given, and what is expected of it."""

    note: str
    headers: tuple[tuple[str, str], ...] = ()
    meta: str = ""
    fate: tuple[str, str, str] = ("kept", "", "")


def _reserved(reason: str) -> tuple[str, str, str]:
    return "dropped", "consent", reason


MARKS: tuple[Mark, ...] = (
    Mark("X-Robots-Tag: noai", (("X-Robots-Tag", "noai, noimageai"),), fate=_reserved("noai")),
    Mark(
        "tdm-reservation: 1",
        (("TDM-Reservation", "1"), ("TDM-Policy", "https://rights.example/policy.json")),
        fate=_reserved("tdm_reservation"),
    ),
    Mark("meta robots noai", meta='<meta name="robots" content="noai, noimageai">', fate=_reserved("noai")),
    Mark("meta tdm-reservation", meta='<meta name="tdm-reservation" content="1">', fate=_reserved("tdm_reservation")),
    Mark("X-Robots-Tag: noindex", (("X-Robots-Tag", "googlebot: noindex"), ("X-Robots-Tag", "noarchive"))),
    Mark("licence link header", (("Link", '<https://creativecommons.org/licenses/by/4.0/>; rel="license"'),)),
    Mark(
        "licence without derivatives",
        meta='<link rel="license" href="https://creativecommons.org/licenses/by-nc-nd/4.0/">',
        fate=("dropped", "license", "license_excluded"),
    ),
)


@dataclass(frozen=True)
class Record:
    """One record to write: its raw block and what is expected of it."""

    key: str
    url: str
    date: str
    fate: str
    by: str = ""
    reason: str = ""
    note: str = ""
    kind: str = "response"
    headers: tuple[tuple[str, str], ...] = (("Content-Type", "text/html"),)
    status: str = "200 OK"
    body: bytes = b""
    raw: bytes | None = None  # written as it is instead of a record that warcio makes
    damage: Callable[[bytes], bytes] | None = None  # what happens to the finished member


def _when(key: str, year: int = 2025) -> str:
    month, day, hour, minute = 1 + pick(key + "m", 9), 1 + pick(key + "d", 28), pick(key + "h", 24), pick(key, 60)
    return f"{year}-{month:02d}-{day:02d}T{hour:02d}:{minute:02d}:07Z"


def _encode(text: str, page: Page) -> tuple[bytes, str, str, str]:
    """(bytes, Content-Type, meta tag, note): the page in one of the ways in which the web declares its charset."""
    legacy = LEGACY.get(page.lang, ())
    way = pick(page.key + "charset", 8)
    if legacy and way < 4:
        charset = legacy[pick(page.key, len(legacy))]
        data = text.encode(_CODEC.get(charset, charset), "xmlcharrefreplace")
        if way == 0:
            return data, f"text/html; charset={charset.upper()}", "", f"{charset} by header"
        return data, "text/html", charset, f"{charset} by meta"
    if way == 4:
        return text.encode("utf-8-sig"), "text/html", "", "utf-8 by byte order mark"
    if way == 5 and page.lang != "en":
        return text.encode("utf-16"), "text/html", "", "utf-16 by byte order mark"
    if way == 6:
        return text.encode(), "text/html", "", "utf-8, not declared"
    if way == 7:
        return text.encode(), "text/html; charset=iso-8859-1", "", "utf-8, the header says iso-8859-1"
    return text.encode(), "text/html; charset=utf-8", "utf-8", "utf-8"


def _links(page: Page, hosts: dict[str, list[Page]]) -> list[tuple[str, str]]:
    small = [(words(page.lang)[i], href) for i, href in enumerate(("/", "/about", "/contact", "/search"))]
    return small + [(p.title, p.path) for p in hosts[page.host] if p.key != page.key][:6]


def _html_record(page: Page, hosts: dict[str, list[Page]], extra: Record, meta: str = "", url: str = "") -> Record:
    def whole(charset: str) -> str:
        tag = f'<meta http-equiv="Content-Type" content="text/html; charset={charset}">' if charset else ""
        return render(page, _links(page, hosts), tag + meta)

    _, content_type, charset, note = _encode("", page)
    data = _encode(whole(charset), page)[0]
    encoding: tuple[tuple[str, str], ...] = ()
    way = pick(page.key + "transfer", 12)
    if way == 0:
        data, encoding = _gzip(data), (("Content-Encoding", "gzip"),)
    elif way == 1:
        data, encoding = _chunks(data), (("Transfer-Encoding", "chunked"),)
    elif way == 2:
        import brotli

        data, encoding = brotli.compress(data, quality=5), (("Content-Encoding", "br"),)
    elif way == 3:
        data, encoding = zlib.compress(data), (("Content-Encoding", "deflate"),)
    headers = (("Content-Type", content_type), *encoding, *(h for h in extra.headers if h[0] != "Content-Type"))
    where = url or f"{('https', 'http')[pick(page.host, 3) == 0]}://{page.host}{page.path}"
    notes = "; ".join(n for n in (extra.note, page.plant, note, *(v for _, v in encoding)) if n)
    return replace(extra, key=extra.key or page.key, url=where, headers=headers, body=data, note=notes)


def _gzip(data: bytes) -> bytes:
    return gzip.compress(data, 9, mtime=0)


def _chunks(data: bytes) -> bytes:
    parts = [data[i : i + 4096] for i in range(0, len(data), 4096)]
    return b"".join(b"%x\r\n%s\r\n" % (len(p), p) for p in parts) + b"0\r\n\r\n"


def _fate(page: Page) -> tuple[str, str, str]:
    """What is planned for a page: (fate, by, reason)."""
    if page.key in PLANTED_FATES:
        return PLANTED_FATES[page.key]
    if page.plant == BENCHMARK:
        return "dropped", "decontaminate", "gristmill_sample"
    if page.lang not in KEPT_LANGUAGES:
        return "dropped", "language", f"language:{page.lang}"
    return "kept", "", ""


def _dropped(by: str, reason: str) -> tuple[str, str, str]:
    return "dropped", by, reason


def _edited(by: str, kinds: str) -> tuple[str, str, str]:
    return "kept", by, kinds


PLANTED_FATES: dict[str, tuple[str, str, str]] = {
    "en-spam-casino-bonus": _dropped("url", "words:gambling"),
    "en-spam-fake-pharmacy": _dropped("url", "words:spam"),
    "en-adult-dating-landing": _dropped("url", "words:adult"),
    "en-adult-lingerie-nights": _dropped("url", "words:adult"),
    "en-placeholder-lorem": _dropped("language", "language_uncertain"),
    "en-gibberish-random-ids": _dropped("language", "language_uncertain"),
    "flt-mojibake-hopeless": _dropped("mojibake", "max_replaced"),
    "flt-mojibake-repaired": _edited("mojibake_repair", "mojibake"),
    "flt-default-server-page": _dropped("placeholder", "max_covered"),
    "flt-call-to-action": _dropped("refinedweb_lines", "max_words_taken"),
    "en-spam-all-caps-shouting": _dropped("refinedweb_lines", "max_words_taken"),
    "flt-cookie-line": _edited("c4_lines", "policy"),
    "flt-refrain": _dropped("gopher_repetition", "max_dup_line_share"),
    "flt-refrain-de": _dropped("gopher_repetition", "max_top_3gram_char_share"),
    "en-repetition-subscribe-line": _dropped("gopher_repetition", "max_dup_line_char_share"),
    "en-spam-doorway-plumber": _dropped("gopher_repetition", "max_top_2gram_char_share"),
    "flt-short-notice": _dropped("gopher_quality", "min_words"),
    "en-boiler-javascript-required": _dropped("gopher_quality", "min_words"),
    "flt-bullets-only": _dropped("gopher_quality", "max_bullet_line_share"),
    "flt-teasers": _dropped("gopher_quality", "max_ellipsis_line_share"),
    "flt-figures": _dropped("gopher_quality", "min_alpha_word_share"),
    "flt-names-of-moths": _dropped("gopher_quality", "min_stop_words"),
    "en-boiler-tag-cloud": _dropped("gopher_quality", "min_alpha_word_share"),
    "en-spam-link-farm": _dropped("gopher_quality", "min_stop_words"),
    "en-spam-emoji-hashtags": _dropped("gopher_quality", "max_hashes_per_word"),
    "flt-three-sentences": _dropped("c4_documents", "min_sentences"),
    "flt-no-full-stops": _dropped("fineweb_quality", "min_terminal_line_share"),
    "flt-short-lines": _dropped("fineweb_quality", "max_short_line_share"),
    "en-spam-parked-domain": _dropped("fineweb_quality", "max_short_line_share"),
    "forum-rust-self-referential-struct": _dropped("fineweb_quality", "max_dup_line_char_share"),
    "flt-keyboard-mash": _dropped("perplexity", "max_perplexity"),
    "flt-affiliate-mattress": _dropped("web_spam", "web_spam"),
    "en-toxic-parking-rant": _dropped("hate", "max_document"),
    "flt-adult-gallery": _dropped("nsfw", "max_document"),
    "flt-insult-masked": _edited("mask_toxic", "hate"),
    "en-boiler-empty-shop": _dropped("quality", "quality"),
    "en-boiler-cookie-wall": _dropped("quality", "quality"),
    "prod-split-keyboard+wet": ("kept", "", ""),  # without the tables that most of its page is
    "zh-cheng-shi-guan-niao+wet": _dropped("fineweb_quality", "min_terminal_line_share"),
    "flt-pii-letter": _edited("pii", "card,email,ip:v4"),
    "flt-pii-list": _dropped("pii", "max_per_document"),
}
"""Planted pages by key: (fate, filter or editor, reason of the drop or kinds of the cut spans)."""


def planned() -> list[list[Record]]:
    """The records of each file, in order."""
    pages = read_pages()
    hosts: dict[str, list[Page]] = {}
    for page in pages:
        hosts.setdefault(page.host, []).append(page)
    out: list[list[Record]] = [[], [], [], []]
    ordinary = [page for page in pages if _fate(page)[0] == "kept" and not page.plant]
    marks = {page.key: MARKS[i % len(MARKS)] for i, page in enumerate(ordinary[7::41])}
    for number, page in enumerate(pages):
        mark = marks.get(page.key, Mark("", fate=_fate(page)))
        record = Record("", "", _when(page.key), *mark.fate, mark.note, headers=mark.headers)
        target = 2 if number % 23 == 5 else number % 2
        out[target].append(_html_record(page, hosts, record, mark.meta))
    unmarked = [page for page in ordinary if page.key not in marks]
    for number, page in enumerate(unmarked[3::23]):  # the same page again, later, under another URL
        form, why = COPIES[number % len(COPIES)]
        url = f"https://{page.host}{page.path}" + (form if "?" not in page.path else form.replace("?", "&"))
        copy = Record(f"{page.key}+copy", "", _when(page.key, 2026), "dropped", "exact_dedup", why, "exact copy")
        out[number % 2].append(_html_record(page, hosts, copy, url=url))
    articles = [page for page in ordinary if page.type == "article"]
    for number, page in enumerate(articles[11::13]):  # nearly the same page: one more line
        parts = page.body.split("\n\n")
        parts.insert(len(parts) // 2 if number % 2 else len(parts), NEAR[number % len(NEAR)])
        body = "\n\n".join(parts)
        gone = page.key in marks and marks[page.key].fate[0] == "dropped"  # its near copy is then the only one
        fate = ("kept", "", "") if gone else NEAR_COPY
        near = Record(f"{page.key}+near", "", _when(page.key, 2026), *fate, "near copy")
        moved = replace(page, key=f"{page.key}+near", body=body)
        out[(number + 1) % 2].append(_html_record(moved, hosts, near, url=f"https://mirror.{page.host}{page.path}"))
    for number, record in enumerate(_special()):
        out[number % 2].insert(5 + 9 * number % len(out[number % 2]), record)
    out[3] = list(_wet(ordinary[20::97]))
    for number in (0, 1):
        out[number].insert(
            0, Record("warcinfo", "", "2025-01-01T00:00:00Z", "skipped", "reader", "type:warcinfo", kind="warcinfo")
        )
    out[1].append(_truncated())
    return out


COPIES = (("?utm_source=feed", "duplicate_url"), ("?print=1", "duplicate_text"), ("#comments", "duplicate_url"))
"""What addresses of copies end in; trackers and fragments are no part of an address, other parameters are."""

NEAR_COPY = ("dropped", "minhash_dedup", "near_duplicate")
NEAR = (
    "Update: a reader has pointed out a slip in the second paragraph, which we have put right.",
    "This page was moved here from our old address when the server was changed in the spring.",
    "Thanks to all who wrote in after the first version of this text went out with last month's letter.",
)


def _wet(pages: list[Page]) -> Iterator[Record]:
    for page in pages:
        lines = [
            line.lstrip("# ") for line in page.body.splitlines() if line and not line.startswith(("|", "@@", "```"))
        ]
        text = "\n".join([*lines[1:], f"({page.host}, {page.date})"])
        fate = PLANTED_FATES.get(f"{page.key}+wet", NEAR_COPY)
        yield Record(
            f"{page.key}+wet", f"https://text.{page.host}{page.path}", _when(page.key, 2026), *fate,
            note="WET conversion record", kind="conversion", body=text.encode(),
        )  # fmt: skip


def _page(key: str, body: str | bytes, fate: str, by: str, reason: str, note: str = "", **more: Any) -> Record:
    data = body.encode() if isinstance(body, str) else body
    return replace(
        Record(key, f"https://oddities.example/{key}", _when(key), fate, by, reason, note, body=data), **more
    )


_GZIPPED = (("Content-Type", "text/html"), ("Content-Encoding", "gzip"))
_CHUNKED = (("Content-Type", "text/html"), ("Transfer-Encoding", "chunked"))
_BROTLI = (("Content-Type", "text/html"), ("Content-Encoding", "br"))
_TEXT = "<p>This page stands here only so that something can go wrong with it on the way through the reader.</p>"


def _special() -> Iterator[Record]:
    """Records that are no pages, pages that extraction must refuse, and damaged records."""
    html = f"<html><head><title>Odd one</title></head><body>{_TEXT * 3}</body></html>"
    skip = ("skipped", "reader")
    yield _page("request", "", *skip, "type:request", kind="request")
    yield _page("metadata", "fetchTimeMs: 12", *skip, "type:metadata", kind="metadata")
    yield _page("revisit", "", *skip, "type:revisit", kind="revisit")
    yield _page("gone", html, *skip, "status:404", status="404 Not Found")
    yield _page("moved", "", *skip, "status:301", status="301 Moved Permanently")
    yield _page("picture", "\x89PNG", *skip, "media_type:image/png", headers=(("Content-Type", "image/png"),))
    yield _page(
        "paper", "%PDF-1.7", *skip, "media_type:application/pdf", headers=(("Content-Type", "application/pdf"),)
    )
    yield _page("empty", "", *skip, "empty_payload")
    yield _page(
        "frames",
        "<html><frameset cols='20%,80%'><frame src=a.html><frame src=b.html></frameset></html>",
        "dropped",
        "extract",
        "no_text",
    )
    yield _page("only-script", "<html><body><script>var a = 1;</script></body></html>", "dropped", "extract", "no_text")
    deep = "<html><body>" + "<div>" * 60_000 + "deep</body></html>"
    yield _page(
        "listed", html, "dropped", "url", "blocklist:gristmill", url="https://www.blocked-by-list.example/listed"
    )
    yield _page("no-url", html, "dropped", "url", "bad_url", url="https://[broken/")
    many = "<html><body>" + "<p>x</p>" * 300_000 + "</body></html>"
    big = "<html><body><pre>" + "0123456789abcdef\n" * 3_000_000 + "</pre></body></html>"
    for key, text, reason in (
        ("deep", deep, "too_deep"),
        ("many", many, "too_many_nodes"),
        ("big", big, "too_many_bytes"),
    ):
        yield _page(key, _gzip(text.encode()), "dropped", "extract", reason, headers=_GZIPPED)
    yield _page("rot", html, *skip, "corrupt_gzip", "bits turned over in the middle of the member", damage=_rot)
    yield _page("broken-chunks", b"6\r\n<html>\r\nzz\r\nno size of a chunk", *skip, "bad_chunked", headers=_CHUNKED)
    yield _page("broken-brotli", b"\xff\xfe\xfd not brotli at all", *skip, "bad_brotli", headers=_BROTLI)
    cut_gzip = _gzip(html.encode())[:80]
    yield _page("broken-gzip", cut_gzip, *skip, "bad_content_encoding", headers=_GZIPPED)
    yield _page(
        "bad-http", "", *skip, "bad_http_header", raw=_raw_record("bad-http", b"This is not HTTP at all\r\n\r\n<html>")
    )
    yield _page("no-warc", "", *skip, "garbage", raw=_gzip(b"What is this member doing in a WARC file?\r\n\r\n"))
    no_length = b"WARC/1.0\r\nWARC-Type: response\r\nWARC-Date: 2025-01-01T00:00:00Z\r\n\r\nbody\r\n\r\n"
    yield _page("no-length", "", *skip, "bad_warc_header", raw=_gzip(no_length))
    lying = _raw_record(
        "lying-length", b"HTTP/1.1 200 OK\r\nContent-Type: text/html\r\n\r\n" + html.encode(), claim=9_999_999
    )
    yield _page("lying-length", "", *skip, "bad_content_length", raw=lying)


def _raw_record(key: str, block: bytes, claim: int | None = None) -> bytes:
    length = len(block) if claim is None else claim
    head = (
        "WARC/1.0\r\nWARC-Type: response\r\n"
        f"WARC-Target-URI: https://oddities.example/{key}\r\nWARC-Date: {_when(key)}\r\n"
        f"WARC-Record-ID: <urn:uuid:{uuid.uuid5(uuid.NAMESPACE_URL, key)}>\r\n"
        f"Content-Type: application/http; msgtype=response\r\nContent-Length: {length}\r\n\r\n"
    )
    return _gzip(head.encode() + block + b"\r\n\r\n")


def _rot(member: bytes) -> bytes:
    middle = len(member) // 2
    return member[:middle] + bytes(b ^ 0x5A for b in member[middle : middle + 12]) + member[middle + 12 :]


def _truncated() -> Record:
    whole = _raw_record("cut-off", b"HTTP/1.1 200 OK\r\nContent-Type: text/html\r\n\r\n" + (_TEXT * 9).encode())
    return _page(
        "cut-off", "", "skipped", "reader", "truncated", "the file ends in mid-record", raw=whole[: len(whole) * 2 // 3]
    )


def _member(record: Record, *, compressed: bool) -> bytes:
    """The bytes of one record, by warcio."""
    from warcio.statusandheaders import StatusAndHeaders
    from warcio.warcwriter import BufferWARCWriter

    if record.raw is not None:
        return record.raw
    writer = BufferWARCWriter(gzip=compressed)
    warc_headers = {
        "WARC-Date": record.date,
        "WARC-Record-ID": f"<urn:uuid:{uuid.uuid5(uuid.NAMESPACE_URL, record.key + record.url)}>",
    }
    if record.kind == "warcinfo":
        made = writer.create_warcinfo_record("sample.warc.gz", {"software": "gristmill", "description": "sample crawl"})
        for name, value in warc_headers.items():
            made.rec_headers.replace_header(name, value)
    else:
        http = None
        if record.kind in ("response", "revisit"):
            http = StatusAndHeaders(record.status, list(record.headers), protocol="HTTP/1.1")
        elif record.kind == "request":
            http = StatusAndHeaders("GET /request HTTP/1.1", [("Host", "oddities.example")], is_http_request=True)
        content_type = {"conversion": "text/plain", "metadata": "application/warc-fields"}.get(record.kind)
        made = writer.create_warc_record(
            record.url, record.kind, payload=io.BytesIO(record.body), http_headers=http,
            warc_headers_dict=warc_headers, warc_content_type=content_type or "",
        )  # fmt: skip
    writer.write_record(made)
    member = bytes(writer.get_contents())
    return record.damage(member) if record.damage else member


def build(folder: Path = HERE) -> None:
    """Write `crawl/` and `truth.tsv` into a folder."""
    (folder / "crawl").mkdir(parents=True, exist_ok=True)
    rows = []
    for name, records in zip(FILES, planned(), strict=True):
        compressed = name.endswith(".gz")
        offset = 0
        with open(folder / "crawl" / name, "wb") as out:
            for record in records:
                member = _member(record, compressed=compressed)
                fate = (record.fate, record.by, record.reason, record.note)
                rows.append((name, offset, record.key, record.url, *fate))
                offset += out.write(member)
    with open(folder / "truth.tsv", "w", encoding="utf-8", newline="") as out:
        table = csv.writer(out, delimiter="\t", lineterminator="\n")
        table.writerow(("file", "offset", "key", "url", "fate", "by", "reason", "note"))
        table.writerows(rows)


if __name__ == "__main__":
    build()
    print(f"built {HERE / 'crawl'} and {HERE / 'truth.tsv'}")
