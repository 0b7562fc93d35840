"""The dedup report of a small made-up run: every figure against a reading of the run's files in plain Python."""

from __future__ import annotations

import json
import random
import re
from collections import Counter
from pathlib import Path
from urllib.parse import urlsplit

import lxml.html
import pyarrow.parquet as pq
import pytest

from dedup.minhash import MinhashDedup
from dedup.report.build import page, report
from pipeline.cli import main
from tests.dedup.test_minhash import changed, shingles, written

MENU = "Home, about us, contact and the terms of use of this site"
EVIL = '"><script>alert(1)</script><img src=x onerror=alert(2)>'
HEBREW = "\u202eשלום עולם\u202c"


def rows() -> list[dict]:
    rng = random.Random(31)
    made: list[dict] = []

    def put(words: list[str], site: str, lang: str, text: str | None = None) -> None:
        i = len(made)
        body = text or f"{' '.join(words[:40])}\n{' '.join(words[40:])}"
        made.append({"id": f"d{(i * 7919) % 1009:04d}", "text": f"{MENU}\n{body}", "lang": lang,
                     "url": f"https://www.{site}.example:8080/{i}?q={EVIL if i % 9 == 0 else i}"})  # fmt: skip

    for i in range(60):
        words = written(rng, rng.randint(90, 160))
        for edits in [0, *(rng.choices((0, 2, 4, 7, 10, 14), k=rng.randint(0, 3)))]:
            put(changed(rng, words, edits), f"site{i % 4}", "de" if i % 3 else "en")
    template = written(rng, 165)
    for _ in range(12):  # one component of which all stay
        put(template + written(rng, 40), "shop", "en")
    near = " ".join(written(rng, 150))
    for end in ("the end", "an end"):
        put([], "evil", "he", f"{near} {EVIL} {HEBREW} {end}")
    rng.shuffle(made)
    return made


@pytest.fixture(scope="module")
def run(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("report")
    made = rows()
    for i in range(3):
        (folder / f"in-{i}.jsonl").write_text("\n".join(map(json.dumps, made[i::3])))
    recipe = folder / "r.yaml"
    recipe.write_text(
        "name: r\nsource:\n  documents:\n    inputs:\n"
        + "".join(f"      - {folder}/in-{i}.jsonl\n" for i in range(3))
        + "steps:\n  - exact_dedup: {by: [url, text]}\n  - minhash_dedup: {}\n  - line_dedup: {}\n"
        "  - substring_dedup: {min_tokens: 30}\n"
    )
    assert main(["run", str(recipe), "--output", str(folder / "run"), "--inline", "--quiet"]) == 0
    return folder / "run"


@pytest.fixture(scope="module")
def told(run) -> dict:
    return report([run], pairs=200)


def read(run: Path, step: str, side: str) -> list[dict]:
    folder = run / step / side
    return [row for file in sorted(folder.glob("*.parquet")) for row in pq.read_table(file).to_pylist()]


def step_of(told: dict, name: str) -> dict:
    return next(step for step in told["steps"] if step["name"] == name)


def test_shares_by_kind(run, told):
    assert [s["step"] for s in told["steps"]] == ["02-exact_dedup", "03-minhash_dedup", "04-line_dedup",
                                                  "05-substring_dedup"]  # fmt: skip
    for step in told["steps"]:
        kept, dropped = (read(run, step["step"], side) for side in ("kept", "dropped"))
        size = sum(len(r["text"].encode()) for r in kept + dropped)
        assert step["documents_in"] == len(kept) + len(dropped) and step["text_bytes_in"] == size
        want = Counter(r["drop_reason"] for r in dropped)
        assert {k: v["documents"] for k, v in step["removed"].items()} == want
        for reason, one in step["removed"].items():
            own = sum(len(r["text"].encode()) for r in dropped if r["drop_reason"] == reason)
            assert one["text_bytes"] == own and one["text_share"] == own / size
            assert one["share"] == want[reason] / step["documents_in"]
    assert step_of(told, "exact_dedup")["removed"]["duplicate_text"]["documents"] > 5
    assert step_of(told, "minhash_dedup")["removed"]["near_duplicate"]["documents"] > 20


def test_what_was_cut(run, told):
    before = read(run, "03-minhash_dedup", "kept")
    after = read(run, "04-line_dedup", "kept")
    spans = [span for r in after for span in r["cut_spans"]]
    cut = step_of(told, "line_dedup")["cut"]
    assert cut["number"] == len(spans) and cut["what"] == "lines" and len(spans) > 50
    assert cut["bytes"] == sum(len(r["text"].encode()) for r in before) - sum(len(r["text"].encode()) for r in after)
    assert cut["share"] == cut["bytes"] / sum(len(r["text"].encode()) for r in before)
    manifest = json.loads((run / "05-substring_dedup" / "manifest.json").read_text())["repeats"]
    cut = step_of(told, "substring_dedup")["cut"]
    assert (cut["number"], cut["bytes"]) == (manifest["spans"], manifest["bytes"]) and cut["number"] > 0


@pytest.mark.parametrize("name", ["exact_dedup", "minhash_dedup"])
def test_clusters(run, told, name):
    step = step_of(told, name)
    counts = Counter(r["duplicate_of"] for r in read(run, step["step"], "dropped"))
    want: Counter[str] = Counter()
    for n in counts.values():
        end = 2
        while end < n + 1:
            end *= 2
        want[str(end)] += 1
    assert step["cluster_sizes"] == want
    largest = sorted(counts.items(), key=lambda item: (-item[1], item[0]))
    assert [(c["kept"], c["documents"]) for c in step["clusters"]] == [(k, n + 1) for k, n in largest][:100]
    urls = {r["id"]: r["url"] for r in read(run, step["step"], "kept") + read(run, step["step"], "dropped")}
    texts = {r["id"]: r["text"] for r in read(run, step["step"], "kept") + read(run, step["step"], "dropped")}
    gone = {r["id"]: r["duplicate_of"] for r in read(run, step["step"], "dropped")}
    for cluster in step["largest_clusters"]:
        members = [m["id"] for m in cluster["members"]]
        assert members[0] == cluster["kept"] and len(members) == cluster["read"] == cluster["documents"]
        assert all(gone[m] == cluster["kept"] for m in members[1:])
        assert [m["url"] for m in cluster["members"]] == [urls[m] for m in members]
        lines = [{line for line in texts[m].split("\n") if len(line) >= 15} for m in members]
        common = set.intersection(*lines)
        assert cluster["common_text"][0]["text"] == max(common, key=lambda line: (len(line), line))[:240] or any(
            len(line) > 240 for line in common
        )
        assert MENU in {c["text"] for c in cluster["common_text"]}


def test_components(run, told):
    step = step_of(told, "minhash_dedup")
    counted = json.loads((run / step["step"] / "manifest.json").read_text())["report"]
    assert step["component_sizes"] == counted["component_sizes"]
    first = step["largest_components"][0]
    assert first["documents"] == first["kept"] == counted["largest_components"][0]["documents"] >= 10
    assert first["read"] == 8
    assert all("shop" in m["url"] for m in first["members"])
    assert first["common_text"][0]["documents"] == 8


def test_similarities_and_expected_recall(run, told):
    found = step_of(told, "minhash_dedup")["similarities"]
    values = [r["similarity"] for r in read(run, "03-minhash_dedup", "dropped")]
    for i, n in enumerate(found["counts"]):
        assert n == sum(found["edges"][i] <= v + 1e-6 < found["edges"][i + 1] or (v >= 1 and i == 49) for v in values)
    assert sum(found["counts"]) == len(values)
    chance = [1 - (1 - v**8) ** 14 for v in values]
    assert found["expected_recall"] == pytest.approx(len(values) / sum(1 / p for p in chance))
    assert found["s_curve"]["0.8"] == pytest.approx(1 - (1 - 0.8**8) ** 14)
    assert (found["bands"], found["rows"], found["threshold"]) == (14, 8, MinhashDedup().least_similarity)


def plain(pieces: list, side: str) -> str:
    return " ".join(text for kind, text in pieces if kind in ("same", side))


def test_pairs(run, told):
    step = step_of(told, "minhash_dedup")
    kept, dropped = (read(run, "03-minhash_dedup", side) for side in ("kept", "dropped"))
    texts = {r["id"]: r["text"] for r in kept + dropped}
    gone = {r["id"]: r for r in dropped}
    assert len(step["random_pairs"]) == len(step["above_threshold"]) == len(dropped)  # 200 were asked for
    assert {p["gone"]["id"] for p in step["random_pairs"]} == set(gone)
    values = [p["similarity"] for p in step["above_threshold"]]
    assert values == sorted(values) and values[0] == min(r["similarity"] for r in dropped)
    for p in step["random_pairs"]:
        assert p["kept"]["id"] == gone[p["gone"]["id"]]["duplicate_of"]
        assert p["similarity"] == gone[p["gone"]["id"]]["similarity"]
        for side, other in (("kept", p["kept"]), ("gone", p["gone"])):
            words = texts[other["id"]].replace("\n", " ⏎ ").split()
            shown = [w for w in plain(p["diff"], side).split() if not w.endswith("…")]
            assert not Counter(shown) - Counter(words)
            assert shown[-3:] == words[-3:] or ["skip", "kept", "gone"].count(p["diff"][-1][0])


def test_samples_do_not_depend_on_anything_but_the_seed(run):
    def ids(**options) -> list[str]:
        return [p["gone"]["id"] for p in step_of(report([run], pairs=6, **options), "minhash_dedup")["random_pairs"]]

    assert ids() == ids() and ids(seed=1) != ids() and len(ids()) == 6
    assert ids() == [p["gone"]["id"] for p in step_of(report([run], pairs=9), "minhash_dedup")["random_pairs"]][:6]


def test_pairs_below_the_threshold(run, told):
    step = step_of(told, "minhash_dedup")
    kept = {r["id"]: r["text"] for r in read(run, "03-minhash_dedup", "kept")}
    counted = json.loads((run / "03-minhash_dedup" / "manifest.json").read_text())["report"]
    groups = {tuple(c["members"]) for c in counted["sampled_components"] + counted["largest_components"]}
    want = {}
    for members in groups:
        there = [m for m in members if m in kept]
        for i, a in enumerate(there):
            for b in there[:i]:
                x, y = (shingles(re.sub(r"[^\w\s]", " ", kept[m]).lower()) for m in (a, b))
                want[frozenset((a, b))] = len(x & y) / len(x | y)
    assert step["kept_pairs_compared"] == len(want) >= 28
    found = {frozenset((p["kept"]["id"], p["gone"]["id"])): p["similarity"] for p in step["below_threshold"]}
    threshold = MinhashDedup().least_similarity
    assert found == pytest.approx({k: v for k, v in want.items() if v < threshold}, abs=0.02)
    values = [p["similarity"] for p in step["below_threshold"]]
    assert values == sorted(values, reverse=True) and values[0] < threshold
    assert step["kept_pairs_above_threshold"] == sum(v >= threshold for v in want.values())


@pytest.mark.parametrize("what", ["lang", "host"])
def test_by_language_and_host(run, told, what):
    def value(row: dict) -> str:
        return row["lang"] if what == "lang" else urlsplit(row["url"]).hostname.removeprefix("www.")

    for step in told["steps"]:
        kept, dropped = (read(run, step["step"], side) for side in ("kept", "dropped"))
        documents, removed = Counter(map(value, kept + dropped)), Counter(map(value, dropped))
        table = step["by_language" if what == "lang" else "by_host"]
        assert {r["value"]: (r["documents"], r["removed"]) for r in table} == {
            k: (n, removed[k]) for k, n in documents.items()
        }
        assert [r["removed"] for r in table] == sorted(removed.values(), reverse=True) + [0] * (
            len(documents) - len(removed)
        )


def test_the_page_is_harmless(told):
    html = page(told)
    assert "<script" not in html and "<img" not in html and "\u202e" not in html and "שלום" in html
    tree = lxml.html.fromstring(html)
    tags = {e.tag for e in tree.iter() if isinstance(e.tag, str)}
    assert not tags & {"script", "img", "iframe", "link", "object", "a"}
    assert not any(k.startswith("on") or k in ("src", "href") for e in tree.iter() for k in e.attrib)
    assert tree.xpath("//meta[@http-equiv='Content-Security-Policy']")
    assert EVIL[:20] in tree.text_content()
    assert len(tree.xpath("//svg")) == 1 and len(tree.xpath("//svg//rect/title")) >= 5
    for tag in ("ins", "del"):
        assert tree.xpath(f"//p[@dir='auto']/{tag}/bdi")


def test_one_step_and_single_files(run, told, tmp_path, capsys):
    alone = report([run / "03-minhash_dedup"], pairs=200)
    assert alone["steps"] == [step_of(told, "minhash_dedup")]
    files = [str(run.parent / f"in-{i}.jsonl") for i in range(3)]
    kept, gone = tmp_path / "kept.parquet", tmp_path / "gone.parquet"
    assert main(["dedup", "minhash", *files, "-o", str(kept), "--dropped", str(gone), "--quiet"]) == 0
    target = tmp_path / "r.html"
    assert (
        main(["dedup", "report", str(kept), str(gone), "--html", str(target), "--json", str(tmp_path / "r.json")]) == 0
    )
    shown = capsys.readouterr().out
    assert "random removals" in shown and f"written: {target}" in shown and "\x1b" not in shown
    found = json.loads((tmp_path / "r.json").read_text())
    assert found["steps"][0]["removed"]["near_duplicate"]["documents"] == pq.read_metadata(gone).num_rows
    assert target.read_text() == page(found) and not found["notes"]
    only = report([gone])["steps"][0]
    assert only["documents_in"] is None and only["random_pairs"][0]["diff"] == []


def test_files_say_their_options(run, tmp_path):
    files = [str(run.parent / f"in-{i}.jsonl") for i in range(3)]
    kept, gone = tmp_path / "kept.parquet", tmp_path / "gone.parquet"
    out = ["-o", str(kept), "--dropped", str(gone), "--quiet", "--preset", "nemo", "--threshold", "0.8"]
    assert main(["dedup", "minhash", *files, *out]) == 0
    found = report([kept, gone])["steps"][0]["similarities"]
    assert (found["bands"], found["rows"], found["threshold"]) == (20, 13, 0.8)
    pq.write_table(pq.read_table(gone).replace_schema_metadata(None), gone)
    found = report([kept, gone])
    assert "defaults" in found["notes"][0] and found["steps"][0]["similarities"]["bands"] == 14


def test_nothing_went(tmp_path, capsys):
    (tmp_path / "in.jsonl").write_text('{"text": "one document of some words"}\n{"text": "quite another one"}')
    for word in ("exact", "minhash"):
        kept, gone = tmp_path / "kept.parquet", tmp_path / "gone.parquet"
        out = ["-o", str(kept), "--dropped", str(gone), "--quiet"]
        assert main(["dedup", word, str(tmp_path / "in.jsonl"), *out]) == 0
        assert main(["dedup", "report", str(kept), str(gone), "--html", str(tmp_path / "r.html")]) == 0
        assert "no document" in capsys.readouterr().out
        (step,) = report([kept, gone])["steps"]
        assert (step["documents_in"], step["removed"], step["cluster_sizes"]) == (2, {}, {})


def test_against_an_index(tmp_path):
    rng = random.Random(2)
    words = [written(rng, 100) for _ in range(4)]
    old = [{"id": f"o{i}", "text": " ".join(w), "url": f"https://old.example/{i}"} for i, w in enumerate(words)]
    new = [{"id": f"n{i}", "text": " ".join(changed(rng, w, 1))} for i, w in enumerate(words)]
    for name, some in (("old", old), ("new", new)):
        (tmp_path / f"{name}.jsonl").write_text("\n".join(map(json.dumps, some)))
    index, gone = str(tmp_path / "index"), tmp_path / "gone.parquet"
    assert main(["dedup", "index", "build", str(tmp_path / "old.jsonl"), "-o", index, "--quiet"]) == 0
    out = ["-o", str(tmp_path / "out.parquet"), "--dropped", str(gone), "--quiet"]
    assert main(["dedup", "minhash", str(tmp_path / "new.jsonl"), "--against", index, *out]) == 0
    pairs = report([tmp_path / "out.parquet", gone])["steps"][0]["random_pairs"]
    assert {(p["gone"]["id"], p["kept"]["id"], p["kept"]["url"], p["index"]) for p in pairs} == {
        (f"n{i}", f"o{i}", f"https://old.example/{i}", index) for i in range(4)
    }


def test_without_verification_likeness_is_told(run, tmp_path):
    files = [str(run.parent / f"in-{i}.jsonl") for i in range(3)]
    recipe = tmp_path / "r.yaml"
    recipe.write_text(
        f"source: {{documents: {{inputs: {json.dumps(files)}}}}}\nsteps: [{{minhash_dedup: {{verify: false}}}}]\n"
    )
    assert main(["run", str(recipe), "--output", str(tmp_path / "run"), "--inline", "--quiet"]) == 0
    (step,) = report([tmp_path / "run"], pairs=300)["steps"]
    assert not step["similarities"]["verified"] and sum(step["similarities"]["counts"]) == 0
    values = [p["similarity"] for p in step["random_pairs"]]
    assert min(values) < MinhashDedup().least_similarity and step["above_threshold"] == []
    assert "without verification" in page(report([tmp_path / "run"]))


@pytest.mark.parametrize(
    ("paths", "message"),
    [
        (["nowhere"], "does not exist"),
        (["EMPTY"], "is no run"),
        (["JSON"], "reads Parquet"),
        (["KEPT"], "no file of dropped"),
        (["RUN", "RUN"], "not several"),
        (["EXTRACT"], "has no finished dedup step"),
        (["RUN", "--pairs", "-1"], "0 or more"),
        (["RUN", "--html", "nowhere/x.html"], "its folder does not exist"),
    ],
)
def test_errors_are_one_line(run, tmp_path, paths, message, capsys):
    (tmp_path / "empty").mkdir()
    kept = next((run / "03-minhash_dedup" / "kept").glob("*.parquet"))
    places = {"EMPTY": tmp_path / "empty", "JSON": run.parent / "in-0.jsonl", "KEPT": kept, "RUN": run,
              "EXTRACT": run / "01-read"}  # fmt: skip
    if "EXTRACT" in paths:
        places["EXTRACT"] = next(run.glob("01-*"))
    assert main(["dedup", "report", *(str(places.get(p, p)) for p in paths)]) == 2
    error = capsys.readouterr().err
    assert message in error and error.count("\n") == 1
