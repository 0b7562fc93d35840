"""The pack report against a recount in plain Python, over mixtures, removals, old packs and hostile texts."""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path

import pytest
import yaml

from pipeline.cli import main
from pipeline.packreader import PackReader, open_packs
from pipeline.packreport.build import page, report, sections
from pipeline.packstep import find_pack_sets, find_packs
from tests.mixtures.mix_tools import Doc, make_run, random_docs

from .token_tools import described_packs


@pytest.fixture(scope="module")
def mixed(tmp_path_factory):
    """A pack set of two sources, one with documents three times: (folder of the run, documents by source)."""
    folder = tmp_path_factory.mktemp("report")
    docs = {"a": random_docs("a", 80, 1), "b": random_docs("b", 40, 2)}
    docs["b"].append(Doc("c" * 32, [60] + list(range(97, 115)) + [62], lang="<script>", url="https://<b>.example/"))
    sources = {name: {"run": str(make_run(folder / name, own))} for name, own in docs.items()}
    sources["b"]["epochs"] = 3
    (folder / "m.yaml").write_text(yaml.safe_dump({"sources": sources, "quality": {"edges": [0.5], "repeat": [1, 1]}}))
    command = ["mix", "run", str(folder / "m.yaml"), "-o", str(folder / "run"), "--inline", "--quiet"]
    assert main([*command, "--sequence-length", "64"]) == 0
    return folder / "run", docs


def recount(reader: PackReader, label: dict[str, str]) -> Counter[str]:
    """Tokens by what `label` calls their documents, but for removed ones."""
    tokens: Counter[str] = Counter()
    for row in reader:
        ends = [*row.doc_starts[1:].tolist(), row.length]
        for k, (begin, end) in enumerate(zip(row.doc_starts.tolist(), ends, strict=True)):
            if not row.removed[k]:
                tokens[label[row.doc_ids[k]]] += end - begin
    return tokens


def labels(docs: dict[str, list[Doc]], what: str) -> dict[str, str]:
    found = {}
    for name, own in docs.items():
        for d in own:
            bucket = -1 if d.quality is None else int(d.quality >= 0.5)
            domain = d.url.split("/")[2].removeprefix("www.")
            found[d.id] = {"source": name, "lang": d.lang, "domain": domain, "bucket": bucket}[what]
    return found


@pytest.mark.parametrize("what", ["source", "lang", "domain", "bucket"])
def test_tokens_by_what_documents_are(mixed, what):
    run, docs = mixed
    (one,) = report(run)["sets"]
    reader = open_packs(find_packs(run))
    wanted = recount(reader, labels(docs, what))
    assert {row["value"]: row["tokens"] for row in one["by"][what]} == dict(wanted)
    assert sum(row["share"] for row in one["by"][what]) == pytest.approx(1)
    assert one["tokens"] == sum(wanted.values()) and one["utilisation"] == one["tokens"] / (64 * len(reader))
    if what == "source":
        assert {row["value"]: round(row["epochs"], 1) for row in one["by"]["source"]} == {"a": 1, "b": 3}


def test_lengths_frequent_tokens_and_bytes(mixed):
    run, docs = mixed
    (one,) = report(run, top=1000)["sets"]
    everything = [d for own in docs.values() for d in own]
    wanted = Counter(d.n.bit_length() - 1 for d in everything)
    assert {row["from"]: row["documents"] for row in one["lengths"]} == {1 << k: n for k, n in wanted.items()}
    assert one["documents"]["tokens_per_byte"] == 0.25  # the runs say 4 bytes a token
    times = {"a": 1, "b": 3}
    counts: Counter[int] = Counter()
    for name, own in docs.items():
        for d in own:
            for i in [*d.ids, 256]:
                counts[i] += times[name]
    assert {row["id"]: row["count"] for row in one["tokens_seen"]["most_frequent"]} == dict(counts)
    assert one["tokens_seen"]["ids_seen"] == len(counts) and one["tokens_seen"]["control_tokens"] == 0
    order = [row["count"] for row in one["tokens_seen"]["most_frequent"]]
    assert order == sorted(order, reverse=True)


def test_sequences_are_shown_with_their_boundaries(mixed):
    run, docs = mixed
    (one,) = report(run, samples=10_000)["sets"]
    reader = open_packs(find_packs(run))
    assert [s["sequence"] for s in one["samples"]] == list(range(len(reader)))
    for sample in one["samples"]:
        row = reader[sample["sequence"]]
        assert [p["document"] for p in sample["pieces"]] == row.doc_ids
        assert [p["position"] for p in sample["pieces"]] == row.doc_starts.tolist()
        assert sum(p["tokens"] for p in sample["pieces"]) == row.length == sample["length"]
    assert {s["sequence"] for s in report(run, samples=3, seed=1)["sets"][0]["samples"]} != {
        s["sequence"] for s in report(run, samples=3, seed=2)["sets"][0]["samples"]
    }


def test_what_was_removed_is_not_counted(mixed, tmp_path):
    run, docs = mixed
    gone = {d.id for d in docs["b"][:15]} | {docs["a"][3].id}
    (tmp_path / "ids").write_text("\n".join(gone))
    target = tmp_path / "left"
    assert main(["remove", str(run), "--ids", str(tmp_path / "ids"), "-o", str(target)]) == 0
    (one,) = report(target)["sets"]
    wanted = recount(open_packs(target), labels(docs, "source"))
    assert {row["value"]: row["tokens"] for row in one["by"]["source"]} == dict(wanted)
    assert one["removed_tokens"] > 0 and one["documents"]["documents"] == 121 - len(gone)


def test_sets_of_several_lengths_tell_of_their_own_tokens(mixed, tmp_path):
    run, docs = mixed
    folder = tmp_path / "my [1] run"  # the marks of globs are names here
    (tmp_path / "m.yaml").write_text(
        yaml.safe_dump(
            {"sources": {name: {"run": str(run.parent / name)} for name in docs},
             "control": {"edges": [0.5], "names": ["bad", "good"]}}
        )
    )  # fmt: skip
    command = ["mix", "run", str(tmp_path / "m.yaml"), "-o", str(folder), "--inline", "--quiet"]
    command += ["--sequence-length", "16", "--long-lengths", "64", "4096", "--partition-tokens", "600"]
    assert main(command) == 0
    (tmp_path / "ids").write_text("\n".join([d.id for d in docs["b"][:3]]))
    assert main(["remove", str(folder), "--ids", str(tmp_path / "ids"), "-o", str(tmp_path / "less")]) == 0
    for where in (folder, tmp_path / "less"):
        made = report(where)["sets"]
        assert [one["sequence_length"] for one in made] == [16, 64, 4096] and made[2]["sequences"] == 0
        for one, packs in zip(made, find_pack_sets(where), strict=True):
            reader = open_packs(packs)
            wanted = recount(reader, labels(docs, "source"))
            assert {row["value"]: row["tokens"] for row in one["by"]["source"]} == dict(wanted)
            assert len(reader.manifest["files"]) > 3 or one["sequence_length"] != 64  # removals in some, none in others
            left = {i for row in reader for i, gone in zip(row.doc_ids, row.removed, strict=True) if not gone}
            assert one["documents"]["documents"] == len(left)


def test_the_page_runs_no_script_and_escapes(mixed, tmp_path, capsys):
    run, _ = mixed
    assert main(["packs", "report", str(run), "--html", str(tmp_path / "p.html"), "--json", str(tmp_path / "p")]) == 0
    shown = capsys.readouterr().out
    assert "Tokens by source" in shown and "Most frequent tokens" in shown
    html = (tmp_path / "p.html").read_text()
    assert "default-src 'none'" in html and "<script" not in html and "&lt;script&gt;" in html and "<svg" in html
    assert json.loads((tmp_path / "p").read_text()) == json.loads(json.dumps(report(run)))
    assert main(["packs", "report", str(tmp_path)]) == 2
    assert "neither a pack folder nor a run" in capsys.readouterr().err
    assert main(["packs", "report", str(run), "--tokens", "-1"]) == 2


def test_old_packs_and_packs_without_documents(tmp_path):
    old = next(p.parent for p in sorted((Path(__file__).parent / "packs_v1").rglob("manifest.json")))
    made = report(old)
    assert made["sets"][0]["sequences"] > 0 and page(made)
    packs = described_packs(tmp_path / "packs")
    made = report(packs)
    assert made["sets"][0]["tokens"] > 0 and sections(made)
    for file in (packs / "documents").glob("*"):
        file.unlink()
    (one,) = report(packs)["sets"]
    assert one["documents"] is None and one["by"] == {} and one["samples"]
