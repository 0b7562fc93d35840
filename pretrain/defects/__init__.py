"""Planted defects: corpora with a known flaw, by which the ablation itself is tested.

A flaw that is known to cost (copies, junk, a leaked held-out set) must be found, its repair by Gristmill's own stages
must be found too, and what is known to cost nothing (a filter that draws lots) must tie.
"""
