"""Small HTTP servers on the loopback interface, which stand in for services."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import parse_qsl, unquote, urlsplit

from tests.serving import Quiet, Server


@dataclass
class Answer:
    """What a server answers: a status, a body (as JSON, if it is no bytes) and headers."""

    status: int = 200
    body: Any = b""
    headers: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Asked:
    """One request. `path` is decoded, `raw` as it came, without the query."""

    method: str
    path: str
    raw: str
    query: dict[str, str]
    headers: Mapping[str, str]
    body: bytes

    @property
    def host(self) -> str:
        """The server as the client sees it, through whatever stands between."""
        return f"http://{self.headers['Host']}"


class Loopback(Server):
    """A server that answers each request by `answer`; a context manager. `asked` holds all requests since `forget`."""

    def __init__(self, answer: Callable[[Asked], Answer]) -> None:
        self.asked: list[Asked] = []
        server = self

        class Handler(Quiet):
            def _answer(self) -> None:
                split = urlsplit(self.path)
                one = Asked(
                    self.command, unquote(split.path), split.path, dict(parse_qsl(split.query)), self.headers,
                    self.request_body(),
                )  # fmt: skip
                server.asked.append(one)
                said = answer(one)
                content = said.body if isinstance(said.body, bytes) else json.dumps(said.body).encode()
                self.send_response(said.status)
                for name, value in said.headers.items():
                    self.send_header(name, value)
                if "Content-Length" not in said.headers:
                    self.send_header("Content-Length", str(len(content)))
                self.end_headers()
                if self.command != "HEAD":
                    self.wfile.write(content)

            do_GET = do_HEAD = do_POST = do_PUT = do_DELETE = _answer

        super().__init__(Handler)

    def forget(self) -> None:
        """Begin to note requests anew."""
        self.asked.clear()


def ranged(content: bytes, asked: Asked, headers: dict[str, str]) -> Answer:
    """The content, or the range of it that is asked for: 206, or 416 where it begins after the end."""
    wanted = re.fullmatch(r"bytes=(\d+)-(\d*)", asked.headers.get("Range") or "")
    if wanted is None:
        return Answer(200, content, {**headers, "Accept-Ranges": "bytes"})
    start, end = int(wanted[1]), min(len(content), int(wanted[2]) + 1 if wanted[2] else len(content))
    if start >= len(content):
        return Answer(416, b"", {"Content-Range": f"bytes */{len(content)}"})
    where = f"bytes {start}-{end - 1}/{len(content)}"
    return Answer(206, content[start:end], {**headers, "Content-Range": where, "Accept-Ranges": "bytes"})
