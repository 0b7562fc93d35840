"""Kernels of decontamination: tokens with their places, seeds, runs and alignments."""
