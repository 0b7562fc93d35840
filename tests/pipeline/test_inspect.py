"""`gristmill inspect`: every figure against a slow count of the files, hostile text made harmless."""

from __future__ import annotations

import io
import json
import re
import shutil
from collections import Counter

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from pipeline import stage as stage_module
from pipeline.cli import main
from pipeline.errors import ConfigError
from pipeline.inspect.inspection import inspect_run
from pipeline.inspect.rates import wilson
from pipeline.inspect.tables import page, sections
from pipeline.inspect.terms import read_terms
from pipeline.report import print_sections

from .inspect_tools import SYNTHETIC, Page, documents, rows, run

STEP = "01-t_score"
ORDER = ["t_editor", "t_sizes", "t_score"]


@pytest.fixture(scope="module", autouse=True)
def synthetic():
    """The synthetic stages, known only here."""
    for cls in SYNTHETIC:
        stage_module.register(cls)
    yield
    for cls in SYNTHETIC:
        del stage_module._REGISTRY[cls.name]


@pytest.fixture(scope="module")
def made(tmp_path_factory, synthetic):
    """(run, its inspection, the rows that it wrote)."""
    folder = run(tmp_path_factory.mktemp("inspect"), documents(1500))
    return folder, inspect_run([folder]), rows(folder, STEP)


def stage_of(result, name):
    return next(s for s in result["stages"] if s["stage"] == name)


def reached(all_rows, name):
    place = ORDER.index(name)
    return [r for r in all_rows if r["drop_filter"] is None or ORDER.index(r["drop_filter"]) >= place]


def test_shares_and_reasons(made):
    _, result, all_rows = made
    total_chars = sum(len(r["text"]) for r in all_rows)
    assert [s["stage"] for s in result["stages"]] == ORDER
    for name in ORDER:
        stage = stage_of(result, name)
        here = reached(all_rows, name)
        gone = [r for r in here if r["drop_filter"] == name]
        assert (stage["n_in"], stage["n_dropped"]) == (len(here), len(gone))
        assert stage["share_of_input"] == len(gone) / 1500
        assert stage["share_of_reached"] == len(gone) / len(here)
        assert stage["chars_in"] == sum(len(r["text"]) for r in here)
        assert stage["chars_dropped"] == sum(len(r["text"]) for r in gone)
        assert stage["chars_share_of_input"] == stage["chars_dropped"] / total_chars
        assert {r["reason"]: r["documents"] for r in stage["reasons"]} == Counter(r["drop_reason"] for r in gone)
    assert stage_of(result, "t_sizes")["n_dropped"] > 100 < stage_of(result, "t_score")["n_dropped"]


def test_rates_by_language_and_type(made):
    _, result, all_rows = made
    for name in ("t_sizes", "t_score"):
        stage, here = stage_of(result, name), reached(all_rows, name)
        for key, column in (("by_language", "lang"), ("by_page_type", "page_type")):
            seen = Counter(r[column] for r in here)
            gone = Counter(r[column] for r in here if r["drop_filter"] == name)
            assert {r["value"]: (r["reached"], r["dropped"]) for r in stage[key]} == {
                v: (n, gone[v]) for v, n in seen.items()
            }
            assert [r["reached"] for r in stage[key]] == sorted(seen.values(), reverse=True)
            overall = sum(gone.values()) / len(here)
            for r in stage[key]:
                assert r["lift"] == pytest.approx(r["share"] / overall)


def test_wilson_is_scipys():
    from scipy.stats import binomtest

    for hits, n in ((0, 1), (0, 40), (3, 7), (40, 40), (17, 1000)):
        found = binomtest(hits, n).proportion_ci(method="wilson")
        assert wilson(hits, n) == pytest.approx((found.low, found.high), abs=1e-12)
    assert wilson(0, 0) == (0.0, 1.0)


def number(row, stage, measure):
    value = row[stage]
    value = value[measure] if isinstance(value, dict) else value
    return None if value is None or value != value else value


def test_histograms_and_failures(made):
    _, result, all_rows = made
    limits = {"min_words": 5, "max_words": 70, "max_e": 0.15, "off": None, "min_score": np.float32(0.3)}
    passes = {">=": np.greater_equal, "<=": np.less_equal, "<": np.less, ">": np.greater}
    for name in ("t_sizes", "t_score"):
        stage, here = stage_of(result, name), reached(all_rows, name)
        rules = [(m["measure"], r) for m in stage["measures"] for r in m["rules"]]
        failing = {}
        for measure, rule in rules:
            assert rule["threshold"] == (
                None if limits[rule["option"]] is None else pytest.approx(limits[rule["option"]])
            )
            failing[rule["option"]] = {
                r["id"]
                for r in here
                if rule["threshold"] is not None
                and (v := number(r, name, measure)) is not None
                and not passes[rule["keep"]](v, limits[rule["option"]])
            }
        for _, rule in rules:
            own = failing[rule["option"]]
            others = set().union(*(ids for option, ids in failing.items() if option != rule["option"]))
            assert (rule["fails"], rule["fails_alone"]) == (len(own), len(own - others)), rule["option"]
        for m in stage["measures"]:
            values = {
                state: [
                    v
                    for r in here
                    if (r["drop_filter"] == name) == gone and (v := number(r, name, m["measure"])) is not None
                ]
                for state, gone in (("kept", False), ("dropped", True))
            }
            both = values["kept"] + values["dropped"]
            assert m["documents"] == len(both)
            assert (m["min"], m["max"]) == (min(both), max(both))
            assert m["mean"] == pytest.approx(np.mean(both))
            edges = m["histogram"]["edges"]
            assert edges[0] <= min(both) and edges[-1] >= max(both) and edges == sorted(set(edges))
            for state in values:
                assert m["histogram"][state] == np.histogram(values[state], edges)[0].tolist()
            for rule in m["rules"][:1]:
                assert rule["threshold"] is None or rule["threshold"] in edges
    assert [m["measure"] for m in stage_of(result, "t_sizes")["measures"]] == ["words", "e_share", "odd"]


def test_examples_are_the_nearest(made):
    folder, result, all_rows = made
    by_id = {r["id"]: r for r in all_rows}
    stage = stage_of(result, "t_sizes")
    for option, measure, limit in (("min_words", "words", 5), ("max_e", "e_share", 0.15)):
        for side in ("kept", "dropped"):
            shown = [e for e in stage["examples"] if (e["about"], e["side"]) == (option, side)]
            values = []
            for r in all_rows:
                v = number(r, "t_sizes", measure) if r["t_sizes"] else None
                good = v is not None and ((v >= limit) if measure == "words" else (v < limit))
                fate = "dropped" if r["drop_filter"] == "t_sizes" else "kept"
                if v is not None and fate == side and good == (side == "kept"):
                    values.append(abs(v - limit))
            assert [abs(e["value"] - limit) for e in shown] == pytest.approx(sorted(values)[:3])
            for e in shown:
                doc = by_id[e["id"]]
                assert e["url"] == doc["url"] and doc["text"].startswith(e["excerpt"].removesuffix("…"))
                assert number(doc, "t_sizes", measure) == e["value"] and e["chars"] == len(doc["text"])
                assert (doc["drop_filter"] == "t_sizes") == (side == "dropped")
                assert e["record"] == f"{doc['record']['file']}@{doc['record']['offset']}"


def test_random_examples_hang_on_seed_and_id_alone(made, tmp_path):
    folder, result, _ = made
    other = run(tmp_path, documents(1500), files=1)
    ids = lambda r: [(e["about"], e["side"], e["id"]) for s in r["stages"] for e in s["examples"]]  # noqa: E731
    assert ids(inspect_run([other], terms=False)) == ids(result)
    assert ids(inspect_run([folder], terms=False, seed=5)) != ids(result)
    assert inspect_run([folder]) == result
    assert all(not s["examples"] for s in inspect_run([folder], examples=0, terms=False)["stages"])


def names_term(text: str, lang: str, term: str) -> bool:
    """Slowly: the term as a whole word (anywhere in zh, at a word's start in ko), without case."""
    words = [re.escape(w) for w in re.findall(r"\w+", term.lower())]
    pattern = r"\W+".join(words)
    if lang in ("zh", "ja"):
        return re.search(pattern, text.lower()) is not None
    return re.search(rf"(?<!\w){pattern}" + ("" if lang == "ko" else r"(?!\w)"), text.lower()) is not None


def test_identity_terms(made):
    _, result, all_rows = made
    terms = read_terms()
    for name in ("t_sizes", "t_score"):
        stage, here = stage_of(result, name), reached(all_rows, name)
        shown = {(r["lang"], r["group"], r["term"]): r for r in stage["by_identity_term"]}
        expected = {}
        for lang in ("en", "de", "ko", "zh"):
            own = [r for r in here if r["lang"] == lang]
            base = sum(r["drop_filter"] == name for r in own) / len(own)
            groups: dict[str, set[str]] = {}
            for term in (t for t in terms.terms if t.lang == lang):
                named = [r for r in own if names_term(r["text"], lang, term.term)]
                groups.setdefault(term.group, set()).update(r["id"] for r in named)
                if named:
                    expected[lang, term.group, term.term] = ({r["id"] for r in named}, base)
            expected.update({(lang, g, None): (ids, base) for g, ids in groups.items() if ids})
        gone = {r["id"] for r in here if r["drop_filter"] == name}
        assert set(shown) == set(expected)
        for key, (ids, base) in expected.items():
            assert (shown[key]["reached"], shown[key]["dropped"]) == (len(ids), len(ids & gone)), key
            assert shown[key]["overall"] == pytest.approx(base)
    assert {"en", "ko", "zh"} <= {lang for lang, _, _ in shown}
    assert ("en", "gender", "women") in shown and ("en", "gender", "woman") not in shown


def test_own_terms(made, tmp_path):
    file = tmp_path / "terms.yaml"
    file.write_text("en: {places: [RIVER, house river]}\n")
    folder, _, all_rows = made
    stage = stage_of(inspect_run([folder], terms_file=file), "t_score")
    here = [r for r in reached(all_rows, "t_score") if r["lang"] == "en" and "house" in r["text"]]
    assert {r["term"] for r in stage["by_identity_term"]} <= {None, "RIVER", "house river"}
    assert here and all("river" not in r["text"] for r in here)  # the editor took it
    file.write_text("[1]")
    with pytest.raises(ConfigError, match="must map languages"):
        inspect_run([folder], terms_file=file)


def test_spans_of_an_editor(made, tmp_path):
    _, result, all_rows = made
    kinds: dict[str, list] = {}
    for r in all_rows:
        for span in r["cut_spans"] or []:
            kinds.setdefault(span["kind"], []).append((r["id"], span["end"] - span["start"]))
    shown = {k["kind"]: k for k in stage_of(result, "t_editor")["spans"]["kinds"]}
    assert set(shown) == set(kinds) == {"first", "later"}
    for kind, found in kinds.items():
        assert shown[kind]["spans"] == len(found) and shown[kind]["bytes"] == sum(n for _, n in found)
        assert shown[kind]["documents"] == len({i for i, _ in found})
    assert "not part" in stage_of(result, "t_editor")["spans"]["note"]
    docs = documents(200)
    dedup_first = run(tmp_path, docs, steps=["t_score", "exact_dedup", "t_editor"])
    texts = dict(zip(docs["id"].to_pylist(), docs["text"].to_pylist(), strict=True))
    examples = stage_of(inspect_run([dedup_first]), "t_editor")["spans"]["examples"]
    assert len(examples) == 6
    for e in examples:
        raw = texts[e["id"]].encode()
        assert e["taken"] == "river" == raw[e["start"] : e["end"]].decode()
        assert raw[: e["start"]].decode().endswith(e["before"]) and raw[e["end"] :].decode().startswith(e["after"])


def test_spans_that_a_global_step_cut(tmp_path):
    """What `line_dedup` took, with the texts of the step before it."""
    menu = "home news sport weather and more"
    docs = documents(40)
    texts = [f"{menu}\n{text}" if i % 2 else text for i, text in enumerate(docs["text"].to_pylist())]
    docs = docs.set_column(docs.column_names.index("text"), "text", pa.array(texts, pa.large_string()))
    folder = run(tmp_path, docs, steps=["t_score", {"line_dedup": {"min_words": 6}}])
    shown = stage_of(inspect_run([folder]), "line_dedup")
    kept = [r for r in rows(folder, "02-line_dedup") if r["cut_spans"]]
    assert shown["kind"] == "editor" and len(kept) > 3
    (kind,) = shown["spans"]["kinds"]
    assert (kind["kind"], kind["spans"], kind["bytes"]) == ("repeated_line", len(kept), len(kept) * len(menu))
    assert all(e["taken"] == menu and e["before"] == "" for e in shown["spans"]["examples"])
    assert len(shown["spans"]["examples"]) == 3


def test_spans_of_a_later_editor(tmp_path):
    """The text that it read was never written: the editor before it is run again."""
    docs = documents(200)
    folder = run(tmp_path, docs, steps=["exact_dedup", "t_editor", "t_letters"])
    examples = stage_of(inspect_run([folder]), "t_letters")["spans"]["examples"]
    assert len(examples) == 3
    texts = dict(zip(docs["id"].to_pylist(), docs["text"].to_pylist(), strict=True))
    for e in examples:
        raw = texts[e["id"]].replace("river", "").encode()
        assert e["taken"] == "w" == raw[e["start"] : e["end"]].decode()
        assert raw[: e["start"]].decode().endswith(e["before"])
    recipe = (folder / "recipe.yaml").read_text()
    (folder / "recipe.yaml").write_text(recipe.replace("t_editor", "url"))
    spans = stage_of(inspect_run([folder]), "t_letters")["spans"]
    assert not spans["examples"] and "can't be run again" in spans["note"]


def shown_number(value):
    return "" if value is None else f"{value:,}"


def shown_share(value):
    return "" if value is None else f"{100 * value:.2f} %"


def test_page_shows_the_json(made):
    _, result, _ = made
    read = Page(page(result))
    overview = read.tables["What each stage dropped"][1:]
    assert len(overview) == 3
    for row, s in zip(overview, result["stages"], strict=True):
        assert row[:3] == [s["step"], s["stage"], s["kind"]]
        assert row[3:5] == [shown_number(s["n_in"]), shown_number(s["n_dropped"])]
        assert row[5:7] == [shown_share(s["share_of_reached"]), shown_share(s["share_of_input"])]
        assert row[7:] == [
            shown_number(s["chars_dropped"]),
            shown_share(s["chars_share_of_reached"]),
            shown_share(s["chars_share_of_input"]),
        ]
    bars = iter(read.bars)
    for s in result["stages"]:
        name = s["stage"]
        for key, what in (("by_language", "language"), ("by_page_type", "page type")):
            if s["n_dropped"]:
                table = read.tables[f"{name}: drop rates by {what}"][1:]
                for row, r in zip(table, s[key], strict=True):
                    assert row[:3] == [r["value"] or "unknown", shown_number(r["reached"]), shown_number(r["dropped"])]
                    assert row[3:6] == [shown_share(r["share"]), shown_share(r["low"]), shown_share(r["high"])]
        if s["measures"]:
            table = iter(read.tables[f"{name}: measures and thresholds"][1:])
            for m in s["measures"]:
                for r in m["rules"] or [{}]:
                    row = next(table)
                    assert row[0] == (m["measure"] or "score")
                    assert row[4] == shown_number(m["documents"])
                    assert row[7:] == [f"{m[k]:.6g}" for k in ("min", "mean", "max")]
                    if r:
                        assert row[5:7] == [shown_number(r["fails"]), shown_number(r["fails_alone"])]
                        assert row[3] == ("off" if r["threshold"] is None else f"{r['threshold']:.6g}")
                told = next(bars)[1:]
                drawn = [
                    (k, d) for k, d in zip(m["histogram"]["kept"], m["histogram"]["dropped"], strict=True) if k or d
                ]
                assert len(told) == len(drawn)
                for bar, (kept, dropped) in zip(told, drawn, strict=True):
                    assert bar.endswith(f": {kept:,} kept" + (f", {dropped:,} dropped" if s["n_dropped"] else ""))
        if s["examples"]:
            table = read.tables[f"{name}: examples"][1:]
            assert [(r[0], r[1], r[4]) for r in table] == [
                (e["about"], e["side"], e["lang"] or "") for e in s["examples"]
            ]


def test_hostile_documents_are_inert(tmp_path):
    evil = "<script>alert(1)</script><img src=x onerror=alert(1)>\x1b[31m\x1b]0;t\x07\x9b31m\u202e\x00\"'&"
    table = documents(40)
    columns = {
        "id": [f"{evil}{i}" for i in range(40)],
        "text": [evil + "x" * 10_000_000, *[evil * 3] * 39],
        "url": [evil + "y" * 1_000_000] * 40,
        "lang": [evil, evil + "2"] * 20,
        "page_type": [evil] * 40,
    }
    for name, values in columns.items():
        kind = pa.large_string() if name == "text" else pa.string()
        table = table.set_column(table.column_names.index(name), name, pa.array(values, kind))
    folder = run(tmp_path, table, steps=[{"t_sizes": {"min_words": 2}}])
    plan = json.loads((folder / "01-t_sizes" / "plan.json").read_text())
    plan["config"]["stages"][0][2]["note"] = evil
    (folder / "01-t_sizes" / "plan.json").write_text(json.dumps(plan))
    result = inspect_run([folder], terms=False)
    text = page(result)
    read = Page(text)
    assert not read.tags & {"script", "img", "iframe", "a", "link", "object"}
    assert not {a for a in read.attributes if a.startswith("on") or a in ("src", "href", "xlink:href")}
    assert "default-src 'none'" in text and len(text) < 300_000
    out = io.StringIO()
    print_sections(sections(result, detailed=True), out)
    for shown in (text, out.getvalue()):
        assert not set(shown) & set("\x1b\x00\x07\x9b\u202e")
    assert main(["inspect", str(folder), "--html", str(tmp_path / "x.html"), "--quiet"]) == 0
    assert (tmp_path / "x.html").stat().st_size < 300_000


def test_json_on_the_terminal_is_harmless(tmp_path, capsys):
    table = documents(30)
    table = table.set_column(2, "url", pa.array(["https://x.example/\x9b31m\u202e\x1b"] * 30))
    folder = run(tmp_path, table)
    assert main(["inspect", str(folder), "--json", "--no-terms"]) == 0
    out = capsys.readouterr().out
    assert out.isascii() and "\x1b" not in out
    assert json.loads(out)["stages"][0]["examples"][0]["url"] == "https://x.example/\x9b31m\u202e\x1b"


def test_nothing_dropped_and_nothing_left(tmp_path):
    docs = documents(30)
    all_kept = run(tmp_path / "kept", docs, steps=[{"t_sizes": {"min_words": 0, "max_words": None, "max_e": None}}])
    (stage,) = inspect_run([all_kept])["stages"]
    assert stage["n_dropped"] == 0 and stage["share_of_reached"] == 0 and not stage["reasons"]
    assert {e["side"] for e in stage["examples"]} == {"kept"}
    nothing = run(tmp_path / "none", docs, steps=[{"t_sizes": {"min_words": 10**6}}, "t_score", "exact_dedup"])
    result = inspect_run([nothing])
    assert [s["n_in"] for s in result["stages"]] == [30, 0, 0]
    assert result["stages"][1]["share_of_reached"] is None
    for each in (all_kept, nothing):
        shown = inspect_run([each])
        assert Page(page(shown)).tables
        print_sections(sections(shown), io.StringIO())


def test_clear_messages(made, tmp_path, capsys):
    folder, _, _ = made
    assert main(["inspect", str(folder), "--filter", "t_sizs"]) == 2
    assert "did you mean 't_sizes'" in capsys.readouterr().err
    assert main(["inspect", str(tmp_path / "no")]) == 2
    assert "does not exist" in capsys.readouterr().err
    assert main(["inspect", str(folder), "--html", str(tmp_path / "no" / "x.html")]) == 2
    assert "folder does not exist" in capsys.readouterr().err
    (tmp_path / "empty").mkdir()
    assert main(["inspect", str(tmp_path / "empty")]) == 2
    assert "is no run" in capsys.readouterr().err
    (tmp_path / "plain.jsonl").write_text('{"text": "a"}\n')
    assert main(["inspect", str(tmp_path / "plain.jsonl")]) == 2
    assert "no filter left a score" in capsys.readouterr().err
    stopped = tmp_path / "stopped"
    shutil.copytree(folder, stopped)
    (stopped / STEP / "manifest.json").unlink()
    assert main(["inspect", str(stopped)]) == 2
    assert "is not finished" in capsys.readouterr().err
    gone = tmp_path / "gone"
    shutil.copytree(folder, gone)
    next((gone / STEP / "kept").glob("*.parquet")).unlink()
    assert main(["inspect", str(gone)]) == 2
    assert "is gone" in capsys.readouterr().err


def test_an_unfinished_run_shows_what_is_finished(tmp_path):
    folder = run(tmp_path, documents(50), steps=["t_score", "exact_dedup"])
    (folder / "02-exact_dedup" / "manifest.json").unlink()
    result = inspect_run([folder])
    assert [s["stage"] for s in result["stages"]] == ["t_score"]
    assert "02-exact_dedup is not shown" in result["notes"][0]


def test_one_filter_and_one_language(made):
    folder, result, all_rows = made
    only = inspect_run([folder], only="t_score")
    assert only["stages"] == [stage_of(result, "t_score")]
    german = stage_of(inspect_run([folder], lang="de"), "t_sizes")
    here = [r for r in reached(all_rows, "t_sizes") if r["lang"] == "de"]
    assert german["n_in"] == len(here)
    assert german["n_dropped"] == sum(r["drop_filter"] == "t_sizes" for r in here)
    assert {e["lang"] for e in german["examples"]} == {"de"}
    assert sum(german["measures"][0]["histogram"]["kept"]) == len(here) - german["n_dropped"]


def test_thresholds_by_language(tmp_path):
    settings = tmp_path / "own.yaml"
    settings.write_text("de: {t_sizes: {min_words: 30}}\nko: {t_sizes: {min_words: null}}\n")
    folder = run(tmp_path / "r", documents(600), steps=[{"t_sizes": {"by_language": str(settings), "max_e": None}}])
    stage = inspect_run([folder], terms=False)["stages"][0]
    rule = stage["measures"][0]["rules"][0]
    assert rule["by_language"] == {"de": 30, "ko": None} and rule["threshold"] == 5
    limits = {"de": 30, "ko": 0}
    fails = [r for r in rows(folder, "01-t_sizes") if r["t_sizes"]["words"] < limits.get(r["lang"], 5)]
    assert rule["fails"] == len(fails) == next(r["documents"] for r in stage["reasons"] if r["reason"] == "min_words")
    near = [e for e in stage["examples"] if e["about"] == "min_words" and e["side"] == "dropped"]
    assert all(e["value"] == limits.get(e["lang"], 5) - 1 for e in near)
    settings.write_text("de: {t_sizes: {min_words: 31}}\n")
    assert inspect_run([folder], terms=False)["stages"][0]["measures"][0]["rules"][0]["by_language"] is None


def test_scores_of_documents_that_an_earlier_stage_dropped(made, tmp_path):
    """All-scores mode: dropped rows carry the scores of later filters too."""
    folder, result, all_rows = made
    copy = tmp_path / "all"
    shutil.copytree(folder, copy)
    carrying = 0
    for file in (copy / STEP / "dropped").glob("*.parquet"):
        table = pq.read_table(file)
        at = table.column_names.index("t_score")
        scores = [0.5 if v is None else v for v in table["t_score"].to_pylist()]
        carrying += table["t_score"].null_count
        pq.write_table(table.set_column(at, table.schema.field(at), pa.array(scores, pa.float32())), file)
    stage, plain = stage_of(inspect_run([copy], terms=False), "t_score"), stage_of(result, "t_score")
    histogram, before = stage["measures"][0]["histogram"], plain["measures"][0]["histogram"]
    assert sum(histogram["earlier"]) == carrying > 100 and sum(before["earlier"]) == 0
    assert (histogram["kept"], histogram["dropped"]) == (before["kept"], before["dropped"])
    assert (
        stage["n_in"] == plain["n_in"]
        and stage["measures"][0]["documents"] == plain["measures"][0]["documents"] + carrying
    )
    assert stage["measures"][0]["rules"][0]["fails"] == plain["measures"][0]["rules"][0]["fails"]


@pytest.mark.parametrize("ending", ["parquet", "jsonl.gz"])
def test_plain_files(tmp_path, ending):
    pq.write_table(documents(300), tmp_path / "in.parquet")
    kept, dropped = tmp_path / f"kept.{ending}", tmp_path / f"dropped.{ending}"
    arguments = ["filter", "t_sizes", str(tmp_path / "in.parquet"), "-o", str(kept), "--dropped", str(dropped)]
    assert main([*arguments, "--min-words", "9", "--quiet"]) == 0
    result = inspect_run([kept, dropped])
    (stage,) = result["stages"]
    folder = run(tmp_path / "r", documents(300), steps=[{"t_sizes": {"min_words": 9}}])
    (same,) = inspect_run([folder])["stages"]
    for key in ("n_in", "n_dropped", "chars_dropped", "reasons", "by_language", "by_page_type", "by_identity_term"):
        assert stage[key] == same[key], key
    rule = stage["measures"][0]["rules"][0]
    if ending == "parquet":
        assert stage["config"] == same["config"] and rule == same["measures"][0]["rules"][0] and not result["notes"]
        assert stage["measures"] == same["measures"]
    else:
        assert (rule["threshold"], rule["origin"]) == (5, "default") and "the defaults" in result["notes"][0]


def test_the_sample_crawl(sample_run, tmp_path, capsys):
    html, figures = tmp_path / "i.html", tmp_path / "i.json"
    assert main(["inspect", str(sample_run), "--html", str(html), "--json", str(figures)]) == 0
    assert "language: histograms" in capsys.readouterr().out
    result = json.loads(figures.read_text())
    report = json.loads((sample_run / "report.json").read_text())
    assert [(s["step"], s["stage"]) for s in result["stages"]] == [(s["step"], s["stage"]) for s in report["stages"]]
    for found, told in zip(result["stages"], report["stages"], strict=True):
        assert found["n_in"] == told["n_in"]
        assert {r["reason"]: r["documents"] for r in found["reasons"]} == told["dropped"]
    language = stage_of(result, "language")
    assert sum(map(sum, (language["measures"][0]["histogram"][k] for k in ("kept", "dropped")))) == language["n_in"]
    assert stage_of(result, "url")["chars_dropped"] is None and not stage_of(result, "url")["by_identity_term"]
    assert "language: drop rates by language" in Page(html.read_text()).tables


@pytest.mark.parametrize("name", ["plan.json", "manifest.json"])
@pytest.mark.parametrize("content", ["[1]", "[" * 50_000, "", "{"])
def test_damaged_run_files_are_named(name, content, tmp_path, capsys):
    (tmp_path / "in.jsonl").write_text('{"text": "a"}\n')
    source = {"documents": {"inputs": [str(tmp_path / "in.jsonl")]}}
    (tmp_path / "r.yaml").write_text(json.dumps({"source": source, "steps": ["c4_documents"]}))
    run = tmp_path / "run"
    assert main(["run", str(tmp_path / "r.yaml"), "-o", str(run), "--inline", "--quiet"]) == 0
    (step,) = run.glob("[0-9][0-9]-*")
    (step / name).write_text(content)
    assert main(["inspect", str(run)]) == 2
    error = capsys.readouterr().err
    assert name in error and error.count("\n") == 1


def test_terms_that_name_nothing(tmp_path):
    (tmp_path / "t.yaml").write_text('en: {g: ["", " ", "*("]}')
    with pytest.raises(ConfigError, match="hold no term"):
        read_terms(tmp_path / "t.yaml")
