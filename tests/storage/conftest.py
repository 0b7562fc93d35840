"""Stores on the loopback interface: S3 by moto, Google's by a stand-in, each behind a front that fails when told to."""

from __future__ import annotations

import asyncio
import uuid
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace

import pytest

from tests.s3 import Bucket, bucket, s3_server
from tests.storage.faulty import FaultyFront, environment
from tests.storage.google import GoogleStorage, service_account

__all__ = ["bucket", "s3_server"]


@pytest.fixture(scope="session")
def google_server() -> Iterator[GoogleStorage]:
    """The stand-in of Google's store, one for the session, which wants an access token."""
    with GoogleStorage() as server:
        server.token = "testing-secret-token"
        yield server


@pytest.fixture(scope="session")
def account(google_server: GoogleStorage, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A service account's key file."""
    return service_account(tmp_path_factory.mktemp("account"), f"{google_server.url}/token")


@pytest.fixture()
def google_bucket(
    google_server: GoogleStorage, account: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Bucket]:
    """As `bucket`, in the stand-in of Google's store. Where gcsfs itself tries again it waits a tenth of its time."""
    monkeypatch.setattr("gcsfs.retry.asyncio", SimpleNamespace(sleep=lambda seconds: asyncio.sleep(seconds / 10)))
    name = f"gm-{uuid.uuid4().hex[:12]}"
    google_server.buckets[name] = {}
    google_server.page, google_server.keeps = 1000, 0
    with (
        FaultyFront(google_server.url) as front,
        environment(
            STORAGE_EMULATOR_HOST=front.url,
            GOOGLE_APPLICATION_CREDENTIALS=str(account),
            NO_GCE_CHECK="true",
            CLOUDSDK_CONFIG=str(tmp_path / "no-gcloud"),
            GRISTMILL_SCRATCH=str(tmp_path / "scratch"),
        ),
    ):
        yield Bucket(name, front, "gs")


@pytest.fixture(params=["s3", "gs"])
def store(request: pytest.FixtureRequest) -> Bucket:
    """An empty bucket of each kind of store in turn."""
    return request.getfixturevalue({"s3": "bucket", "gs": "google_bucket"}[request.param])
