"""Which URLs are wanted: domains and patterns, as a test of URLs, as ranges of index keys and as CDX queries.

A domain stands for its host and all hosts below it. A pattern is `[SCHEME://]HOST[/PATH]` in which `*` stands for any
characters: `*.example.org/*` (a host and all below it), `example.org/blog/*`, `https://example.org/a?b=*`. A pattern
without a path takes every path of its hosts. Hosts are compared without case, paths as they are.

Both indexes are sorted by SURT keys: the host's labels reversed and joined by commas, without a leading `www.`, then
`)` and the path in lower case with its last slash gone (`org,example)/blog/post`). Ranges of keys are made a little
too wide rather than too narrow, as every URL found is tested by itself.
"""

from __future__ import annotations

import re
import urllib.parse
from collections.abc import Iterable
from dataclasses import dataclass

from ...errors import ConfigError

_HOST = re.compile(r"(?:[a-z0-9_-]{1,63}\.)*[a-z0-9_-]{1,63}")
_PATTERN = re.compile(
    r"(?:(?P<scheme>[a-z*][a-z0-9+.*-]*)://)?(?P<host>[^/?#:@]+)(?::(?P<port>\d{1,5}))?(?P<path>[/?].*)?"
)
_WWW = re.compile(r"^www\d*\.")
_PLAIN_PATH = re.compile(r"[A-Za-z0-9/._~-]*")
_SEPARATORS = ((")", "*"), (",", "-"), (":", ";"))
"""What follows a host in a key, and the next character: the path, a label below it, a port."""


@dataclass(frozen=True)
class Query:
    """One query of a CDX server: `match` is pywb's matchType."""

    url: str
    match: str


@dataclass(frozen=True)
class Wanted:
    """What a user wants: `regex` (RE2 syntax) tells URLs, `ranges` are [low, high) of keys, in order."""

    regex: str
    ranges: tuple[tuple[str, str], ...]
    queries: tuple[Query, ...]

    def may_hold(self, least: str | None, most: str | None) -> bool:
        """Whether keys between these bounds (None: not known) can be wanted."""
        return any((most is None or most >= low) and (least is None or least < high) for low, high in self.ranges)


def wanted(domains: Iterable[str], urls: Iterable[str]) -> Wanted:
    """Put domains and patterns together. Raises ConfigError for one that can't be looked up."""
    parts = [_domain(text) for text in domains] + [_pattern(text) for text in urls]
    if not parts:
        raise ConfigError("no domain and no URL pattern is given")
    return Wanted(
        "|".join(f"(?:{regex})" for regex, _, _ in parts),
        _merged(one for _, ranges, _ in parts for one in ranges),
        tuple(dict.fromkeys(query for _, _, query in parts)),
    )


Part = tuple[str, list[tuple[str, str]], Query]


def _host(text: str, whole: str) -> str:
    """A host in lower case and ASCII. Raises ConfigError."""
    host = text.lower().rstrip(".")
    try:
        host = host if host.isascii() else host.encode("idna").decode()
    except UnicodeError as error:
        raise ConfigError(f"'{whole}': '{text}' is no host name: {error}") from error
    if not _HOST.fullmatch(host):
        raise ConfigError(f"'{whole}': '{text}' is no host name; domains look like example.org")
    return host


def _domain(text: str) -> Part:
    host = _host(text.strip().removeprefix("*."), text)
    regex = rf"^(?i:[a-z][a-z0-9+.-]*://(?:[^/?#@]*@)?(?:[^/?#@:]*\.)?{re.escape(host)}\.?)(?::\d*)?(?:[/?#]|$)"
    return regex, _below(host), Query(_WWW.sub("", host), "domain")


def _pattern(text: str) -> Part:
    found = _PATTERN.fullmatch(text.strip())
    if not found:
        raise ConfigError(f"'{text}' is no URL pattern; they look like *.example.org/* or https://example.org/blog/*")
    scheme = re.escape(found["scheme"] or "*").replace(r"\*", "[a-z0-9+.-]*")
    path = _encoded(found["path"] or "/*")
    tail = _any(path) if path.startswith("/") else "/?" + _any(path)
    written = found["host"]
    below = written.startswith("*.")
    fixed = written.removeprefix("*.")
    if "*" in fixed:
        return _loose(text, scheme, written, tail)
    host = _host(fixed, text)
    before = r"(?:[^/?#@:]*\.)?" if below else ""
    port = rf":{found['port']}" if found["port"] else r"(?::\d*)?"
    regex = rf"^(?i:{scheme}://(?:[^/?#@]*@)?{before}{re.escape(host)}\.?){port}{tail}$"
    if below:
        return regex, _below(host), Query(_WWW.sub("", host), "domain")
    prefix = _fixed_path(path)
    ranges = [
        (key + start + rest, _after(key + start + rest)) for key in _keys(host) for start, rest in _starts(prefix)
    ]
    return regex, ranges, Query(_WWW.sub("", host) + (prefix or "/"), "prefix")


def _loose(text: str, scheme: str, written: str, tail: str) -> Part:
    """A host with a wildcard inside: what is known is its end, whole labels of it."""
    end = written.rpartition("*")[2]
    _, dot, labels = end.partition(".")
    if not dot or not labels or not re.fullmatch(r"[a-z0-9_.*-]+", written.lower()):
        raise ConfigError(
            f"'{text}': the end of the host must be named (as in *.example.org/* or shop*.example.org/*), or the whole"
            " index would have to be read"
        )
    host = _host(labels, text)
    pattern = re.escape(written.lower()).replace(r"\*", "[^/?#@:]*")
    return rf"^(?i:{scheme}://(?:[^/?#@]*@)?{pattern}\.?)(?::\d*)?{tail}$", _below(host), Query(host, "domain")


def _any(text: str) -> str:
    return ".*".join(re.escape(part) for part in re.split(r"\*+", text))


def _encoded(path: str) -> str:
    return path if path.isascii() else urllib.parse.quote(path, safe="/?&=+%*:;,@!$'()~#[]-._")


def _keys(host: str) -> list[str]:
    """The beginnings of keys of a host; of an IP address both ways that are met."""
    reversed_ = ",".join(reversed(_WWW.sub("", host).split(".")))
    return [reversed_, host] if re.fullmatch(r"\d+(\.\d+){3}", host) else [reversed_]


def _below(host: str) -> list[tuple[str, str]]:
    """Ranges of a host and all below it."""
    return [(key + mark, key + after) for key in _keys(host) for mark, after in _SEPARATORS]


def _starts(prefix: str) -> list[tuple[str, str]]:
    return [(")", prefix), (":", "")]


def _after(key: str) -> str:
    """The first key that doesn't begin with `key`."""
    return key[:-1] + chr(ord(key[-1]) + 1)


def _fixed_path(path: str) -> str:
    """The part of a pattern's path that stands unchanged, but for its case, in the keys of all URLs that match."""
    plain = _PLAIN_PATH.match(path)
    fixed = (plain[0] if plain else "").lower()
    for cut in ("//", "/."):
        fixed = fixed.partition(cut)[0]
    return fixed.rstrip("/")


def _merged(ranges: Iterable[tuple[str, str]]) -> tuple[tuple[str, str], ...]:
    merged: list[tuple[str, str]] = []
    for low, high in sorted(ranges):
        if merged and low <= merged[-1][1]:
            merged[-1] = (merged[-1][0], max(high, merged[-1][1]))
        else:
            merged.append((low, high))
    return tuple(merged)
