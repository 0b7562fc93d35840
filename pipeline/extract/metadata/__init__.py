"""Title, author, date of publication and language from a page's own statements, without a tree.

`scan` reads the UTF-8 bytes: `<meta>`, JSON-LD and `<html lang>` say most; what they leave open is taken from
the main heading and the bylines and dates next to it. Nothing is guessed from running text. `benchmarks/metadata.py`
measures it beside trafilatura's `extract_metadata` (`Extract(metadata="engine")` asks for that one).
"""

from .markup import tidy
from .scanner import MAX_AUTHOR_CHARS, MAX_TITLE_CHARS, Metadata, scan

__all__ = ["MAX_AUTHOR_CHARS", "MAX_TITLE_CHARS", "Metadata", "scan", "tidy"]
