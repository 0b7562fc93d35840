"""The page in headless Chromium: what it shows, also with thousands of items, and that nothing else runs."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest

from benchmarks.chromium import Chromium, find_chromium
from decontam.audit.result import AuditResult
from decontam.page import page

from .results import ARABIC, ESCAPES, HAN, MARKUP, METHODS, empty_result, small_result

pytestmark = pytest.mark.skipif(find_chromium() is None, reason="needs a Chromium on the PATH, and there is none")
READY = "document.documentElement?.dataset.ready > 0"
IDS = "list.shown.map(idOf)"


@pytest.fixture(scope="module")
def browser() -> Iterator[Chromium]:
    with Chromium(patience=60) as one:
        one.window(1300, 900)
        yield one


@pytest.fixture(scope="module")
def result() -> AuditResult:
    return small_result(150, gate=True)


@pytest.fixture(scope="module")
def path(result: AuditResult, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return written(result, tmp_path_factory.mktemp("page"))


def written(result: AuditResult, folder: Path) -> Path:
    path = folder / "report.html"
    path.write_text(page(result), encoding="utf-8")
    return path


@pytest.fixture
def opened(browser: Chromium, path: Path) -> Iterator[Chromium]:
    """The page, freshly opened; afterwards neither console nor policy has complained and no foreign script has run."""
    browser.messages.clear()
    browser.open(path)
    browser.wait(READY)
    yield browser
    assert browser.evaluate("window.hacked") is None
    assert browser.messages == []


def go(browser: Chromium, **wanted: Any) -> list[str]:
    """The ids that the list shows with these filters."""
    browser.evaluate(f"go({json.dumps(wanted)})")
    browser.wait(" && ".join(f"state.{key} === {json.dumps(value)}" for key, value in wanted.items()))
    browser.wait("!list.busy")
    ids: list[str] = browser.evaluate(IDS)
    return ids


def show_item(browser: Chromium, name: str) -> None:
    browser.evaluate(f"openItem({name!r})")
    browser.wait(f"byId('item-title')?.textContent.endsWith({name!r})")


def test_the_list_opens_with_all_that_is_dirty_or_suspect(opened: Chromium, result: AuditResult) -> None:
    rows = result.items.to_pylist()
    assert opened.evaluate(IDS) == [row["item"] for row in rows if row["verdict"] != "clean"]
    first = opened.evaluate("[...document.querySelectorAll('#window .row')][0].innerText.split('\\n')")
    assert first[0] == rows[0]["verdict"] and first[1] == rows[0]["item"]
    assert f"{rows[0]['score']:.3f}" in first and f"{rows[0]['copies']:,}" in first


def test_filters_and_orders_are_those_of_the_tables(opened: Chromium, result: AuditResult) -> None:
    rows = result.items.to_pylist()
    of = [{one["method"]: one for one in row["by_method"]} for row in rows]
    dirty = [{m for m, one in some.items() if one["verdict"] == "dirty"} for some in of]

    def ids(mask: Any) -> list[str]:
        return [row["item"] for row, yes in zip(rows, mask, strict=True) if yes]

    assert go(opened, verdict="suspect") == ids(r["verdict"] == "suspect" for r in rows)
    assert go(opened, benchmark="alpha", split="test") == ids(
        r["verdict"] == "suspect" and (r["benchmark"], r["split"]) == ("alpha", "test") for r in rows
    )
    assert go(opened, benchmark="", split="", verdict="found", method=METHODS[2]) == ids(METHODS[2] in o for o in of)
    a, b = METHODS[1:]
    assert go(opened, method="", verdict="any", both=f"{a},{b}") == ids({a, b} <= d for d in dirty)
    assert go(opened, both="", only=f"{a},{b}") == ids(a in d and b not in d for d in dirty)
    shown = go(opened, only="", sort="copies")
    copies = {row["item"]: row["copies"] for row in rows}
    assert [copies[name] for name in shown] == sorted(copies.values(), reverse=True)
    shown = go(opened, up=True)
    assert [copies[name] for name in shown] == sorted(copies.values())
    shown = go(opened, up=False, sort="documents")
    assert shown == [row["item"] for row in sorted(rows, key=lambda row: -row["documents"])]


def test_controls_of_the_list_do_what_they_say(opened: Chromium, result: AuditResult) -> None:
    rows = result.items.to_pylist()
    opened.evaluate("byId('verdict').value = 'dirty'; byId('verdict').dispatchEvent(new Event('change'))")
    opened.wait("state.verdict === 'dirty'")
    opened.evaluate("byId('group').selectedIndex = 1; byId('group').dispatchEvent(new Event('change'))")
    opened.wait("state.benchmark === 'alpha'")
    wanted = [r["item"] for r in rows if r["verdict"] == "dirty" and r["benchmark"] == "alpha"]
    assert opened.evaluate(IDS) == wanted
    opened.evaluate("document.querySelector('#heads [data-sort=score]').click()")
    opened.wait("state.sort === 'score'")
    scores = {row["item"]: row["score"] for row in rows}
    assert opened.evaluate(IDS) == sorted(wanted, key=lambda name: -scores[name])
    opened.evaluate("byId('reset').click()")
    opened.wait("state.verdict === 'found' && !state.sort")
    assert len(opened.evaluate(IDS)) == sum(row["verdict"] != "clean" for row in rows)


def test_search_reads_questions_and_on_demand_all_text(opened: Chromium, result: AuditResult) -> None:
    rows = {row["item"]: row for row in result.items.to_pylist()}
    found = go(opened, verdict="any", q="GARDEN river")
    assert found == [k for k, r in rows.items() if "garden" in r["question"] and "river" in r["question"]] != []
    assert go(opened, q="trailing77") == []
    assert go(opened, deep=True) == [m["item"] for m in result.matches.to_pylist() if "trailing77" in m["text"]][:1]
    assert go(opened, q="trailing77 after78") == []
    passages = [k for k, r in rows.items() if r["passage"] and "passage of 9 " in r["passage"]]
    assert passages[0] in go(opened, q="passage of 9 ")


def test_an_address_opens_its_item(browser: Chromium, path: Path, result: AuditResult) -> None:
    browser.messages.clear()
    name = result.items["item"].to_pylist()[30]
    browser.open(path, f"#item={quote(name)}&verdict=dirty")
    browser.wait("byId('item-title')")
    assert browser.evaluate("byId('item-title').textContent").split()[-1] == name
    assert browser.evaluate("state.verdict") == "dirty"
    link = browser.evaluate("byId('item-title').querySelector('a').getAttribute('href')")
    browser.open(path, link)
    browser.wait("byId('item-title')")
    assert browser.evaluate("state.item") == name
    browser.open(path, "#item=none/of/them")
    browser.wait("byId('detail').textContent.includes('No method finds an item')")
    assert browser.messages == []


def masks(pieces: list[list[Any]]) -> list[tuple[str, bool]]:
    return [(c, bool(marked)) for text, marked in pieces for c in text]


@pytest.mark.parametrize("number", range(7))
def test_an_item_stands_beside_its_text_with_the_overlap_marked(
    opened: Chromium, result: AuditResult, number: int
) -> None:
    row = next(r for r in result.items.to_pylist() if r["item"].endswith(f"/{number}"))
    match = next(m for m in result.matches.to_pylist() if m["item"] == row["item"])
    show_item(opened, row["item"])
    pieces = """(box) => { const out = []; const walk = document.createTreeWalker(box, NodeFilter.SHOW_TEXT);
      while (walk.nextNode()) out.push([walk.currentNode.data, !!walk.currentNode.parentElement.closest('mark')]);
      return out; }"""
    question = "[...document.querySelectorAll('#detail h5')].find((h) => h.textContent === 'Question').nextSibling"
    training = "document.querySelector('[aria-label=\"training text\"] .text')"
    spans = [(o["start"], o["end"]) for o in match["item_overlap"] if o["part"] == "question"]
    check_marks(masks(opened.evaluate(f"({pieces})({question})")), row["question"], spans)
    shown = masks(opened.evaluate(f"({pieces})({training})"))
    before = match["before"]
    spans = [(o["start"] + len(before), o["end"] + len(before)) for o in match["overlap"]]
    check_marks(shown, before + match["text"] + match["after"], spans)
    facts = opened.evaluate("document.querySelector('[aria-label=\"training text\"] .facts').innerText")
    assert match["source"] in facts and match["document"] in facts
    assert f"crawl-{number}.warc.gz, offset {10**9 + number:,}" in " ".join(facts.split())
    links = opened.evaluate("[...document.querySelectorAll('#detail .sides a')].map((a) => a.getAttribute('href'))")
    assert links == ([match["url"]] if (match["url"] or "").startswith("https://example") else links)
    assert all(re.match("https?://", one) for one in links)
    table = opened.evaluate("[...document.querySelectorAll('#detail tbody tr')].map((r) => r.innerText.split('\\t'))")
    of = {one["method"]: one for one in row["by_method"]}
    for cells in table:
        one = of.get(cells[0].split()[0])
        assert cells[1] == (one["verdict"] if one else "clean")
        assert cells[2:] == (
            [f"{one['score']:.3f}", f"{one['documents']:,}", f"{one['copies']:,}"] if one else ["–"] * 3
        )


def check_marks(shown: list[tuple[str, bool]], text: str, spans: list[tuple[int, int]]) -> None:
    """Every character of the overlap is marked; others only between two marks, and no letter or digit of them."""
    plain = re.sub("[\0\x1b\x9b\u202a-\u202e]", visible, text)
    assert "".join(c for c, _ in shown) == plain
    where = [i for i, c in enumerate(text) for _ in re.sub("[\0\x1b\x9b\u202a-\u202e]", visible, c)]
    inside = {at for low, high in spans for at in range(low, high)}
    for (char, marked), at in zip(shown, where, strict=True):
        if at in inside:
            assert marked, (char, at)
        elif marked:
            assert not char.isalnum() and min(inside) < at < max(inside), (char, at)


def visible(found: Any) -> str:
    return f"[U+{ord(found[0]):04X}]"


def test_choices_of_an_item_show_the_right_one_and_their_overlap(opened: Chromium, result: AuditResult) -> None:
    row = next(r for r in result.items.to_pylist() if r["item"].endswith("/7"))
    show_item(opened, row["item"])
    shown = opened.evaluate("[...document.querySelectorAll('#detail li')].map((li) => [li.innerText, li.className])")
    assert [text.removesuffix(" (the answer)") for text, _ in shown] == [
        re.sub("[\0\x1b\x9b\u202a-\u202e]", visible, c) for c in row["choices"]
    ]
    assert [kind == "right" for _, kind in shown] == [c == row["answer"] for c in row["choices"]]
    assert (
        opened.evaluate("document.querySelector('#detail li:nth-child(4) mark').textContent") == row["choices"][3][1:4]
    )


def test_texts_run_in_their_own_direction(opened: Chromium, result: AuditResult) -> None:
    by_question = {row["question"]: row["item"] for row in result.items.to_pylist()}
    side = "document.querySelector('#detail h5:last-of-type')"
    for question, way in ((ARABIC, "rtl"), (HAN, "ltr"), (ESCAPES, "ltr"), (MARKUP, "ltr")):
        show_item(opened, by_question[question])
        box = "[...document.querySelectorAll('#detail h5')].find((h) => h.textContent === 'Question').nextSibling"
        assert opened.evaluate(f"getComputedStyle({box}).direction") == way
    assert opened.evaluate(f"{side} !== null")


def test_the_keyboard_is_enough(opened: Chromium) -> None:
    ids = opened.evaluate(IDS)
    opened.key("/")
    assert opened.evaluate("document.activeElement.id") == "q"
    opened.evaluate("byId('rows').focus()")
    for name in ("ArrowDown", "ArrowDown", "Enter"):
        opened.key(name)
    opened.wait("byId('item-title')")
    assert opened.evaluate("state.item") == ids[2]
    for key, place in (("j", 3), ("j", 4), ("k", 3)):
        opened.key(key)
        opened.wait(f"state.item === {ids[place]!r}")
    opened.key("Escape")
    opened.wait("byId('detail').hidden")
    assert opened.evaluate("document.activeElement.id") == "rows"
    opened.key("End")
    assert opened.evaluate("list.current") == len(ids) - 1
    chosen = opened.evaluate("byId(byId('rows').getAttribute('aria-activedescendant')).textContent")
    assert ids[-1] in chosen


def test_other_matches_of_an_item_can_be_chosen(opened: Chromium, result: AuditResult) -> None:
    rows = result.items.to_pylist()
    row = next(r for r in rows if len(r["by_method"]) > 1 and r["verdict"] != "clean")
    show_item(opened, row["item"])
    second = [m for m in result.matches.to_pylist() if m["item"] == row["item"]][1]
    opened.evaluate("document.querySelectorAll('.matches button')[1].click()")
    opened.wait("document.querySelectorAll('.matches button')[1].getAttribute('aria-pressed') === 'true'")
    assert second["method"] in opened.evaluate("document.activeElement.textContent")
    assert "the match goes on" in opened.evaluate(
        "document.querySelector('[aria-label=\"training text\"]').textContent"
    )


def test_a_long_text_is_shown_around_its_mark_and_whole_on_demand(opened: Chromium) -> None:
    """A pair of surrogates is not cut, whichever of its units the window begins at."""
    for shift in (0, 1):
        shown = opened.evaluate(
            f"""(() => {{ const box = document.createElement('div');
            const side = '😀'.repeat(30000), text = side + 'x'.repeat({shift}) + 'mark' + side;
            box.append(marked(text, [[60000 + {shift}, 60004 + {shift}]]));
            document.body.append(box);
            const first = box.textContent, mark = box.querySelector('mark').textContent;
            box.querySelector('button').click();
            const all = box.textContent;
            box.remove();
            return [first, mark, all, box.querySelector('button') === null]; }})()"""
        )
        first, mark, whole, done = shown
        assert mark == "mark" and "mark" in first and len(first.encode("utf-16-le")) // 2 < 20_100
        assert first.startswith("… 😀") and "😀 …show all" in first
        assert whole == "😀" * 30_000 + "x" * shift + "mark" + "😀" * 30_000 and done


def test_ids_can_be_saved(opened: Chromium, result: AuditResult) -> None:
    opened.evaluate("URL.createObjectURL = (blob) => { window.saved = blob; return '#'; }; null")
    opened.evaluate("byId('save-shown').click()")
    shown = [row["item"] for row in result.items.to_pylist() if row["verdict"] != "clean"]
    assert opened.evaluate("window.saved.text()").splitlines() == shown
    opened.evaluate("window.saved = null; document.querySelector('[data-save=unmatchable]').click()")
    opened.wait("window.saved")
    assert opened.evaluate("window.saved.text()").splitlines() == result.unmatchable


def test_heads_order_the_tables(opened: Chromium, result: AuditResult) -> None:
    for way in (-1, 1):
        opened.evaluate("document.querySelectorAll('#benchmarks thead button')[3].click()")
        shown = opened.evaluate(
            "[...document.querySelectorAll('#benchmarks tbody tr')].map((r) => +r.cells[3].dataset.v)"
        )
        assert shown == sorted(shown, key=lambda n: way * n) and len(set(shown)) > 1


def test_a_print_has_the_rows_of_the_list(opened: Chromium) -> None:
    n = opened.evaluate("list.shown.length")
    opened.evaluate("dispatchEvent(new Event('beforeprint')); draw()")
    assert opened.evaluate("document.querySelectorAll('#window .row').length") == n > 60
    opened.evaluate("dispatchEvent(new Event('afterprint')); null")
    assert opened.evaluate("document.querySelectorAll('#window .row').length") < 60


def test_a_browser_without_decompression_shows_the_same(browser: Chromium, path: Path, result: AuditResult) -> None:
    browser.messages.clear()
    script = browser.call("Page.addScriptToEvaluateOnNewDocument", source="delete window.DecompressionStream")
    try:
        browser.open(path)
        browser.wait(READY)
        assert browser.evaluate("typeof DecompressionStream") == "undefined"
        assert browser.evaluate("list.items.item") == result.items["item"].to_pylist()
        assert browser.evaluate("list.items.question") == result.items["question"].to_pylist()
        passages = browser.evaluate("blockOf(1).then((b) => b.passage)")
        assert passages == result.items["passage"].to_pylist()[64:128]
        assert browser.messages == []
    finally:
        browser.call("Page.removeScriptToEvaluateOnNewDocument", identifier=script["identifier"])


def test_thousands_of_items_are_a_window_of_rows(browser: Chromium, tmp_path: Path) -> None:
    browser.messages.clear()
    result = small_result(3000)
    browser.open(written(result, tmp_path))
    browser.wait(READY)
    assert browser.evaluate("document.querySelectorAll('#window .row').length") < 60
    browser.evaluate("byId('rows').scrollTop = byId('rows').scrollHeight; null")
    last = [row["item"] for row in result.items.to_pylist() if row["verdict"] != "clean"][-1]
    browser.wait(f"byId('window').lastChild.textContent.includes({last!r})")
    assert browser.evaluate("document.querySelectorAll('*').length") < 3000
    assert browser.messages == []


def test_an_empty_audit_and_a_narrow_window_are_shown(browser: Chromium, path: Path, tmp_path: Path) -> None:
    browser.messages.clear()
    browser.open(written(empty_result(), tmp_path))
    browser.wait(READY)
    assert not browser.evaluate("byId('none').hidden")
    browser.window(380, 700, dark=True)
    browser.open(path)
    browser.wait(READY)
    show_item(browser, browser.evaluate("idOf(0)"))
    assert browser.evaluate("document.documentElement.scrollWidth") <= 380
    assert browser.evaluate("getComputedStyle(document.body).backgroundColor") != "rgb(255, 255, 255)"
    browser.window(1300, 900)
    assert browser.messages == []


def test_the_policy_stops_what_is_not_the_pages_own(browser: Chromium, path: Path) -> None:
    """The check of the other tests sees violations: each of these attempts is refused and leaves a message."""
    image = "Object.assign(document.createElement('img'), {src: 'https://example.org/a.png'})"
    for attempt, told in (
        ("document.body.insertAdjacentHTML('beforeend', '<img src=x onerror=window.hacked=1>')", "TrustedHTML"),
        (f"document.body.append({image})", "img-src"),
        ("document.body.setAttribute('onclick', 'window.hacked=1'), document.body.click()", "Trusted"),
    ):
        browser.messages.clear()
        browser.open(path)
        browser.wait(READY)
        browser.evaluate(f"(() => {{ try {{ {attempt}; }} catch (error) {{ console.error(error.message); }} }})()")
        browser.evaluate("new Promise((done) => setTimeout(done, 50))")
        assert any(told in message for message in browser.messages), (attempt, browser.messages)
        assert browser.evaluate("window.hacked") is None
