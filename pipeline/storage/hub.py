"""Hugging Face's datasets by huggingface_hub."""

from __future__ import annotations

from typing import Any

from huggingface_hub import HfFileSystem


class HubFileSystem(HfFileSystem):
    """The package's file system; a range is read as it is asked for, without 5 MiB more in advance."""

    def cat_file(self, path: str, start: int | None = None, end: int | None = None, **options: Any) -> bytes:
        return bytes(super().cat_file(path, start, end, cache_type="none", **options))
