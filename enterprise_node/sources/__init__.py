"""Where raw activities come from: declared files, read in place."""
