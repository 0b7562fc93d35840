"""Audits of finished corpora: what of the benchmarks stands in packs, Parquet or JSON lines."""
