"""Robots directives in headers and `<meta>`: who is meant, and what is reserved.

Followed: Google's "Robots meta tag, data-nosnippet, and X-Robots-Tag specifications"
(https://developers.google.com/search/docs/crawling-indexing/robots-meta-tag) for syntax, agents and
`none` = `noindex, nofollow`; DeviantArt 2022 for `noai` and `noimageai`; noml.info for `noml`.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass

AI_DIRECTIVES = ("noai", "noimageai", "noml")
"""These speak of AI themselves: whichever agent they are addressed to, they are meant for training."""

DIRECTIVES = (
    *AI_DIRECTIVES,
    "none",
    "noindex",
    "noarchive",
    "nocache",
    "nosnippet",
    "max-snippet:0",
    "noimageindex",
)
"""Directives that reserve something. Others (`follow`, `max-image-preview:large`) are not recorded."""

AI_AGENTS = (
    "ai2bot", "ai2bot-dolma", "amazonbot", "anthropic-ai", "applebot-extended", "bytespider", "ccbot",
    "claude-web", "claudebot", "cohere-ai", "cohere-training-data-crawler", "diffbot", "facebookbot",
    "google-extended", "gptbot", "imagesiftbot", "img2dataset", "meta-externalagent", "omgili", "omgilibot",
    "pangubot", "timpibot", "webzio-extended",
)  # fmt: skip
"""Tokens of crawlers whose operators say that they collect for training, or that stand for such a use."""

OTHER_AGENTS = (
    "applebot", "archive.org_bot", "baiduspider", "bingbot", "duckduckbot", "googlebot", "googlebot-image",
    "googlebot-news", "ia_archiver", "msnbot", "slurp", "teoma", "yandex",
)  # fmt: skip
"""Tokens of search engines and archives that pages address by name; a token that ends in `bot` is one, too."""

_KNOWN = frozenset((*AI_AGENTS, *OTHER_AGENTS))
_EVERYONE = frozenset(("robots", "*", "all"))
_AGENT = re.compile(r"[a-z][a-z0-9_.\- ]{0,60}|\*")
_VALUED = ("max-snippet", "max-image-preview", "max-video-preview", "unavailable_after")
MAX_CHARS = 4000


@dataclass(frozen=True, slots=True)
class Directive:
    """One reservation: `agent` is `*` for everyone, else the token in small letters."""

    agent: str
    says: str


def agent_of(name: str) -> str | None:
    """The agent that `<meta name=...>` addresses, `*` for everyone; None if the name is no agent's."""
    name = name.strip().lower()
    if name in _EVERYONE:
        return "*"
    return name if name in _KNOWN or (name.endswith("bot") and _AGENT.fullmatch(name)) else None


def _says(token: str) -> str | None:
    token = "".join(token.split())
    return token if token in DIRECTIVES else None


def parse_meta(name: str, content: str) -> Iterator[Directive]:
    """The reservations of one `<meta name="robots" content="...">`; commas, semicolons and spaces separate."""
    agent = agent_of(name)
    if agent is None:
        return
    joined = re.sub(r"\s*:\s*", ":", content[:MAX_CHARS].lower())
    for token in re.split(r"[,;\s]+", joined):
        says = _says(token)
        if says:
            yield Directive(agent, says)


def parse_header(value: str) -> Iterator[Directive]:
    """The reservations of X-Robots-Tag; several headers come joined by commas.

    `agent: a, b` holds for that agent up to the next agent. Where a second header without an agent was joined
    behind one with an agent, this can't be told from one header: its directives count as that agent's, but those
    of AI_DIRECTIVES count whoever is addressed.
    """
    agent = "*"
    for token in value[:MAX_CHARS].lower().split(","):
        head, colon, rest = token.partition(":")
        name = head.strip()
        if colon and name not in _VALUED and _AGENT.fullmatch(name):
            agent = "*" if name in _EVERYONE else name
            token = rest
        for word in [token] if ":" in token else token.replace(";", " ").split():
            says = _says(word)
            if says:
                yield Directive(agent, says)


def reserves(directive: Directive, chosen: frozenset[str], agents: frozenset[str]) -> bool:
    """Whether a directive is one of the chosen ones and addressed to everyone or to one of the agents."""
    meant = directive.agent == "*" or directive.agent in agents or directive.says in AI_DIRECTIVES
    says = "noindex" if directive.says == "none" and "none" not in chosen else directive.says
    return meant and says in chosen
