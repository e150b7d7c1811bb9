"""The hub's own database; nothing else in the hub speaks SQL to it."""
