"""Runs accounting's integer SQL: DuckDB beside the data today, the enterprise's cluster behind the same Protocol."""
