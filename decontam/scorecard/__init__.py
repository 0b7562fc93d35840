"""Scorecard of the decontamination methods: planted contamination with known answers, hard negatives, and the counts.

`cases.make_cases` makes the cases from benchmark items and real web text, `score.judge` asks a method for its verdicts
and `score.scorecard` counts them. `split` says which benchmarks and hosts are for tuning and which for reporting.
"""
