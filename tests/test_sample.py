"""The main job on the sample crawl: each planted record has the fate that the truth table names.

The table is the plan by which the pages were planted (pipeline/sample/build.py), not read off a run.
"""

from __future__ import annotations

import csv
import json
import shutil
from collections import Counter
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from decontam.acts import files_of, read_acts
from pipeline.packstep import find_packs
from pipeline.recipe import build, override, read_recipe, without
from pipeline.sample.build import FILES
from pipeline.sample.build import build as build_sample
from pipeline.sample.pages import read_pages
from pipeline.stage import make
from tests.runs import run_recipe

SAMPLE = Path(__file__).parents[1] / "pipeline" / "sample"


def truth() -> dict[tuple[str, int], dict[str, str]]:
    with open(SAMPLE / "truth.tsv", encoding="utf-8", newline="") as handle:
        return {(r["file"], int(r["offset"])): r for r in csv.DictReader(handle, delimiter="\t")}


def fates(output: Path) -> dict[tuple[str, int], tuple]:
    """(dropped or skipped, by, reason) or (kept, [(editor, kind) ...]) of each record, read from the run's files."""
    found: dict[tuple[str, int], tuple] = {}

    def put(key, fate):
        assert key not in found, f"{key} has two fates: {found[key]} and {fate}"
        found[key] = fate

    steps = sorted(p for p in output.iterdir() if (p / "kept").is_dir())
    for step in steps:
        for file in sorted((step / "dropped").glob("*.parquet")):
            for row in pq.read_table(file, columns=["record", "drop_filter", "drop_reason"]).to_pylist():
                put(
                    (row["record"]["file"], row["record"]["offset"]),
                    ("dropped", row["drop_filter"], row["drop_reason"]),
                )
    for file in sorted((steps[-1] / "kept").glob("*.parquet")):
        for row in pq.read_table(file, columns=["record", "cut_spans"]).to_pylist():
            edits = sorted({(span["editor"], span["kind"]) for span in row["cut_spans"]})
            put((row["record"]["file"], row["record"]["offset"]), ("kept", edits))
    for file in sorted((steps[0] / "skips").glob("*.jsonl")):
        first, *lines = map(json.loads, file.read_text().splitlines())
        for line in lines:
            put((first["file"], line["offset"]), ("skipped", "reader", line["kind"]))
    return found


def compare(output: Path) -> list[tuple]:
    """Records whose fate is not the planned one; undamaged skips (`type:`, `status:`, ...) go by their counts."""
    seen, plan = fates(output), truth()
    planned_counts = Counter(r["reason"] for r in plan.values() if ":" in r["reason"] and r["by"] == "reader")
    manifest = json.loads((output / "01-extract" / "manifest.json").read_text())
    counted = {k: n for k, n in manifest["skipped"].items() if ":" in k}
    wrong = [("counts", dict(planned_counts), counted)] if planned_counts != counted else []
    for key, row in plan.items():
        if row["by"] == "reader" and ":" in row["reason"]:
            continue
        want, got = (row["fate"], row["by"], row["reason"]), seen.get(key, ())
        if want[0] == "kept":  # a planned edit must be there; others may have touched the page too
            kinds = {kind for editor, kind in got[1] if editor == row["by"]} if got[:1] == ("kept",) else None
            same = kinds is not None and (not row["by"] or kinds == set(row["reason"].split(",")))
        else:
            same = got == want
        if not same:
            wrong.append((row["key"], row["url"], want, got))
    wrong += [("not in the plan", key, fate) for key, fate in seen.items() if key not in plan]
    return wrong


def test_every_planted_record_has_its_fate(sample_run):
    assert compare(sample_run) == []


def test_records_add_up(sample_run):
    manifest = json.loads((sample_run / "01-extract" / "manifest.json").read_text())
    assert manifest["records"] == manifest["documents_read"] + sum(manifest["skipped"].values()) == len(truth())
    report = json.loads((sample_run / "report.json").read_text())
    first, last = report["stages"][0], report["stages"][-1]
    assert report["pages"] == first["n_in"]
    assert (
        report["pages"] - sum(sum(s["dropped"].values()) for s in report["stages"]) == last["n_kept"] == report["kept"]
    )


def test_the_sample_is_as_large_and_varied_as_it_should_be(sample_run):
    texts = set()
    for file in (sample_run / "05-pii" / "kept").glob("*.parquet"):
        texts.update(pq.read_table(file, columns=["text"])["text"].to_pylist())
    assert len(texts) >= 300
    manifest = json.loads((find_packs(sample_run) / "manifest.json").read_text())
    assert manifest["tokens"] >= 200_000
    pages = read_pages()
    assert {page.type for page in pages} == {"article", "forum", "product", "listing", "documentation"}
    assert len({page.lang for page in pages}) >= 15


def test_every_drop_and_skip_reason_is_hit():
    reasons = {(r["by"], r["reason"].split(":")[0]) for r in truth().values() if r["fate"] != "kept"}
    assert reasons >= {
        ("url", "words"), ("url", "blocklist"), ("url", "bad_url"),
        ("consent", "noai"), ("consent", "tdm_reservation"), ("license", "license_excluded"),
        ("extract", "no_text"), ("extract", "too_deep"), ("extract", "too_many_nodes"), ("extract", "too_many_bytes"),
        ("language", "language"), ("language", "language_uncertain"), ("exact_dedup", "duplicate_text"),
        ("reader", "type"), ("reader", "status"), ("reader", "media_type"), ("reader", "empty_payload"),
        ("reader", "corrupt_gzip"), ("reader", "truncated"), ("reader", "bad_warc_header"),
        ("reader", "bad_http_header"), ("reader", "bad_content_length"), ("reader", "bad_chunked"),
        ("reader", "bad_content_encoding"), ("reader", "bad_brotli"), ("reader", "garbage"),
    }  # fmt: skip


DOCUMENT_STEPS = ["train_tokenizer", "tokenize", "mix", "pack", "pretrain"]
SWITCHES = {
    "url": ([], ["url"]),
    "consent": (["consent.action=mark"], []),
    "license": ([], ["license"]),
    "language": (["language.languages=[]", "language.min_score=0"], []),  # later stages read its column
} | {
    name: ([], [name])
    for name in [
        "mojibake_repair", "mojibake", "placeholder", "refinedweb_lines", "c4_lines", "gopher_repetition",
        "gopher_quality", "c4_documents", "fineweb_quality", "exact_dedup", "minhash_dedup", "perplexity", "web_spam",
        "hate", "nsfw", "mask_toxic", "quality", "decontaminate", "pii",
    ]
}  # fmt: skip
"""How each stage is switched off: (settings, steps left out)."""


def test_every_stage_that_decides_or_edits_can_be_switched_off():
    steps = [name if isinstance(name, str) else next(iter(name)) for name in read_recipe("crawl-to-shards")["steps"]]
    assert set(steps) == {*SWITCHES, "extract", *DOCUMENT_STEPS}


@pytest.mark.slow
@pytest.mark.parametrize("step", SWITCHES)
def test_a_stage_switched_off_is_noticed(tmp_path, sample_run, step):
    settings, left_out = SWITCHES[step]
    plain = override(without(read_recipe("crawl-to-shards"), [*DOCUMENT_STEPS, *left_out]), settings)
    output = tmp_path / "run"
    shutil.copytree(sample_run, output)  # extraction is taken over where the step comes after it
    wrong = [row for row in compare(run_recipe(build(plain), output)) if len(row) == 4]
    planted = [r for r in truth().values() if r["by"] == step]
    assert planted
    assert {r["url"] for r in planted} <= {row[1] for row in wrong}


def test_marks_that_reserve_nothing_stay_on_kept_documents(sample_run):
    rows = []
    for file in (sample_run / "05-pii" / "kept").glob("*.parquet"):
        rows += pq.read_table(file, columns=["record", "consent", "license"]).to_pylist()
    noindex = [r for r in rows if r["record"]["x_robots_tag"] == "googlebot: noindex, noarchive"]
    assert noindex and all({one["says"] for one in r["consent"]} == {"noindex", "noarchive"} for r in noindex)
    linked = [r for r in rows if r["record"]["link"] and 'rel="license"' in r["record"]["link"]]
    assert linked and {r["license"] for r in linked} == {"CC-BY-4.0"}
    assert {r["license"] for r in rows} == {"CC-BY-4.0", None}


def test_the_committed_crawl_is_what_the_script_builds(tmp_path):
    build_sample(tmp_path)
    assert (tmp_path / "truth.tsv").read_bytes() == (SAMPLE / "truth.tsv").read_bytes()
    for name in FILES:
        assert (tmp_path / "crawl" / name).read_bytes() == (SAMPLE / "crawl" / name).read_bytes(), name


def test_benchmark_items_stand_on_their_pages():
    bodies = {page.key: page.body for page in read_pages()}
    items = [json.loads(line) for line in (SAMPLE / "benchmark.jsonl").read_text(encoding="utf-8").splitlines()]
    assert len(items) >= 16
    for item in items:
        assert item["question"] in bodies[item["page"]]


def test_pages_near_a_benchmark_stay(sample_run):
    """The same story, the same ferry, the same sum with other numbers: no question of the benchmark is on them.

    One shares 18 words in a row with a question, so that GPT-3's rule of 13 would have dropped it.
    """
    wanted = {p.key for p in read_pages() if p.plant == "near a benchmark"}
    near = {row["url"]: key[1] for key, row in truth().items() if row["key"] in wanted}
    rows = []
    for file in (sample_run / "05-pii" / "kept").glob("*.parquet"):
        rows += pq.read_table(file, columns=["url", "text", "decontam"]).to_pylist()
    rows = [row for row in rows if row["url"] in near]
    assert len(rows) == len(wanted) == 3 and not any(row["decontam"] for row in rows)
    docs = pa.table({"text": pa.array([row["text"] for row in rows], pa.large_string())})
    gpt3 = make("decontaminate", {"benchmarks": ["sample"], "methods": ["gpt3_13gram"]})(docs)
    dropped = gpt3.filter(gpt3["drop_reason"].is_valid())
    assert dropped.num_rows == 1 and "The Skerrow ferry carries" in dropped["text"][0].as_py()


def test_planted_questions_are_in_the_report(sample_run):
    acts = list(read_acts(files_of(sample_run)))
    pages = {row["url"]: row["key"] for row in truth().values()}
    on_pages = {json.loads(line)["page"] for line in (SAMPLE / "benchmark.jsonl").read_text("utf-8").splitlines()}
    assert {pages[act["url"]] for act in acts} - {"en-bench-noised-goose-quiz"} == on_pages
    assert {act["item"] for act in acts} == {f"gristmill_sample/test/{i}" for i in range(1, 21)}
    assert {act["action"] for act in acts} == {"drop"}
    report = json.loads((sample_run / "report.json").read_text())["benchmark_items"]
    assert report == [
        {"benchmark": "gristmill_sample", "dirty": 20, "suspect": 0, "documents": 15, "acts": {"drop": 21}}
    ]
