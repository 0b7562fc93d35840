"""How large a crawl of Common Crawl is, as far as a plan needs it without asking anybody."""

from __future__ import annotations

from ..errors import ConfigError

WARCS = 90_000
"""WARC files of a crawl, about; `warc.paths.gz` of the crawl has the exact number."""
WARC_BYTES = 1.0e9
"""Bytes of one, compressed: 64 000 files of 59.86 TiB in all in February 2019, .98 GiB each."""
PAGES_PER_WARC = 29_300
"""Pages of one: 2.64 billion in December 2024, in about 90 000 files."""

CRAWL_SOURCES = (
    "files and bytes: github.com/tballison/commoncrawl-fetcher-lite (about 90,000 files of about 1 GB) and "
    "commoncrawl.org/blog/february-2019-crawl-archive-now-available (64,000 files, 59.86 TiB); pages: "
    "commoncrawl.org/blog/december-2024-crawl-archive-now-available (2.64 billion)"
)


def check_crawl(name: str) -> None:
    """Raise ConfigError for what is no crawl's name."""
    import re

    if not re.fullmatch(r"CC-MAIN-\d{4}-\d{2}", name):
        raise ConfigError(f"--crawl must be a crawl's name, like CC-MAIN-2025-08, not '{name}'")
