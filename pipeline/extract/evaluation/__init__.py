"""Judging extraction engines: gold sets, scores, folds, intervals, and the command `gristmill extract eval`."""
