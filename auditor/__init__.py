"""An auditor verifies a hub from outside, from its log alone."""
