"""Runs accounting's integer SQL on DuckDB."""
