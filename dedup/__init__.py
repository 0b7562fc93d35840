"""Deduplication of a corpus: exact by URL and text, lines, substrings, and near-duplicates by MinHash."""
