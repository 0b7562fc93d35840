"""Keys and tokens of well-known formats, as their issuers document them or secret scanners know them.

A format is a prefix and a structure; the free part must be as varied as a random one (`min_bits` of Shannon
entropy a character), so that `ghp_xxxxxxxx...` in a manual stays. A JWT's header must be JSON with `alg`
(RFC 7519); private keys are whole PEM blocks (RFC 7468). Publishable keys and public keys stay.
"""

from __future__ import annotations

import base64
import json
import math
import re
from collections import Counter
from collections.abc import Iterator

from .text import Hit

_FORMATS: tuple[tuple[str, str, float], ...] = (  # name, pattern, bits a character of the last group
    ("aws", r"(?:AKIA|ASIA|ABIA|ACCA)([A-Z2-7]{16})", 2.5),
    ("github", r"gh[pousr]_([A-Za-z0-9]{36,251})", 3.0),
    ("github", r"github_pat_([A-Za-z0-9]{22}_[A-Za-z0-9]{59})", 3.0),
    ("gitlab", r"gl(?:pat|dt|rt|soat|cbt|ptt|ft)-([A-Za-z0-9_-]{20,64})", 3.0),
    ("slack", r"xox[abeoprs]-([A-Za-z0-9-]{20,240})", 2.5),
    ("slack", r"xapp-(\d-[A-Z0-9]+-\d+-[A-Za-z0-9]{32,128})", 2.5),
    ("google", r"AIza([A-Za-z0-9_-]{35})", 3.0),
    ("google", r"ya29\.([A-Za-z0-9_-]{40,512})", 3.0),
    ("google", r"GOCSPX-([A-Za-z0-9_-]{28})", 3.0),
    ("stripe", r"[sr]k_(?:live|test)_([A-Za-z0-9]{16,240})", 3.0),
    ("stripe", r"whsec_([A-Za-z0-9]{32,64})", 3.0),
    ("anthropic", r"sk-ant-[a-z0-9]{3,10}-([A-Za-z0-9_-]{24,128})", 3.0),
    ("openai", r"sk-(?:proj|svcacct|admin|None)-([A-Za-z0-9_-]{40,200})", 3.0),
    ("openai", r"sk-([A-Za-z0-9]{48})", 3.0),
    ("npm", r"npm_([A-Za-z0-9]{36})", 3.0),
    ("pypi", r"pypi-AgE(?:IcHlwaS5vcmc|NdGVzdC5weXBpLm9yZw)([A-Za-z0-9_-]{50,512})", 3.0),
    ("sendgrid", r"SG\.([A-Za-z0-9_-]{22}\.[A-Za-z0-9_-]{43})", 3.5),
    ("twilio", r"(?:AC|SK)([0-9a-f]{32})", 2.8),
    ("huggingface", r"hf_([A-Za-z0-9]{34,40})", 3.0),
    ("shopify", r"shp(?:at|ca|pa|ss)_([0-9a-fA-F]{32})", 2.8),
    ("digitalocean", r"do[opr]_v1_([0-9a-f]{64})", 2.8),
    ("mailgun", r"key-([0-9a-f]{32})", 2.8),
    ("databricks", r"dapi([0-9a-f]{32})", 2.8),
    ("linear", r"lin_api_([A-Za-z0-9]{40})", 3.0),
)
_ANY = re.compile(
    r"(?<![A-Za-z0-9_-])(?:"
    + "|".join(f"(?P<f{i}>{p})" for i, (_, p, _) in enumerate(_FORMATS))
    + r")(?![A-Za-z0-9_-])"
)
_MARKS = (
    "AKIA", "ASIA", "ABIA", "ACCA", "ghp_", "gho_", "ghu_", "ghs_", "ghr_", "github_pat_", "gl", "xox", "xapp-", "AIza",
    "ya29.", "GOCSPX-", "k_live_", "k_test_", "whsec_", "sk-", "npm_", "pypi-", "SG.", "AC", "SK", "hf_", "shp", "_v1_",
    "key-", "dapi", "lin_api_",
)  # fmt: skip
"""What the formats begin with, or hold: without any of these a text has no such token."""
_GROUPS = {f"f{i}": (name, bits) for i, (name, _, bits) in enumerate(_FORMATS)}
_JWT = re.compile(
    r"(?<![A-Za-z0-9_.-])(eyJ[A-Za-z0-9_-]{10,2000})\.(eyJ[A-Za-z0-9_-]{4,6000})\.([A-Za-z0-9_-]{20,1000})"
)
_PEM = re.compile(r"-----BEGIN (?:[A-Z0-9]{2,12} )?PRIVATE KEY(?: BLOCK)?-----")
_PEM_END = re.compile(r"-----END (?:[A-Z0-9]{2,12} )?PRIVATE KEY(?: BLOCK)?-----")
_PASSWORD = re.compile(r"(?<=://)[\w.%+~-]{1,64}:([^\s/@:'\"<>{}$\[\]()]{3,100})@(?=[\w\[])")
_SHOWN = re.compile(r"(?i)pass(?:word|wd)?|pwd|secret|xxx+|\*+|\.\.\.|user(?:name)?|token|pw")
_FIRST = (
    "AKI ASI ABI ACC ghp gho ghu ghs ghr git glp gld glr gls glc glf xox xap AIz GOC sk_ rk_ whs sk- npm pyp hf_ shp "
    "doo dop dor key dap lin eyJ"
)
PREFIXES = (*_FIRST.split(), *(first + digit for first in ("AC", "SK") for digit in "0123456789abcdef"))
"""The first three characters of tokens, for the prefilter."""


def entropy(text: str) -> float:
    """Shannon entropy of a text's characters, bits a character."""
    n = len(text)
    return -sum(c / n * math.log2(c / n) for c in Counter(text).values()) if n else 0.0


def keys(text: str) -> Iterator[Hit]:
    """Tokens of known formats, JWTs, and passwords in URLs; the text as it is, not folded."""
    for found in _ANY.finditer(text) if any(mark in text for mark in _MARKS) else ():
        name, bits = _GROUPS[found.lastgroup or "f0"]
        secret = next(g for g in reversed(found.groups()) if g is not None)
        if entropy(secret) >= bits:
            yield Hit(found.start(), found.end(), "key", name)
    for found in _JWT.finditer(text) if "eyJ" in text else ():
        if _jwt_header(found.group(1)):
            yield Hit(found.start(), found.end(), "key", "jwt")
    for found in _PASSWORD.finditer(text) if "://" in text and "@" in text else ():
        if not _SHOWN.fullmatch(found.group(1)):
            yield Hit(found.start(1), found.end(1), "key", "url_password")


def _jwt_header(part: str) -> bool:
    try:
        header = json.loads(base64.urlsafe_b64decode(part + "=" * (-len(part) % 4)))
    except ValueError:
        return False
    return isinstance(header, dict) and "alg" in header


def private_keys(text: str, max_chars: int = 16384) -> Iterator[Hit]:
    """Whole private-key blocks; without an end line, up to the last line that can be base64."""
    done = 0
    for begin in _PEM.finditer(text):
        if begin.start() < done:
            continue
        end = _PEM_END.search(text, begin.end(), min(len(text), begin.start() + max_chars))
        if (
            end
            and not _PEM.search(text, begin.end(), end.start())
            and len(text[begin.end() : end.start()].strip()) >= 32
        ):
            done = end.end()
            yield Hit(begin.start(), done, "key", "private_key")
