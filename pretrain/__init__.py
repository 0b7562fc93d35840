"""The minimal torch loop that reads packs and shows that they train."""
