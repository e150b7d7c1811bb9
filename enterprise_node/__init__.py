"""The node beside an enterprise's raw data: sources, activities, reductions, pseudonyms, release, outbox."""
