"""Commands that are no runs of recipes write to a store what they write to a folder, and go on from there."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pyarrow.parquet as pq
import pytest
import yaml

from pipeline.cli import main
from pipeline.errors import ConfigError, StepFailed
from pipeline.removal import apply
from pipeline.storage import held, lease, mirror, place
from pipeline.storage.mirror import staged, stand_in
from tests.filters.classifier.test_training import rows as labelled
from tests.pipeline.token_tools import described_packs
from tests.pretrain.ablation.conftest import SMALL, documents
from tests.runs import digests

TINY = ["--seeds", "2", "--steps", "6", "--batch-size", "4", "--sequence-length", "32", "--vocab-size", "300",
        "--held-out-bytes", "2000", "--evaluations", "2", "--readings", "tokens", "--quiet",
        "--training", json.dumps(SMALL)]  # fmt: skip
PROXY = ["--vocab-size", "300", "--sequence-length", "64", "--batch-size", "2", "--steps", "2", "--proxies", "5",
         "--measure", "false", "--quiet"]  # fmt: skip


def client(bucket):
    import boto3

    return boto3.client("s3", endpoint_url=bucket.front.url)


def names(bucket, where: str = "") -> list[str]:
    """The bucket's objects by name, as Amazon's own client lists them."""
    pages = client(bucket).get_paginator("list_objects_v2").paginate(Bucket=bucket.name, Prefix=where)
    return sorted(one["Key"] for page in pages for one in page.get("Contents", []))


def got(bucket, where: str, folder: Path) -> Path:
    """A copy of a folder of the bucket, read by Amazon's own client."""
    for name in names(bucket, f"{where}/"):
        target = folder / name.removeprefix(f"{where}/")
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_bytes(client(bucket).get_object(Bucket=bucket.name, Key=name)["Body"].read())
    return folder


def corpus(path: Path, seed: int, count: int = 60, **more) -> str:
    told = [
        {"id": f"{seed}-{i}", "text": text, "url": f"https://host{i % 3}.example/{seed}/{i}"}
        for i, text in enumerate(documents(seed, count, **more))
    ]
    path.write_text("".join(f"{json.dumps(one)}\n" for one in told))
    return str(path)


def sent(bucket, file: str) -> str:
    """A file put into the bucket by Amazon's own client; its URL."""
    name = f"in/{Path(file).name}"
    client(bucket).put_object(Bucket=bucket.name, Key=name, Body=Path(file).read_bytes())
    return f"{bucket.url}/{name}"


def test_an_index_of_documents(bucket, tmp_path, capsys):
    old, more, new = (corpus(tmp_path / f"{i}.jsonl", i) for i in (1, 2, 3))
    lines = Path(old).read_text().splitlines(True)
    Path(new).write_text(Path(new).read_text() + lines[5].replace('"1-5"', '"again"') + lines[6].replace('1-6"', 'x"'))
    (tmp_path / "gone.txt").write_text("1-6\n")
    found = {}
    for index in (str(tmp_path / "index"), f"{bucket.url}/index"):
        assert main(["dedup", "index", "build", old, "-o", index, "--quiet"]) == 0
        assert main(["dedup", "index", "add", index, sent(bucket, more), "--quiet"]) == 0
        assert main(["dedup", "index", "remove", index, "--ids", sent(bucket, str(tmp_path / "gone.txt"))]) == 0
        capsys.readouterr()
        assert main(["dedup", "index", "info", index, "--json"]) == 0
        told = json.loads(capsys.readouterr().out)
        assert main(["dedup", "index", "find", index, "2-7", "--json"]) == 0
        out = tmp_path / "new.parquet"
        assert main(["dedup", "minhash", new, "--against", index, "-o", str(out), "--quiet"]) == 0
        found[index] = (told["documents"], told["segments"], told["bytes"], json.loads(capsys.readouterr().out),
                        pq.read_table(out)["id"].to_pylist())  # fmt: skip
    here, there = found.values()
    assert here[0] == there[0] == 119 and here[1] == there[1] == 2 and here[3:] == there[3:]
    assert abs(here[2] - there[2]) < 200, "index.json holds names by chance"
    assert "again" not in here[4] and "x" in here[4] and len(here[4]) == 61
    assert not [name for name in names(bucket, "index") if name.endswith(".lock")]
    with held(place(f"{bucket.url}/index")):
        assert main(["dedup", "index", "add", f"{bucket.url}/index", new, "--quiet"]) == 2
    assert "another run" in capsys.readouterr().err


def test_removal_from_packs(bucket, tmp_path):
    packs, there = described_packs(tmp_path / "packs"), f"{bucket.url}/packs"
    for name in sorted(path for path in packs.rglob("*") if path.is_file()):
        key = f"packs/{name.relative_to(packs).as_posix()}"
        client(bucket).put_object(Bucket=bucket.name, Key=key, Body=name.read_bytes())
    (tmp_path / "gone.txt").write_text("https://example.org/1\n")
    words = ["--urls", sent(bucket, str(tmp_path / "gone.txt"))]
    missing = ["--unmatched", f"{bucket.url}/unmatched.txt"]
    assert main(["remove", there, *words, "-o", f"{bucket.url}/new", *missing]) == 0
    assert main(["remove", str(packs), *words, "-o", str(tmp_path / "new")]) == 0
    unlike = ("00001.run.json",)
    new = digests(tmp_path / "new", unlike)
    assert digests(got(bucket, "new", tmp_path / "got"), unlike) == new
    assert digests(got(bucket, "packs", tmp_path / "old")) == digests(packs)
    assert main(["remove", there, *words, "-o", f"{bucket.url}/new"]) == 2, "it is there"
    assert main(["remove", there, *words, "--in-place"]) == 0
    assert main(["remove", str(packs), *words, "--in-place"]) == 0
    assert digests(got(bucket, "packs", tmp_path / "changed"), unlike) == digests(packs, (*unlike, ".removal.lock"))
    assert place(f"{bucket.url}/unmatched.txt").read_text() == ""


def test_a_runs_own_packs_are_not_changed(bucket, tmp_path):
    place(f"{bucket.url}/run/recipe.yaml").write_text("name: x\n")
    with pytest.raises(ConfigError, match="belongs to the run"):
        apply._refuse_run(place(f"{bucket.url}/run/09-pack/packset"))


@pytest.mark.parametrize("format_", ["megatron", "nanogpt", "datasets"])
def test_exports(bucket, tmp_path, format_):
    packs = described_packs(tmp_path / "packs")
    assert main(["export", format_, str(packs), "-o", str(tmp_path / "out" / "x")]) == 0
    assert main(["export", format_, str(packs), "-o", f"{bucket.url}/out/x"]) == 0
    assert digests(got(bucket, "out", tmp_path / "got")) == digests(tmp_path / "out") != {}


def test_reports(bucket, tmp_path):
    docs = corpus(tmp_path / "docs.jsonl", 1)
    places = {"here": str(tmp_path / "here"), "there": f"{bucket.url}/there"}
    (tmp_path / "here").mkdir()
    for where in places.values():
        command = ["decontam", "report", sent(bucket, docs), "--bench", "sample", "--inline", "--quiet"]
        targets = {"--html": "a.html", "--json": "a.json", "--csv": "tables", "--clean-ids": "clean.txt"}
        assert main([*command, *(word for o, name in targets.items() for word in (o, f"{where}/{name}"))]) == 0
    found = got(bucket, "there", tmp_path / "got")
    assert digests(found) == digests(tmp_path / "here")
    assert set(digests(found)) >= {"a.html", "a.json", "tables/items.csv", "clean.txt"}
    assert not names(bucket, "there/a.html.work")


def test_a_classifier(bucket, tmp_path):
    (tmp_path / "data.jsonl").write_text("".join(f"{json.dumps(one)}\n" for one in labelled(200)))
    words = ["classifier", "train", sent(bucket, str(tmp_path / "data.jsonl")), "--positive-label", "good", "--quiet",
             "--dim", "8", "--epoch", "2", "--bucket", "500", "--min-count", "1", "--cutoff", "400"]  # fmt: skip
    (tmp_path / "here").mkdir()
    for where in (str(tmp_path / "here"), f"{bucket.url}/there"):
        assert main([*words, "-o", f"{where}/m.ftz"]) == 0
    assert names(bucket, "there") == ["there/m.ftz", "there/m.json", "there/m.md"]
    assert digests(got(bucket, "there", tmp_path / "got")) == digests(tmp_path / "here")


@pytest.mark.slow
def test_an_ablation_goes_on(bucket, tmp_path, capsys):
    pytest.importorskip("torch")
    arms = [f"{name}={sent(bucket, corpus(tmp_path / f'{name}.jsonl', seed))}" for name, seed in (("a", 1), ("b", 2))]
    held_out = f"h={sent(bucket, corpus(tmp_path / 'h.jsonl', 3, 20))}"
    words = ["ablate", *arms, "--held-out", held_out, *TINY]
    assert main([*words, "-o", str(tmp_path / "here")]) == 0
    out = f"{bucket.url}/there"
    assert main([*words, "-o", out]) == 0
    first = {name: client(bucket).head_object(Bucket=bucket.name, Key=name)["LastModified"] for name in names(bucket)}
    found = json.loads(place(f"{out}/results.json").read_text())
    here = json.loads((tmp_path / "here" / "results.json").read_text())
    assert found["comparisons"] == here["comparisons"] and found["verdicts"] == here["verdicts"]
    (gone, *_) = [name for name in names(bucket, "there/runs/") if name.endswith(".npy")]
    place(f"{bucket.url}/{gone}").unlink()
    assert main([*words, "-o", out]) == 0
    now = {name: client(bucket).head_object(Bucket=bucket.name, Key=name)["LastModified"] for name in names(bucket)}
    assert set(first) <= set(now) and now[gone] > first[gone]
    kept = [name for name in first if name.startswith("there/") and name.endswith((".parquet", ".arrow", ".npy"))]
    assert len(kept) > 8
    assert [name for name in kept if now[name] != first[name]] == [gone], "what was done is not done again"
    assert main([*words, "-o", out, "--address", "127.0.0.1:1"]) == 2
    assert "a folder that all nodes share" in capsys.readouterr().err


@pytest.mark.slow
def test_a_search_of_mixtures(bucket, tmp_path):
    pytest.importorskip("torch")
    files = {name: sent(bucket, corpus(tmp_path / f"{name}.jsonl", seed)) for name, seed in (("a", 1), ("b", 2))}
    value = {"name": "two", "max_epochs": 20, "sources": {name: {"inputs": [one]} for name, one in files.items()}}
    (tmp_path / "mixture.yaml").write_text(yaml.safe_dump(value, sort_keys=False))
    held_out = ["--held-out", f"h={corpus(tmp_path / 'h.jsonl', 3, 20)}"]
    words = ["mix", "search", str(tmp_path / "mixture.yaml"), *held_out, *PROXY]
    for where in (str(tmp_path / "here"), f"{bucket.url}/there"):
        assert main([*words, "-o", where]) == 0
        assert main([*words, "-o", where]) == 0, "and goes on"
    assert place(f"{bucket.url}/there/search.json").read_bytes() == (tmp_path / "here" / "search.json").read_bytes()
    assert "there/mixture.yaml" in names(bucket) and "there/report.html" in names(bucket)


def test_training(bucket, tmp_path, monkeypatch, capsys):
    torch = pytest.importorskip("torch")
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    packs = described_packs(tmp_path / "packs")
    words = ["pretrain", str(packs), "--steps", "6", "--save-every", "2", "--batch-size", "2", "--quiet",
             *(word for key, value in SMALL["model"].items() for word in ("--model", f"{key}={value}"))]  # fmt: skip
    try:
        assert main([*words, "-o", str(tmp_path / "here")]) == 0
        assert main([*words, "-o", f"{bucket.url}/there"]) == 0
        assert digests(got(bucket, "there", tmp_path / "got")) == digests(tmp_path / "here")
        last = max(name for name in names(bucket, "there/checkpoints/"))
        place(f"{bucket.url}/{last.rpartition('/')[0]}").remove_all()
        words.remove("--quiet")
        assert main([*words, "-o", f"{bucket.url}/there"]) == 0
        assert "goes on from step 4" in capsys.readouterr().err
        assert digests(got(bucket, "there", tmp_path / "again")) == digests(tmp_path / "here")
    finally:
        torch.set_num_threads(threads)
    assert main(["pretrain", "plot", f"{bucket.url}/there", "-o", f"{bucket.url}/curves"]) == 0
    assert "curves/curves.html" in names(bucket)
    monkeypatch.setenv("WORLD_SIZE", "2")
    monkeypatch.setenv("RANK", "0")
    assert main([*words, "-o", f"{bucket.url}/other"]) == 2
    assert "name a local one" in capsys.readouterr().err


def test_a_stand_in_sends_on_the_way_and_json_last(bucket, monkeypatch, tmp_path):
    out = place(f"{bucket.url}/out")
    order = []
    upload = type(out).upload

    def noted(path, file):
        order.append(str(path).removeprefix(f"{out}/"))
        upload(path, file)

    monkeypatch.setattr(type(out), "upload", noted)
    monkeypatch.setattr(mirror, "SEND_EVERY_S", 0.05)
    with pytest.raises(ZeroDivisionError), stand_in(out, ("x/plan.json",), "test") as here:
        (tmp_path / "x" / "sub").mkdir(parents=True)
        for name in ("manifest.json", "plan.json", "z.bin", "sub/manifest.json", "sub/a.bin", "a.json"):
            (tmp_path / "x" / name).write_text(name)
        (tmp_path / "x").rename(here / "x")  # all of it at once
        while len(names(bucket, "out/")) < 7:  # and the lock
            pass
        raise ZeroDivisionError
    data = [order.index(f"x/{name}") for name in ("z.bin", "sub/a.bin")]
    marks = [order.index(f"x/{name}") for name in ("sub/manifest.json", "a.json", "plan.json", "manifest.json")]
    assert max(data) < min(marks) and marks == sorted(marks)
    with stand_in(out, ("x/plan.json",), "test") as here:
        assert (here / "x" / "sub" / "a.bin").read_text() == "sub/a.bin"
        (here / "x" / "a.json").unlink()
    assert "out/x/a.json" not in names(bucket) and not [one for one in names(bucket) if one.endswith(".lock")]
    with pytest.raises(ConfigError, match="holds files and is no earlier thing"), stand_in(out, ("other",), "thing"):
        raise AssertionError("not reached")


def test_a_stand_in_that_lost_its_hold_sends_nothing(bucket):
    out = place(f"{bucket.url}/out")
    with pytest.raises(StepFailed, match="taken over"), stand_in(out, ("x",), "test") as here:
        lease._held[str(out)].lost = f"another run has taken over {out}; this one stops"
        (here / "x").write_text("1")
    assert "out/x" not in names(bucket)


def test_what_is_staged_and_fails_is_not_sent(bucket):
    with pytest.raises(ZeroDivisionError), staged(place(f"{bucket.url}/model.bin")) as here:
        here.write_text("half")
        raise ZeroDivisionError
    assert names(bucket) == []


@pytest.mark.parametrize(
    "words",
    [
        ["dedup", "index", "build", "DOCS", "-o", "https://example.org/index"],
        ["inspect", "DOCS", "--html", "hf://datasets/a/b/page.html"],
        ["export", "nanogpt", "PACKS", "-o", "https://example.org/x"],
        ["remove", "PACKS", "--urls", "LIST", "-o", "https://example.org/x"],
        ["ablate", "a=DOCS", "b=DOCS", "-o", "https://example.org/x"],
        ["pretrain", "PACKS", "-o", "hf://datasets/a/b"],
    ],
)
def test_what_is_for_reading_is_refused_before_the_work(tmp_path, capsys, words):
    (tmp_path / "list.txt").write_text("https://example.org/1\n")
    named = {"DOCS": corpus(tmp_path / "a.jsonl", 1, 5), "LIST": str(tmp_path / "list.txt"),
             "PACKS": str(described_packs(tmp_path / "packs"))}  # fmt: skip
    assert main([re.sub("DOCS|LIST|PACKS", lambda m: named[m.group()], word) for word in words]) == 2
    assert "is for reading" in capsys.readouterr().err
