"""The node's small state in one SQLite file; the only SQL to it, one file per concern."""
