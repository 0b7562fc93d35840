"""Header parsers: FastWARC and warcio behind one interface.

Members, record extents and bodies are found by this package itself (see `members` and `framing`), so that
offsets, ids and recovery are the same whichever engine runs; an engine turns header blocks into fields.
A block that the chosen engine rejects is given to the other one.
"""

from __future__ import annotations

import io
import re
from typing import Any, Protocol

from ..errors import ConfigError, nearest

Fields = list[tuple[str, str]]

_FOLD = re.compile(rb"\r*\n[ \t]+")
_LINE_END = re.compile(rb"\r*\n")
_BLANK = " \t\r\n\v\f"
"""Around a name; not Unicode's other spaces, which both parsers keep, so that such a name is no field's."""


class HeaderParser(Protocol):
    """Parses header blocks that end in a blank line. Raises ValueError if it can't."""

    def warc(self, block: bytes) -> Fields:
        """Fields of a WARC header block, in order."""
        ...

    def http(self, block: bytes) -> Fields:
        """Fields of an HTTP response header block, in order."""
        ...


class FastWarcParser:
    """FastWARC's parser (package `fastwarc`)."""

    _HTTP = (
        b"WARC/1.1\r\nWARC-Type: response\r\nContent-Type: application/http; msgtype=response\r\n"
        b"Content-Length: %d\r\n\r\n"
    )

    def __init__(self) -> None:
        from fastwarc.warc import WarcRecord

        self._from_bytes: Any = WarcRecord.from_bytes

    def warc(self, block: bytes) -> Fields:
        try:
            return _decoded(self._from_bytes(block).headers)
        except OSError as error:
            raise ValueError(str(error)) from error

    def http(self, block: bytes) -> Fields:
        try:
            record = self._from_bytes(self._HTTP % len(block) + block)
            record.parse_http()
            return _decoded(record.http_headers)
        except OSError as error:
            raise ValueError(str(error)) from error


class WarcioParser:
    """warcio's parser."""

    def __init__(self) -> None:
        from warcio.statusandheaders import StatusAndHeadersParser

        self._parser: Any = StatusAndHeadersParser(["WARC/", "HTTP/"], verify=False)

    def warc(self, block: bytes) -> Fields:
        return [(name.strip(_BLANK), value.strip()) for name, value in self._parser.parse(io.BytesIO(block)).headers]

    def http(self, block: bytes) -> Fields:
        return self.warc(block)


def _decoded(headers: Any) -> Fields:
    """Names and values as text: UTF-8 where a value is valid UTF-8, else Latin-1 (as warcio does)."""
    return [(_text(name).strip(_BLANK), _text(value).strip()) for name, value in headers.items_bytes()]


def _text(value: bytes) -> str:
    try:
        return value.decode()
    except UnicodeDecodeError:
        return value.decode("latin-1")


_ENGINES: dict[str, type[FastWarcParser] | type[WarcioParser]] = {"fastwarc": FastWarcParser, "warcio": WarcioParser}


class Engine:
    """The header parser called `name`, with the other one as its stand-in. Raises ConfigError for another name."""

    def __init__(self, name: str) -> None:
        if name not in _ENGINES:
            raise ConfigError(f"no WARC engine is called '{name}'{nearest(name, _ENGINES)}")
        self._first: HeaderParser = _ENGINES[name]()
        self._other = next(cls for known, cls in _ENGINES.items() if known != name)
        self._second: HeaderParser | None = None

    def _stand_in(self) -> HeaderParser:
        if self._second is None:
            self._second = self._other()
        return self._second

    def warc(self, block: bytes) -> dict[str, list[str]]:
        """Values of a WARC header block by lower-case name. Raises ValueError."""
        block = canonical(block)
        try:
            fields = self._first.warc(block)
        except ValueError:
            fields = self._stand_in().warc(block)
        return grouped(fields)

    def http(self, block: bytes) -> dict[str, list[str]]:
        """Values of an HTTP header block by lower-case name. Raises ValueError."""
        block = canonical(block)
        try:
            fields = self._first.http(block)
        except ValueError:
            fields = self._stand_in().http(block)
        return grouped(fields)


def canonical(block: bytes) -> bytes:
    """The block with continuation lines unfolded (RFC 9112, 5.2) and every line ending in CR LF."""
    if b"\n " in block or b"\n\t" in block:
        block = _FOLD.sub(b" ", block)
    if b"\r\r" in block or block.count(b"\n") != block.count(b"\r\n"):
        block = _LINE_END.sub(b"\r\n", block)
    return block


def grouped(fields: Fields) -> dict[str, list[str]]:
    """Fields by lower-case name; several values of a name in their order."""
    by_name: dict[str, list[str]] = {}
    for name, value in fields:
        by_name.setdefault(name.lower(), []).append(value)
    return by_name
