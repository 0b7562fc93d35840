"""`gristmill dedup report`: what the dedup of a run removed, and whether that was right."""
