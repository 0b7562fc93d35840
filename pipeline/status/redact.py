"""Leaves secrets out of what is shown or logged."""

from __future__ import annotations

import re

_USER = re.compile(r"(?<=://)[^/\s@'\"]+@")
_QUERY = re.compile(
    r"([?&;\s]|^)((?:x-(?:amz|goog|oss)-)?(?:signature|security-token|credential|sig|token|access_?token|api_?key"
    r"|awsaccesskeyid|googleaccessid|key|secret|password)=)[^&\s'\"]+",
    re.IGNORECASE,
)


def redacted(text: str) -> str:
    """The text with `user:password@` of addresses and values of signatures, tokens and keys as `***`."""
    return _QUERY.sub(r"\1\2***", _USER.sub("***@", text))
