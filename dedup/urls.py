"""The key by which two URLs count as one page.

Rules, in order (WHATWG = https://url.spec.whatwg.org, by ada-url; RFC = RFC 3986, section 6.2.2):

1. White space around it goes; the rest is parsed by WHATWG, which puts scheme and host in lower case, international
   names in punycode, IPv4 in dotted form, resolves `.` and `..`, and leaves out the scheme's own port. A URL without
   a scheme (`example.com/page`) is read as http where its host has a dot.
2. http and https count as one; other schemes stay. User name and password go.
3. A leading `www.` goes, and the host's last dot.
4. Percent-encoded letters, digits and `-._~` are decoded, other encodings written in capitals (RFC).
5. Slashes at the path's end go. Session ids in the path (`;jsessionid=...`) go.
6. Parameters that track visitors or hold a session go (`TRACKING`), and empty ones; the others are sorted by name,
   those of one name in their order.
7. The fragment goes, but for `#!...` and `#/...`, by which some sites name pages.

No key, and so never a duplicate: null, a URL that can't be parsed, and one without a host (`file:`, `data:`, `N/A`).
Not done, for it would join different pages somewhere: capitals in paths, `index.html`, `//` in paths, `+` as a space.
"""

from __future__ import annotations

import re

TRACKING = frozenset({
    "__hsfp", "__hssc", "__hstc", "__s", "_bta_c", "_bta_tid", "_ga", "_gl", "_hsenc", "_hsmi", "_ke", "_openstat",
    "cfid", "cftoken", "dclid", "epik", "fb_action_ids", "fb_action_types", "fb_ref", "fb_source", "fbclid", "gbraid",
    "gclid", "gclsrc", "hsctatracking", "igsh", "igshid", "irclickid", "jsessionid", "mc_cid", "mc_eid", "mkt_tok",
    "ml_subscriber", "ml_subscriber_hash", "msclkid", "oft_c", "oft_ck", "oft_d", "oft_id", "oft_ids", "oft_k",
    "oft_lk", "oft_sid", "oly_anon_id", "oly_enc_id", "phpsessid", "rb_clickid", "s_cid", "srsltid", "ttclid",
    "twclid", "vero_conv", "vero_id", "wbraid", "wickedid", "yclid", "ysclid",
})  # fmt: skip
"""Names of parameters, lower case, beside `utm_...`, `hsa_...`, `pk_...`, `mtm_...` and `aspsessionid...`.

Those that browsers strip (Firefox, toolkit/components/antitracking, query stripping list; Brave, query_filter) and the
names that web servers give to sessions."""
_TRACKED = re.compile(r"(?:utm_|hsa_|pk_|mtm_|aspsessionid)")
_SESSION = re.compile(r";(?:jsessionid|phpsessid|sid)=[^/;]*", re.IGNORECASE)
_PERCENT = re.compile(r"%([0-9a-fA-F]{2})")
_UNRESERVED = frozenset(b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-._~")
_LABEL = r"[a-z0-9](?:[a-z0-9_]|-(?!-))*"
_PLAIN = re.compile(rf"https?://((?:{_LABEL}\.)+[a-z]{{2,}})((?:/+[A-Za-z0-9_~,@:!$*+-][A-Za-z0-9_~,@:!$*+.-]*)*)/*")
"""URLs that WHATWG leaves as they are but for scheme and host; most are so. No IPv4, no punycode, no dot segments."""


def _decoded(found: re.Match[str]) -> str:
    value = int(found[1], 16)
    return chr(value) if value in _UNRESERVED else f"%{found[1].upper()}"


def _without_www(host: str) -> str:
    host = host.removesuffix(".")
    rest = host.removeprefix("www.")
    return rest if "." in rest else host


def _query(search: str) -> str:
    """The parameters that stay, sorted by name, with `?` before them."""
    parts = []
    for part in search.removeprefix("?").split("&"):
        name = part.partition("=")[0].lower()
        if part and name not in TRACKING and not _TRACKED.match(name):
            parts.append(part)
    parts.sort(key=lambda part: part.partition("=")[0])
    return "?" + "&".join(parts) if parts else ""


def url_key(url: str | None) -> str | None:
    """The URL as the module's rules write it, without `http` and `https`; None for no key."""
    if url is None:
        return None
    plain = _PLAIN.fullmatch(url)
    if plain is not None:
        return f"//{_without_www(plain[1])}{plain[2]}"
    return _parsed_key(url)


def _parsed_key(url: str) -> str | None:
    import ada_url

    url = url.strip()
    try:
        parsed = ada_url.URL(url)
    except ValueError:
        if ":" in url.split("/", 1)[0] or "." not in url.split("/", 1)[0]:
            return None
        try:
            parsed = ada_url.URL(f"http://{url}")
        except ValueError:
            return None
    host = parsed.hostname
    if not host:
        return None
    scheme = "" if parsed.protocol in ("http:", "https:") else parsed.protocol
    port = f":{parsed.port}" if parsed.port else ""
    path = _SESSION.sub("", _PERCENT.sub(_decoded, parsed.pathname)).rstrip("/")
    search = _query(_PERCENT.sub(_decoded, parsed.search))
    fragment = parsed.hash if parsed.hash.startswith(("#!", "#/")) else ""
    return f"{scheme}//{_without_www(host)}{port}{path}{search}{fragment}"
