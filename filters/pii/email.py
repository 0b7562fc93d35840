"""E-mail addresses (RFC 5321 and 6531 as people write them; domain names by the public suffix list).

What looks like one and is not: `git@host:path` and `ssh user@host` (log-ins), `https://user:word@host`,
`icon@2x.png`, package versions `react@16.8.0`; their last label is no top-level domain, or a rule here says so.
"""

from __future__ import annotations

import functools
import re
from collections.abc import Iterator
from importlib import resources

from .text import Hit

_AT = re.compile(r"@|&#64;|&#x40;|&commat;", re.I)
_LOCAL = re.compile(r"[A-Za-z0-9!#$%&'*+/=?^_`{|}~-]+(?:\.[A-Za-z0-9!#$%&'*+/=?^_`{|}~-]+)*\Z")
_LOCAL_ANY = re.compile(r"[^\W_][\w.+-]*\Z")
_LABEL = r"[^\W_](?:[\w-]{0,61}[^\W_])?"
_ASCII_DOMAIN = re.compile(
    r"(?:[A-Za-z0-9](?:[A-Za-z0-9_-]{0,61}[A-Za-z0-9])?\.)+[A-Za-z][A-Za-z0-9-]{0,61}[A-Za-z0-9]"
)
_ANY_DOMAIN = re.compile(rf"(?:{_LABEL}\.)+{_LABEL}")
_RUN_ON = re.compile(r"[a-z]+(?=[A-Z0-9-])")
_SHELL = re.compile(r"(?<![\w-])(?:ssh|scp|sftp|rsync|sshfs|ssh-copy-id|mosh)\s(?:[^\n@]{0,40}\s)?\Z")
_USERINFO = re.compile(r"\w://[^\s/@]*\Z")
_SPELLED = re.compile(
    r"(?<![\w.+-])([A-Za-z0-9][\w.+-]{0,63})(?: at | ?\[at\] ?| ?\(at\) ?| ?\{at\} ?)"
    r"([A-Za-z0-9-]{1,63}(?:(?:\.| dot | ?\[dot\] ?| ?\(dot\) ?| ?\{dot\} ?)[A-Za-z0-9-]{1,63}){1,4})",
    re.I,
)
_DOT = re.compile(r" dot | ?[\[({]dot[\])}] ?", re.I)
_BRACKET = re.compile(r"[\[({]at[\])}]", re.I)


@functools.lru_cache(maxsize=1)
def top_level_domains() -> frozenset[str]:
    """All top-level domains of the public suffix list, as Unicode and in punycode."""
    known = set()
    lines = (resources.files("publicsuffixlist") / "public_suffix_list.dat").read_text(encoding="utf-8").splitlines()
    for line in lines[: lines.index("// ===END ICANN DOMAINS===")]:
        if line and not line.startswith("//"):
            last = line.split()[0].rsplit(".", 1)[-1].lower()
            known |= {last} if last.isascii() else {last, "xn--" + last.encode("punycode").decode()}
    return frozenset(known)


def _domain(text: str, start: int) -> int:
    """Where the domain that begins at `start` ends; -1 for none with a known last label."""
    piece = text[start : start + 256]
    ascii_only = _ASCII_DOMAIN.match(piece)
    found = ascii_only
    if piece[:1] and not piece[0].isascii():
        found = _ANY_DOMAIN.match(piece)
    if not found:
        return -1
    domain = found.group()
    while "." in domain:
        rest, last = domain.rsplit(".", 1)
        if last.lower() in top_level_domains():
            return start + len(domain)
        run_on = _RUN_ON.match(last)  # `example.comTel`: the page's line break was lost
        if run_on and run_on.group() in top_level_domains():
            return start + len(rest) + 1 + run_on.end()
        domain = rest
    return -1


def emails(text: str) -> Iterator[Hit]:
    """The addresses of a folded text; work is bounded for each `@`."""
    done = 0
    for at in _AT.finditer(text):
        if at.start() <= done:
            continue
        end = _domain(text, at.end())
        if end < 0:
            continue
        piece = text[max(done, at.start() - 64) : at.start()]
        local = _ascii_local(piece) or _other_local(piece)
        if not local or not any(c.isalnum() for c in local):
            continue
        start = at.start() - len(local)
        if _log_in(text, start, end, local):
            continue
        yield Hit(start, end, "email")
        done = end


def _ascii_local(piece: str) -> str:
    """The longest well-formed ASCII local part that ends `piece`."""
    size = len(piece)
    while size and (
        piece[size - 1].isascii() and (piece[size - 1].isalnum() or piece[size - 1] in ".!#$%&'*+/=?^_`{|}~-")
    ):
        size -= 1
    run = piece[size:]
    for mark in ("mailto:", "'", "`", "|", "=", "{", "}", "/", "#", "?"):  # what markup leaves in front
        if mark in run:
            run = run[run.rindex(mark) + len(mark) :]
    if ".." in run:
        run = run[run.rindex("..") + 2 :]
    run = run.lstrip(".*!$%&^~-+")
    return run if _LOCAL.match(run) else ""


def _other_local(piece: str) -> str:
    """A local part in one other script (RFC 6531), as far as that script's letters go."""
    if not piece or piece[-1].isascii():
        return ""
    size = len(piece)
    while size and (piece[size - 1].isalnum() and not piece[size - 1].isascii() or piece[size - 1] in ".-_0123456789"):
        size -= 1
    run = piece[size:].lstrip(".-_")
    return run if _LOCAL_ANY.match(run) else ""


def _log_in(text: str, start: int, end: int, local: str) -> bool:
    """Whether this is a user at a host: a git or scp path follows, a shell command or a URL's scheme precedes."""
    after = text[end : end + 2]
    if after[:1] == ":" and (local in ("git", "svn", "hg") or after[1:] in ("~", "/") or after[1:].isalpha()):
        return text[end + 1 : end + 7].lower() != "mailto" and not text[end + 1 : end + 2].isupper()
    left = text[max(0, start - 64) : start]
    return bool(_SHELL.search(left) or _USERINFO.search(left))


def spelled(text: str) -> Iterator[Hit]:
    """`name at example dot com`, `name [at] example.com`: bracketed, or spelled with `at` and `dot` both."""
    for found in _SPELLED.finditer(text):
        between = text[found.end(1) : found.start(2)]
        domain = _DOT.sub(".", found.group(2))
        if not _BRACKET.search(between) and domain == found.group(2):
            continue  # "meet me at example.com"
        if domain.rsplit(".", 1)[-1].lower() in top_level_domains():
            yield Hit(found.start(), found.end(), "email", "spelled")
