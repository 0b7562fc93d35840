"""What a run says of itself while it goes on, and how that is read again.

The driver keeps a `Journal`: `<output>/progress.json` (steps, shards, rates, cost; `gristmill status` reads it), JSON
lines in `<output>/logs/`, and metrics for Prometheus through Ray. No fingerprint and no comparison reads any of them.
"""
