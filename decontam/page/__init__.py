"""The HTML report of an audit: `page(result)` gives one self-contained page."""

from .build import page

__all__ = ["page"]
