"""Google Cloud Storage by gcsfs, over HTTP only.

The class that gcsfs gives for `gs://` asks a second service by gRPC what kind of bucket it has, before each operation
where the answer is no, and warns each time. We need none of what it would do then: folders are the beginnings of names.
"""

from __future__ import annotations

from typing import Any

from gcsfs.core import GCSFileSystem
from gcsfs.retry import retry_request


class GoogleFileSystem(GCSFileSystem):
    """gcsfs's plain file system; a small object may also be written on condition of its generation."""

    async def _pipe_file(self, path: str, data: bytes, generation: str = "", **options: Any) -> Any:
        """`generation`: only if the object is still this one. Raises FileExistsError where it is another or gone."""
        if not generation:
            return await super()._pipe_file(path, data, **options)
        bucket, key, _ = self.split_path(path)
        return await self._call(
            "POST",
            f"{self._location}/upload/storage/v1/b/{{}}/o",
            bucket,
            uploadType="media",
            name=key,
            ifGenerationMatch=generation,
            headers={"Content-Type": "application/octet-stream"},
            data=data,
        )


def limit_tries(tries: int) -> None:
    """So many tries of a request by gcsfs itself, and one of a file, in place of six, one within the other."""
    for name, times in (("_request", tries), ("_get_file_request", 1), ("_get_file_concurrent", 1)):
        plain = getattr(getattr(GCSFileSystem, name, None), "__wrapped__", None)
        if plain is not None:
            setattr(GoogleFileSystem, name, retry_request(retries=times)(plain))
