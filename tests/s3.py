"""Fixtures of an S3-compatible store on the loopback interface, for all tests: import them in a conftest."""

from __future__ import annotations

import uuid
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.storage.faulty import ENVIRONMENT, FaultyFront, S3Server, environment


@dataclass
class Bucket:
    """An empty bucket of its own for a test, and the front before the server: requests fail and are counted there."""

    name: str
    front: FaultyFront
    scheme: str = "s3"

    @property
    def url(self) -> str:
        return f"{self.scheme}://{self.name}"


@pytest.fixture(scope="session")
def s3_server() -> Iterator[S3Server]:
    """Moto's server, one for the session."""
    with S3Server() as server:
        yield server


@pytest.fixture()
def bucket(s3_server: S3Server, tmp_path: Path) -> Iterator[Bucket]:
    """A bucket behind a front that fails nothing yet; environment and scratch folder are set for it."""
    name = f"gm-{uuid.uuid4().hex[:12]}"
    s3_server.make_bucket(name)
    with (
        FaultyFront(s3_server.url) as front,
        environment(**ENVIRONMENT, AWS_ENDPOINT_URL=front.url, GRISTMILL_SCRATCH=str(tmp_path / "scratch")),
    ):
        yield Bucket(name, front)
