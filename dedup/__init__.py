"""Deduplication: exact text dedup across all shards (`dedup.exact`)."""
