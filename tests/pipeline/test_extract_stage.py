"""The stage: every row comes back, with clean text or with a reason."""

from __future__ import annotations

import re
from functools import partial

import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.errors import ConfigError, SchemaError
from pipeline.extract import extract_html
from pipeline.extract.guard import fates_file
from pipeline.extract.page import clean_text
from pipeline.extract.stage import REASONS, Extract
from pipeline.schema import EXTRACTED, PAGE
from pipeline.stage import make, split

BODY = "<p>" + "A sentence of some length for the page, with commas, and a full stop. " * 8 + "</p>"


def page(
    payload: bytes | None, id: str = "a", kind: str = "html", content_type: str | None = None
) -> dict[str, object]:
    record = {"file": "x.warc.gz", "offset": 1, "content_type": content_type, "date": "2024-05-06T00:00:00Z"}
    return {"id": id, "url": "http://x/", "record": record, "payload": payload, "payload_kind": kind}


def run(*pages: dict[str, object], **options: object) -> pa.Table:
    options = {"engine": "resiliparse", "isolate": False} | options
    return Extract(**options)(pa.Table.from_pylist(list(pages), PAGE))  # type: ignore[arg-type]


def test_columns_as_declared() -> None:
    stage = Extract()
    found = run(page(BODY.encode()))
    assert found.column_names == ["id", "url", "record", *(n for n, _ in EXTRACTED), "drop_reason"]
    for name, type in EXTRACTED:
        assert found.schema.field(name).type == type
    assert found.schema.field("drop_reason").type == pa.string()
    assert set(found.column_names) - {"drop_reason"} == set(PAGE.names) - set(stage.removes) | set(stage.adds)
    assert found["record"][0].as_py()["offset"] == 1, "provenance stays"


def test_every_row_comes_back_and_says_why_it_goes() -> None:
    pages = [
        page(b"", "empty"),
        page(None, "null"),
        page(b"<html></html>", "nothing"),
        page(BODY.encode(), "good"),
        page(b"x" * 2000, "long"),
        page(b"<b>" * 60, "deep"),
        page("נוסח בעברית, ארוך דיו להיחשב לטקסט. ".encode() * 9, "rtl", "text"),
    ]
    found = run(*pages, max_bytes=1500, max_depth=50)
    kept, dropped = split(found, Extract())
    assert found["id"].to_pylist() == [p["id"] for p in pages]
    assert kept["id"].to_pylist() == ["good", "rtl"]
    reasons = dict(zip(dropped["id"].to_pylist(), dropped["drop_reason"].to_pylist(), strict=True))
    assert reasons == {
        "empty": "no_text", "null": "no_text", "nothing": "no_text", "long": "too_many_bytes", "deep": "too_deep"
    }  # fmt: skip
    assert set(reasons.values()) <= set(REASONS)
    assert kept["text"].null_count == 0 and dropped["text"].null_count == dropped.num_rows


def test_isolated_and_inside_agree() -> None:
    pages = [page(BODY.encode("utf-8") + f"<p>{i}</p>".encode(), str(i)) for i in range(70)]
    assert run(*pages).equals(run(*pages, isolate=True))
    assert run().num_rows == 0 and run(isolate=True).column_names == run(*pages).column_names


def test_wet_text_passes_through_with_clean_lines() -> None:
    payload = "First\r\nsecond\rthird\u2028fourth\x0cfifth\x07\tend \u202bעברית\u202c <p>kept</p>\n".encode("utf-16")
    found = run(page(payload, kind="text")).to_pylist()[0]
    assert found["text"] == "First\nsecond\nthird\nfourth\nfifth\tend \u202bעברית\u202c <p>kept</p>"
    assert found["title"] is None and found["charset"] == "utf-16le" and found["charset_from"] == "bom"


def test_the_header_decides_the_charset() -> None:
    payload = f"<html><body>{BODY}<p>Привет, мир, это проверка.</p></body></html>".encode("koi8-r")
    found = run(page(payload, content_type="text/html; charset=koi8-r")).to_pylist()[0]
    assert "Привет, мир" in found["text"] and found["charset_from"] == "header"


@settings(max_examples=300, deadline=None)
@given(st.text(alphabet=st.characters(exclude_categories=())))
def test_clean_text_has_no_control_characters(text: str) -> None:
    clean = clean_text(text)
    clean.encode("utf-8")
    assert not [c for c in clean if (ord(c) < 32 and c not in "\n\t") or 0x7F <= ord(c) < 0xA0]
    assert clean_text(clean) == clean
    if text.isprintable():
        assert clean == text.strip(), "nothing else is touched"


def test_nfd_stays_nfd() -> None:
    text = "cafe\u0301 " * 20
    assert "e\u0301" in run(page(text.encode(), kind="text"))["text"][0].as_py()


def test_a_page_with_entities_for_surrogates_and_nuls() -> None:
    for engine in ("gristmill", "trafilatura", "resiliparse"):
        payload = (
            f"<html><body>{BODY}<p>&#xD800; &#0; &#x85; &#x1F600; \x01 end of the page.</p></body></html>".encode()
        )
        text = run(page(payload), engine=engine)["text"][0].as_py()
        assert "end of the page." in text and "\0" not in text and "\x01" not in text
        text.encode("utf-8")


def test_the_fingerprint_follows_what_decides_the_text() -> None:
    assert re.fullmatch(r"gristmill engine \d+ model [0-9a-f]{16}", Extract().config()["engine_version"])
    base = Extract(engine="trafilatura")
    assert "trafilatura 2." in base.config()["engine_version"]
    changed = partial(Extract, engine="trafilatura")
    same = [changed(timeout_s=5), changed(memory_mb=100), changed(isolate=False), changed(recycle_mb=50)]
    other = [Extract(), Extract(engine="resiliparse"), changed(comments=True), changed(tables=False),
             changed(favor="recall"), changed(max_depth=7), changed(metadata="engine"),
             changed(markdown=True)]  # fmt: skip
    assert {s.fingerprint() for s in same} == {base.fingerprint()}
    assert len({s.fingerprint() for s in [base, *other]}) == 1 + len(other)


def test_it_is_registered_and_typos_are_named() -> None:
    assert make("extract", {"engine": "resiliparse"}) == Extract(engine="resiliparse")
    with pytest.raises(ConfigError, match="did you mean 'max_depth'"):
        make("extract", {"max_dept": 3})
    with pytest.raises(SchemaError, match="payload"):
        Extract()(pa.table({"id": ["a"]}))


def test_known_fates_are_replayed_by_the_stage(tmp_path) -> None:  # type: ignore[no-untyped-def]
    file = tmp_path / "fates.jsonl"
    file.write_text('{"id": "b", "url": "u", "reason": "timeout"}\n')
    with fates_file(file):
        found = run(page(BODY.encode(), "a"), page(BODY.encode(), "b"), page(BODY.encode(), "c"))
    assert found["drop_reason"].to_pylist() == [None, "timeout", None]
    assert [t is None for t in found["text"].to_pylist()] == [False, True, False]


def test_one_page_by_hand() -> None:
    payload = f"<html><head><title>Der Titel</title></head><body>{BODY}<p>Grüße</p></body></html>".encode("latin-1")
    found = extract_html(payload, content_type="text/html; charset=latin1", url="http://x/2019/02/03/y")
    assert found["title"] == "Der Titel" and "Grüße" in (found["text"] or "") and found["drop_reason"] is None
    assert found["charset"] == "windows-1252" and found["published"] == "2019-02-03"
    assert extract_html(b"", engine="resiliparse")["drop_reason"] == "no_text"
    with pytest.raises(ConfigError, match="did you mean 'comments'"):
        extract_html(payload, coments=True)
