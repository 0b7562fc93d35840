"""Evaluation of extraction engines: scores against slow oracles, folds without leaks, honest intervals, the command."""

from __future__ import annotations

import gzip
import hashlib
import io
import json
import math
import os
import random
import re

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.cli import main
from pipeline.errors import ConfigError, StepFailed
from pipeline.extract.engines import EngineOptions, Extracted
from pipeline.extract.evaluation import fields, folds, running
from pipeline.extract.evaluation.bootstrap import mean_difference, paired_difference
from pipeline.extract.evaluation.evaluate import metadata_rows, read_texts, score_texts, slices, speeds, summarise
from pipeline.extract.evaluation.gold import GoldPage, load
from pipeline.extract.evaluation.report import default_engines, evaluation
from pipeline.extract.evaluation.running import SCAN, Output, run
from pipeline.extract.evaluation.scores import (
    SnippetCounts,
    benchmark_f1,
    shingle_f1,
    shingles,
    snippet_counts,
    snippet_f1,
    word_f1,
    words,
)

HERE = "tests.pipeline.test_extract_evaluation"


# ---------------------------------------------------------------- engines that the tests send in


class Echo:
    """Gives the paragraphs' text; notes in which order engines were asked."""

    name = "echo"
    asked: list[tuple[str, str]] = []

    def __init__(self, options: EngineOptions) -> None:
        self.favor = options.favor

    def version(self) -> str:
        return f"{self.name} 1"

    def extract(self, html: str, url: str | None, crawled: str | None = None) -> Extracted:
        self.asked.append((self.name, html))
        return Extracted("\n".join(re.findall(r"<p>([^<]*)", html)), title="A  Title")


class Other(Echo):
    """Gives everything, menus as well."""

    name = "other"

    def extract(self, html: str, url: str | None, crawled: str | None = None) -> Extracted:
        self.asked.append((self.name, html))
        return Extracted(re.sub(r"<[^>]*>", " ", html))


class Raises(Echo):
    """Fails on the pages that ask for it."""

    def extract(self, html: str, url: str | None, crawled: str | None = None) -> Extracted:
        if "fail here" in html:
            raise ValueError("no such page")
        return super().extract(html, url, crawled)


class Dies(Echo):
    """Takes its process down."""

    def extract(self, html: str, url: str | None, crawled: str | None = None) -> Extracted:
        if "fail here" in html:
            os._exit(3)
        return super().extract(html, url, crawled)


# ---------------------------------------------------------------- a small data folder


def page(name, number, body, **values):
    html = f"<html><head><title>{name} {number}</title></head><body>{body}</body></html>".encode()
    return {
        "set": name,
        "id": f"{name}/{number}",
        "url": values.pop("url", f"https://site{number}.example/{name}"),
        "sha1": hashlib.sha1(html).hexdigest(),
        "html": html,
    } | values


def write_data(folder, pages, leave_out=(), hosts=None):
    """A data folder as `gold.load` reads it."""
    from warcio.statusandheaders import StatusAndHeaders
    from warcio.warcwriter import WARCWriter

    names = {"wcxb": "wcxb", "daniel_waddle": "daniel_waddle", "trafilatura_segments": "trafilatura"}
    (folder / "html" / "gold").mkdir(parents=True)
    for name, warc in names.items():
        mine = [p for p in pages if p["set"] == name]
        with gzip.open(folder / "html" / "gold" / f"{name}.jsonl.gz", "wt", encoding="utf-8") as gold:
            for p in mine:
                gold.write(json.dumps({k: v for k, v in p.items() if k not in ("html", "set")}) + "\n")
        with open(folder / "html" / f"{warc}.warc.gz", "wb") as stream:
            writer = WARCWriter(stream, gzip=True)
            for p in reversed(mine):  # the order of the WARC must not matter
                if p["id"] in leave_out:
                    continue
                head = StatusAndHeaders("200 OK", [("Content-Type", "text/html; charset=utf-8")], protocol="HTTP/1.1")
                record = writer.create_warc_record(
                    p["url"], "response", payload=io.BytesIO(p["html"]), http_headers=head
                )
                writer.write_record(record)
        with gzip.open(folder / "html" / f"{warc}.index.jsonl.gz", "wt", encoding="utf-8") as index:
            for p in mine:
                index.write(json.dumps({"sha1": p["sha1"], "host": (hosts or {}).get(p["id"])}) + "\n")
    return folder


def small_pages():
    menu = "<div>Home Login Imprint</div>"
    found = []
    for i in range(6):
        text = f"The mill number {i} grinds the grain of farm {i * 7} into flour for the bakers in the town."
        kind = ("article", "forum")[i % 2]
        found.append(
            page(
                "wcxb",
                i,
                f"{menu}<p>{text}</p>",
                text=text,
                page_type=kind,
                title="a title",
                author="",
                date="",
                **{"with": ["grinds"], "without": ["Login"]},
            )  # fmt: skip
        )
    chinese = "磨坊主每天早上把麦子磨成面粉然后送到城里"
    found.append(
        page(
            "daniel_waddle",
            0,
            f"{menu}<p>{chinese}</p>",
            url="http://unknown-url.invalid/a",
            text=chinese,
            lang="Chinese",
        )  # fmt: skip
    )
    found.append(page("trafilatura_segments", 0, f"{menu}<p>Der Müller mahlt.</p>",
                      **{"with": ["Der Müller", "mahlt.", "nicht da"], "without": ["Login", "weg"]}))  # fmt: skip
    return found


@pytest.fixture
def data(tmp_path):
    return write_data(tmp_path / "data", small_pages(), hosts={"daniel_waddle/0": "News.Example.CN"})


def gold_page(number=0, *, html="<p>x</p>", **values):
    payload = html if isinstance(html, bytes) else html.encode()
    known = {"set": "wcxb", "id": str(number), "url": f"https://a{number}.example/", "host": f"a{number}.example",
             "sha1": hashlib.sha1(payload + str(number).encode()).hexdigest(), "payload": payload,
             "content_type": None, "text": ""}  # fmt: skip
    return GoldPage(**(known | values))


# ---------------------------------------------------------------- gold


def test_gold_is_joined_by_digest_in_the_gold_files_order(data):
    gold = load(data)
    assert [p.id for p in gold.pages] == [p["id"] for p in small_pages()]
    assert [p.payload for p in gold.pages] == [p["html"] for p in small_pages()]
    assert gold.missing == {"wcxb": 0, "daniel_waddle": 0, "trafilatura_segments": 0}
    first, chinese, segments = gold.pages[0], gold.pages[6], gold.pages[7]
    assert (first.page_type, first.title, first.author, first.date) == ("article", "a title", None, None)
    assert first.content_type == "text/html; charset=utf-8"
    assert first.real_url == first.url and first.host == "site0.example"
    assert (chinese.host, chinese.real_url) == ("news.example.cn", None)
    assert segments.text is None and segments.without_segments == ("Login", "weg")
    assert load(data, ["trafilatura_segments", "wcxb"], every=2).pages == (*gold.pages[0:6:2], gold.pages[7])


def test_gold_without_its_page_is_counted(tmp_path):
    gold = load(write_data(tmp_path / "d", small_pages(), leave_out=("wcxb/2", "wcxb/5")))
    assert gold.missing == {"wcxb": 2, "daniel_waddle": 0, "trafilatura_segments": 0}
    assert len(gold.pages) == 6


def test_gold_errors_name_the_way_out(data, tmp_path):
    with pytest.raises(ConfigError, match=r"no html/gold; --data names"):
        load(tmp_path)
    with pytest.raises(ConfigError, match="did you mean 'wcxb'"):
        load(data, ["wcbx"])
    file = data / "html" / "gold" / "wcxb.jsonl.gz"
    whole = file.read_bytes()
    for broken in (whole[:-20], b"no gzip", gzip.compress(b"{]"), gzip.compress(b"[1]"), gzip.compress(b'{"id": "1"}')):
        file.write_bytes(broken)
        with pytest.raises(ConfigError, match=r"wcxb\.jsonl\.gz"):
            load(data)
    file.write_bytes(whole)
    (data / "html" / "wcxb.warc.gz").unlink()
    with pytest.raises(ConfigError, match=r"wcxb\.warc\.gz' does not exist"):
        load(data)


def test_the_real_gold_is_whole(shared_data):
    gold = load(shared_data)
    counted = {name: sum(p.set == name for p in gold.pages) for name in gold.missing}
    assert counted == {"wcxb": 1430, "daniel_waddle": 408, "trafilatura_segments": 332}
    assert not any(gold.missing.values())
    assert sum(p.host is None for p in gold.pages) == 3, "DANIEL's hosts are in its index"


# ---------------------------------------------------------------- scores, by slow oracles

TEXTS = st.text(alphabet=st.sampled_from("aAbcÄß磨坊か1_ .,\n-'"), max_size=60)


def multiset_overlap(one, other):
    """Pairs that can be made of equal items, by taking them away one at a time."""
    left = list(other)
    pairs = 0
    for item in one:
        if item in left:
            left.remove(item)
            pairs += 1
    return pairs


def oracle(found, gold):
    if not gold or not found:
        same = float(not gold and not found)
        return same, same, same
    pairs = multiset_overlap(found, gold)
    precision, recall = pairs / len(found), pairs / len(gold)
    return precision, recall, 2 * precision * recall / (precision + recall) if pairs else 0.0


def slow_words(text, single=lambda c: False):
    """Maximal runs of letters, digits and underscores, character by character."""
    found, run_ = [], ""
    for c in text + " ":
        if (c.isalnum() or c == "_") and not single(c):
            run_ += c
        else:
            found += [run_] if run_ else []
            run_ = ""
            if single(c):
                found.append(c)
    return found


@settings(max_examples=150, deadline=None)
@given(TEXTS, TEXTS)
def test_word_f1_is_the_slow_one(found, gold):
    assert word_f1(found, gold) == pytest.approx(oracle(slow_words(found.lower()), slow_words(gold.lower())))


@settings(max_examples=150, deadline=None)
@given(TEXTS, TEXTS, st.booleans())
def test_shingle_f1_is_the_slow_one(found, gold, characters):
    def grams(text):
        single = (lambda c: c in "磨坊か") if characters else (lambda c: False)
        tokens = slow_words(text, single)
        return [tokens[i : i + 4] for i in range(max(1, len(tokens) - 3))] if tokens else []

    assert shingle_f1(found, gold, characters=characters) == pytest.approx(oracle(grams(found), grams(gold)))


def test_scores_by_hand():
    assert word_f1("The mill, the MILL", "the mill grinds") == pytest.approx((2 / 4, 2 / 3, 4 / 7))
    assert word_f1("mill the", "the mill").f1 == 1.0
    assert shingle_f1("mill the", "the mill").f1 == 0.0
    assert shingle_f1("The mill", "the mill").f1 == 0.0, "case is kept"
    assert shingle_f1("a b c d e", "a b c d f") == pytest.approx((0.5, 0.5, 0.5))
    assert shingles("a b") == [("a", "b")]
    assert len(shingles("磨坊主每天")) == 1 and len(shingles("磨坊主每天", characters=True)) == 2
    assert word_f1("", "").f1 == 1.0 and word_f1("a", "").f1 == 0.0 and word_f1("", "a").f1 == 0.0


def test_benchmark_f1_is_of_the_mean_precision_and_recall():
    scores = [shingle_f1("a b c d e", "a b c d f"), shingle_f1("", "a b c d")]
    # the silent page has no precision: mean precision 1/2, mean recall (1/2 + 0) / 2
    assert benchmark_f1(scores, empty=[False, True]) == pytest.approx(2 * 0.5 * 0.25 / 0.75)
    assert benchmark_f1(scores) == pytest.approx(0.25)
    assert benchmark_f1([shingle_f1("", "a")], empty=[True]) == 0.0


def test_snippets():
    one = snippet_counts("Der Müller mahlt.", ["Müller", "mahlt.", "müller"], ["Login", "Der"])
    assert one == SnippetCounts(found=2, lost=1, leaked=1, kept_out=1)
    other = snippet_counts("", ["a", "b"], ["c"])
    assert other == SnippetCounts(0, 2, 0, 1)
    precision, recall = 2 / 3, 2 / 5
    total = snippet_f1([one, other])
    assert total == pytest.approx((precision, recall, 2 * precision * recall / (precision + recall)))
    assert snippet_f1([other]).f1 == 0.0


# ---------------------------------------------------------------- folds


def prose(seed, size=200):
    draw = random.Random(seed)
    return " ".join(draw.choice(["mill", "stone", "grain", "flour", "river", "wheel"]) + str(draw.randrange(50))
                    for _ in range(size))  # fmt: skip


def test_groups_join_what_would_leak():
    text = prose(1)
    near = " ".join(text.split()[:180])
    frame = "".join(f"<div class='row c{chr(97 + i)}'><span class=x{chr(97 + i)}>" for i in range(26))
    pages = [
        gold_page(0, html=f"<p>{text}</p>", host="one.example"),
        gold_page(1, html=f"<i>menu</i><p>{near}</p>", host="two.example"),  # nearly the text of page 0
        gold_page(2, html=f"<p>{prose(2)}</p>", host="www.shop.co.uk"),
        gold_page(3, html=f"<p>{prose(3)}</p>", host="forum.shop.co.uk", set="daniel_waddle"),  # the same domain
        gold_page(4, html=f"{frame}{prose(4)}", host="three.example"),
        gold_page(5, html=f"{frame}{prose(5)}", host="four.example"),  # the same template
        gold_page(6, html=f"<p>{prose(6)}</p>", host="other.co.uk"),
        gold_page(7, html=f"<p>{prose(7)}</p>", host="web.archive.org",
                  url="https://web.archive.org/web/20130101/http://www.other.co.uk/"),  # the same domain, archived
        gold_page(8, html="<p>404 not found</p>", host=None),
        gold_page(9, html="<p>404 not found</p>", host=None),  # too short to say anything
    ]  # fmt: skip
    assert folds.groups(pages) == [0, 0, 1, 1, 2, 2, 3, 3, 4, 5]
    assert folds.groups(pages, markup=False) == [0, 0, 1, 1, 2, 3, 4, 4, 5, 6]


def test_near_duplicates_are_those_of_brute_force():
    draw = random.Random(5)
    sets = []
    for _ in range(12):
        base = [draw.getrandbits(64) for _ in range(300)]
        for keep in (1.0, 0.95, 0.8, 0.6):
            sets.append(np.unique(np.array([u for u in base if draw.random() < keep], dtype=np.uint64)))
    plain = [set(s.tolist()) for s in sets]
    index = {(i, j): len(a & b) / len(a | b) for j, b in enumerate(plain) for i, a in enumerate(plain[:j])}
    assert set(folds.near_duplicates(sets)) == {pair for pair, value in index.items() if value >= 0.5}
    for (i, j), value in index.items():
        assert folds.jaccard(sets[i], sets[j]) == pytest.approx(value)


def test_folds_keep_groups_whole_and_balance_strata():
    draw = random.Random(2)
    pages, group = [], []
    for number in range(120):
        for _ in range(draw.choice([1, 1, 1, 2, 5])):
            pages.append(gold_page(len(pages), page_type=draw.choice(["article", "article", "forum"])))
            group.append(number)
    found = folds.folds(pages, 5, seed=1, group=group)
    assert found == folds.folds(pages, 5, seed=1, group=group) != folds.folds(pages, 5, seed=2, group=group)
    for number in set(group):
        assert len({f for f, g in zip(found, group, strict=True) if g == number}) == 1
    for kind in ("article", "forum"):
        counts = [sum(f == k and p.page_type == kind for f, p in zip(found, pages, strict=True)) for k in range(5)]
        assert max(counts) - min(counts) <= 3, (kind, counts)
    sizes = [found.count(k) for k in range(5)]
    assert max(sizes) - min(sizes) <= 3, sizes
    for k in (1, 121):
        with pytest.raises(ConfigError, match="k="):
            folds.folds(pages, k, seed=1, group=group)


# ---------------------------------------------------------------- bootstrap


def test_interval_is_that_of_the_normal_approximation():
    draw = np.random.default_rng(3)
    one, other = draw.normal(0.6, 0.2, 900), draw.normal(0.5, 0.2, 900)
    found = mean_difference(one, other, range(900))
    half = 1.96 * np.std(one - other) / math.sqrt(900)
    assert found.difference == pytest.approx(np.mean(one) - np.mean(other))
    # a quantile of 2000 draws is off by a standard error of about 0.06 half widths
    assert found.low == pytest.approx(found.difference - half, abs=0.25 * half)
    assert found.high == pytest.approx(found.difference + half, abs=0.25 * half)
    assert found == mean_difference(one, other, range(900)) != mean_difference(one, other, range(900), seed=1)


def test_pages_of_one_site_are_drawn_together():
    draw = np.random.default_rng(4)
    sites = draw.normal(0, 1, 60)
    one, group = np.repeat(sites, 10), np.repeat(np.arange(60), 10)
    zero = np.zeros(600)
    apart, together = mean_difference(one, zero, range(600)), mean_difference(one, zero, group)
    ratio = (together.high - together.low) / (apart.high - apart.low)
    assert ratio == pytest.approx(math.sqrt(10), rel=0.15)
    assert mean_difference(one, one, group)[:] == (0.0, 0.0, 0.0)
    assert mean_difference([1.0, 0.5], [0.0, 0.0], [7, 7])[:] == (0.75, None, None)
    with pytest.raises(ValueError, match="at least one"):
        mean_difference([], [], [])


def test_counts_are_summed_before_the_statistic():
    one, other = np.array([[9.0, 1.0], [1.0, 9.0]]), np.array([[5.0, 5.0], [0.0, 10.0]])
    found = paired_difference(one, other, [0, 1], lambda s: s[..., 0] / s.sum(axis=-1))
    assert found.difference == pytest.approx(10 / 20 - 5 / 20)
    # draws: page 0 twice, page 1 twice, or both
    assert (found.low, found.high) == (pytest.approx(0.1), pytest.approx(0.4))


# ---------------------------------------------------------------- metadata


@pytest.mark.parametrize(
    ("field", "found", "gold", "right"),
    [
        ("title", " The  MILL\n", "the mill", True),
        ("title", "The mill | Site", "The mill", False),
        ("author", "By Ann Lee and Bo Ek", "Bo Ek, Ann Lee", True),
        ("author", "Ann Lee", "Ann Lee & Bo Ek", False),
        ("author", "Sandy Anderson", "sandy anderson", True),
        ("date", "2025-09-04T10:00:00Z", "2025-09-04", True),
        ("date", "2025-09-05", "2025-09-04", False),
        ("date", "2025-09-05", "2025-09", True),
        ("date", "2025-09", "2025-09-05", False),
        ("date", None, "2025-09-05", False),
        ("date", "yesterday", "2025-09-05", False),
    ],
)
def test_fields(field, found, gold, right):
    assert fields.same(field, found, gold) is right


def test_metadata_rows_count_right_given_and_unasked():
    pages = [gold_page(0, title="A", date="2020-01-01"), gold_page(1, title="B"), gold_page(2, set="daniel_waddle")]
    said = [Output("", title="a", date="2020-01-01"), Output("", title=None, date="1999-01-01"), Output("", title="x")]
    rows = {row["field"]: row for row in metadata_rows(pages, {"e": said})}
    assert set(rows) == {"title", "date"}
    assert rows["title"] == {"contender": "e", "field": "title", "pages": 2, "right": 0.5, "given": 0.5,
                             "unasked": None}  # fmt: skip
    assert (rows["date"]["right"], rows["date"]["unasked"]) == (1.0, 1.0)


# ---------------------------------------------------------------- running engines


def test_engines_get_the_same_page_in_alternating_order(data):
    pages = load(data).pages
    Echo.asked.clear()
    found = run(pages, [f"{HERE}:Echo", f"{HERE}:Other"])
    asked = [entry for entry in Echo.asked if entry[1] != running.WARM_UP]
    order = ["echo", "other", "other", "echo"] * 4
    assert [name for name, _ in asked] == order
    assert [html for _, html in asked] == [p.payload.decode() for p in pages for _ in range(2)]
    assert found[f"{HERE}:Echo"][0].text == pages[0].text
    assert found[f"{HERE}:Echo"][0].title == "A Title"
    assert found[SCAN][0].title == "wcxb 0"
    assert all(output.seconds > 0 for output in found[f"{HERE}:Other"])


def test_workers_change_nothing_and_errors_are_counted(tmp_path):
    pages = small_pages() + [
        page("wcxb", n, f"<p>{prose(n, 20)} {'fail here' if n % 2 else ''}</p>", text="") for n in range(10, 18)
    ]
    gold = load(write_data(tmp_path / "d", pages)).pages
    names = [f"{HERE}:Raises", "resiliparse"]

    def said(workers):
        return {k: [(o.text, o.title, o.error) for o in v] for k, v in run(gold, names, workers=workers).items()}

    one = said(1)
    assert one == said(2)
    rows = speeds({name: run(gold, names)[name] for name in names})
    assert rows[0]["errors"] == {"ValueError": 4} and rows[0]["empty"] == 4
    assert rows[1]["errors"] == {} and rows[1]["pages"] == len(gold)


def test_a_dead_worker_is_one_clear_error(tmp_path):
    pages = small_pages() + [page("wcxb", n, "<p>fail here</p>", text="") for n in range(10, 20)]
    gold = load(write_data(tmp_path / "d", pages)).pages
    with pytest.raises(StepFailed, match="a worker died"):
        run(gold, [f"{HERE}:Dies"], workers=2)


def test_trafilatura_fast_is_its_option():
    assert running.engine("trafilatura-fast", EngineOptions())._options["fast"] is True
    with pytest.raises(ConfigError, match="did you mean 'trafilatura'"):
        running.engine("trafilatur", EngineOptions())


# ---------------------------------------------------------------- the whole


def test_score_texts_takes_both_forms_and_no_gap(data):
    pages = load(data).pages
    texts = {(p.set, p.id): p.text or "Der Müller mahlt. Login" for p in pages}
    scores = score_texts(pages, texts)
    assert scores == score_texts(pages, list(texts.values()))
    assert [s.score.f1 for s in scores if s.score] == [1.0] * 7
    assert scores[7].snippets == SnippetCounts(2, 1, 1, 1)
    del texts[pages[3].set, pages[3].id]
    with pytest.raises(ConfigError, match="1 pages have no text, first wcxb 'wcxb/3'"):
        score_texts(pages, texts)


def test_summary_is_the_mean_of_each_slice(data):
    pages = load(data).pages
    good = score_texts(pages, [p.text or "Der Müller mahlt." for p in pages])
    poor = score_texts(pages, [(p.text or "Der").split()[0] for p in pages])
    rows = summarise(pages, {"good": good, "poor": poor}, range(len(pages)))
    by = {(r["set"], r["slice"], r["measure"], r["contender"]): r for r in rows}
    assert [s.name for s in slices(pages)] == ["all", "article", "forum", "all", "Chinese", "all"]
    mine = by["wcxb", "forum", "word F1", "poor"]
    expected = [word_f1(p.text.split()[0], p.text) for p in pages if p.page_type == "forum"]
    assert mine["f1"] == pytest.approx(np.mean([e.f1 for e in expected]))
    assert (mine["precision"], mine["pages"]) == (1.0, 3)
    assert mine["lead"][0] == pytest.approx(1 - mine["f1"]) and mine["lead"][1] > 0
    assert by["wcxb", "forum", "word F1", "good"]["lead"] is None
    segments = by["trafilatura_segments", "all", "snippet F1", "poor"]
    assert segments["f1"] == 0.0 and segments["lead"] == [pytest.approx(0.8), None, None]
    assert words(pages[0].text)  # the gold is not empty, or all this would hold for nothing


def test_command_prints_tables_and_writes_all_figures(data, tmp_path, capsys):
    texts = tmp_path / "cv.jsonl"
    lines = [json.dumps({"set": p.set, "id": p.id, "text": p.text or "Der Müller mahlt.", "page_type": p.page_type})
             for p in load(data).pages]  # fmt: skip
    texts.write_text("\n".join(lines), encoding="utf-8")
    arguments = ["extract", "eval", "--data", str(data), "--engines", f"resiliparse,{HERE}:Other", "--texts",
                 f"ours={texts}", "--json", str(tmp_path / "out.json"), "--per-page", "--resamples", "50"]  # fmt: skip
    assert main(arguments) == 0
    shown = capsys.readouterr()
    assert "lead of ours" in shown.out and "word F1" in shown.out and "pages/s" in shown.out
    assert "engines: 8/8" in shown.err
    result = json.loads((tmp_path / "out.json").read_text())
    assert result["first"] == "ours" and result["pages"]["wcxb"] == 6
    assert "resiliparse" in result["versions"]["engine resiliparse"]
    assert len(result["per_page"]) == 8 and result["per_page"][0]["ours"]["f1"] == 1.0
    kinds = [r for r in result["metadata"] if r["field"] == "page_type"]
    assert [(r["contender"], r["right"]) for r in kinds] == [("ours", 1.0)]
    every = evaluation(data, engines=[], texts={"ours": texts}, every=2, resamples=50)
    assert every["speed"] == [] and every["pages"]["wcxb"] == 3


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--data", "{tmp}/none"], "no html/gold"),
        (["--data", "{data}", "--engines", "resilliparse"], "did you mean 'resiliparse'"),
        (["--data", "{data}", "--sets", "wcx"], "did you mean 'wcxb'"),
        (["--data", "{data}", "--favor", "recal"], "did you mean 'recall'"),
        (["--data", "{data}", "--workers", "0", "--engines", "resiliparse"], "workers must be"),
        (["--data", "{data}", "--every", "0"], "every must be"),
        (["--data", "{data}", "--per-page"], "--per-page needs --json"),
        (["--data", "{data}", "--json", "{tmp}/no/out.json"], "its folder does not exist"),
        (["--data", "{data}", "--texts", "{tmp}/none.jsonl"], "none.jsonl' does not exist"),
        (["--data", "{data}", "--texts", "{tmp}/few.jsonl"], "lack 7 of 8 pages, first wcxb 'wcxb/1'"),
        (["--data", "{data}", "--texts", "{tmp}/bad.jsonl"], "line 1: needs set, id and text"),
        (["--data", "{data}", "--texts", "{tmp}/twice.jsonl"], "line 2: wcxb 'wcxb/0' is there twice"),
        (["--data", "{data}", "--texts", "{tmp}/latin.jsonl"], "not JSON lines in UTF-8"),
        (["--data", "{data}", "--texts", "a=x", "--texts", "a=y"], "the name is taken"),
        (["--data", "{data}", "--engines", "resiliparse,resiliparse"], "the same name"),
    ],
)
def test_command_errors_are_one_line(arguments, message, data, tmp_path, capsys):
    line = '{"set": "wcxb", "id": "wcxb/0", "text": "x"}\n'
    (tmp_path / "few.jsonl").write_text(line)
    (tmp_path / "twice.jsonl").write_text(line + line)
    (tmp_path / "bad.jsonl").write_text('{"text": "x"}')
    (tmp_path / "latin.jsonl").write_bytes('{"text": "ä"}'.encode("latin-1"))
    filled = [word.format(tmp=tmp_path, data=data) for word in arguments]
    assert main(["extract", "eval", *filled]) == 2
    error = capsys.readouterr().err
    assert message in error and error.count("\n") == 1


def test_read_texts_keeps_what_is_said(tmp_path):
    file = tmp_path / "t.jsonl"
    file.write_text('{"set": "wcxb", "id": "a", "text": "t", "title": "T", "page_type": "forum"}\n')
    assert read_texts(file) == {("wcxb", "a"): Output("t", title="T", page_type="forum")}


def test_extract_without_eval_is_still_the_stage(tmp_path, capsys):
    with pytest.raises(SystemExit) as stop:
        main(["extract", "eval", "--help"])
    assert stop.value.code == 0 and "gristmill extract eval --data" in capsys.readouterr().out
    with pytest.raises(SystemExit):
        main(["extract", "--help"])
    assert "--engine" in capsys.readouterr().out
    (tmp_path / "eval").mkdir()
    assert main(["extract", str(tmp_path / "eval"), "-o", str(tmp_path / "x.jsonl"), "--quiet"]) == 2
    assert "eval" in capsys.readouterr().err
    names = default_engines()
    assert "trafilatura" in names and (names[0] == "gristmill" or "gristmill" not in names)
