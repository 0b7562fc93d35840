"""The page's tables and data, read again from its HTML and compared with the tables of the result."""

from __future__ import annotations

import base64
import dataclasses
import hashlib
import json
import re
import tomllib
import zlib
from fnmatch import fnmatch
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs

import pyarrow as pa
import pytest
from lxml import html

from decontam.audit.result import BENCHMARKS, AuditResult
from decontam.page import page
from decontam.page.data import BLOCK, MATCH, units

from .results import ARABIC, METHODS, empty_result, small_result

CODES = ["clean", "suspect", "dirty"]


def parsed(result: AuditResult) -> Any:
    return html.document_fromstring(page(result).encode(), parser=html.HTMLParser(encoding="utf-8"))


def element(root: Any, name: str) -> Any:
    (found,) = root.xpath(f"//*[@id='{name}']")
    return found


def unpack(root: Any, name: str) -> Any:
    return json.loads(zlib.decompress(base64.b64decode(json.loads(element(root, name).text))))


def rows_of(root: Any, name: str) -> list[list[str]]:
    table = element(root, name)
    return [[" ".join(c.text_content().split()) for c in row] for row in table.xpath("./tbody/tr")]


def number(shown: str) -> int:
    return int(shown.replace(",", ""))


@pytest.fixture(scope="module")
def result() -> AuditResult:
    return small_result(150, gate=True)


@pytest.fixture(scope="module")
def root(result: AuditResult) -> Any:
    return parsed(result)


def test_the_table_of_benchmarks_has_the_numbers_of_the_default_method(root: Any, result: AuditResult) -> None:
    wanted = [row for row in result.benchmarks.to_pylist() if row["method"] == METHODS[0]]
    shown = rows_of(root, "benchmarks")
    assert len(shown) == len(wanted) == 3
    for cells, row in zip(shown, wanted, strict=True):
        assert cells[:2] == [row["benchmark"], row["split"]]
        keys = ("items", "dirty", "suspect", "clean", "unmatchable")
        assert [number(c) for c in cells[2:7]] == [row[key] for key in keys]
        assert cells[7] == f"{100 * row['dirty'] / row['items']:.2f} %"
    foot = [c.text_content() for c in element(root, "benchmarks").xpath("./tfoot/tr/*")]
    assert [number(c) for c in foot[2:7]] == [
        sum(row[key] for row in wanted) for key in ("items", "dirty", "suspect", "clean", "unmatchable")
    ]
    bars = element(root, "benchmarks").xpath("./tbody//rect[@class='suspect']")
    for one, row in zip(bars, wanted, strict=True):
        assert float(one.get("width")) == pytest.approx(100 * row["suspect"] / row["items"], abs=1e-3)
        assert float(one.get("x")) == pytest.approx(100 * row["dirty"] / row["items"], abs=1e-3)


def test_one_sentence_says_what_was_found_and_whether_the_gate_holds(root: Any, result: AuditResult) -> None:
    told = element(root, "finding").text_content()
    rows = [row for row in result.benchmarks.to_pylist() if row["method"] == METHODS[0]]
    dirty, suspect = sum(row["dirty"] for row in rows), sum(row["suspect"] for row in rows)
    assert told.startswith(f"{dirty} of 6,000 benchmark items ({100 * dirty / 6000:.2f} %)")
    assert f"; {suspect} more are suspect" in told and "2 of 3 benchmark splits are over the limit of 5.00 %" in told
    assert told.count(". ") == 0 and element(root, "finding").get("class") == "failed"
    assert [row.get("class") for row in element(root, "benchmarks").xpath("./tbody/tr")] == [None, "failed", "failed"]
    calm = parsed(small_result(150))
    assert "limit" not in element(calm, "finding").text_content()
    assert not calm.xpath("//tr[@class='failed']")


def test_methods_stand_beside_each_other(root: Any, result: AuditResult) -> None:
    found = {(r["benchmark"], r["split"], r["method"]): r for r in result.benchmarks.to_pylist()}
    for cells in rows_of(root, "matrix"):
        for name, shown in zip(METHODS, cells[2:], strict=True):
            row = found[cells[0], cells[1], name]
            counts = [number(n) for n in shown.split(" + ")]
            assert counts == ([row["dirty"], row["suspect"]] if row["suspect"] else [row["dirty"]])
    for cells, name in zip(rows_of(root, "methods"), METHODS, strict=True):
        mine = [r for r in result.benchmarks.to_pylist() if r["method"] == name]
        assert cells[0].split()[0] == name
        assert [number(n) for n in cells[1:5]] == [
            sum(r[key] for r in mine) for key in ("dirty", "suspect", "clean", "unmatchable")
        ]


def test_agreement_is_what_sets_of_items_say(root: Any, result: AuditResult) -> None:
    dirty: dict[str, set[str]] = {name: set() for name in METHODS}
    for row in result.items.to_pylist():
        for one in row["by_method"]:
            if one["verdict"] == "dirty":
                dirty[one["method"]].add(row["item"])
    rows = rows_of(root, "agreement")
    assert len(rows) == 3
    for first, other, *counts, share in rows:
        one, two = dirty[first], dirty[other]
        assert [number(n) for n in counts] == [len(one & two), len(one - two), len(two - one)]
        assert share == f"{100 * len(one & two) / len(one | two):.2f} %"


def test_links_of_numbers_name_the_items_that_they_count(root: Any, result: AuditResult) -> None:
    links = element(root, "benchmarks").xpath(".//tbody//a")
    assert links
    for one in links:
        asked = parse_qs(one.get("href").removeprefix("#"))
        (benchmark,), (split,), (verdict,) = asked["benchmark"], asked["split"], asked["verdict"]
        n = sum(
            (row["benchmark"], row["split"], row["verdict"]) == (benchmark, split, verdict)
            for row in result.items.to_pylist()
        )
        assert number(one.text_content()) == n > 0


def test_the_list_has_every_item_and_number(root: Any, result: AuditResult) -> None:
    summary, head = json.loads(element(root, "summary").text), unpack(root, "items")
    rows = result.items.to_pylist()
    assert summary["methods"] == list(METHODS) and summary["default"] == METHODS[0]
    for key in ("item", "documents", "copies"):
        assert head[key] == [row[key] for row in rows]
    assert head["question"] == [row["question"] for row in rows]
    assert [tuple(summary["groups"][g]) for g in head["group"]] == [(r["benchmark"], r["split"]) for r in rows]
    assert [CODES[int(v)] for v in head["verdict"]] == [row["verdict"] for row in rows]
    for key in ("score", "exposure"):
        assert head[key] == [None if r[key] is None else pytest.approx(r[key], abs=5.1e-7) for r in rows]
    for k, row in enumerate(rows):
        of = {one["method"]: one for one in row["by_method"]}
        for name in METHODS:
            column = head["methods"][name]
            one = of.get(name)
            assert CODES[int(column["verdict"][k])] == (one["verdict"] if one else "clean")
            assert column["score"][k] == (pytest.approx(one["score"], abs=5.1e-7) if one else None)
            assert column["copies"][k] == (one["copies"] if one else None)
            assert column["documents"][k] == (one["documents"] if one else None)


def test_the_blocks_have_every_match_with_offsets_that_javascript_counts(root: Any, result: AuditResult) -> None:
    rows, given = result.items.to_pylist(), result.matches.to_pylist()
    assert unpack(root, "items")["matches"] == [sum(m["item"] == row["item"] for m in given) for row in rows]
    assert len(root.xpath("//script[starts-with(@id, 'block-')]")) == -(-len(rows) // BLOCK) > 1
    for k, row in enumerate(rows):
        block, at = unpack(root, f"block-{k // BLOCK}"), k % BLOCK
        for key in ("choices", "answer", "passage"):
            assert block[key][at] == row[key]
        wanted = [m for m in given if m["item"] == row["item"]]
        assert len(block["matches"][at]) == len(wanted)
        for values, match in zip(block["matches"][at], wanted, strict=True):
            shown = dict(zip((*MATCH, "overlap", "item_overlap"), values, strict=True))
            assert METHODS[shown["method"]] == match["method"] and CODES[shown["verdict"]] == match["verdict"]
            assert shown["score"] == pytest.approx(match["score"], abs=5.1e-7)
            for key in set(MATCH) - {"method", "verdict", "score"}:
                assert shown[key] == match[key], key
            assert slices(match["text"], shown["overlap"]) == [
                match["text"][one["start"] : one["end"]] for one in match["overlap"]
            ]
            for part, flat in shown["item_overlap"].items():
                text = row["choices"][3] if part == "choice 4" else row[part]
                spans = [one for one in match["item_overlap"] if one["part"] == part]
                assert slices(text, flat) == [text[one["start"] : one["end"]] for one in spans]


def slices(text: str, flat: list[int]) -> list[str]:
    """What a browser cuts: UTF-16 units."""
    raw = text.encode("utf-16-le")
    return [raw[2 * low : 2 * high].decode("utf-16-le") for low, high in zip(flat[::2], flat[1::2], strict=True)]


def test_offsets_outside_a_text_are_moved_to_its_ends() -> None:
    assert units("a😀b", [-1, 0, 1, 2, 3, 99]) == [0, 0, 1, 3, 4, 4]
    assert units("ab", [5]) == [2] and units("", [0, 1]) == [0, 0] and units("x", []) == []


def test_no_markup_of_a_text_is_markup_of_the_page(root: Any, result: AuditResult) -> None:
    text = page(result)
    assert not re.search("[\0-\x08\x0b-\x1f\x7f-\x9f\u2028\u2029\u202e]", text)
    assert not root.xpath("//img | //iframe | //object | //link | //base")
    assert not root.xpath("//@*[starts-with(name(), 'on')] | //@style | //@src")
    for one in root.xpath("//a/@href"):
        assert one.startswith(("#", "https://")), one
    kinds = [one.get("type") for one in root.xpath("//script")]
    assert kinds.count(None) == 1 and kinds[-1] is None and set(kinds) == {None, "application/json"}
    for data in root.xpath("//script[@type]"):
        assert not set("<>&") & set(data.text), data.get("id")
    assert "corpus/</script><script>" in element(root, "settings").text_content()


def test_the_policy_allows_this_script_and_style_only(root: Any) -> None:
    (policy,) = root.xpath("//meta[@http-equiv='Content-Security-Policy']/@content")
    rules = dict(rule.split(" ", 1) for rule in policy.split("; "))
    assert rules["default-src"] == "'none'" and "unsafe" not in policy
    for rule, tag in (("script-src", "//script[not(@type)]"), ("style-src", "//style")):
        (one,) = root.xpath(tag)
        told = base64.b64encode(hashlib.sha256(one.text.encode()).digest()).decode()
        assert rules[rule] == f"'sha256-{told}'"
    assert page(small_result(3)).index("charset") < 100


def test_the_guide_names_methods_with_sources_and_settings(root: Any, result: AuditResult) -> None:
    told = root.text_content()
    assert "Brown et al. 2020" in told and root.xpath("//a[@href='https://arxiv.org/abs/2005.14165']")
    settings = dict(rows_of(root, "settings"))
    assert settings["guard: max_items"] == "20" and settings["index: items"] == "999"
    assert settings["mixture: web"] == "2.5" and settings["skipped: no text"] == "3"
    assert rows_of(root, "of-coverage")[0][:2] == ["parameter", "0.5"]
    assert unpack(root, "unmatchable") == result.unmatchable


def test_ids_of_clean_items_are_there_if_they_are_given(result: AuditResult) -> None:
    ids = [f"alpha/test/{n}" for n in range(5000)]
    root = html.document_fromstring(page(result, ids))
    assert unpack(root, "clean") == ids
    (button,) = root.xpath("//button[@data-save='clean']")
    assert button.text_content() == "Save the 5,000 ids of clean items"
    assert not html.document_fromstring(page(small_result(3))).xpath("//*[@data-save='clean']")


def test_a_share_of_next_to_nothing_is_not_told_as_nothing() -> None:
    counts = {"items": 200_000, "dirty": 1, "suspect": 0, "clean": 199_999, "unmatchable": 0}
    row = {"benchmark": "b", "split": "s", "method": METHODS[0], **counts}
    result = dataclasses.replace(empty_result(), benchmarks=pa.Table.from_pylist([row], schema=BENCHMARKS))
    root = parsed(result)
    assert element(root, "finding").text_content() == (
        "1 of 200,000 benchmark items (under 0.01 %) stands in the training text."
    )
    assert rows_of(root, "benchmarks")[0][7] == "under 0.01 %"


def test_limits_that_differ_are_told_as_such(result: AuditResult) -> None:
    gate = [{**one, "limit": 0.05 + k / 10} for k, one in enumerate(result.gate)]
    told = element(parsed(dataclasses.replace(result, gate=gate)), "finding").text_content()
    assert told.endswith("2 of 3 benchmark splits are over their limits.")
    gate = [{**one, "failed": False} for one in result.gate]
    root = parsed(dataclasses.replace(result, gate=gate))
    assert element(root, "finding").text_content().endswith("every benchmark split is within the limit of 5.00 %.")
    assert element(root, "finding").get("class") == "passed"


def test_the_page_is_the_same_each_time_and_bears_emptiness() -> None:
    assert page(small_result(20)) == page(small_result(20))
    root = parsed(empty_result())
    assert element(root, "finding").text_content() == "There was no benchmark item to look for."
    assert unpack(root, "items")["item"] == [] and not root.xpath("//script[@id='block-0']")
    alone = parsed(small_result(5, methods=("coverage",), exposure=False))
    assert not alone.xpath("//table[@id='agreement']")
    assert unpack(alone, "items")["exposure"] == [None] * 5
    assert ARABIC in unpack(alone, "items")["question"]


def test_every_file_of_the_page_is_package_data(root: Any) -> None:
    folder = Path(__file__).resolve().parents[3]
    settings = tomllib.loads((folder / "pyproject.toml").read_text(encoding="utf-8"))
    patterns = settings["tool"]["setuptools"]["package-data"]["decontam.page"]
    files = [p.name for p in (folder / "decontam" / "page").iterdir() if p.is_file() and p.suffix != ".py"]
    assert len(files) >= 7
    assert all(any(fnmatch(name, pattern) for pattern in patterns) for name in files)
