"""The plan against a real small run's files, and against figures reckoned by hand."""

from __future__ import annotations

import gzip
import json
import random
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from dedup import lsh, minhash, rates, shuffle
from dedup.minhash import MinhashDedup
from dedup.plan import Corpus, components_rounds, plan
from dedup.plan_corpus import corpus_of
from dedup.plan_table import put
from pipeline.cli import main
from pipeline.cli_dedup_plan import duration, size
from pipeline.sources import DocumentsSource
from tests.dedup.test_minhash import changed, written
from tests.dedup.tools import corpus, run_step


def documents(count: int) -> list[dict]:
    rng = random.Random(11)
    rows: list[list[str]] = []
    for i in range(count):
        rows.append(changed(rng, rows[-1], 2) if i % 5 == 4 else written(rng, rng.randint(120, 200)))
    order = list(range(count))
    rng.shuffle(order)
    return [{"id": f"{rng.getrandbits(128):032x}", "text": " ".join(rows[i])} for i in order]


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    """(folder, manifest, corpus as the files tell it) of a run with many small partitions, its working files kept."""
    folder = tmp_path_factory.mktemp("plan")
    rows = documents(3000)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(minhash, "remove", lambda *args: None)
        patch.setattr(lsh, "KEYS_PER_PARTITION", 2000)
        patch.setattr(minhash, "NODES_PER_FILE", 600)
        patch.setattr(shuffle, "ROWS_PER_BATCH", 300)
        patch.setattr(minhash, "GROUP_BYTES", 200_000)
        found = corpus(folder / "in", [rows[:1500], rows[1500:]])
        _, dropped, manifest = run_step(MinhashDedup(), folder / "out", found)
        told, exact = corpus_of(
            DocumentsSource(inputs=(str(found.path),)), MinhashDedup().parameters.shingling, len(dropped) / 3000
        )
        assert exact
        return folder / "out", manifest, told, plan(told, MinhashDedup(), 2)


def test_the_files_tell_number_and_lengths(finished):
    _, _, told, _ = finished
    rows = documents(3000)
    assert told.documents == 3000 and told.shards == 2
    assert told.bytes_per_document == pytest.approx(sum(len(r["text"]) for r in rows) / 3000, rel=0.03)
    assert told.shingles == pytest.approx(sum(len(r["text"].split()) - 4 for r in rows) / 3000, rel=0.03)


def test_counts_are_those_of_the_run(finished):
    folder, manifest, _, made = finished
    files, report = made["files"], manifest["report"]
    assert files["band_keys"] == report["band_keys"] == 42_000
    assert files["band_files"] == len(list((folder / "bands").iterdir()))
    assert files["partitions"] == len(list((folder / "links").iterdir())) == 21
    assert files["link_partitions"] == len(list((folder / "labels").iterdir())) == 1
    assert files["removed"] == report["removed"]
    assert files["in_components"] == pytest.approx(report["in_components"], rel=0.15)
    assert files["links"] == pytest.approx(report["links"], rel=0.5)  # how many bands pairs share depends on the corpus
    assert files["groups"] == pytest.approx(len(list((folder / "verdicts").iterdir())), rel=0.3)
    assert files["parts_of_band_keys"] == files["band_files"] * 21


@pytest.mark.parametrize(
    ("name", "folders", "within"),
    [
        ("bands", ["bands"], 0.1),
        ("links", ["links"], 0.6),
        ("stars", ["stars"], 0.5),
        ("labels", ["labels"], 0.5),
        ("groups", ["groups"], 0.2),
        ("verdicts", ["verdicts"], 0.5),
        ("kept and dropped", ["kept", "dropped"], 0.35),
    ],
)
def test_disk(finished, name, folders, within):
    folder, _, _, made = finished
    real = sum(path.stat().st_size for one in folders for path in (folder / one).iterdir())
    assert made["disk_bytes"][name] == pytest.approx(real, rel=within)


def billion(**changes) -> dict:
    given = {"documents": 10**9, "bytes_per_document": 3600, "shingles": 596, "duplicates": 0.3, "shards": 4000}
    return plan(Corpus(**{**given, **changes}), MinhashDedup(), 64)


def test_by_hand():
    made = billion()
    assert made["files"]["band_keys"] == 14 * 10**9
    assert made["files"]["partitions"] == 14 * 10**9 // lsh.KEYS_PER_PARTITION == 1750
    assert made["files"]["band_files"] == 4000  # 250 000 documents a shard, 262 144 a file
    assert billion(shards=2000)["files"]["band_files"] == 4000
    assert 14e9 * 8 < made["disk_bytes"]["bands"] < 14e9 * 16
    assert made["disk_bytes"]["groups"] == pytest.approx(6.6e8 * 8 * (596 + 14), rel=0.15)
    assert made["disk_bytes"]["peak"] == sum(v for k, v in made["disk_bytes"].items() if k != "peak")
    assert made["memory_bytes"]["link"] - (350 << 20) == 8_000_000 * 88
    assert made["memory_bytes"]["worker"] == max(v for k, v in made["memory_bytes"].items() if k != "all workers")
    sign = 3.6e12 / rates.PER_CORE["sign"] / 64
    assert made["seconds"]["sign"] == pytest.approx(sign, rel=0.01)
    for at, found in made["recall"].items():
        assert found == pytest.approx(1 - (1 - float(at) ** 8) ** 14)


def test_memory_does_not_grow_with_the_corpus_but_where_it_says_so():
    one, ten = billion()["memory_bytes"], billion(documents=10**10, shards=40_000)["memory_bytes"]
    for task in ("sign", "link", "components", "compare"):
        assert ten[task] == pytest.approx(one[task], rel=0.1)
    assert ten["split"] > one["split"]


def test_more_memory_a_worker_makes_fewer_parts():
    corpus_ = Corpus(documents=10**10, bytes_per_document=3600, shingles=596, duplicates=0.3, shards=17_000)
    small, large = (plan(corpus_, MinhashDedup(worker_gb=gb), 64) for gb in (2, 16))
    for what in ("partitions", "link_partitions", "groups"):
        assert large["files"][what] == pytest.approx(small["files"][what] / 8, abs=1)
    assert large["memory_bytes"]["link"] - (350 << 20) == pytest.approx(8 * 8_000_000 * 88, rel=0.01)
    assert large["memory_bytes"]["worker"] < 16e9 and large["seconds"]["all"] < small["seconds"]["all"] / 10
    assert any("small parts" in one for one in small["warnings"])


def test_many_small_parts_are_told():
    assert not any("small reads" in one for one in billion()["warnings"])
    assert any("keys each" in one for one in billion(shards=400_000)["warnings"])
    assert any("shards can't be" in one for one in billion(shards=lsh.MAX_SHARDS + 1)["warnings"])
    assert components_rounds(10**9) > components_rounds(1000)


def test_rates_from_a_benchmark():
    """Two sizes: what both have in common, the start, takes no part."""

    def result(documents: int, sign: float, link: float) -> dict:
        report = {"documents": documents, "signed": documents, "band_keys": 14 * documents, "links": documents // 2,
                  "rounds": 2, "in_components": documents // 4}  # fmt: skip
        return {"documents": documents, "text_gb": documents * 1400 / 1e9, "report": report,
                "parts_s": {"sign": sign, "link": link, "apply": 0.1}}  # fmt: skip

    one, two = result(10**6, 15, 9), result(3 * 10**6, 35, 23)
    found = rates.measured({"workers": 2, "sizes": [two, one]})
    assert found == pytest.approx({"sign": 2e6 * 1400 / 20 / 2, "link": 28e6 / 14 / 2})
    assert rates.measured({"workers": 2, "sizes": [one]})["sign"] == pytest.approx(1e6 * 1400 / 15 / 2)
    assert set(rates.PER_CORE) == set(rates.UNITS)


def test_command(tmp_path, capsys):
    assert main(["dedup", "plan", "--documents", "1e9", "--words", "600", "--workers", "64", "--json"]) == 0
    made = json.loads(capsys.readouterr().out)
    want = plan(
        Corpus(documents=10**9, bytes_per_document=3600, shingles=596, duplicates=0.3, shards=made["corpus"]["shards"]),
        MinhashDedup(),
        64,
    )
    assert made == {**want, "documents_counted": True}
    assert main(["dedup", "plan", "--documents", "1e6", "--preset", "nemo", "--threshold", "0.9"]) == 0
    shown = capsys.readouterr().out
    assert "char-24" in shown and "threshold 0.90" in shown and "20 x 13" in shown and "Memory" in shown


def test_corpus_of_json_lines(tmp_path, capsys, monkeypatch):
    rows = [json.dumps({"text": "some words " * (i % 7 + 1), "id": str(i)}) for i in range(5000)]
    with gzip.open(tmp_path / "a.jsonl.gz", "wt") as out:
        out.write("\n".join(rows[:3000]))
    (tmp_path / "b.jsonl").write_text("\n\n".join(rows[3000:]))
    pq.write_table(pa.table({"text": ["x y z"] * 100}), tmp_path / "c.parquet")
    arguments = ["dedup", "plan", "--corpus", str(tmp_path), "--json"]
    assert main(arguments) == 0
    made = json.loads(capsys.readouterr().out)
    assert (made["corpus"]["documents"], made["documents_counted"], made["corpus"]["shards"]) == (5100, True, 3)
    monkeypatch.setattr("dedup.plan_corpus.READ_BYTES", 20_000)
    assert main(arguments) == 0
    made = json.loads(capsys.readouterr().out)
    assert made["corpus"]["documents"] == pytest.approx(5100, rel=0.3) and not made["documents_counted"]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ([], "--documents N or --corpus"),
        (["--documents", "many"], "must be a number such as 1e9"),
        (["--documents", "0"], "between 1 and"),
        (["--documents", "5", "--duplicates", "3"], "between 0 and 1"),
        (["--documents", "5", "--preset", "finewep"], "no preset"),
        (["--corpus", "nowhere.jsonl"], "does not exist"),
        (["--corpus", "EMPTY"], "no documents"),
        (["--corpus", "EMPTY", "--words", "6"], "leave --words out"),
    ],
)
def test_errors_are_one_line(tmp_path: Path, arguments, message, capsys):
    (tmp_path / "empty.jsonl").write_text("\n")
    assert main(["dedup", "plan", *(str(tmp_path / "empty.jsonl") if a == "EMPTY" else a for a in arguments)]) == 2
    error = capsys.readouterr().err
    assert message in error and error.count("\n") == 1


def test_the_page_has_the_table():
    text = (Path(__file__).parents[2] / "docs" / "dedup.md").read_text(encoding="utf-8")
    assert put(text) == text, "run `make docs`"
    assert text.count("| documents |") == 1 and "10,000,000,000" in text


def test_as_a_person_reads_them():
    assert [size(v) for v in (0, 999, 1e3, 9.996e5, 3.6e12)] == ["0 B", "999 B", "1 kB", "1 MB", "3.6 TB"]
    assert [duration(v) for v in (5, 119, 120, 7200, 200_000)] == [
        "5 s", "119 s", "2.0 minutes", "2.0 hours", "2.3 days"]  # fmt: skip
