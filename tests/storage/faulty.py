"""An S3-compatible server on the loopback interface (moto's), and a front before it that fails as stores do.

    with S3Server() as server:            # moto in a thread
        with FaultyFront(server.url, share=0.05, seed=1) as front:
            ...                           # front.url is the endpoint; front.requests, front.failed count
            front.share = 0.0             # may be changed at any time

The front passes each request on, or, by its own random numbers, answers 500 or 503, cuts the connection (before the
request is passed on, or after, so that it was done and nobody knows), cuts the answer short, or answers slowly.
Also as a program: `python -m tests.storage.faulty --share 0.05 --seed 1` prints the endpoint and serves until it ends.
"""

from __future__ import annotations

import argparse
import http.client
import os
import random
import socket
import threading
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any
from urllib.parse import urlsplit

from tests.serving import Quiet, Server

KINDS = ("500", "503", "cut", "lost answer", "cut answer", "slow")
ENVIRONMENT = {
    "AWS_ACCESS_KEY_ID": "testing",
    "AWS_SECRET_ACCESS_KEY": "testing-secret",
    "AWS_DEFAULT_REGION": "us-east-1",
    "AWS_REQUEST_CHECKSUM_CALCULATION": "when_required",
    "AWS_RESPONSE_CHECKSUM_VALIDATION": "when_required",
}
"""What a client of the server needs beside `AWS_ENDPOINT_URL`."""


class S3Server:
    """Moto's S3 in a thread of this process; a context manager. `url` is its endpoint."""

    def __init__(self) -> None:
        from moto.server import ThreadedMotoServer

        self._server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)

    def __enter__(self) -> S3Server:
        self._server.start()
        host, port = self._server.get_host_and_port()
        self.url = f"http://{host}:{port}"
        return self

    def __exit__(self, *exc: object) -> None:
        self._server.stop()

    def make_bucket(self, name: str) -> None:
        """Make an empty bucket."""
        request = http.client.HTTPConnection(urlsplit(self.url).netloc, timeout=30)
        request.request("PUT", f"/{name}")
        status = request.getresponse().status
        request.close()
        assert status == 200, status


class FaultyFront(Server):
    """A proxy before an HTTP server that fails a share of the requests; a context manager.

    `only` restricts the faults to requests for which it is true, by method and path.
    """

    def __init__(
        self,
        target: str,
        *,
        share: float = 0.0,
        seed: int = 0,
        kinds: tuple[str, ...] = KINDS,
        slow_s: float = 0.3,
        only: Any = None,
    ) -> None:
        self.target = urlsplit(target).netloc
        self.share, self.kinds, self.slow_s, self.only = share, kinds, slow_s, only
        self.requests = 0
        self.by_method: Counter[str] = Counter()
        self.failed: Counter[str] = Counter()
        self.log: list[tuple[str, str]] = []
        """(method, path) of every request."""
        self._random = random.Random(seed)
        self._lock = threading.Lock()
        front = self

        class Handler(Quiet):
            def __getattr__(self, name: str) -> Any:
                if name.startswith("do_"):
                    return lambda: front._handle(self)
                raise AttributeError(name)

        super().__init__(Handler)

    def reset(self) -> None:
        """Set the counters to nought."""
        with self._lock:
            self.requests = 0
            self.by_method.clear()
            self.failed.clear()
            self.log.clear()

    def _fault(self, method: str, path: str) -> str:
        with self._lock:
            self.requests += 1
            self.by_method[method] += 1
            self.log.append((method, path))
            may = self.only is None or self.only(method, path)
            kind = self._random.choice(self.kinds) if may and self._random.random() < self.share else ""
            if kind:
                self.failed[kind] += 1
            return kind

    def _handle(self, handler: Quiet) -> None:
        body = handler.request_body()
        kind = self._fault(handler.command, handler.path)
        if kind in ("500", "503"):
            code = {"500": "InternalError", "503": "SlowDown"}[kind]
            content = f"<?xml version='1.0'?><Error><Code>{code}</Code><Message>injected</Message></Error>".encode()
            handler.send_response(int(kind))
            handler.send_header("Content-Type", "application/xml")
            handler.send_header("Content-Length", "0" if handler.command == "HEAD" else str(len(content)))
            handler.end_headers()
            if handler.command != "HEAD":
                handler.wfile.write(content)
            return
        if kind == "cut":
            _cut(handler)
            return
        if kind == "slow":
            time.sleep(self.slow_s)
        status, headers, content = self._pass_on(handler, body)
        if kind == "lost answer":
            _cut(handler)
            return
        handler.send_response_only(status)
        for name, value in headers:
            if name.lower() not in ("transfer-encoding", "connection", "content-length"):
                handler.send_header(name, value)
        length = dict((k.lower(), v) for k, v in headers).get("content-length") if handler.command == "HEAD" else None
        handler.send_header("Content-Length", length or str(len(content)))
        handler.end_headers()
        if handler.command == "HEAD":
            return
        if kind == "cut answer":
            handler.wfile.write(content[: len(content) // 2])
            handler.wfile.flush()
            _cut(handler)
            return
        handler.wfile.write(content)

    def _pass_on(self, handler: Quiet, body: bytes) -> tuple[int, list[tuple[str, str]], bytes]:
        connection = http.client.HTTPConnection(self.target, timeout=60)
        try:
            connection.putrequest(handler.command, handler.path, skip_host=True, skip_accept_encoding=True)
            for name, value in handler.headers.items():
                if name.lower() not in ("transfer-encoding", "connection", "content-length", "expect"):
                    connection.putheader(name, value)
            if body or handler.command in ("PUT", "POST"):
                connection.putheader("Content-Length", str(len(body)))
            connection.endheaders(body or None)
            answer = connection.getresponse()
            return answer.status, answer.getheaders(), answer.read()
        finally:
            connection.close()


def _cut(handler: Quiet) -> None:
    handler.close_connection = True
    try:
        handler.connection.shutdown(socket.SHUT_RDWR)
    except OSError:
        return


@contextmanager
def environment(**values: str) -> Iterator[None]:
    """Environment variables for as long as the block runs; inherited by processes started in it."""
    before = {name: os.environ.get(name) for name in values}
    os.environ.update(values)
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                os.environ.pop(name, None)
            else:
                os.environ[name] = value


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--share", type=float, default=0.05)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--bucket", default="gristmill")
    args = parser.parse_args()
    with S3Server() as server, FaultyFront(server.url, share=args.share, seed=args.seed) as front:
        server.make_bucket(args.bucket)
        print(front.url, flush=True)
        threading.Event().wait()


if __name__ == "__main__":
    main()
