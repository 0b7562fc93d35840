"""What hostile content must not be able to do."""
