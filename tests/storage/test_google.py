"""`gs://` by gcsfs against a stand-in of Google's API over HTTP: what other stores' tests don't say of it."""

from __future__ import annotations

import asyncio
import os
from pathlib import Path

import pytest

from pipeline.errors import ConfigError, StepFailed
from pipeline.recipe import build
from pipeline.sources import sample_warc
from pipeline.storage import fetch_tree, filesystems, listed_sizes, local_file, move_tree, paths, place, remove_tree
from tests.runs import digests, run_recipe
from tests.storage.faulty import environment
from tests.storage.google import GOOGLE

SECRET = "testing-secret-token"


def test_listings_come_in_pages(google_bucket, google_server):
    google_server.page = 2
    root = place(f"{google_bucket.url}/run")
    names = [f"{folder}/{number}" for folder in "ab" for number in range(4)]
    for name in names:
        (root / name).write_text(name)
    assert sorted(listed_sizes(root)) == names
    assert [path.name for path in root.iterdir()] == ["a", "b"]
    assert [path.name for path in (root / "a").iterdir()] == ["0", "1", "2", "3"]
    assert [str(path) for path in root.glob("*/3")] == [f"{root}/a/3", f"{root}/b/3"]
    assert sum("pageToken" in path for _, path in google_bucket.front.log) >= 4


@pytest.mark.parametrize("share", [0.0, 0.2])
def test_a_large_file_goes_up_in_parts_of_which_the_service_keeps_a_few(
    google_bucket, google_server, tmp_path, monkeypatch, share
):
    monkeypatch.setattr(paths, "UPLOAD_PART", 1 << 20)
    google_server.keeps = 700_000
    content = os.urandom((6 << 20) + 12_345)
    (tmp_path / "big").write_bytes(content)
    google_bucket.front.share = share
    target = place(f"{google_bucket.url}/run/big")
    target.upload(tmp_path / "big")
    assert google_server.contents(google_bucket.name) == {"run/big": content}
    parts = [path for method, path in google_bucket.front.log if method == "POST" and "upload_id" in path]
    assert len(parts) >= 12, "each part but the last is sent in two goes"
    assert not (tmp_path / "big").exists(), "it entered the cache"
    Path(local_file(target)).unlink()
    assert Path(local_file(target)).read_bytes() == content


def test_folders_are_moved_and_removed_within_the_store(google_bucket, google_server):
    root = place(f"{google_bucket.url}/run")
    for name in ("a/x y+z.txt", "a/b/\u00fc.txt", "manifest.json"):
        (root / name).write_text(name)
    move_tree(root, place(f"{google_bucket.url}/other"))
    assert google_server.contents(google_bucket.name) == {
        f"other/{name}": name.encode() for name in ("a/x y+z.txt", "a/b/\u00fc.txt", "manifest.json")
    }
    assert not [path for _, path in google_bucket.front.log if "alt=media" in path], "copied by way of this machine"
    remove_tree(place(f"{google_bucket.url}/other"))
    assert google_server.contents(google_bucket.name) == {}
    remove_tree(place(f"{google_bucket.url}/other"))


def test_a_removal_whose_answer_is_lost_is_done(google_bucket, google_server):
    path = place(f"{google_bucket.url}/x")
    path.write_text("x")
    front = google_bucket.front
    front.share, front.kinds, front.only = 1.0, ("lost answer",), lambda method, where: not front.failed
    path.unlink()
    assert front.by_method["DELETE"] == 2 and google_server.contents(google_bucket.name) == {}


def test_at_google_itself_folders_are_removed_in_one_request(google_bucket, google_server):
    with environment(STORAGE_EMULATOR_HOST=google_bucket.front.url + GOOGLE):
        for name in ("run/a/x y+z.txt", "run/a/b/\u00fc.txt", "run/manifest.json", "running"):
            (place(google_bucket.url) / name).write_text(name)
        google_bucket.front.reset()
        remove_tree(place(f"{google_bucket.url}/run"))
        assert list(google_server.contents(google_bucket.name)) == ["running"]
        assert "DELETE" not in google_bucket.front.by_method and google_bucket.front.by_method["POST"] == 1


def test_an_object_replaced_on_condition_is_the_one_that_was_seen(google_bucket, google_server):
    path = place(f"{google_bucket.url}/x")
    path.write_text("one")
    first = path.system.info(path.inner)["generation"]
    path.system.pipe_file(path.inner, b"two", generation=first)
    with pytest.raises(FileExistsError):
        path.system.pipe_file(path.inner, b"three", generation=first)
    assert path.read_text() == "two"


def test_missing_wrong_and_weak_credentials_are_told(google_bucket, google_server, monkeypatch, caplog):
    path = place(f"{google_bucket.url}/x")
    with environment(GOOGLE_APPLICATION_CREDENTIALS="/no/such/file"):
        for call in (lambda: path.write_text("x"), path.exists, path.read_text, lambda: list(path.iterdir())):
            with pytest.raises(ConfigError, match="no credentials were found.*GOOGLE_APPLICATION_CREDENTIALS"):
                call()
    path.write_text("x")
    monkeypatch.setattr(google_server, "token", "another")
    with pytest.raises(ConfigError, match="doesn't accept these credentials") as caught:
        path.read_text()
    assert SECRET not in str(caught.value) + caplog.text
    monkeypatch.setattr(google_server, "token", SECRET)
    monkeypatch.setattr(google_server, "denied", True)
    for call in (lambda: path.write_text("y"), path.exists, lambda: path.upload(place(__file__))):
        with pytest.raises(ConfigError, match="access is denied"):
            call()
    assert not caplog.records, "gcsfs's own tracebacks"


def test_a_store_that_goes_on_failing_ends_in_one_error_after_a_limited_number_of_tries(google_bucket, monkeypatch):
    monkeypatch.setattr(filesystems, "FIRST_WAIT_S", 0.001)
    monkeypatch.setattr("gcsfs.retry.asyncio.sleep", lambda seconds: asyncio.sleep(0))
    path = place(f"{google_bucket.url}/x")
    path.write_text("x")
    google_bucket.front.share, google_bucket.front.kinds = 1.0, ("503",)
    google_bucket.front.only = lambda method, where: method == "POST" or "alt=media" in where
    for call in (lambda: path.write_text("y"), lambda: local_file(path), path.read_text):
        google_bucket.front.reset()
        with pytest.raises(StepFailed, match="gs://.*/x"):
            call()
        tries = google_bucket.front.failed["503"]
        assert filesystems.TRIES <= tries <= filesystems.TRIES * filesystems.PACKAGE_TRIES


def test_an_answer_that_does_not_come_is_asked_for_again(google_bucket, monkeypatch):
    monkeypatch.setattr(filesystems, "READ_TIMEOUT_S", 0.2)
    path = place(f"{google_bucket.url}/x")
    path.write_text("x" * 1000)
    front = google_bucket.front
    front.share, front.kinds, front.slow_s = 1.0, ("slow",), 1.5
    front.only = lambda method, where: "alt=media" in where and not front.failed
    assert Path(local_file(path)).read_text() == "x" * 1000
    assert sum("alt=media" in where for _, where in front.log) == 2


def test_a_run_reads_from_and_writes_to_google_storage(google_bucket, google_server, tmp_path, capfd, monkeypatch):
    """A WARC file by ranges, with 5 % of requests failing: the same bytes as the run on the disk."""
    name = "sample-00002.warc"
    (place(f"{google_bucket.url}/crawl") / name).write_bytes((sample_warc() / name).read_bytes())

    def recipe(file: str):
        steps = [{"extract": {"engine": "resiliparse"}}, "gopher_quality", "exact_dedup"]
        tokens = [{"train_tokenizer": {"vocab_size": 300}}, "tokenize", {"pack": {"sequence_length": 256}}]
        source = {"warc": {"inputs": [file], "split_bytes": 30_000}}
        return build({"name": "x", "source": source, "steps": [*steps, *tokens]})

    monkeypatch.setattr(filesystems, "FIRST_WAIT_S", 0.02)
    google_bucket.front.share, google_bucket.front.slow_s = 0.05, 0.05
    output = run_recipe(recipe(f"{google_bucket.url}/crawl/{name}"), place(f"{google_bucket.url}/run"))
    assert sum(google_bucket.front.failed.values()) >= 5
    google_bucket.front.share = 0.0
    # fingerprints, and the recipe, say where the input lay
    got, want = (
        digests(folder, skip=("manifest.json", "plan.json", "recipe.yaml", "done"))
        for folder in (
            fetch_tree(output, tmp_path / "got"),
            run_recipe(recipe(str(sample_warc() / name)), tmp_path / "local"),
        )
    )
    assert got == want and any(path.endswith(".arrow") and "pack" in path for path in want)
    written = google_server.contents(google_bucket.name)
    assert not [path for path, content in written.items() if SECRET.encode() in content]
    assert SECRET not in "".join(capfd.readouterr())
    google_bucket.front.reset()
    run_recipe(recipe(f"{google_bucket.url}/crawl/{name}"), output)
    again = [path for method, path in google_bucket.front.log if method in ("POST", "DELETE") and "/0" in path]
    assert not again, "a finished run wrote data again"
