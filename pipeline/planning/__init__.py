"""What a whole crawl would take: extrapolated from a run that was measured, with every assumption said."""
