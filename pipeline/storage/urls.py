"""URLs: which there are, which can be written, and how they are shown without secrets."""

from __future__ import annotations

import os
import re
from typing import Any

from ..errors import ConfigError

_URL = re.compile(r"^[A-Za-z][A-Za-z0-9+.-]+://")
_NEARLY = re.compile(r"^(s3a?|gs|gcs|hf|https?|file)(?::/?|//)(?=[^/])", re.IGNORECASE)
_USER = re.compile(r"([A-Za-z][A-Za-z0-9+.-]+://)[^/\s@'\"]+@")
_SECRET = re.compile(
    r"(?i)((?:x-amz-(?:signature|credential|security-token)|x-goog-(?:signature|credential)|awsaccesskeyid|signature"
    r"|sig|access_token|token|key|secret|password)=)[^&\s'\"]+"
)

WRITABLE = ("s3", "s3a", "gs", "gcs", "memory")
"""Protocols of stores that a run can write to."""
READABLE = ("http", "https", "hf", "ftp", "sftp", "file")
"""Others that inputs may have."""


def protocol_of(url: str) -> str:
    """`s3` of `s3://bucket/key`."""
    return url.split("://", 1)[0].lower()


def is_url(path: str) -> bool:
    """Whether `path` names a file by protocol (`s3://...`) and not on the local disk."""
    return bool(_URL.match(path))


def check_meant(path: str) -> None:
    """Raise ConfigError for `s3//bucket/x` or `gs:/bucket/x`, which would else be a new folder of the working folder.

    Unless there is such a folder or file.
    """
    found = _NEARLY.match(path)
    if found and not os.path.exists(path):
        meant = f"{found[1]}://{'/' if found[1].lower() == 'file' else ''}{path[found.end() :]}"
        raise ConfigError(f"'{redacted(path)}' is no URL; did you mean '{redacted(meant)}'?")


def redacted_urls(value: Any) -> Any:
    """A recipe's value without what may be secret in the URLs of its texts."""
    if isinstance(value, dict):
        return {key: redacted_urls(one) for key, one in value.items()}
    if isinstance(value, list | tuple):
        return [redacted_urls(one) for one in value]
    return redacted(value) if isinstance(value, str) and is_url(value) else value


def check_urls(value: Any) -> None:
    """Raise ConfigError where a URL among a recipe's texts carries credentials."""
    for one in value.values() if isinstance(value, dict) else value if isinstance(value, list | tuple) else ():
        check_urls(one)
    if isinstance(value, str):
        check_url(value)


def redacted(text: str) -> str:
    """The text without what may be secret in URLs: `user:password@`, signatures and tokens in queries."""
    return _SECRET.sub(r"\1***", _USER.sub(r"\1***@", text))


def check_url(url: str) -> None:
    """Raise ConfigError for a URL that carries credentials: they would end up in recipes, logs and process lists."""
    if _USER.match(url):
        raise ConfigError(
            f"'{redacted(url)}' carries a user name or password; give credentials by the environment "
            "(AWS_PROFILE, AWS_ACCESS_KEY_ID, GOOGLE_APPLICATION_CREDENTIALS, HF_TOKEN) and leave them out of the URL"
        )


def check_output_place(url: str, *, processes: bool) -> None:
    """Raise ConfigError where a run can't write to a URL; `processes`: by workers that are processes of their own."""
    check_url(url)
    protocol = protocol_of(url)
    if protocol not in WRITABLE:
        why = "is for reading" if protocol in READABLE else "is not known"
        raise ConfigError(f"output '{url}': {protocol}:// {why}; write to a folder, s3:// or gs://")
    if not url.split("://", 1)[1].strip("/"):
        raise ConfigError(f"output '{url}' names no bucket; write {protocol}://bucket/folder")
    if protocol == "memory" and processes:
        raise ConfigError(f"output '{url}': memory:// lies within one process; use --inline, or another output")
