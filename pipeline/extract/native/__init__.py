"""Gristmill's own extraction engine: scan the bytes into blocks, measure them, let trees judge, write the text."""
