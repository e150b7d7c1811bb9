"""Runs accounting's integer SQL: DuckDB beside the data, a cluster behind the same Protocol later."""
