"""Methodology packs and factor tables: data, each versioned, with its own vectors."""
