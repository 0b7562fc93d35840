"""What a user reads when a store is not to be had."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from pipeline.cli import main
from pipeline.errors import ConfigError, StepFailed
from pipeline.recipe import build
from pipeline.runner import RayRunner
from pipeline.sources import sample_warc
from pipeline.storage import check_output_place, filesystem_path, filesystems, held, place, redacted
from tests.runs import run_recipe
from tests.storage.faulty import FaultyFront, environment
from tests.storage.loopback import Answer, Loopback, ranged

RECIPE = {"name": "x", "source": {"documents": {"inputs": ["a.jsonl"]}}, "steps": []}


def documents(folder: Path) -> Path:
    path = folder / "a.jsonl"
    path.write_text('{"text": "one two"}\n{"text": "three"}\n')
    return path


def run_cli(*words: str, cwd: Path, **env: str) -> subprocess.CompletedProcess:
    return subprocess.run(
        [sys.executable, "-m", "pipeline.cli", *words],
        cwd=cwd, env={**os.environ, **env}, capture_output=True, text=True, timeout=120,
    )  # fmt: skip


def test_a_missing_bucket_is_named(store, tmp_path):
    gone = place(f"{store.scheme}://gm-there-is-no-such-bucket/run")
    with pytest.raises(ConfigError, match="no such bucket"):
        (gone / "x").write_bytes(b"x")
    with pytest.raises(ConfigError, match="no such bucket"):
        (gone / "x").upload(documents(tmp_path))
    with pytest.raises(ConfigError, match="no such bucket"), held(gone):
        raise AssertionError("held what can't be")


def test_bad_credentials_and_denied_access_are_told(bucket):
    for code, said in (
        ("InvalidAccessKeyId", "doesn't accept these credentials"),
        ("AccessDenied", "access is denied"),
    ):
        with refusing(code) as server, environment(AWS_ENDPOINT_URL=server.url):
            with pytest.raises(ConfigError, match=said) as caught:
                place(f"{bucket.url}/run/x").write_bytes(b"x")
            assert "testing-secret" not in str(caught.value)


def test_missing_credentials_are_told(bucket, tmp_path):
    gone = {"AWS_ACCESS_KEY_ID": "", "AWS_SECRET_ACCESS_KEY": "", "AWS_CONFIG_FILE": str(tmp_path / "none")}
    with environment(**gone, AWS_SHARED_CREDENTIALS_FILE=str(tmp_path / "no"), AWS_EC2_METADATA_DISABLED="true"):
        del os.environ["AWS_ACCESS_KEY_ID"], os.environ["AWS_SECRET_ACCESS_KEY"]
        with pytest.raises(ConfigError, match="no credentials were found.*AWS_PROFILE"):
            place(f"{bucket.url}/run/x").write_bytes(b"x")


def refusing(code: str) -> Loopback:
    """A server that refuses everything with one S3 error code."""
    content = f"<?xml version='1.0'?><Error><Code>{code}</Code><Message>no</Message></Error>".encode()
    return Loopback(lambda asked: Answer(403, content))


def test_a_store_that_goes_on_failing_ends_in_one_error(bucket, monkeypatch):
    monkeypatch.setattr(filesystems, "FIRST_WAIT_S", 0.001)
    bucket.front.share, bucket.front.kinds = 1.0, ("503",)
    with pytest.raises(StepFailed, match="s3://.*/x"):
        place(f"{bucket.url}/x").write_bytes(b"x")
    assert bucket.front.requests >= filesystems.TRIES


@pytest.mark.parametrize(
    ("protocol", "package", "extra"),
    [("s3", "s3fs", "s3"), ("gs", "gcsfs", "gs"), ("hf", "huggingface_hub", "hf")],
)
def test_a_missing_package_is_named(monkeypatch, protocol, package, extra):
    import fsspec

    def absent(name):
        raise ImportError(f"no {name}")

    monkeypatch.setattr(filesystems, "_made", {})
    monkeypatch.setattr(fsspec, "get_filesystem_class", absent)
    for ours in ("google", "hub"):  # as if these failed to import what they are made of
        monkeypatch.setitem(sys.modules, f"pipeline.storage.{ours}", None)
    with pytest.raises(ConfigError, match=rf"{package}.*pip install gristmill\[{extra}\]"):
        filesystem_path(f"{protocol}://bucket/x")


def test_outputs_that_can_not_be(tmp_path):
    for url, said in (
        ("https://example.org/run", "for reading"),
        ("hf://datasets/a/b", "for reading"),
        ("s3://", "names no bucket"),
        ("s3://me:secret@bucket/run", "user name or password"),
    ):
        with pytest.raises(ConfigError, match=said) as caught:
            check_output_place(url, processes=False)
        assert "secret" not in str(caught.value)


@pytest.mark.parametrize(
    ("written", "meant"),
    [
        ("s3//bucket/run", "s3://bucket/run"),
        ("s3:/bucket/run", "s3://bucket/run"),
        ("gs:bucket/run", "gs://bucket/run"),
        ("HTTPS:/example.org/a.jsonl", "HTTPS://example.org/a.jsonl"),
        ("file:/tmp/x", "file:///tmp/x"),
    ],
)
def test_what_is_nearly_a_url_is_no_new_folder(tmp_path, monkeypatch, capsys, written, meant):
    monkeypatch.chdir(tmp_path)
    assert main(["run", "crawl-to-shards", "--inline", "--output", written]) == 2
    assert f"'{written}' is no URL; did you mean '{meant}'?" in capsys.readouterr().err
    assert not list(tmp_path.iterdir())
    Path("s3:").mkdir()
    for there in ("s3:", "s3", "s3/x", "gs.yaml", "https", "/s3//bucket"):
        assert place(there) == Path(there)


def test_memory_is_refused_for_workers_of_their_own(tmp_path):
    documents(tmp_path)
    plain = {**RECIPE, "source": {"documents": {"inputs": [str(tmp_path / "a.jsonl")]}}, "steps": ["exact_dedup"]}

    class Never(RayRunner):
        def __enter__(self):
            return self

        def __exit__(self, *exc):
            return None

    with pytest.raises(ConfigError, match="within one process"):
        run_recipe(build(plain), place("memory://run-ray"), Never(workers=1))
    run_recipe(build(plain), place("memory://run-inline"))
    assert [p.parent.name for p in place("memory://run-inline").glob("*/manifest.json")][-1:] == ["02-exact_dedup"]


def test_no_secret_is_shown():
    text = "PUT https://AKIA:abc@h/x?X-Amz-Signature=deadbeef&X-Amz-Credential=AKIA%2F1&a=b s3://u:p@b"
    shown = redacted(text)
    assert not any(secret in shown for secret in ("abc", "deadbeef", "AKIA", "u:p"))
    assert "a=b" in shown


def test_a_front_counts_and_fails_by_its_seed():
    with (
        FaultyFront("http://127.0.0.1:9", share=0.5, seed=4) as one,
        FaultyFront("http://127.0.0.1:9", share=0.5, seed=4) as two,
    ):
        faults = [[front._fault("GET", "/") for _ in range(50)] for front in (one, two)]
    assert faults[0] == faults[1] and 10 < sum(map(bool, faults[0])) < 40


def test_signed_urls_and_passwords_stay_out_of_recipes_on_disk(tmp_path, monkeypatch, capsys):
    data = min(sample_warc().glob("*.warc.gz")).read_bytes()
    with Loopback(lambda asked: ranged(data, asked, {}) if asked.path == "/a.warc.gz" else Answer(404)) as server:
        url = f"{server.url}/a.warc.gz?X-Amz-Credential=ME&X-Amz-Signature=SIGSECRET"
        steps = {"steps": ["url"], "source": {"warc": {"inputs": [url]}}}
        run_recipe(build({"name": "x", **steps}), tmp_path / "run")
    assert "X-Amz-Signature=***" in (tmp_path / "run" / "recipe.yaml").read_text()
    for file in tmp_path.rglob("*"):
        assert not file.is_file() or b"SIGSECRET" not in file.read_bytes(), file
    refused = tmp_path / "x.yaml"
    refused.write_text("name: x\nsource: {documents: {inputs: ['s3://me:SECRET@b/x']}}\nsteps: [exact_dedup]\n")
    assert main(["run", str(refused), "--inline", "--output", str(tmp_path / "no")]) == 2
    assert "SECRET" not in capsys.readouterr().err
    assert not (tmp_path / "no").exists()


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--output", "https://b/x"], "https:// is for reading"),
        (["--output", "s4://b/x"], "s4:// is not known; write to"),
        (["--output", "s3://b/../c/x"], "leads out of its bucket"),
        (["--memory-per-task", "2XB"], "write an amount of memory"),
        (["--memory-per-task", "-1"], "write an amount of memory"),
        (["--inline", "--address", "127.0.0.1:1"], "leave out --address"),
        (["--inline", "--workers", "3"], "leave out --workers"),
        (["--inline", "--memory-per-task", "2GB"], "leave out --memory-per-task"),
        (["--input", "sample", "--warcs", "1"], "'warcs' is for a Common Crawl release"),
        (["--input", "sample", "--share", "0.01", "--stream"], "'share' is for a Common Crawl release"),
        (["--input", "s3//b/x"], "did you mean 's3://b/x'?"),
    ],
)
@pytest.mark.parametrize("check", [[], ["--check"]], ids=["run", "check"])
def test_a_check_refuses_what_a_run_refuses(tmp_path, monkeypatch, capsys, words, said, check):
    monkeypatch.chdir(tmp_path)
    inline = [] if "--inline" in words or "--memory-per-task" in words else ["--inline"]
    assert main(["run", "crawl-to-shards", *inline, *words, *check]) == 2
    assert said in capsys.readouterr().err


def test_a_filters_input_that_is_nearly_a_url(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    assert main(["filter", "gopher_quality", "s3:/b/x.parquet", "-o", "o.parquet"]) == 2
    assert "did you mean 's3://b/x.parquet'?" in capsys.readouterr().err


def test_a_protocol_in_capitals_is_the_same_place():
    assert place("S3://Bucket/x") == place("s3://Bucket/x")
