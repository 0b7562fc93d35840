"""Benchmark decontamination: items of benchmarks, their index, the scan, the methods, plants with known answers."""
