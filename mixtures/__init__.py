"""Source mixtures. Not built yet: the package holds the place that the layout gives it."""
