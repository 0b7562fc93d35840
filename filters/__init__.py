"""Filters, one file each: they score documents, then decide."""
