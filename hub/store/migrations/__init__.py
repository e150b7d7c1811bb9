"""Revisions of the hub's database; a test holds their sum equal to the tables as they stand."""
