"""Training of the engine `gristmill`: labels from gold texts, word weights, trees, cross-validation.

Needs the extra `train` (lightgbm, scipy); using the trained model does not.
"""
