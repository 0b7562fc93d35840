"""TDM Reservation Protocol (TDMRep), W3C Community Group final report 2024: https://www.w3.org/community/reports/tdmrep/

Three places say `tdm-reservation` (1 = rights reserved, 0 = not) and `tdm-policy` (a URL): the HTTP header,
`<meta>` and the file /.well-known/tdmrep.json. What speaks of the page alone goes before what speaks of the
site: meta, then header, then file. Any other value counts as unset.
"""

from __future__ import annotations

import functools
import json
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pipeline.errors import ConfigError

WELL_KNOWN = "/.well-known/tdmrep.json"
PRIORITY = ("meta", "header", "file")
MAX_RULES = 10_000


@dataclass(frozen=True, slots=True)
class Rule:
    """One rule of a site's file."""

    location: str
    reservation: int
    policy: str | None


def reservation(value: str | None) -> int | None:
    """1, 0 or None (unset). Several headers come joined by commas; one that reserves is enough."""
    parts = [part.strip() for part in (value or "").split(",")]
    return 1 if "1" in parts else 0 if "0" in parts else None


def parse_rules(value: Any) -> list[Rule]:
    """The rules of a parsed tdmrep.json; entries that are none are left out."""
    found = []
    for entry in value[:MAX_RULES] if isinstance(value, list) else [value]:
        if not isinstance(entry, dict) or not isinstance(entry.get("location"), str):
            continue
        reserved = reservation(str(entry.get("tdm-reservation", "")))
        policy = entry.get("tdm-policy")
        if reserved is not None:
            found.append(Rule(entry["location"], reserved, policy if isinstance(policy, str) else None))
    return found


@functools.lru_cache(maxsize=4096)
def _pattern(location: str) -> re.Pattern[str]:
    anchored = location.endswith("$")
    parts = re.sub(r"\*+", "*", location.removesuffix("$")).split("*")[:50]
    # each star takes as little as it can and never gives back: linear, and right for `*` between literals
    middle = "".join(f"(?>.*?{re.escape(part)})" for part in parts[1:-1])
    last = parts[-1] if len(parts) > 1 else ""
    end = f".*{re.escape(last)}" if anchored and len(parts) > 1 else (f"(?>.*?{re.escape(last)})" if last else "")
    return re.compile(re.escape(parts[0]) + middle + end + (r"\Z" if anchored else ""), re.DOTALL)


def match_rule(rules: Sequence[Rule], path: str) -> Rule | None:
    """The rule for a path (with its query): patterns as in RFC 9309, 2.2.3 (`*`, a final `$`), from the path's start.

    The longest pattern counts, as there; of two equally long ones that which reserves.
    """
    found = [r for r in rules if _pattern(r.location if r.location[:1] in "/*" else "/" + r.location).match(path)]
    return max(found, key=lambda r: (len(r.location), r.reservation), default=None)


@functools.lru_cache(maxsize=8)
def read_files(paths: tuple[str, ...]) -> dict[str, list[Rule]]:
    """{host: rules} of JSON files `{host: [rule, ...]}`, as `collect` makes them. Raises ConfigError."""
    found: dict[str, list[Rule]] = {}
    for path in paths:
        try:
            value = json.loads(Path(path).read_bytes())
        except (OSError, ValueError, RecursionError) as error:
            raise ConfigError(f"consent: tdmrep_files '{path}': {error}") from error
        if not isinstance(value, dict):
            raise ConfigError(f"consent: tdmrep_files '{path}' must map hosts to lists of rules")
        for host, rules in value.items():
            found[host.lower()] = parse_rules(rules)
    return found


def collect(inputs: Iterable[str]) -> dict[str, Any]:
    """{host: parsed tdmrep.json} of all such records in WARC files (paths, folders, globs, URLs); the last counts.

    Write it as JSON for the option `tdmrep_files`. Raises ConfigError where an input is not there.
    """
    from filters.url import parse_url
    from pipeline.warc import list_sources, plan_splits, read_pages

    found: dict[str, Any] = {}
    for split in plan_splits(list_sources(list(inputs)), split_bytes=32 << 20):
        for batch in read_pages(split, html_types=(), text_types=("application/json",)):
            for url, payload in zip(batch.table["url"], batch.table["payload"], strict=True):
                parsed = parse_url(url.as_py() or "")
                if parsed is None or parsed.path.split("?")[0] != WELL_KNOWN:
                    continue
                try:
                    found[parsed.host] = json.loads(payload.as_py())
                except (ValueError, RecursionError):  # a broken file is unset, as the protocol has it
                    continue
    return dict(sorted(found.items()))
