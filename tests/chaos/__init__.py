"""Faults put upon a run, and what must come of each: the same bytes, or a clear error and the same bytes after it."""
