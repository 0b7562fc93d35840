"""Measurements beside peers; `make bench-NAME` makes `benchmarks/results/NAME.json` again."""
