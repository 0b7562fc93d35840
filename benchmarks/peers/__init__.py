"""Scripts that run inside `.venv-peers`; they import nothing of Gristmill."""
