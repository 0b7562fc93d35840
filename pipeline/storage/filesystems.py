"""fsspec filesystems for URLs, with our time-outs, and calls to them with retries and errors that say what to do.

Credentials come by each library's own environment and profiles (`AWS_*`, `AWS_ENDPOINT_URL`,
`GOOGLE_APPLICATION_CREDENTIALS`, `HF_TOKEN`), never through us. Listings are not cached: other processes write too.
"""

from __future__ import annotations

import errno
import logging
import os
import random
import threading
import time
from collections.abc import Callable
from typing import Any, TypeVar

from ..errors import ConfigError, StepFailed
from .urls import check_url, protocol_of, redacted

log = logging.getLogger("gristmill")

TRIES = 8
"""Times that a call is tried in all."""
FIRST_WAIT_S, LONGEST_WAIT_S = 0.2, 20.0
PACKAGE_TRIES = 2
"""Of a request by s3fs or gcsfs itself, in place of 5 or 6: they multiply with ours, and a store that throttles wants
rest."""
CONNECT_TIMEOUT_S, READ_TIMEOUT_S = 10, 60
CONNECTIONS = 32
"""Connections of one process to a store."""

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

_EXTRAS = {"s3fs": "gristmill[s3]", "gcsfs": "gristmill[gs]", "huggingface_hub": "gristmill[hf]"}

_TRANSIENT_STATUS = {408, 425, 429, 500, 502, 503, 504}
_TRANSIENT_NAMES = {
    "ClientConnectionError",
    "ClientOSError",
    "ClientPayloadError",
    "ConnectError",
    "ConnectTimeout",
    "ConnectTimeoutError",
    "ConnectionClosedError",
    "ConnectionTimeoutError",
    "EndpointConnectionError",
    "HTTPClientError",
    "IncompleteReadError",
    "ProxyError",
    "ReadError",
    "ReadTimeout",
    "ReadTimeoutError",
    "RemoteProtocolError",
    "ResponseStreamingError",
    "ServerConnectionError",
    "ServerDisconnectedError",
    "ServerTimeoutError",
}
_TRANSIENT_CODES = {"SlowDown", "InternalError", "ServiceUnavailable", "RequestTimeout", "Throttling", "500", "503"}
_TRANSIENT_ERRNO = {
    errno.EBUSY,
    errno.EIO,
    errno.EPIPE,
    errno.ECONNRESET,
    errno.ECONNABORTED,
    errno.ECONNREFUSED,
    errno.ETIMEDOUT,
    errno.EREMOTEIO,
}
_NO_CREDENTIALS = {"NoCredentialsError", "PartialCredentialsError", "DefaultCredentialsError"}
_FINAL = (FileNotFoundError, FileExistsError, PermissionError, IsADirectoryError, NotADirectoryError)

T = TypeVar("T")


def _options(protocol: str) -> dict[str, Any]:
    """What our filesystems are made with."""
    if protocol in ("s3", "s3a"):
        return {
            "use_listings_cache": False,
            "default_fill_cache": False,
            "config_kwargs": {
                "connect_timeout": CONNECT_TIMEOUT_S,
                "read_timeout": READ_TIMEOUT_S,
                "max_pool_connections": CONNECTIONS,
                "retries": {"mode": "standard", "total_max_attempts": 2},
            },
        }
    if protocol in ("gs", "gcs"):
        return {"use_listings_cache": False, "requests_timeout": _limits()}
    if protocol == "hf":
        # its listings are kept in any case; the package reads the variable when it is imported, and never again
        return {"endpoint": os.environ.get("HF_ENDPOINT")}
    if protocol in ("http", "https"):
        return {"use_listings_cache": False, "client_kwargs": {"timeout": _limits()}}
    return {}


def _limits() -> Any:
    """Time-outs of a request by aiohttp: none for the whole of it, which may be a large file."""
    import aiohttp

    return aiohttp.ClientTimeout(total=None, sock_connect=CONNECT_TIMEOUT_S, sock_read=READ_TIMEOUT_S)


def _class(protocol: str) -> Any:
    """The fsspec class of a protocol."""
    if protocol in ("gs", "gcs"):
        from .google import GoogleFileSystem, limit_tries

        limit_tries(PACKAGE_TRIES)
        if "GCSFS_DEBUG" not in os.environ:
            logging.getLogger("gcsfs").setLevel(logging.CRITICAL)  # it logs a traceback for each error that it raises
        return GoogleFileSystem
    if protocol == "hf":
        from .hub import HubFileSystem

        return HubFileSystem
    import fsspec

    return fsspec.get_filesystem_class(protocol)


_ENVIRONMENT = ("AWS_", "GOOGLE_", "GCS", "HF_", "STORAGE_EMULATOR_HOST", "FSSPEC_")
_made: dict[Any, Any] = {}
_making = threading.Lock()


def filesystem_path(url: str) -> tuple[Any, str]:
    """(fsspec filesystem, path in it) of a URL. One filesystem for each process, store and set of credentials.

    Raises ConfigError for an unknown protocol, for one whose package isn't installed, naming the package, and for a
    URL that carries a password.
    """
    check_url(url)
    protocol = protocol_of(url)
    environment = tuple(sorted((k, v) for k, v in os.environ.items() if k.startswith(_ENVIRONMENT)))
    key = (os.getpid(), protocol, hash(environment))
    with _making:
        system = _made.get(key)
        if system is None:
            system = _made[key] = _filesystem(url, protocol)
    return system, str(system._strip_protocol(url))


def _filesystem(url: str, protocol: str) -> Any:
    try:
        # not fsspec's own cache: it knows nothing of the environment, and has one instance for each thread
        system = _class(protocol)(skip_instance_cache=True, **_options(protocol))
        if protocol in ("s3", "s3a"):
            system.retries = PACKAGE_TRIES
        return system
    except ImportError as error:
        package = _PACKAGES.get(protocol)
        hint = f"pip install {_EXTRAS.get(package or '', package)}" if package else str(error)
        raise ConfigError(
            f"'{url}': reading {protocol}:// needs a package that isn't installed"
            f"{f' ({package})' if package else ''}: {hint}"
        ) from error
    except ValueError as error:
        raise ConfigError(f"'{url}': {error}") from error
    except Exception as error:
        raise _said(url, error) from error


def _causes(error: BaseException) -> list[BaseException]:
    found: list[BaseException] = []
    seen: BaseException | None = error
    while seen is not None and len(found) < 8:
        found.append(seen)
        seen = seen.__cause__ or seen.__context__
    return found


def _code(error: BaseException) -> str:
    """The store's own error code (`NoSuchBucket`), or the HTTP status."""
    response = getattr(error, "response", None)
    if isinstance(response, dict):
        return str(response.get("Error", {}).get("Code", ""))
    status = getattr(error, "status", None) or getattr(error, "code", None) or getattr(response, "status_code", None)
    return str(status or "")


def is_transient(error: BaseException) -> bool:
    """Whether the same call may succeed a little later: throttled, a server's error, a cut or slow connection."""
    if isinstance(error, _FINAL):
        return False
    for one in _causes(error):
        if isinstance(one, (TimeoutError, ConnectionError)):
            return True
        if type(one).__name__ in _TRANSIENT_NAMES:
            return True
        code = _code(one)
        if code in _TRANSIENT_CODES or (code.isdigit() and int(code) in _TRANSIENT_STATUS):
            return True
        response = getattr(one, "response", None)
        if isinstance(response, dict):
            status = response.get("ResponseMetadata", {}).get("HTTPStatusCode")
            if status in _TRANSIENT_STATUS:
                return True
        if isinstance(one, OSError) and one.errno in _TRANSIENT_ERRNO:
            return True
    return False


def _said(url: str, error: BaseException) -> Exception:
    """The error as our users see it."""
    codes = {_code(one) for one in _causes(error)}
    names = {type(one).__name__ for one in _causes(error)}
    where, text = redacted(url), redacted(f"{type(error).__name__}: {error}")
    if isinstance(error, FileNotFoundError) and names & {"RepositoryNotFoundError", "RevisionNotFoundError"}:
        return ConfigError(
            f"'{where}': there is no such repository or revision, or it is private; mend the name, or set HF_TOKEN "
            f"in the environment of every worker ({text})"
        )
    if names & _NO_CREDENTIALS or "Anonymous caller" in text:  # so Google calls one who sends none
        return ConfigError(
            f"'{where}': no credentials were found; set AWS_PROFILE, or AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY "
            "(s3), GOOGLE_APPLICATION_CREDENTIALS (gs) or HF_TOKEN (hf) in the environment of every worker"
        )
    if codes & {"InvalidAccessKeyId", "SignatureDoesNotMatch", "ExpiredToken", "InvalidToken", "401"}:
        return ConfigError(f"'{where}': the store doesn't accept these credentials ({text})")
    if codes & {"NoSuchBucket"} or "bucket does not exist" in str(error).lower():
        return ConfigError(f"'{where}': there is no such bucket; create it first, or mend the name ({text})")
    denied = isinstance(error, PermissionError) or codes & {"AccessDenied", "403", "Forbidden"}
    if denied or text.startswith("OSError: Forbidden"):  # gcsfs's form of it
        return ConfigError(f"'{where}': access is denied; are these the right credentials and bucket? ({text})")
    if isinstance(error, (FileNotFoundError, FileExistsError, IsADirectoryError, NotADirectoryError)):
        return error
    return StepFailed(f"'{where}': {text}")


def with_retries(url: str, call: Callable[[], T]) -> T:
    """`call()`, again after growing and jittered waits where the store throttles, fails or cuts the connection.

    Raises FileNotFoundError and FileExistsError as they come, ConfigError for credentials, access and buckets, and
    StepFailed where the store goes on failing.
    """
    for attempt in range(TRIES):
        try:
            return call()
        except (ConfigError, StepFailed):
            raise
        except Exception as error:
            if not is_transient(error) or attempt == TRIES - 1:
                said = _said(url, error)
                if said is error:
                    raise
                raise said from error
            wait = min(LONGEST_WAIT_S, FIRST_WAIT_S * 2**attempt)
            log.debug("'%s': %s; trying again", redacted(url), redacted(str(error)))
            time.sleep(wait * random.uniform(0.5, 1.0))
    raise AssertionError("unreachable")


def write_with_retries(url: str, call: Callable[[], T]) -> T:
    """`with_retries` for a call that makes an object: what isn't found can but be the bucket, or an upload begun."""
    system, inner = filesystem_path(url)
    bucket = inner.split("/", 1)[0]

    def write() -> T:
        try:
            return call()
        except FileNotFoundError as error:
            if system.exists(bucket):
                raise ConnectionError(f"the store forgot an upload that was begun ({error})") from error
            where = redacted(url)
            raise ConfigError(f"'{where}': there is no such bucket; create it first, or mend the name") from error

    return with_retries(url, write)
