"""Hostile markup: entities, nesting and attributes in pages; scripts in what reports show."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import pyarrow as pa
import pytest
from lxml import html as lxml_html

from pipeline.extract.engines import EngineOptions, make_engine
from pipeline.extract.limits import Limits
from pipeline.report import Section, html_page

ENGINES = ("gristmill", "trafilatura", "resiliparse")
SECRET = "the-secret-of-this-machine"
SCRIPT = "</title></style></script><script>alert(1)</script><img src=x onerror=alert(1)>\"' onmouseover='alert(1)"
FILL = "<p>" + "Some words of an article that is long enough to be taken for one. " * 20 + "</p>"


@pytest.mark.parametrize("engine", ENGINES)
def test_entities_open_no_file_and_do_not_multiply(tmp_path: Path, engine: str) -> None:
    (tmp_path / "secret").write_text(SECRET)
    laughs = "".join(f'<!ENTITY l{n} "{f"&l{n - 1};" * 10}">' for n in range(1, 10))
    page = (
        f'<?xml version="1.0"?><!DOCTYPE html [<!ENTITY x SYSTEM "file://{tmp_path}/secret">'
        f'<!ENTITY l0 "laughter">{laughs}'
        f'<!ENTITY % p SYSTEM "file://{tmp_path}/secret"> %p;]><html xmlns:xi="http://www.w3.org/2001/XInclude"><body>'
        f'<article><p>&x; &l9;</p><xi:include href="file://{tmp_path}/secret" parse="text"/>{FILL}</article>'
    )
    found = make_engine(engine, EngineOptions()).extract(page, "http://a.example/", None)
    assert SECRET not in repr(found) and "words of an article" in found.text
    assert len(found.text) < 2 * len(page)


HOSTILE = {
    "nested": (b"<div>" * (50 << 20 >> 2), "too_many_bytes"),
    "nested within the bytes": (b"<div>" * 50_000, "too_deep"),
    "many": (b"<br>" * 200_000, "too_many_nodes"),
    "attributes": (b"<p " + b"a=b " * 1_000_000 + b">x", "too_many_nodes"),
}


@pytest.mark.parametrize("name", HOSTILE)
def test_pages_that_would_choke_a_parser_are_refused_before(name: str) -> None:
    payload, reason = HOSTILE[name]
    assert Limits().too_much(payload) == reason
    assert Limits().too_much(payload[:5000] + b">") is None


def test_the_stage_drops_them_with_the_reason() -> None:
    from pipeline.extract.stage import Extract
    from pipeline.schema import PAGE

    payloads = [payload for name, (payload, _) in HOSTILE.items() if name != "nested"]
    same = {"url": "http://a.example/", "payload_kind": "html"}
    payloads.append(f"<html><body>{FILL}</body></html>".encode())
    rows = [{**same, "id": str(i), "record": {"file": "f", "offset": i}, "payload": p} for i, p in enumerate(payloads)]
    table = Extract()(pa.Table.from_pylist(rows, PAGE))
    assert table["drop_reason"].to_pylist() == ["too_deep", "too_many_nodes", "too_many_nodes", None]


def pages(sample_run: Path, tmp_path: Path) -> Iterator[tuple[str, str]]:
    """(name, HTML) of the reports that can be made of a run, as files."""
    from pipeline.cli import main
    from pipeline.packstep import find_packs

    yield "report", (sample_run / "report.html").read_text()
    for name, words in {
        "inspect": ["inspect", str(sample_run)],
        "packs": ["packs", "report", str(find_packs(sample_run))],
        "dedup": ["dedup", "report", str(sample_run)],
        "decontam": ["decontam", "report", str(sample_run), "--bench", "sample"],
    }.items():
        target = tmp_path / f"{name}.html"
        assert main([*words, "--html", str(target), "--quiet"]) == 0, name
        yield name, target.read_text()


def check_page(text: str) -> None:
    """A policy before everything else, which allows nothing from elsewhere and no script that it doesn't name."""
    head = text[: text.index("<title")]
    (policy,) = re.findall(r"<meta http-equiv=\"?Content-Security-Policy\"? content=\"([^\"]*)\"", head)
    assert "default-src 'none'" in policy and "<script" not in head and "<style" not in head
    rules = {words.split()[0]: words.split()[1:] for words in policy.split(";") if words.strip()}
    assert all(one.startswith("'sha256-") for one in rules.get("script-src", []))
    tree = lxml_html.fromstring(text.encode())
    scripts = [one for one in tree.iter("script") if one.get("type") not in ("application/json",)]
    assert len(scripts) == len(rules.get("script-src", []))
    for one in tree.iter():
        assert not any(name.startswith("on") for name in one.attrib), (one.tag, dict(one.attrib))
        assert not any(str(value).strip().lower().startswith("javascript:") for value in one.attrib.values())


def test_every_report_has_a_policy(sample_run: Path, tmp_path: Path) -> None:
    for _, text in pages(sample_run, tmp_path):
        check_page(text)


def test_values_are_escaped() -> None:
    text = html_page(SCRIPT, [Section(SCRIPT, (SCRIPT,), [(SCRIPT,)], SCRIPT)])
    check_page(text)
    assert "alert(1)" in text


def test_curves_and_decontam_escape_too() -> None:
    from decontam.page.markup import escaped
    from pretrain.figures import Curve, Figure, svg, values_table

    figure = Figure(SCRIPT, SCRIPT, SCRIPT, (Curve(SCRIPT, (1.0, 2.0), (1.0, 2.0)),))
    check_page(html_page("x", [Section("x", figures=(svg(figure), values_table(figure)))]))
    assert "<" not in str(escaped(SCRIPT))


def test_pages_are_made_in_two_places_only(root: Path) -> None:
    """A new page that is not made by `html_page` has to be added here, and to `pages`."""
    made = set()
    for package in ("pipeline", "filters", "dedup", "decontam", "mixtures", "pretrain"):
        for file in (root / package).rglob("*.py"):
            if "sample" in file.parts or "bundle" in file.parts:
                continue
            if re.search(r"[\"']<!doctype html", file.read_text(encoding="utf-8"), re.IGNORECASE):
                made.add(file.relative_to(root).as_posix())
    assert made == {"pipeline/report.py", "decontam/page/build.py"}
