"""Word lists and the short blocklist, written for Gristmill."""
