"""Common Crawl over its public HTTP endpoint: listings, files, ranges and the URL index; fetched only when asked for.

- `polite`: slots and rests that all processes of a machine share;
- `web`: patient requests, ranged reads, what a server says of a file;
- `download`: whole files into the cache, resumed; `release`: a release's listing and files;
- `wanted`, `query`, `columnar`, `cdx`: single records, by domain or URL pattern through the URL indexes.
"""

from .download import download, fetch
from .polite import default_cache
from .query import find_records
from .release import check_subset, downloaded, is_release, release_paths, streamed, subset
from .web import BASE_URL, BASE_URL_VARIABLE, CDX_URL_VARIABLE, Gone, WebFile, base_url, is_web, probe

__all__ = [
    "BASE_URL",
    "BASE_URL_VARIABLE",
    "CDX_URL_VARIABLE",
    "Gone",
    "WebFile",
    "base_url",
    "check_subset",
    "default_cache",
    "download",
    "downloaded",
    "fetch",
    "find_records",
    "is_release",
    "is_web",
    "probe",
    "release_paths",
    "streamed",
    "subset",
]
