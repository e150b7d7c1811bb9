"""The ledgers of the hub's books: accounts, transfers, wallets and their step, decisions on operations."""
