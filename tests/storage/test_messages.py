"""What a user reads when a store is not to be had."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from pipeline.errors import ConfigError, StepFailed
from pipeline.recipe import build
from pipeline.runner import RayRunner
from pipeline.storage import check_output_place, filesystem_path, filesystems, place, redacted
from tests.runs import run_recipe
from tests.storage.faulty import FaultyFront, environment

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


def test_a_missing_bucket_is_named(bucket):
    with pytest.raises(ConfigError, match="no such bucket"):
        place("s3://gm-there-is-no-such-bucket/run/x").write_bytes(b"x")


def test_bad_credentials_and_denied_access_are_told(bucket):
    for code, said in (
        ("InvalidAccessKeyId", "doesn't accept these credentials"),
        ("AccessDenied", "access is denied"),
    ):
        with refusing(code) as url, environment(AWS_ENDPOINT_URL=url):
            with pytest.raises(ConfigError, match=said) as caught:
                place(f"{bucket.url}/run/x").write_bytes(b"x")
            assert "testing-secret" not in str(caught.value)


def test_missing_credentials_are_told(bucket, tmp_path):
    gone = {"AWS_ACCESS_KEY_ID": "", "AWS_SECRET_ACCESS_KEY": "", "AWS_CONFIG_FILE": str(tmp_path / "none")}
    with environment(**gone, AWS_SHARED_CREDENTIALS_FILE=str(tmp_path / "no"), AWS_EC2_METADATA_DISABLED="true"):
        del os.environ["AWS_ACCESS_KEY_ID"], os.environ["AWS_SECRET_ACCESS_KEY"]
        with pytest.raises(ConfigError, match="no credentials were found.*AWS_PROFILE"):
            place(f"{bucket.url}/run/x").write_bytes(b"x")


def refusing(code: str):
    """A server that refuses everything with one S3 error code."""
    import contextlib
    import threading
    from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def answer(self) -> None:
            self.rfile.read(int(self.headers.get("Content-Length") or 0))
            content = f"<?xml version='1.0'?><Error><Code>{code}</Code><Message>no</Message></Error>".encode()
            self.send_response(403)
            self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            if self.command != "HEAD":
                self.wfile.write(content)

        do_GET = do_PUT = do_HEAD = do_POST = do_DELETE = answer

        def log_message(self, format: str, *args: object) -> None:
            return

    @contextlib.contextmanager
    def serving():
        server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        threading.Thread(target=server.serve_forever, daemon=True).start()
        try:
            yield f"http://127.0.0.1:{server.server_address[1]}"
        finally:
            server.shutdown()
            server.server_close()

    return serving()


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

    def absent(name, **options):
        raise ImportError(f"no {name}")

    monkeypatch.setattr(filesystems, "_made", {})
    monkeypatch.setattr(fsspec, "filesystem", absent)
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
