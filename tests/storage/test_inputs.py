"""Inputs in a store: another content of the same size is noticed, by what the listing says."""

from __future__ import annotations

import json
from pathlib import Path

import boto3
import pyarrow.parquet as pq
import pytest

from pipeline.documents import input_files
from pipeline.progress import Progress
from pipeline.recipe import build
from pipeline.run import execute
from pipeline.runner import InlineRunner
from pipeline.sources import DocumentsSource, WarcSource, sample_warc
from pipeline.storage import place

LINES = "".join(json.dumps({"id": str(i), "text": f"stone {i}"}) + "\n" for i in range(500))
OTHER = LINES.replace("stone 250", "river 250")


def run(source: dict, output: Path) -> list[bool]:
    """Run two steps; for each whether it was done before."""
    steps = ["url", "exact_dedup"] if "warc" not in source else ["url"]
    with InlineRunner() as runner:
        made = execute(build({"name": "x", "source": source, "steps": steps}), output, runner, Progress(quiet=True))
    return [step.resumed for step in made.steps]


def put_for_all(bucket, key: str, text: str) -> None:
    """An object that may be read without credentials, by https as well."""
    client = boto3.client("s3", endpoint_url=bucket.front.url)
    client.put_object(Bucket=bucket.name, Key=key, Body=text.encode(), ACL="public-read")


@pytest.mark.parametrize("web", [False, True])
def test_documents_of_another_content_are_read_again(bucket, tmp_path, web):
    put_for_all(bucket, "in/a.jsonl", LINES)
    where = f"{bucket.front.url}/{bucket.name}/in/a.jsonl" if web else f"{bucket.url}/in"
    source = {"documents": {"inputs": [where]}}
    assert run(source, tmp_path / "out") == [False, False]
    assert run(source, tmp_path / "out") == [True, True]
    put_for_all(bucket, "in/a.jsonl", OTHER)
    assert len(LINES) == len(OTHER)
    assert run(source, tmp_path / "out") == [False, False]
    texts = pq.read_table(tmp_path / "out" / "02-exact_dedup" / "kept")["text"].to_pylist()
    assert "river 250" in texts and "stone 250" not in texts


def test_warc_files_of_another_content_are_read_again(bucket, tmp_path):
    data = bytearray((sample_warc() / "sample-00003.warc.wet.gz").read_bytes())
    (place(bucket.url) / "in/a.warc.wet.gz").write_bytes(bytes(data))
    source = {"warc": {"inputs": [f"{bucket.url}/in"]}}
    assert run(source, tmp_path / "out") == [False] and run(source, tmp_path / "out") == [True]
    data[len(data) // 2] ^= 1
    (place(bucket.url) / "in/a.warc.wet.gz").write_bytes(bytes(data))
    assert run(source, tmp_path / "out") == [False]


def test_rows_are_those_of_local_files(bucket, tmp_path):
    """The data files of both are the same to the byte: no mark of the store is in them."""
    (tmp_path / "a.jsonl").write_text(LINES)
    (place(bucket.url) / "in/a.jsonl").write_text(LINES)
    for name, where in (("here", str(tmp_path / "a.jsonl")), ("there", f"{bucket.url}/in")):
        run({"documents": {"inputs": [where]}}, tmp_path / name)
    files = sorted(p.relative_to(tmp_path / "here") for p in (tmp_path / "here").rglob("*.parquet"))
    assert len(files) >= 4
    for file in files:
        assert (tmp_path / "here" / file).read_bytes() == (tmp_path / "there" / file).read_bytes()
    (mark,) = {file.mark.strip('"') for file in input_files([f"{bucket.url}/in"])}
    assert mark
    assert not [p for p in (tmp_path / "there").rglob("*") if p.is_file() and mark.encode() in p.read_bytes()]


def test_a_listing_asks_nothing_for_each_file(bucket):
    for i in range(30):
        (place(bucket.url) / f"in/{i:02d}.jsonl").write_text(LINES[: 2000 + i])
        (place(bucket.url) / f"in/{i:02d}.warc.gz").write_text("x")
    for source in (DocumentsSource(inputs=(f"{bucket.url}/in",)), WarcSource(inputs=(f"{bucket.url}/in",))):
        bucket.front.reset()
        source.fingerprint()
        assert 1 <= bucket.front.requests <= 6
    bucket.front.reset()
    assert len(input_files([f"{bucket.url}/in/1*.jsonl"])) == 10 and bucket.front.requests <= 6


def test_a_store_that_names_no_versions_goes_by_sizes():
    """`memory://` has dates, which listings give in another form than single questions, and no marks."""
    place("memory://inputs-test/a.jsonl").write_text(LINES)
    source = DocumentsSource(inputs=("memory://inputs-test",))
    (file,) = input_files(source.inputs)
    before = source.fingerprint()
    place("memory://inputs-test/a.jsonl").write_text(LINES + "\n")
    assert file.mark == "" and source.fingerprint() != before
