"""URLs through fsspec: see `pipeline.storage`."""

from ..storage import filesystem_path, is_url

__all__ = ["filesystem_path", "is_url"]
