"""Gristmill's spine: schema, stage contract, runner, shard store, sources, extraction, packs, CLI."""

__version__ = "0.1.0"
