"""Run recipes that come with Gristmill."""
