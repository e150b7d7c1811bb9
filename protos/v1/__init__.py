"""Version 1 of the wire: package cgsp.v1, generated code beside its sources."""
