"""The web console: its files, and what its live pages are told."""
