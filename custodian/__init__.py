"""A custodian holds a key share, evaluates blinded identifiers and counts."""
