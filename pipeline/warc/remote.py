"""URLs through fsspec, with errors that say which package is missing."""

from __future__ import annotations

import re
from typing import Any

from ..errors import ConfigError

_URL = re.compile(r"^[A-Za-z][A-Za-z0-9+.-]+://")

_PACKAGES = {
    "http": "aiohttp",
    "https": "aiohttp",
    "s3": "s3fs",
    "s3a": "s3fs",
    "gs": "gcsfs",
    "gcs": "gcsfs",
    "az": "adlfs",
    "abfs": "adlfs",
    "hf": "huggingface_hub",
    "sftp": "paramiko",
    "ssh": "paramiko",
    "smb": "smbprotocol",
    "oss": "ossfs",
}


def is_url(path: str) -> bool:
    """Whether `path` names a file by protocol (`s3://...`) and not on the local disk."""
    return bool(_URL.match(path))


def filesystem_path(url: str) -> tuple[Any, str]:
    """(fsspec filesystem, path in it) of a URL.

    Raises ConfigError for an unknown protocol, and for one whose package isn't installed, naming the package.
    """
    import fsspec

    protocol = url.split("://", 1)[0]
    try:
        filesystem, path = fsspec.core.url_to_fs(url)
    except ImportError as error:
        package = _PACKAGES.get(protocol)
        hint = f"pip install {package}" if package else str(error)
        raise ConfigError(f"'{url}': reading {protocol}:// needs a package that isn't installed: {hint}") from error
    except ValueError as error:
        raise ConfigError(f"'{url}': {error}") from error
    return filesystem, str(path)
