"""Compiled kernels of data selection."""
