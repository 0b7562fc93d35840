"""Numba kernels of deduplication."""
