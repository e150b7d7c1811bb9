"""The hub: intake, log, budget, accounts and the read API."""
