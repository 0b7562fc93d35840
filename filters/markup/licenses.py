"""Licences by their URLs and names, as SPDX identifiers (https://spdx.org/licenses/).

Creative Commons URLs: https://creativecommons.org/about/legal-code-defined/ (type, version, port, `deed.LANG`).
A port that SPDX does not list is written in its style all the same: `CC-BY-SA-2.5-PL`. Without a version the
identifier ends at the type: `CC-BY-SA`.
"""

from __future__ import annotations

import re

MAX_URL_CHARS = 2000
_CC_TYPES = {
    "by": "BY", "by-sa": "BY-SA", "by-nd": "BY-ND", "by-nc": "BY-NC", "by-nc-sa": "BY-NC-SA", "by-nc-nd": "BY-NC-ND",
    "by-nd-nc": "BY-NC-ND", "by-sa-nc": "BY-NC-SA", "sa": "SA", "nc": "NC", "nd": "ND", "nc-sa": "NC-SA",
    "nd-nc": "NC-ND", "nc-nd": "NC-ND", "sampling": "SAMPLING", "sampling+": "SAMPLING-PLUS",
    "nc-sampling+": "NC-SAMPLING-PLUS", "devnations": "DEVNATIONS",
}  # fmt: skip
_CC_URL = re.compile(
    r"(?:\w+:)?(?://)?(?:www\.|\w\w\.)?creativecommons\.org/(licen[sc]es|publicdomain)/([a-z+-]+)"
    r"(?:/(\d(?:\.\d)?))?(?:/([a-z]{2,8}))?(?=[/.?#]|\Z)"
)
_CC_OTHER = {"gpl": "GPL", "lgpl": "LGPL", "bsd": "BSD-2-Clause", "mit": "MIT", "publicdomain": "CC-PDDC"}
_CC_TEXT = re.compile(r"wikipedia:text_of_creative_commons_attribution-sharealike_(\d\.\d)")
_CC_NAME = re.compile(r"(?:cc|creative commons)[ -](by(?:[ -](?:nc|sa|nd)){0,2})(?:[ -]v?(\d\.\d))?(?: \w{2,13})?")
_CC_WORDS = re.compile(
    r"creative commons attribution((?:[- ](?:non-?commercial|share-?alike|no-?deriv\w{0,7})){0,2})\b"
)
_VERSION = re.compile(r"\b(\d\.\d)\b")
_CC0_NAME = re.compile(r"(?:cc|creative commons)[ -]?(?:0|zero)(?:[ -](?:v?1\.0))?(?: universal)?")

# (pattern of a URL without its scheme and `www.`, identifier with the pattern's groups)
_OTHERS: tuple[tuple[re.Pattern[str], str], ...] = tuple(
    (re.compile(pattern), spdx)
    for pattern, spdx in (
        (r"gnu\.org/(?:copyleft|licenses)/(?:old-licenses/)?(?:fdl)(?:-(\d\.\d))?\b", "GFDL"),
        (r"gnu\.org/(?:copyleft|licenses)/(?:old-licenses/)?(?:agpl)(?:-(\d\.\d))?\b", "AGPL"),
        (r"gnu\.org/(?:copyleft|licenses)/(?:old-licenses/)?(?:lgpl)(?:-(\d\.\d))?\b", "LGPL"),
        (r"gnu\.org/(?:copyleft|licenses)/(?:old-licenses/)?(?:gpl)(?:-(\d\.\d))?\b", "GPL"),
        (r"\w+\.wikipedia\.org/wiki/wikipedia:text_of_the_gnu_free_documentation_license", "GFDL"),
        (r"opensource\.org/licen[sc]es?/mit(?:-license)?\b", "MIT"),
        (r"opensource\.org/licen[sc]es?/apache-?2\.0", "Apache-2.0"),
        (r"opensource\.org/licen[sc]es?/bsd-([23])-clause", "BSD-{}-Clause"),
        (r"opensource\.org/licen[sc]es?/bsd-license", "BSD-2-Clause"),
        (r"opensource\.org/licen[sc]es?/isc\b", "ISC"),
        (r"opensource\.org/licen[sc]es?/(gpl|lgpl|agpl)-(\d\.\d)", "{}-{}"),
        (r"opensource\.org/licen[sc]es?/mpl-2\.0", "MPL-2.0"),
        (r"apache\.org/licenses/license-(\d\.\d)", "Apache"),
        (r"mozilla\.org/(?:en-us/)?mpl/(\d\.\d)", "MPL"),
        (r"unlicense\.org", "Unlicense"),
        (r"nationalarchives\.gov\.uk/doc/open-government-licence(?:/version/(\d)(?:\.0)?)?", "OGL-UK"),
        (r"open\.canada\.ca/en/open-government-licence-canada", "OGL-Canada-2.0"),
        (r"opendatacommons\.org/licenses/odbl(?:/(\d)[-.]0)?", "ODbL"),
        (r"opendatacommons\.org/licenses/by(?:/(\d)[-.]0)?", "ODC-By"),
        (r"opendatacommons\.org/licenses/pddl(?:/(\d)[-.]0)?", "PDDL"),
        (r"etalab\.gouv\.fr/(?:[\w/-]{0,60}/)?(?:etalab-)?licence-ouverte-(?:open-licence-)?v(\d\.\d)", "etalab"),
        (r"govdata\.de/dl-de/(by|zero)-2-0", "DL-DE-{}-2.0"),
        (r"artlibre\.org/licence/lal", "LAL-1.3"),
    )
)  # fmt: skip
_SPDX_URL = re.compile(
    r"(?:https?:)?(?://)?(?:www\.)?spdx\.org/licenses/([A-Za-z0-9.+-]{2,60}?)(?:\.html|\.json)?/?(?:[?#]|\Z)"
)
_ARCHIVED = re.compile(r"^(?:https?:)?//web\.archive\.org/web/\d{4,14}[a-z_]*/")
_SCHEME = re.compile(r"(?:https?:)?//(?:www\.)?|www\.")


def canonical(url: str) -> str | None:
    """The SPDX identifier of a licence's URL; None for a URL that is no known licence's."""
    url = _ARCHIVED.sub("", url.strip()[:MAX_URL_CHARS])
    low = url.lower()
    if "creativecommons.org" in low:
        match = _CC_URL.match(low)
        return _creative_commons(match) if match else None
    match = _CC_TEXT.search(low)
    if match:
        return f"CC-BY-SA-{match[1]}"
    match = _SPDX_URL.match(url)
    if match:
        return match[1]
    prefix = _SCHEME.match(low)
    rest = low[prefix.end() :] if prefix else low
    for pattern, spdx in _OTHERS:
        found = pattern.match(rest)
        if found:
            return _filled(spdx, found)
    return None


def _filled(spdx: str, found: re.Match[str]) -> str:
    groups = [g.upper() for g in found.groups() if g]
    if "{}" in spdx:
        return spdx.format(*groups)
    if not groups:
        return spdx
    return f"{spdx}-{groups[0]}" if "." in groups[0] else f"{spdx}-{groups[0]}.0"


def _creative_commons(match: re.Match[str]) -> str | None:
    area, kind, version, port = match.groups()
    if area == "publicdomain":
        name = {"zero": "CC0", "mark": "CC-PDM"}.get(kind)
        return f"{name}-{version or '1.0'}" if name else None
    if kind in _CC_OTHER:
        return _CC_OTHER[kind] + (f"-{version}" if version and kind in ("gpl", "lgpl") else "")
    if kind not in _CC_TYPES:
        return None
    parts = ["CC", _CC_TYPES[kind], version, port.upper() if port and port not in ("deed", "legalcode") else None]
    return "-".join(part for part in parts if part)


def named(text: str) -> str | None:
    """The identifier in a short statement: a licence's URL in it, or a Creative Commons name (`CC BY-SA 4.0`)."""
    text = " ".join(text[:MAX_URL_CHARS].split())
    for word in text.split(" "):
        if "/" in word:
            found = canonical(word.strip("<>()[],;\"'"))
            if found:
                return found
    low = text.lower()
    if _CC0_NAME.fullmatch(low):
        return "CC0-1.0"
    match = _CC_NAME.fullmatch(low)
    if match:
        kind = _CC_TYPES.get(match[1].replace(" ", "-"))
        return "-".join(part for part in ("CC", kind, match[2]) if part) if kind else None
    match = _CC_WORDS.search(low)
    if match and "/" not in low:
        plain = match[1].replace("-", "").replace(" ", "")
        codes = [
            code for word, code in (("noncommercial", "NC"), ("noderiv", "ND"), ("sharealike", "SA")) if word in plain
        ]
        version = _VERSION.search(low, match.end())
        return "-".join(part for part in ("CC", "BY", *codes, version[1] if version else None) if part)
    return None
