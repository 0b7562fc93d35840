"""Choosing a mixture's weights by small proxy runs and a regression (RegMix, Liu et al. 2024, arXiv 2407.01492)."""
