"""How the bundled models are made from real data: run as modules, never at a user's run."""
