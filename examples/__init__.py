"""Runnable examples: the demo federation and its data."""
