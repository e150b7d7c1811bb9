"""Incentive programmes as data: what a person earns, spends and is given, and what a pool may issue."""
