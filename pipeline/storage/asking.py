"""What lies at a URL, asked with retries. fsspec's own `isdir`, `isfile` and `exists` take a failure for a no."""

from __future__ import annotations

from typing import Any

from .filesystems import filesystem_path, with_retries
from .urls import protocol_of


class Asking:
    """The questions about files of an fsspec filesystem, under its names; raises ConfigError and StepFailed."""

    def __init__(self, url: str) -> None:
        self._url = url
        self._web = protocol_of(url) in ("http", "https")
        self._system, self.root = filesystem_path(url)

    def info(self, path: str) -> dict[str, Any]:
        return dict(with_retries(self._url, lambda: self._system.info(path)))

    def _kind(self, path: str) -> str:
        try:
            return str(self.info(path)["type"])
        except FileNotFoundError:
            return ""

    def isdir(self, path: str) -> bool:
        """On the web: whether it is a page with links. To know that it is read, unless it has a file's ending."""
        if not self._web:
            return self._kind(path) == "directory"
        _, ending, kind = path.rsplit("/", 1)[-1].rpartition(".")
        return (not ending or kind in ("html", "htm")) and bool(self._system.isdir(path))

    def isfile(self, path: str) -> bool:
        return self._kind(path) == "file"

    def exists(self, path: str) -> bool:
        return bool(self._kind(path))

    def find(self, path: str, **options: Any) -> Any:
        return with_retries(self._url, lambda: self._system.find(path, **options))

    def glob(self, path: str, **options: Any) -> Any:
        return with_retries(self._url, lambda: self._system.glob(path, **options))

    def unstrip_protocol(self, path: str) -> str:
        return str(self._system.unstrip_protocol(path))


def asking(url: str) -> tuple[Asking, str]:
    """(what answers for a URL's store, path in it), as `filesystem_path` and fsspec's `url_to_fs` give them."""
    system = Asking(url)
    return system, system.root
